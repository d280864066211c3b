"""The store on PostgreSQL: serializable transactions, tried again when another one got in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from pinjam.adapters import postgres_rows as rows
from pinjam.adapters.postgres_connections import Connections
from pinjam.adapters.records import check, cursor_after
from pinjam.services.store import (
    Conflict,
    Contention,
    Find,
    Page,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from pinjam.adapters.postgres_connections import Connection
    from pinjam.services.store import (
        Asked,
        R,
        Reader,
        Record,
        Scalar,
        Transaction,
    )

A = TypeVar("A")

_TRIES = 15
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.2
_WRITE: rows.Statement = (b"BEGIN ISOLATION LEVEL SERIALIZABLE", ())
_READ: rows.Statement = (b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
_COMMIT: rows.Statement = (b"COMMIT", ())
_INSERTS_TOGETHER = 8
"""Rows in one statement, so that few forms of it are to be prepared however many rows there are."""
_NO_PRIMARY = frozenset({"25006", "0A000"})
"""What a server says that does not write (any more): read-only transaction; no serializable mode in a hot standby.

0A000 is also the answer to a plan whose table was changed. Another connection is the cure of all of them.
"""
_CUT_OFF = frozenset({"25P03", "25P04"})
"""Connections that the server ended in the middle of a transaction, which it does not file under outages."""

_OTHER_SCHEMA = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.NotNullViolation,
)
"""What a database says to statements for another schema. A newer one is borne where its columns may be left out,

so that a migration can run before the code that needs it.
"""


class PostgresStore:
    """Records in PostgreSQL. Opens its connections on first use; `close` ends them.

    Transactions are tried at most 15 times, with growing random pauses from `rng` between. What an outage cut
    off before the commit was sent is tried again once; a commit whose answer was lost is never repeated. Whatever
    means that the server cannot now, whether down, full, failed over or out of connections, is StoreUnavailable.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 4,
        statement_timeout_ms: int = 5000,
        connect_timeout_s: int = 5,
        password: Callable[[], str] | None = None,
        application_name: str = "pinjam",
        rng: random.Random | None = None,
    ) -> None:
        self._connections = Connections(
            url,
            size=pool_size,
            statement_timeout_ms=statement_timeout_ms,
            connect_timeout_s=connect_timeout_s,
            password=password,
            application_name=application_name,
        )
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries; nothing secret.

    def transact(self, work: Callable[[Transaction], A]) -> A:
        """Run `work` in a serializable transaction and commit; see the port."""
        was_cut_off = False
        conflicts: set[tuple[str, ...]] = set()
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(self._rng.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)))
            try:
                return self._attempt(work)
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                continue
            except _Raced as raced:
                # Met again, the value was there before this transaction began: nobody raced.
                if raced.conflict.fields in conflicts:
                    raise raced.conflict from raced
                conflicts.add(raced.conflict.fields)
            except _CutOff as cut_off:
                if was_cut_off:
                    raise StoreUnavailable(str(cut_off)) from cut_off
                was_cut_off = True
        raise Contention(f"gave up after {_TRIES} tries")

    def read(self, work: Callable[[Reader], A]) -> A:
        """Run `work` on one consistent view; tried once more if the connection broke or a replica moved on."""
        return self._twice(work, _READ)

    def get(self, kind: type[R], id: str) -> R | None:
        """One record as it is now: a statement is a consistent view by itself, and takes one round trip."""
        return self._twice(lambda tx: tx.get(kind, id), None)

    def find(self, query: Find[R]) -> Page[R]:
        """One page as it is now, as `get`."""
        return self._twice(lambda tx: tx.find(query), None)

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        self._connections.close()

    def _attempt(self, work: Callable[[Transaction], A]) -> A:
        with self._connection() as connection:
            tx = _PostgresTransaction(connection)
            try:
                with _before_commit(connection):
                    result = work(tx)
                    tx.prepare()
                tx.commit()
            except psycopg.errors.UniqueViolation as violation:
                conflict = _conflict(violation)
                if tx.has_read:
                    raise _Raced(conflict) from violation
                raise conflict from violation
            return result

    def _twice(self, work: Callable[[Reader], A], beginning: rows.Statement | None) -> A:
        try:
            return self._read(work, beginning)
        except (_CutOff, psycopg.errors.SerializationFailure):
            try:
                return self._read(work, beginning)
            except (_CutOff, psycopg.errors.SerializationFailure) as fault:
                raise StoreUnavailable(str(fault)) from fault

    def _read(self, work: Callable[[Reader], A], beginning: rows.Statement | None) -> A:
        with self._connection() as connection, _before_commit(connection):
            reader = _PostgresReader(connection, beginning)
            result = work(reader)
            if reader.has_read and beginning is not None:
                _send(connection, _COMMIT)
            return result

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection. StoreUnavailable when the server fails, RuntimeError when its schema is another."""
        try:
            with self._connections.one() as connection:
                try:
                    yield connection
                except psycopg.InterfaceError as error:
                    if connection.closed:
                        raise StoreUnavailable(str(error)) from error
                    raise
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            raise
        except _OTHER_SCHEMA as error:
            # To compare all columns first would cost each new instance more than its first call.
            raise RuntimeError(f"{error}; run python -m pinjam.migrations") from error
        except psycopg.Error as error:
            if error.sqlstate in _NO_PRIMARY:
                self.close()
            elif not isinstance(error, psycopg.OperationalError) and error.sqlstate not in _CUT_OFF:
                raise
            raise StoreUnavailable(str(error)) from error


class _Raced(Exception):
    """A value was taken by another transaction, after this one perhaps saw it free."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(str(conflict))
        self.conflict = conflict


class _CutOff(Exception):
    """The connection broke while nothing was committed."""


class _PostgresReader:
    """Reads on one connection. The transaction begins with the first read, in the same round trip; None for none."""

    def __init__(self, connection: Connection, beginning: rows.Statement | None) -> None:
        self._connection = connection
        self._beginning = beginning
        self._ahead: dict[rows.Statement, list[tuple[Any, ...]]] = {}
        self.has_read = False

    def prefetch(self, *asked: Asked) -> None:
        statements = []
        for one in asked:
            if isinstance(one, Find):
                check(one)
                statements.append(rows.find(one))
            else:
                statements.append(rows.get(*one))
        self._ahead.update(zip(statements, self._ask(*statements), strict=True))

    def get(self, kind: type[R], id: str) -> R | None:
        found = self._found(rows.get(kind, id))
        return rows.record(kind, found[0]) if found else None

    def find(self, query: Find[R]) -> Page[R]:
        check(query)
        found = [rows.record(query.kind, row) for row in self._found(rows.find(query))]
        page = tuple(found[: query.limit])
        return Page(page, cursor_after(query, page[-1]) if len(found) > query.limit else None)

    def count(self, kind: type[R], where: Mapping[str, Scalar]) -> int:
        check(Find(kind=kind, where=where))
        return int(self._found(rows.count(kind, where))[0][0])

    def _found(self, statement: rows.Statement) -> list[tuple[Any, ...]]:
        known = self._ahead.pop(statement, None)
        return self._ask(statement)[0] if known is None else known

    def _ask(self, *statements: rows.Statement) -> list[list[tuple[Any, ...]]]:
        begin = () if self.has_read or self._beginning is None else (self._beginning,)
        self.has_read = True
        return [cursor.fetchall() for cursor in _send(self._connection, *begin, *statements)[len(begin) :]]


class _PostgresTransaction(_PostgresReader):
    """Keeps writes back until the commit, so that all of them travel together with it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, _WRITE)
        self._seen: set[tuple[type, str]] = set()
        self._writes: list[list[rows.Statement]] = []
        self._ends_in_inserts = False
        self._blind: list[tuple[int, Record]] = []

    def get(self, kind: type[R], id: str) -> R | None:
        found = super().get(kind, id)
        if found is not None:
            self._seen.add((kind, id))
        return found

    def find(self, query: Find[R]) -> Page[R]:
        found = super().find(query)
        self._seen.update((query.kind, record.id) for record in found.items)
        return found

    def insert(self, record: Record) -> None:
        statement = rows.insert(record)
        if self._ends_in_inserts and len(self._writes[-1]) < _INSERTS_TOGETHER:
            self._writes[-1].append(statement)
        else:
            self._writes.append([statement])
        self._ends_in_inserts = True
        self._seen.add((type(record), record.id))

    def update(self, record: Record) -> None:
        if (type(record), record.id) not in self._seen:
            self._blind.append((len(self._writes), record))
        self._write(rows.update(record))

    def delete(self, kind: type[Record], id: str) -> None:
        self._write(rows.delete(kind, id))
        self._seen.discard((kind, id))  # An update behind it has nothing to replace, and must show that.

    def prepare(self) -> None:
        """Send what must be heard of before the commit is sent.

        That is the beginning if nothing was read, as it shows a dead connection; and updates of what was not read
        here, which must first show that they met something.
        """
        begin = () if self.has_read or not self._writes else (_WRITE,)
        if self._blind:
            done = _send(self._connection, *begin, *self._statements())[len(begin) :]
            for index, record in self._blind:
                if done[index].rowcount == 0:
                    raise LookupError(f"{type(record).__name__} {record.id}")
        elif begin:
            _send(self._connection, *begin)

    def commit(self) -> None:
        """Commit, with all writes that were not sent yet."""
        if self._writes or self.has_read:
            _send(self._connection, *(() if self._blind else self._statements()), _COMMIT)

    def _statements(self) -> list[rows.Statement]:
        return [rows.together(group) for group in self._writes]

    def prefetch(self, *asked: Asked) -> None:
        self._before_writes()
        super().prefetch(*asked)

    def _found(self, statement: rows.Statement) -> list[tuple[Any, ...]]:
        self._before_writes()
        return super()._found(statement)

    def _write(self, statement: rows.Statement) -> None:
        self._writes.append([statement])
        self._ends_in_inserts = False

    def _before_writes(self) -> None:
        if self._writes:
            raise RuntimeError("a transaction reads before it writes")


def _send(connection: Connection, *statements: rows.Statement) -> list[psycopg.Cursor[tuple[Any, ...]]]:
    """Run statements in one round trip; the first that fails raises, and those behind it are not run."""
    if len(statements) == 1:
        return [connection.execute(*statements[0])]
    with connection.pipeline():
        return [connection.execute(*statement) for statement in statements]


@contextmanager
def _before_commit(connection: Connection) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        if connection.closed:
            raise _CutOff(str(error)) from error
        raise


def _conflict(violation: psycopg.errors.UniqueViolation) -> Conflict:
    taken = rows.taken(violation)
    if taken is None:
        raise violation
    return Conflict(*taken)
