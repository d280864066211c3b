"""Every record of one store into another, and whether both hold the same. Nobody may write to either meanwhile.

Both stores are read side by side in the order of ids, a page of each at a time, so memory stays flat whatever their
size; what is there already is only compared, so a copy that was cut off goes on quickly when it is run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pinjam.domain.ledger import JournalEntry
from pinjam.services.store import KINDS, Conflict, Find, Record, each

if TYPE_CHECKING:
    from pinjam.services.store import Store, Transaction

PAGE = 100
"""Records of one read, and of one transaction: Firestore takes a few claims of unique values for each."""
NAMED = 5
"""How many records of a finding are named."""
REFERS_TO_ITSELF: Mapping[type, str] = {JournalEntry: "reverses"}
"""Kinds whose records may refer to another of the same kind, and the field that does."""

Canonical = Callable[[Record], bytes]
"""A record's values as bytes that are the same whichever store it came from."""


@dataclass(slots=True)
class Found:
    """Some records: how many, and the first of their ids."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, id: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a pass over one kind has come, in records of the source."""

    kind: type
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was written of one kind. `blocked` are records whose unique value another record of the target has.

    `source` is the SHA-256 of the source's records as they were read.
    """

    inserted: int
    updated: int
    removed: int
    blocked: Found
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One store's records of one kind: how many, and the SHA-256 over all of them in the order of ids."""

    records: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One kind in both stores."""

    source: Side
    target: Side
    missing: Found
    differing: Found
    extra: Found

    @property
    def equal(self) -> bool:
        """Whether both hold the same records with the same values."""
        return self.source == self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying:
    """From one store into another, a kind at a time, in the order of KINDS. `told` hears of each page.

    `page` is how many records one read and one transaction take.
    """

    source: Store
    target: Store
    canonical: Canonical
    told: Callable[[Progress], None]
    page: int = PAGE

    def copy(self, kind: type, *, remove_passed: bool = False) -> Copied:
        """Insert what the target lacks and update what differs there.

        What only the target has stays, but for records of a passing kind with `remove_passed`.
        """
        digest, writing = _Digest(self.canonical), _Writing(self, kind)
        for mine, theirs in self._pairs(kind):
            if mine is not None:
                digest.add(mine)
                writing.bring(mine, theirs)
            elif theirs is not None and remove_passed and KINDS[kind].passing:
                writing.remove(theirs)
        return writing.finish(digest.hexdigest())

    def compare(self, kind: type) -> Compared:
        """Read both and write nothing."""
        ours, others = _Digest(self.canonical), _Digest(self.canonical)
        missing, differing, extra = Found(), Found(), Found()
        for mine, theirs in self._pairs(kind):
            one = None if mine is None else ours.add(mine)
            other = None if theirs is None else others.add(theirs)
            if theirs is None and mine is not None:
                missing.add(mine.id)
            elif mine is None and theirs is not None:
                extra.add(theirs.id)
            elif mine is not None and one != other:
                differing.add(mine.id)
        return Compared(source=ours.side(), target=others.side(), missing=missing, differing=differing, extra=extra)

    def _pairs(self, kind: type) -> Iterator[tuple[Record | None, Record | None]]:
        """Every record of either store with its counterpart in the other."""
        total, done = self.source.read(lambda tx: tx.count(kind, {})), 0
        ours, others = _in_order(self.source, kind, self.page), _in_order(self.target, kind, self.page)
        mine, theirs = next(ours, None), next(others, None)
        while mine is not None or theirs is not None:
            if theirs is None or (mine is not None and mine.id <= theirs.id):
                both = theirs is not None and mine is not None and mine.id == theirs.id
                yield mine, theirs if both else None
                mine, theirs, done = next(ours, None), next(others, None) if both else theirs, done + 1
                if done % self.page == 0:
                    self.told(Progress(kind=kind, done=done, total=total))
            else:
                yield None, theirs
                theirs = next(others, None)
        self.told(Progress(kind=kind, done=done, total=total))


class _Digest:
    """A SHA-256 over records, each followed by a line feed, which no canonical form holds."""

    def __init__(self, canonical: Canonical) -> None:
        self._canonical = canonical
        self._sha256 = hashlib.sha256()
        self._records = 0

    def add(self, record: Record) -> bytes:
        content = self._canonical(record)
        self._sha256.update(content + b"\n")
        self._records += 1
        return content

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()

    def side(self) -> Side:
        return Side(records=self._records, sha256=self.hexdigest())


class _Writing:
    """Collects what the target lacks of one kind, and writes it a page at a time."""

    def __init__(self, copying: Copying, kind: type) -> None:
        self._source, self._target, self._kind = copying.source, copying.target, kind
        self._canonical, self._page = copying.canonical, copying.page
        self._waiting: list[tuple[Record, bool]] = []
        self._blocked: list[str] = []
        self._counts = {"inserted": 0, "updated": 0, "removed": 0}

    def bring(self, mine: Record, theirs: Record | None) -> None:
        """Make the target's record, if there is one, the source's."""
        if theirs is not None and self._canonical(mine) == self._canonical(theirs):
            return
        if theirs is None:
            self._bring_first(mine)
        self._waiting.append((mine, theirs is None))
        if len(self._waiting) == self._page:
            self._write_waiting()

    def remove(self, theirs: Record) -> None:
        self._target.transact(lambda tx: tx.delete(self._kind, theirs.id))
        self._counts["removed"] += 1

    def finish(self, source: str) -> Copied:
        """Write the rest, and then again what was blocked by values that have perhaps become free since."""
        self._write_waiting()
        before = len(self._blocked) + 1
        while self._blocked and len(self._blocked) < before:
            before, blocked, self._blocked = len(self._blocked), self._blocked, []
            for id_ in blocked:
                mine = self._of(self._source, id_)
                if mine is not None:
                    self.bring(mine, self._of(self._target, id_))
                    self._write_waiting()
        found = Found()
        for id_ in self._blocked:
            found.add(id_)
        return Copied(**self._counts, blocked=found, source=source)

    def _bring_first(self, mine: Record) -> None:
        """What a record refers to in its own kind goes before it, where ids do not see to that."""
        name = REFERS_TO_ITSELF.get(self._kind)
        referred = getattr(mine, name) if name else None
        if referred is None or referred < mine.id or self._of(self._target, referred) is not None:
            return
        earlier = self._of(self._source, referred)
        if earlier is not None:
            self._bring_first(earlier)
            self._write([(earlier, True)])

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._write(waiting)

    def _write(self, changes: list[tuple[Record, bool]]) -> None:
        """All in one transaction; one by one where a unique value is in the way of any."""

        def work(tx: Transaction) -> None:
            for record, new in changes:
                (tx.insert if new else tx.update)(record)

        try:
            self._target.transact(work)
        except Conflict:
            if len(changes) == 1:
                self._blocked.append(changes[0][0].id)
                return
            for change in changes:
                self._write([change])
            return
        for _, new in changes:
            self._counts["inserted" if new else "updated"] += 1

    def _of(self, store: Store, id: str) -> Any:
        return store.get(self._kind, id)


def _in_order(store: Store, kind: type, page: int) -> Iterator[Record]:
    """A kind's records by id. RuntimeError if a store's order is another, as nothing could be compared then."""
    last = ""
    records: Iterator[Record] = each(store, Find(kind=kind, limit=page))
    for record in records:
        if record.id <= last:
            raise RuntimeError(f"{kind.__name__} {record.id} came after {last}")
        last = record.id
        yield record
