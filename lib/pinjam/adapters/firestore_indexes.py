"""Which index a query needs, and whether the declared ones serve it.

Firestore answers no query without an index; its emulator answers all. So what is declared, in
`firestore.indexes.json` in the format of the Firebase CLI, is checked against what the code asks, and an emulator's
store can be told to refuse as Firestore does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from pinjam.services.store import KINDS

if TYPE_CHECKING:
    from pinjam.services.store import Find

Direction = str
"""`ASCENDING` or `DESCENDING`, as the documents of Firestore write it."""
Sorting = tuple[tuple[str, Direction], ...]

FILE = "firestore.indexes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The indexed fields of a collection in their order; one field for a single-field index."""

    collection: str
    fields: Sorting


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a query asks of an index: fields with one value each, in any order, and then this sorting.

    A range, or that there be a value, is always on the first field of the sorting, and asks for nothing more.
    """

    collection: str
    equal: frozenset[str]
    sorting: Sorting


class MissingIndex(RuntimeError):
    """Firestore would refuse this query (FAILED_PRECONDITION)."""


def declared() -> frozenset[Index]:
    """The indexes that this version of the code is deployed with."""
    return parsed(json.loads(resources.files(__package__).joinpath(FILE).read_text("utf-8")))


def parsed(document: Mapping[str, Any]) -> frozenset[Index]:
    """The indexes of a document in the format of the Firebase CLI.

    ValueError for one that leaves the single-field indexes of a collection at their default, which is all of them,
    and for what no query of ours uses (collection groups, arrays).
    """
    found = {Index(collection=one["collectionGroup"], fields=_fields(one["fields"])) for one in document["indexes"]}
    overrides = document["fieldOverrides"]
    off = {one["collectionGroup"] for one in overrides if one["fieldPath"] == "*" and one["indexes"] == []}
    if off != {one["collectionGroup"] for one in (*document["indexes"], *overrides)}:
        raise ValueError("some collection's fields are indexed by default")
    if any(one["queryScope"] != "COLLECTION" for one in document["indexes"]):
        raise ValueError("an index of a scope that nobody asks for")
    found |= {
        Index(collection=one["collectionGroup"], fields=_fields([{"fieldPath": one["fieldPath"], **index}]))
        for one in overrides
        for index in one["indexes"]
    }
    return frozenset(found)


def _fields(listed: Iterable[Mapping[str, str]]) -> Sorting:
    return tuple((field["fieldPath"], field["order"]) for field in listed)


def sorting(query: Find[Any]) -> Sorting:
    """By what Firestore is asked to sort: the field in `order`, then the id, without those that have one value."""
    direction = "DESCENDING" if query.descending else "ASCENDING"
    return tuple((name, direction) for name in dict.fromkeys((query.order, "id")) if name not in query.where)


def needed(query: Find[Any]) -> Need:
    """What a query needs. A count needs what a list of the same values by id does."""
    return Need(collection=KINDS[query.kind].collection, equal=frozenset(query.where), sorting=sorting(query))


def serving(indexes: frozenset[Index], need: Need) -> frozenset[Index] | None:
    """The indexes that Firestore answers from, None if they do not do.

    One with all fields of one value in front and then the sorting; or several that each have some of those fields
    in front of the same sorting, which Firestore merges. The direction of the sorting counts, that of fields with
    one value does not.
    """
    of_one_value = {
        index: frozenset(name for name, _ in index.fields[: len(index.fields) - len(need.sorting)])
        for index in indexes
        if index.collection == need.collection and index.fields[len(index.fields) - len(need.sorting) :] == need.sorting
    }
    whole = next((index for index, names in of_one_value.items() if names == need.equal), None)
    if whole is not None:
        return frozenset({whole})
    merged = {index: names for index, names in of_one_value.items() if names and names < need.equal}
    return frozenset(merged) if frozenset().union(*merged.values()) == need.equal and merged else None


def check_covered(indexes: frozenset[Index], need: Need) -> None:
    """MissingIndex if Firestore would refuse."""
    if serving(indexes, need) is None:
        raise MissingIndex(f"{need.collection} where {sorted(need.equal)} by {need.sorting} has no index")
