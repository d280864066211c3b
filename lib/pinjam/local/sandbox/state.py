"""Where the sandbox providers keep orders, payouts, the inbox and faults: a PostgreSQL schema of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Cursor, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS faults (
        provider text PRIMARY KEY,
        mode text NOT NULL,
        remaining integer CHECK (remaining >= 0)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS inbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        channel text NOT NULL,
        recipient text NOT NULL,
        address text NOT NULL,
        subject text NOT NULL,
        body text NOT NULL,
        repeat_key text,
        at timestamptz NOT NULL,
        UNIQUE (channel, address, repeat_key)
    )
    """,
    """
    ALTER TABLE inbox ADD COLUMN IF NOT EXISTS html text
    """,
    """
    ALTER TABLE inbox ADD COLUMN IF NOT EXISTS copies integer NOT NULL DEFAULT 1
    """,
    """
    ALTER TABLE faults ADD COLUMN IF NOT EXISTS percent integer CHECK (percent BETWEEN 1 AND 100)
    """,
    """
    CREATE TABLE IF NOT EXISTS orders (
        order_id text PRIMARY KEY,
        transaction_id text NOT NULL UNIQUE,
        payment_type text NOT NULL,
        bank text,
        amount bigint NOT NULL CHECK (amount > 0),
        status text NOT NULL,
        means jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        settled_at timestamptz
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS payouts (
        reference_no text PRIMARY KEY,
        idempotency_key text NOT NULL,
        position integer NOT NULL,
        beneficiary_name text NOT NULL,
        beneficiary_account text NOT NULL,
        beneficiary_bank text NOT NULL,
        amount bigint NOT NULL CHECK (amount > 0),
        notes text NOT NULL,
        status text NOT NULL,
        error_code text,
        error_message text,
        slow_answers integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (idempotency_key, position)
    )
    """,
)


class SandboxState:
    """Transactions on the sandbox's tables, which are made if they are missing."""

    def __init__(self, pool: ConnectionPool, *, schema: str = "local_sandbox") -> None:
        self._pool = pool
        self._schema = schema
        with pool.connection() as connection, connection.transaction():
            # Two processes may start at once, and IF NOT EXISTS does not wait for the other one.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (schema,))
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            connection.execute("SELECT set_config('search_path', %s, true)", (schema,))
            for table in _TABLES:
                connection.execute(table)

    @contextmanager
    def transaction(self) -> Iterator[Cursor[DictRow]]:
        """A cursor whose work is committed at the end, or rolled back if it raises."""
        with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            cursor.execute("SELECT set_config('search_path', %s, true)", (self._schema,))
            yield cursor
