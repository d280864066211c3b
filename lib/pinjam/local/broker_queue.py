"""The broker's memory: one row for each message and subscription, in PostgreSQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS local_broker;
CREATE SEQUENCE IF NOT EXISTS local_broker.message_ids;
CREATE TABLE IF NOT EXISTS local_broker.deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id bigint NOT NULL,
    topic text NOT NULL,
    subscription text NOT NULL,
    data text NOT NULL,
    attributes jsonb NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    dead boolean NOT NULL DEFAULT false,
    last_error text
);
CREATE INDEX IF NOT EXISTS deliveries_due ON local_broker.deliveries (due_at) WHERE NOT dead;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """What a publisher sends: `data` in base64."""

    data: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message on its way to one subscription. `attempts` counts this one."""

    id: int
    message_id: int
    topic: str
    subscription: str
    data: str
    attributes: Mapping[str, str]
    published_at: datetime
    attempts: int
    last_error: str | None


class Queue:
    """Deliveries that are due, later or dead. One broker at a time uses it."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        with pool.connection() as connection:
            connection.execute(_SCHEMA)

    def add(self, topic: str, messages: Sequence[OutgoingMessage], subscriptions: Iterable[str]) -> Sequence[int]:
        """Keep the messages for each subscription; their ids, once they are safe."""
        names = list(subscriptions)
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT nextval('local_broker.message_ids') FROM generate_series(1, %s)", (len(messages),))
            ids = [int(row[0]) for row in cursor.fetchall()]
            cursor.executemany(
                "INSERT INTO local_broker.deliveries (message_id, topic, subscription, data, attributes)"
                " VALUES (%s, %s, %s, %s, %s)",
                [
                    (message_id, topic, name, message.data, Jsonb(dict(message.attributes)))
                    for message_id, message in zip(ids, messages, strict=True)
                    for name in names
                ],
            )
        return ids

    def take(self, limit: int, in_hand: Collection[int]) -> Sequence[Delivery]:
        """Up to `limit` deliveries that are due, the longest due first, without those in hand.

        Taking counts an attempt and changes nothing else, so what a crash leaves in hand is due again.
        """
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Delivery)) as cursor:
            taken = cursor.execute(
                "UPDATE local_broker.deliveries SET attempts = attempts + 1 WHERE id IN ("
                " SELECT id FROM local_broker.deliveries"
                " WHERE NOT dead AND id <> ALL(%s) AND due_at <= clock_timestamp() ORDER BY due_at, id LIMIT %s)"
                " RETURNING id, message_id, topic, subscription, data, attributes, published_at, attempts, last_error",
                (list(in_hand), limit),
            ).fetchall()
        return sorted(taken, key=lambda delivery: delivery.id)

    def next_due_in(self, in_hand: Collection[int]) -> float | None:
        """Seconds until something is due (not less than 0), None if nothing waits but what is in hand."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8"
                " FROM local_broker.deliveries WHERE NOT dead AND id <> ALL(%s)",
                (list(in_hand),),
            ).fetchone()
        return None if row is None or row[0] is None else max(0.0, row[0])

    def done(self, delivery: Delivery) -> None:
        """It arrived: forget it."""
        with self._pool.connection() as connection:
            connection.execute("DELETE FROM local_broker.deliveries WHERE id = %s", (delivery.id,))

    def again(self, delivery: Delivery, *, after_s: float, error: str) -> None:
        """It did not arrive; it is due again after so many seconds."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE local_broker.deliveries SET last_error = %s,"
                " due_at = clock_timestamp() + make_interval(secs => %s) WHERE id = %s",
                (error, after_s, delivery.id),
            )

    def bury(self, delivery: Delivery, *, error: str) -> None:
        """It will not be tried again by itself."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE local_broker.deliveries SET dead = true, last_error = %s WHERE id = %s",
                (error, delivery.id),
            )

    def dead(self) -> Sequence[Delivery]:
        """What was given up, oldest first."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Delivery)) as cursor:
            return cursor.execute(
                "SELECT id, message_id, topic, subscription, data, attributes, published_at, attempts, last_error"
                " FROM local_broker.deliveries WHERE dead ORDER BY id"
            ).fetchall()

    def revive(self) -> int:
        """Make everything dead due now, with a fresh count of attempts; how many there were."""
        with self._pool.connection() as connection:
            return connection.execute(
                "UPDATE local_broker.deliveries SET dead = false, attempts = 0, due_at = clock_timestamp() WHERE dead"
            ).rowcount

    def waiting(self) -> int:
        """How many deliveries are neither done nor dead."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT count(*) FROM local_broker.deliveries WHERE NOT dead").fetchone()
        return 0 if row is None else int(row[0])
