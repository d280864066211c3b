"""A few PostgreSQL connections, opened when needed and kept for the next caller.

There is no thread here that keeps connections alive or replaces them: a function's instance gets no processor
time between requests. A dead connection is found when it is taken, and replaced by the caller that needs it.

How many: each instance of a function has its own few connections, so instances x pool size must stay below the
server's `max_connections`, less the three that it reserves: with 4 for each, a server of 400 bears 99 instances of all
functions together. A pool larger than the number of requests that an instance takes at a time is never used up.
"""

import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from pinjam.services.ports import Unavailable
from pinjam.services.store import StoreUnavailable

Connection = psycopg.Connection[tuple[Any, ...]]

_UNANSWERED_MS = 10_000  # TCP data that nobody acknowledges for so long ends a connection.
_LOCK_TIMEOUT_MS = 2_000  # Waiting longer for a row would only use up the caller's time and a connection.
_IDLE_TIMEOUT_MS = 10_000  # An instance that is frozen or lost in a transaction keeps its locks no longer.
_TRANSACTION_TIMEOUT_MS = 15_000
"""The same from the transaction's start, where the server can (17 and later).

The driver may end a pipeline with a message behind the last answer, which stops the server's clock of idleness: then
only this one still runs.
"""
_KNOWS_TRANSACTION_TIMEOUT = 170_000


class Connections:
    """At most `size` connections to one database.

    `url` names a host, or a folder of the server's socket (`?host=/cloudsql/PROJECT:REGION:INSTANCE`), and how far TLS
    is asked for (`sslmode`). `options` in it win over the timeouts here, and its `application_name` over the one given.
    `password` is asked for each new connection: the access token of an IAM login lives for an hour only.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        statement_timeout_ms: int,
        connect_timeout_s: int,
        password: Callable[[], str] | None,
        application_name: str,
    ) -> None:
        given = str(conninfo_to_dict(url).get("options") or "")
        self._url = url
        self._size = size
        self._options = (
            f"-c timezone=UTC -c statement_timeout={statement_timeout_ms} -c lock_timeout={_LOCK_TIMEOUT_MS}"
            f" -c idle_in_transaction_session_timeout={_IDLE_TIMEOUT_MS} {given}".rstrip()
        )
        self._bounds_transactions = "transaction_timeout" not in given
        self._connect_timeout_s = connect_timeout_s
        self._password = password
        self._application_name = application_name
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
            password = None if self._password is None else self._password()
        except Unavailable as error:
            raise StoreUnavailable(f"no password to log in with: {error}") from error
        try:
            connection = psycopg.connect(
                self._url,
                password=password,
                autocommit=True,  # Transactions begin and end in statements of the store's own.
                connect_timeout=self._connect_timeout_s,
                fallback_application_name=self._application_name,
                options=self._options,
                prepare_threshold=0,
                tcp_user_timeout=_UNANSWERED_MS,
            )
            if self._bounds_transactions and connection.info.server_version >= _KNOWS_TRANSACTION_TIMEOUT:
                connection.execute(f"SET transaction_timeout = {_TRANSACTION_TIMEOUT_MS}".encode())
        except psycopg.OperationalError as error:
            raise StoreUnavailable(str(error)) from error
        return connection

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
