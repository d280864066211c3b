"""A store in the process's memory: for unit tests and simulations; it forgets everything at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pinjam.adapters.records import check, check_passing, cursor_after, fields_of, position_of
from pinjam.services.store import KINDS, Conflict, Find, Page, Record

if TYPE_CHECKING:
    from pinjam.services.store import Asked, R, Reader, Scalar, Transaction

A = TypeVar("A")
Rows = dict[type, dict[str, Record]]
Taken = dict[tuple[type, tuple[str, ...], tuple[object, ...]], str]


class MemoryStore:
    """Records in dictionaries. One lock makes transactions serial."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: Rows = {kind: {} for kind in KINDS}
        self._taken: Taken = {}

    def transact(self, work: Callable[[Transaction], A]) -> A:
        """Run `work`, then apply what it wrote, or nothing of it."""
        with self._lock:
            tx = _MemoryTransaction(self._rows)
            result = work(tx)
            self._apply(tx.writes)
            return result

    def read(self, work: Callable[[Reader], A]) -> A:
        """Run `work` while nobody writes."""
        with self._lock:
            return work(_MemoryReader(self._rows))

    def get(self, kind: type[R], id: str) -> R | None:
        """One record as it is now."""
        return self.read(lambda tx: tx.get(kind, id))

    def find(self, query: Find[R]) -> Page[R]:
        """One page as it is now."""
        return self.read(lambda tx: tx.find(query))

    def _apply(self, writes: list[_Write]) -> None:
        """Write into copies, and keep those once all went well."""
        rows = {kind: dict(self._rows[kind]) for kind in {write.kind for write in writes}}
        taken = dict(self._taken) if writes else self._taken
        for write in writes:
            kind, record = write.kind, write.record
            before = rows[kind].pop(write.id, None)
            if write.new and before is not None:
                raise Conflict(kind, ("id",))
            if not write.new and record is not None and before is None:
                raise LookupError(f"{kind.__name__} {write.id}")
            for claim in _claims(before) if before else ():
                del taken[claim]
            if record is None:
                continue
            for claim in _claims(record):
                if taken.setdefault(claim, record.id) != record.id:
                    raise Conflict(kind, claim[1])
            rows[kind][record.id] = record
        self._rows, self._taken = {**self._rows, **rows}, taken


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
    """What shall be there under an id: a `new` record, another one, or None."""

    kind: type
    id: str
    record: Record | None
    new: bool = False


class _MemoryReader:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def prefetch(self, *asked: Asked) -> None:
        """Nothing is far away here; but a wrong question is told at once, as everywhere."""
        for one in asked:
            if isinstance(one, Find):
                self.find(one)
            else:
                self.get(*one)

    def get(self, kind: type[R], id: str) -> R | None:
        record = self._rows[kind].get(id)
        return record if isinstance(record, kind) else None

    def find(self, query: Find[R]) -> Page[R]:
        check(query)
        start = position_of(query)

        def place(record: R) -> tuple[object, str]:
            return getattr(record, query.order), record.id

        def wanted(record: R) -> bool:
            value = getattr(record, query.order)
            return (
                _matches(record, query.where)
                and value is not None
                and (query.at_least is None or value >= query.at_least)
                and (query.below is None or value < query.below)
                and (start is None or (place(record) < start if query.descending else place(record) > start))
            )

        records = [record for record in self._rows[query.kind].values() if isinstance(record, query.kind)]
        found = sorted(filter(wanted, records), key=place, reverse=query.descending)
        page = tuple(found[: query.limit])
        return Page(page, cursor_after(query, page[-1]) if len(found) > query.limit else None)

    def count(self, kind: type[R], where: Mapping[str, Scalar]) -> int:
        check(Find(kind=kind, where=where))
        return sum(_matches(record, where) for record in self._rows[kind].values())


class _MemoryTransaction(_MemoryReader):
    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self.writes: list[_Write] = []

    def prefetch(self, *asked: Asked) -> None:
        self._before_writes()
        super().prefetch(*asked)

    def get(self, kind: type[R], id: str) -> R | None:
        self._before_writes()
        return super().get(kind, id)

    def find(self, query: Find[R]) -> Page[R]:
        self._before_writes()
        return super().find(query)

    def count(self, kind: type[R], where: Mapping[str, Scalar]) -> int:
        self._before_writes()
        return super().count(kind, where)

    def insert(self, record: Record) -> None:
        self._write(record, new=True)

    def update(self, record: Record) -> None:
        self._write(record, new=False)

    def delete(self, kind: type[Record], id: str) -> None:
        check_passing(kind, id)
        self.writes.append(_Write(kind=kind, id=id, record=None))

    def _write(self, record: Record, *, new: bool) -> None:
        # There and back through plain values: what no other store could keep is refused here too, and nobody
        # holds on to what is inside a stored record.
        fields = fields_of(type(record))
        plain = {name: field.plain(getattr(record, name)) for name, field in fields.items()}
        kept = type(record)(**{name: field.value(plain[name]) for name, field in fields.items()})
        self.writes.append(_Write(kind=type(record), id=record.id, record=kept, new=new))

    def _before_writes(self) -> None:
        if self.writes:
            raise RuntimeError("a transaction reads before it writes")


def _matches(record: Record, where: Mapping[str, Scalar]) -> bool:
    return all(getattr(record, name) == value for name, value in where.items())


def _claims(record: Record) -> list[tuple[type, tuple[str, ...], tuple[object, ...]]]:
    """The unique values that a record holds; a set with a None among its values claims nothing."""
    sets = ((fields, tuple(getattr(record, name) for name in fields)) for fields in KINDS[type(record)].unique)
    return [(type(record), fields, values) for fields, values in sets if None not in values]
