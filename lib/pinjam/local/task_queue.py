"""The memory of the local Cloud Tasks: one row for each task, in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS local_tasks;
CREATE TABLE IF NOT EXISTS local_tasks.tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    queue text NOT NULL,
    url text NOT NULL,
    headers jsonb NOT NULL,
    body text NOT NULL,
    due_at timestamptz NOT NULL,
    retry_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    dead boolean NOT NULL DEFAULT false,
    done_at timestamptz,
    last_error text
);
CREATE INDEX IF NOT EXISTS tasks_due ON local_tasks.tasks (due_at) WHERE NOT dead AND done_at IS NULL;
"""
_COLUMNS = "id, name, queue, url, headers, body, due_at, attempts, last_error"
_OPEN = "NOT dead AND done_at IS NULL"
_NEXT = f"""
SELECT min(greatest(extract(epoch FROM due_at - %s), extract(epoch FROM retry_at - clock_timestamp())))::float8
FROM local_tasks.tasks WHERE {_OPEN} AND id <> ALL(%s)
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a client asks for: an HTTP call, `body` in base64, once `due_at` (business time) has come."""

    name: str
    queue: str
    url: str
    headers: Mapping[str, str]
    body: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTask(NewTask):
    """A task with the number of calls so far."""

    id: int
    attempts: int
    last_error: str | None


class TaskQueue:
    """Tasks that are due, later, done or dead. One server at a time uses it.

    Tasks are due by the business clock, which the sandbox can move; a failed call is repeated by the real one.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        with pool.connection() as connection:
            connection.execute(_SCHEMA)

    def add(self, task: NewTask) -> bool:
        """Keep a task; False if one of its name is there, or was."""
        with self._pool.connection() as connection:
            return (
                connection.execute(
                    "INSERT INTO local_tasks.tasks (name, queue, url, headers, body, due_at)"
                    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING",
                    (task.name, task.queue, task.url, Jsonb(dict(task.headers)), task.body, task.due_at),
                ).rowcount
                == 1
            )

    def due(
        self, now: datetime, *, queues: Collection[str], limit: int, in_hand: Collection[int]
    ) -> Sequence[KeptTask]:
        """What is due in these queues, the longest due first, without what is in hand."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(KeptTask)) as cursor:
            return cursor.execute(
                f"SELECT {_COLUMNS} FROM local_tasks.tasks"  # noqa: S608 - constants
                f" WHERE {_OPEN} AND due_at <= %s AND retry_at <= clock_timestamp()"
                " AND queue = ANY(%s) AND id <> ALL(%s) ORDER BY due_at, id LIMIT %s",
                (now, list(queues), list(in_hand), limit),
            ).fetchall()

    def next_due_in(self, now: datetime, *, in_hand: Collection[int]) -> float | None:
        """Seconds until something is due (not less than 0), None if nothing waits but what is in hand."""
        with self._pool.connection() as connection:
            row = connection.execute(
                _NEXT,
                (now, list(in_hand)),
            ).fetchone()
        return None if row is None or row[0] is None else max(0.0, row[0])

    def attempted(self, task: KeptTask) -> None:
        """Count a call that begins."""
        self._set(task, "attempts = attempts + 1")

    def done(self, task: KeptTask) -> None:
        """It was done. Its name is remembered for an hour, as in the cloud."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE local_tasks.tasks SET done_at = clock_timestamp() WHERE id = %s",
                (task.id,),
            )
            connection.execute("DELETE FROM local_tasks.tasks WHERE done_at < clock_timestamp() - interval '1 hour'")

    def again(self, task: KeptTask, *, after_s: float, error: str) -> None:
        """It was not done; it is due again after so many seconds."""
        self._set(task, "last_error = %s, retry_at = clock_timestamp() + make_interval(secs => %s)", error, after_s)

    def bury(self, task: KeptTask, *, error: str) -> None:
        """It will not be tried again."""
        self._set(task, "dead = true, last_error = %s", error)

    def dead(self) -> Sequence[KeptTask]:
        """What was given up, oldest first."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(KeptTask)) as cursor:
            return cursor.execute(f"SELECT {_COLUMNS} FROM local_tasks.tasks WHERE dead ORDER BY id").fetchall()  # noqa: S608

    def waiting(self, now: datetime) -> int:
        """How many are due by now and neither done nor dead."""
        with self._pool.connection() as connection:
            row = connection.execute(
                f"SELECT count(*) FROM local_tasks.tasks WHERE {_OPEN} AND due_at <= %s",  # noqa: S608 - constants
                (now,),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def _set(self, task: KeptTask, what: str, *values: object) -> None:
        with self._pool.connection() as connection:
            connection.execute(f"UPDATE local_tasks.tasks SET {what} WHERE id = %s", (*values, task.id))  # noqa: S608
