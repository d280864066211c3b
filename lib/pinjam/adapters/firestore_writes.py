"""What the one commit of a transaction writes: each document once, with what must be true of it.

Unique values are documents of their own (claims), made and removed in the same commit as the records that hold them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pinjam.adapters.firestore_values import claim_fields, claims, fields, path
from pinjam.services.store import KINDS, Conflict

if TYPE_CHECKING:
    from pinjam.services.store import Record

Key = tuple[type, str]
"""A record's kind and id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What shall be there under an id: a `new` record, another one, or None."""

    kind: type
    id: str
    record: Record | None
    new: bool = False

    @property
    def key(self) -> Key:
        """Whose change it is."""
        return self.kind, self.id


@dataclass(slots=True)
class Commit:
    """The writes of a commit, in the shape of the API, and what its refusals are about.

    `created` holds the documents that must be new, in the order of the work, with the Conflict if one is not;
    `replaced` those that must be there although nobody has seen them, with the LookupError.
    """

    writes: list[dict[str, object]] = field(default_factory=list)
    created: dict[str, Conflict] = field(default_factory=dict)
    replaced: dict[str, LookupError] = field(default_factory=dict)


def unseen(changes: Iterable[Change], seen: Mapping[Key, Record | None]) -> list[Key]:
    """What must be read before the commit: whose unique values go, and what several changes are about."""
    first: dict[Key, Change] = {}
    found: dict[Key, None] = {}
    for change in changes:
        is_again = first.setdefault(change.key, change) is not change
        if change.key not in seen and not first[change.key].new and (is_again or KINDS[change.kind].unique):
            found[change.key] = None
    return list(found)


def commit(root: str, changes: Iterable[Change], seen: Mapping[Key, Record | None]) -> Commit:
    """The commit of these changes, where `seen` tells what was there; what it lacks is not known.

    Conflict or LookupError where that is known already.
    """
    ordered = list(changes)
    plan = _Plan(root, {change.key: seen[change.key] for change in ordered if change.key in seen})
    for change in ordered:
        plan.add(change)
    return plan.commit()


class _Plan:
    def __init__(self, root: str, seen: Mapping[Key, Record | None]) -> None:
        self._root = root
        self._seen = seen
        self._first: dict[Key, Change] = {}
        self._now: dict[Key, Record | None] = {}
        self._held_before = {claim: key for key, record in seen.items() for claim in _claims(record)}
        self._holders: dict[str, Key | None] = dict(self._held_before)
        self._made: dict[str, Conflict] = {}

    def add(self, change: Change) -> None:
        """One more change. Conflict or LookupError as for `commit`."""
        key, is_known = change.key, change.key in self._now or change.key in self._seen
        before = self._now[key] if key in self._now else self._seen.get(key)
        if change.new and before is not None:
            raise Conflict(change.kind, ("id",))
        if not change.new and change.record is not None and is_known and before is None:
            raise _none(key)
        self._first.setdefault(key, change)
        if change.new:
            self._made.setdefault(self._name(key), Conflict(change.kind, ("id",)))
        for claim in _claims(before):
            self._holders[claim] = None
        for claim, names in _claims(change.record).items():
            conflict = Conflict(change.kind, names)
            if self._holders.get(claim) is not None:
                raise conflict
            self._holders[claim] = key
            self._made.setdefault(f"{self._root}/{claim}", conflict)
        self._now[key] = change.record

    def commit(self) -> Commit:
        """All of it."""
        planned = Commit()
        for key, record in self._now.items():
            self._write(planned, key, record)
        for claim, holder in self._holders.items():
            self._claim(planned, f"{self._root}/{claim}", self._held_before.get(claim), holder)
        planned.created = {name: conflict for name, conflict in self._made.items() if name in planned.created}
        return planned

    def _write(self, planned: Commit, key: Key, record: Record | None) -> None:
        name, first = self._name(key), self._first[key]
        if record is None and first.new and first.record is not None:
            self._show_free(planned, name, fields(first.record))
        if record is None:
            planned.writes.append({"delete": name})
            return
        write: dict[str, object] = {"update": {"name": name, "fields": fields(record)}}
        if self._seen.get(key) is not None:
            write["currentDocument"] = {"exists": True}
        elif first.new:
            write["currentDocument"] = {"exists": False}
            planned.created[name] = self._made[name]
        elif first.record is not None:
            write["currentDocument"] = {"exists": True}
            planned.replaced[name] = _none(key)
        planned.writes.append(write)

    def _claim(self, planned: Commit, name: str, before: Key | None, after: Key | None) -> None:
        if before is None and after is None:
            self._show_free(planned, name, {})
        if after is None:
            planned.writes.append({"delete": name})
        if before == after or after is None:
            return
        write = {"update": {"name": name, "fields": claim_fields(path(*after))}}
        planned.writes.append({**write, "currentDocument": {"exists": before is not None}})
        if before is None:
            planned.created[name] = self._made[name]

    def _show_free(self, planned: Commit, name: str, content: dict[str, object]) -> None:
        """What is made and removed in one transaction must have been free all the same."""
        planned.writes.append({"update": {"name": name, "fields": content}, "currentDocument": {"exists": False}})
        planned.created[name] = self._made[name]

    def _name(self, key: Key) -> str:
        return f"{self._root}/{path(*key)}"


def _claims(record: Record | None) -> dict[str, tuple[str, ...]]:
    return {} if record is None else claims(record)


def _none(key: Key) -> LookupError:
    kind, id_ = key
    return LookupError(f"{kind.__name__} {id_}")
