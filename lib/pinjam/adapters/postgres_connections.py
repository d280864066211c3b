"""A few PostgreSQL connections, opened when needed and kept for the next caller.

There is no thread here that keeps connections alive or replaces them: a function's instance gets no processor
time between requests. A dead connection is found when it is taken, and replaced by the caller that needs it.
"""

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from pinjam.services.store import StoreUnavailable

Connection = psycopg.Connection[tuple[Any, ...]]

_UNANSWERED_MS = 10_000  # TCP data that nobody acknowledges for so long ends a connection.


class Connections:
    """At most `size` connections to one database."""

    def __init__(self, url: str, *, size: int, statement_timeout_ms: int, connect_timeout_s: int) -> None:
        given = conninfo_to_dict(url).get("options") or ""
        self._url = url
        self._size = size
        self._options = f"{given} -c statement_timeout={statement_timeout_ms} -c timezone=UTC".lstrip()
        self._connect_timeout_s = connect_timeout_s
        self._free = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._generation = 0

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection outside of any transaction; what its user leaves open is rolled back.

        StoreUnavailable if none is free, or none can be opened, in time.
        """
        if not self._free.acquire(timeout=self._connect_timeout_s):
            raise StoreUnavailable(f"all {self._size} connections were busy for {self._connect_timeout_s} s")
        try:
            generation = self._generation
            connection = self._kept() or self._connect()
            try:
                yield connection
            finally:
                self._give_back(connection, generation)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the connections: idle ones now, others when they come back."""
        with self._lock:
            self._generation += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _kept(self) -> Connection | None:
        """The connection used last that is still alive."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _has_ended(connection):
                return connection
            connection.close()

    def _connect(self) -> Connection:
        try:
            return psycopg.connect(
                self._url,
                autocommit=True,  # Transactions begin and end in statements of the store's own.
                connect_timeout=self._connect_timeout_s,
                options=self._options,
                prepare_threshold=0,
                tcp_user_timeout=_UNANSWERED_MS,
            )
        except psycopg.OperationalError as error:
            raise StoreUnavailable(str(error)) from error

    def _give_back(self, connection: Connection, generation: int) -> None:
        try:
            if connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                connection.rollback()
        except psycopg.Error:
            connection.close()  # The server rolls back what loses its connection.
        with self._lock:
            kept = generation == self._generation and connection.info.transaction_status == TransactionStatus.IDLE
            if kept:
                self._idle.append(connection)
        if not kept:
            connection.close()


def _has_ended(connection: Connection) -> bool:
    """Whether the server ended an idle connection: only then has it something to say."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
