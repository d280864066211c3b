"""The store on Firestore: serializable transactions over its REST API, tried again when another one got in between."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pinjam.adapters import firestore_queries as queries
from pinjam.adapters import firestore_values as values
from pinjam.adapters import firestore_writes as writes
from pinjam.adapters.firestore_indexes import check_covered, needed
from pinjam.adapters.firestore_turns import Turns
from pinjam.adapters.firestore_wire import Aborted, CutOff, FirestoreWire, Missing, Taken
from pinjam.adapters.records import check, check_passing, cursor_after, position_of
from pinjam.services.store import (
    Conflict,
    Contention,
    Find,
    Page,
)

if TYPE_CHECKING:
    from pinjam.adapters.firestore_indexes import Index
    from pinjam.adapters.firestore_wire import Json
    from pinjam.services.store import (
        Asked,
        R,
        Reader,
        Record,
        Scalar,
        Transaction,
    )

A = TypeVar("A")

_TRIES = 8
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0


class FirestoreStore:
    """Records in Firestore, in Native mode. Connects on first use; `close` ends that.

    Transactions are tried at most 8 times, with growing random pauses from `rng` between. What an outage cut off
    before the commit was sent is tried again once; a commit whose answer was lost is never repeated.

    `token` gives the OAuth access token, None for an emulator. An emulator serves queries that have no index; with
    `declared` they are refused as Firestore does it (MissingIndex).
    """

    def __init__(
        self,
        *,
        project: str,
        database: str = "(default)",
        url: str = "https://firestore.googleapis.com",
        token: Callable[[], str] | None = None,
        timeout_s: float = 10,
        rng: random.Random | None = None,
        declared: frozenset[Index] | None = None,
    ) -> None:
        self._wire = FirestoreWire(project=project, database=database, url=url, token=token, timeout_s=timeout_s)
        self._turns = Turns(patience_s=timeout_s)
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries; nothing secret.
        self._declared = declared

    def transact(self, work: Callable[[Transaction], A]) -> A:
        """Run `work` in a serializable transaction and commit; see the port."""
        was_cut_off = False
        conflicts: set[tuple[str, ...]] = set()
        failed: _Failed | None = None
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(self._rng.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)))
            tx = _FirestoreTransaction(self._wire, self._declared, self._turns, failed)
            try:
                return tx.run(work)
            except Aborted as aborted:
                failed = _Failed(None if aborted.gone else tx.id, frozenset(tx.touched))
            except _Raced as raced:
                # Met again, the value was there before this transaction began: nobody raced.
                if raced.conflict.fields in conflicts:
                    raise raced.conflict from raced
                conflicts.add(raced.conflict.fields)
            except CutOff as cut_off:
                if was_cut_off or tx.was_commit_sent:
                    raise cut_off.unavailable() from cut_off
                was_cut_off = True
        raise Contention(f"gave up after {_TRIES} tries")

    def read(self, work: Callable[[Reader], A]) -> A:
        """Run `work` on one consistent view; tried once more if the connection broke."""
        try:
            return work(_FirestoreReader(self._wire, self._declared))
        except (CutOff, Aborted):
            try:
                return work(_FirestoreReader(self._wire, self._declared))
            except CutOff as cut_off:
                raise cut_off.unavailable() from cut_off
            except Aborted as aborted:
                raise CutOff(str(aborted), perhaps_done=False).unavailable() from aborted

    def get(self, kind: type[R], id: str) -> R | None:
        """One record as it is now."""
        return self.read(lambda tx: tx.get(kind, id))

    def find(self, query: Find[R]) -> Page[R]:
        """One page as it is now."""
        return self.read(lambda tx: tx.find(query))

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        self._wire.close()


@dataclass(frozen=True, slots=True)
class _Failed:
    """A try that was in the way of others: its id, if Firestore still knows it, and what it read."""

    id: str | None
    touched: frozenset[str]


class _Raced(Exception):
    """A value was taken by another transaction, after this one perhaps saw it free."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(str(conflict))
        self.conflict = conflict


class _FirestoreReader:
    """Reads as of one moment. What keeps that moment begins in the first read, so that it costs no round trip.

    It holds no locks, and ends by itself.
    """

    def __init__(self, wire: FirestoreWire, declared: frozenset[Index] | None) -> None:
        self._wire = wire
        self._declared = declared
        self._beginning: Json = {"readOnly": {}}
        self._ahead: dict[writes.Key, Record | None] = {}
        self.id: str | None = None

    def prefetch(self, *asked: Asked) -> None:
        """Records by their ids come in one round trip; each page has one of its own, when it is asked for."""
        keys = []
        for one in asked:
            if isinstance(one, Find):
                check(one)
                position_of(one)
            else:
                keys.append(one)
        if keys:
            self._ahead.update(self._stored(keys))

    def get(self, kind: type[R], id: str) -> R | None:
        if (kind, id) in self._ahead:
            return self._ahead.pop((kind, id))  # type: ignore[return-value]  # a record of the key's kind
        return self._stored([(kind, id)]).get((kind, id))  # type: ignore[return-value]  # a record of the key's kind

    def find(self, query: Find[R]) -> Page[R]:
        check(query)
        body = queries.find(query)
        if queries.matches_nothing(query):
            return Page((), None)
        self._check_covered(query)
        answered = self._ask("runQuery", {"structuredQuery": body})
        found = [values.record(query.kind, part["document"]["fields"]) for part in answered if "document" in part]
        page = tuple(found[: query.limit])
        return Page(page, cursor_after(query, page[-1]) if len(found) > query.limit else None)

    def count(self, kind: type[R], where: Mapping[str, Scalar]) -> int:
        query = Find(kind=kind, where=where)
        check(query)
        self._check_covered(query)
        answered = self._ask("runAggregationQuery", {"structuredAggregationQuery": queries.count(kind, where)})
        return next(
            int(part["result"]["aggregateFields"]["count"]["integerValue"]) for part in answered if "result" in part
        )

    def _stored(self, keys: Iterable[writes.Key]) -> dict[writes.Key, Record | None]:
        """The records under these keys, all in one round trip."""
        names = {f"{self._wire.documents}/{values.path(*key)}": key for key in keys}
        answered = self._ask("batchGet", {"documents": list(names)})
        found = {part["found"]["name"]: part["found"]["fields"] for part in answered if "found" in part}
        return {key: values.record(key[0], found[name]) if name in found else None for name, key in names.items()}

    def _ask(self, method: str, body: Json) -> list[Json]:
        began = self.id is not None
        answered = self._wire.call(
            method, body | ({"transaction": self.id} if began else {"newTransaction": self._beginning})
        )
        if not began:
            self.id = next(part["transaction"] for part in answered if "transaction" in part)
        return answered

    def _check_covered(self, query: Find[Any]) -> None:
        if self._declared is not None:
            check_covered(self._declared, needed(query))


class _FirestoreTransaction(_FirestoreReader):
    """Keeps writes back until the commit, so that all of them travel together with it.

    It inherits the age of the try that `failed`, and begins once nobody else here is at what that one read.
    """

    def __init__(
        self,
        wire: FirestoreWire,
        declared: frozenset[Index] | None,
        turns: Turns,
        failed: _Failed | None,
    ) -> None:
        super().__init__(wire, declared)
        self._beginning = {"readWrite": {"retryTransaction": failed.id} if failed and failed.id else {}}
        self._turns = turns
        self._held = ExitStack()
        self.touched: set[str] = set(failed.touched) if failed else set()
        self._seen: dict[writes.Key, Record | None] = {}
        self._changes: list[writes.Change] = []
        self.was_commit_sent = False
        self._is_over = False

    def run(self, work: Callable[[Transaction], A]) -> A:
        """Run the work and commit, or roll back."""
        with self._held:
            try:
                result = work(self)
                self._commit()
                return result
            finally:
                if self.id is not None and not self._is_over:
                    # What it locked is locked until somebody says so, or for a minute. If that cannot be said now,
                    # the minute passes, and what went wrong first is what counts.
                    with suppress(CutOff, Aborted, RuntimeError):
                        self._wire.call("rollback", {"transaction": self.id})

    def prefetch(self, *asked: Asked) -> None:
        self._before_writes()
        super().prefetch(*asked)

    def get(self, kind: type[R], id: str) -> R | None:
        self._before_writes()
        found = super().get(kind, id)
        self._seen[kind, id] = found
        return found

    def find(self, query: Find[R]) -> Page[R]:
        self._before_writes()
        found = super().find(query)
        self._seen.update({(query.kind, record.id): record for record in found.items})
        return found

    def count(self, kind: type[R], where: Mapping[str, Scalar]) -> int:
        self._before_writes()
        return super().count(kind, where)

    def insert(self, record: Record) -> None:
        self._change(record, new=True)

    def update(self, record: Record) -> None:
        self._change(record, new=False)

    def delete(self, kind: type[Record], id: str) -> None:
        check_passing(kind, id)
        self._changes.append(writes.Change(kind=kind, id=id, record=None))

    def _change(self, record: Record, *, new: bool) -> None:
        values.fields(record)
        self._changes.append(writes.Change(kind=type(record), id=record.id, record=record, new=new))

    def _before_writes(self) -> None:
        if self._changes:
            raise RuntimeError("a transaction reads before it writes")

    def _ask(self, method: str, body: Json) -> list[Json]:
        # Each document by itself, so that those who read it in another company meet at it, too.
        names = set(body["documents"]) if method == "batchGet" else {f"{method} {json.dumps(body, sort_keys=True)}"}
        if self.id is None:
            for turn in sorted(names | self.touched):
                self._held.enter_context(self._turns.one(turn))
        self.touched |= names
        return super()._ask(method, body)

    def _commit(self) -> None:
        unseen = writes.unseen(self._changes, self._seen)
        if unseen:
            self._seen |= self._stored(unseen)
        try:
            planned = writes.commit(self._wire.documents, self._changes, self._seen)
        except Conflict as conflict:
            raise self._perhaps_raced(conflict) from conflict
        if not planned.writes and self.id is None:
            return
        try:
            self._wire.call("commit", {"writes": planned.writes} | ({"transaction": self.id} if self.id else {}))
            self._is_over = True
        except CutOff as cut_off:
            self.was_commit_sent = cut_off.perhaps_done
            raise
        except Taken as taken:
            raise self._conflict(planned) from taken
        except Missing as missing:
            raise self._lookup_error(planned) from missing

    def _conflict(self, planned: writes.Commit) -> Exception:
        """Which of the new documents was there already; none, if it is gone again."""
        there = self._there(planned.created)
        conflict = next((conflict for name, conflict in planned.created.items() if name in there), None)
        if conflict is None:
            return Aborted("what was in the way is gone")
        return self._perhaps_raced(conflict)

    def _perhaps_raced(self, conflict: Conflict) -> Exception:
        return conflict if self.id is None else _Raced(conflict)

    def _lookup_error(self, planned: writes.Commit) -> Exception:
        there = self._there(planned.replaced)
        missing = next((error for name, error in planned.replaced.items() if name not in there), None)
        return missing or Aborted("what was missing is there now")

    def _there(self, names: Iterable[str]) -> set[str]:
        """Which of these documents exist just now. Asked outside the transaction, which is lost."""
        answered = self._wire.call("batchGet", {"documents": list(names), "mask": {"fieldPaths": ["id"]}})
        return {part["found"]["name"] for part in answered if "found" in part}
