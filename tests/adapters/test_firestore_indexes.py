"""The declared indexes serve every query that the code asks, and no more; and how Firestore picks among them."""

import json
from collections.abc import Iterable
from importlib import resources

import pytest
from tests.shapes import IN_WORDS, all_needs, asked, read

from pinjam.adapters.firestore_indexes import Index, Need, declared, needed, parsed, serving
from pinjam.adapters.firestore_values import CLAIMS
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.services.store import KINDS, Find

UP, DOWN = "ASCENDING", "DESCENDING"


def index(*fields: str) -> Index:
    """Fields as `name` or `-name`."""
    return Index(
        collection="loans", fields=tuple((name.lstrip("-"), DOWN if name[0] == "-" else UP) for name in fields)
    )


def need(equal: str, *sorting: str) -> Need:
    return Need(collection="loans", equal=frozenset(equal.split()), sorting=index(*sorting).fields)


def test_every_query_is_read_from_the_source_or_told_in_words() -> None:
    assert {query.place for query in asked() if query.needs is None} == set(IN_WORDS)


def in_order(needs: Iterable[Need]) -> list[Need]:
    """In the order of their words: that of a set is another one in each process of a run."""
    return sorted(needs, key=lambda one: (one.collection, sorted(one.equal), one.sorting))


@pytest.mark.parametrize(
    "asks", in_order(all_needs()), ids=lambda one: f"{one.collection}-{'-'.join(sorted(one.equal))}"
)
def test_every_query_is_served_by_a_declared_index(asks: Need) -> None:
    assert serving(declared(), asks) is not None, f"add it to firestore.indexes.json: {asks}"


def test_every_declared_index_serves_some_query() -> None:
    used = {one for asks in all_needs() for one in serving(declared(), asks) or ()}
    assert declared() - used == set()


def test_the_fields_of_no_collection_are_indexed_by_default() -> None:
    document = json.loads(resources.files("pinjam.adapters").joinpath("firestore.indexes.json").read_text("utf-8"))
    off = [one["collectionGroup"] for one in document["fieldOverrides"] if one["fieldPath"] == "*"]
    assert sorted(off) == sorted([CLAIMS, *(kind.collection for kind in KINDS.values())])


def test_no_index_is_declared_twice() -> None:
    document = json.loads(resources.files("pinjam.adapters").joinpath("firestore.indexes.json").read_text("utf-8"))
    singles = sum(len(one["indexes"]) for one in document["fieldOverrides"])
    assert len(declared()) == len(document["indexes"]) + singles


@pytest.mark.parametrize(
    ("indexes", "asks", "served_by"),
    [
        ([index("user_id", "id")], need("user_id", "id"), [index("user_id", "id")]),
        ([index("-user_id", "id")], need("user_id", "id"), [index("-user_id", "id")]),
        ([index("user_id", "id")], need("user_id", "-id"), None),
        ([index("user_id", "status", "id")], need("user_id", "id"), None),
        ([index("user_id", "status", "id")], need("status user_id", "id"), [index("user_id", "status", "id")]),
        (
            [index("user_id", "id"), index("status", "id"), index("amount", "id")],
            need("user_id status", "id"),
            [index("user_id", "id"), index("status", "id")],
        ),
        ([index("user_id", "id"), index("status", "-id")], need("user_id status", "id"), None),
        ([index("user_id", "id"), index("status", "amount")], need("user_id status", "id"), None),
        (
            [index("status", "updated_at", "id")],
            need("status", "updated_at", "id"),
            [index("status", "updated_at", "id")],
        ),
        ([index("status", "updated_at", "id")], need("status", "updated_at"), None),
        ([index("id")], need("", "id"), [index("id")]),
        ([index("id")], need("user_id", "id"), None),
        ([index("user_id"), index("status")], need("user_id status"), [index("user_id"), index("status")]),
        ([Index(collection="payments", fields=index("user_id", "id").fields)], need("user_id", "id"), None),
        ([], need("", "id"), None),
    ],
)
def test_an_index_serves_what_firestore_serves_from_it(
    indexes: list[Index], asks: Need, served_by: list[Index] | None
) -> None:
    assert serving(frozenset(indexes), asks) == (None if served_by is None else frozenset(served_by))


def test_a_query_needs_its_equal_fields_and_then_its_order_and_the_id() -> None:
    status = {"status": LoanStatus.ACTIVE}
    assert needed(Find(kind=Loan, where=status, order="updated_at", descending=True)) == need(
        "status", "-updated_at", "-id"
    )
    assert needed(Find(kind=Loan, where=status, order="status")) == need("status", "id")
    assert needed(Find(kind=Loan)) == need("", "id")


@pytest.mark.parametrize(
    "document",
    [
        {"indexes": [], "fieldOverrides": [{"collectionGroup": "loans", "fieldPath": "amount", "indexes": []}]},
        {
            "indexes": [{"collectionGroup": "loans", "queryScope": "COLLECTION", "fields": []}],
            "fieldOverrides": [{"collectionGroup": "loans", "fieldPath": "*", "indexes": [{"order": UP}]}],
        },
        {
            "indexes": [{"collectionGroup": "loans", "queryScope": "COLLECTION_GROUP", "fields": []}],
            "fieldOverrides": [{"collectionGroup": "loans", "fieldPath": "*", "indexes": []}],
        },
    ],
)
def test_a_document_that_indexes_more_than_it_says_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="index"):
        parsed(document)


SOURCE = """
def work(tx, wide):
    own = {"user_id": 1}
    where = own if wide else {"user_id": 1, "status": 2}
    tx.find(Find(kind=Loan, where=where, order="amount"))
    tx.count(Loan, own)
    "text".count("t")
"""


def test_the_source_is_read_for_queries_whose_values_have_names() -> None:
    found, counted = read("x.py", SOURCE)
    assert found.needs == frozenset({need("user_id", "amount", "id"), need("user_id status", "amount", "id")})
    assert counted.needs == frozenset({need("user_id", "id")})


@pytest.mark.parametrize(
    "call",
    [
        "Find(kind=kind)",
        "Find(kind=Loan, where={name: 1})",
        "Find(kind=Loan, where={**more})",
        "Find(kind=Loan, where=given)",
        "Find(kind=Loan, order=field)",
        "Find(kind=Loan, descending=newest)",
        "tx.count(kind, {})",
    ],
)
def test_a_query_that_its_source_does_not_tell_is_not_guessed(call: str) -> None:
    (query,) = read("x.py", f"def work(tx, kind, name, more, given, field, newest):\n    {call}\n")
    assert query.needs is None
