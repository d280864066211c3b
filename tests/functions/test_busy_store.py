"""What callers are told while PostgreSQL has no connection for them: 503 and when to come again, and no hanging."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.world import World

from pinjam.adapters.postgres import PostgresStore
from pinjam.domain.notification import Notification

if TYPE_CHECKING:
    from tests.functions.conftest import Functions, Reply

POOL = 2
PATIENCE_S = 60


@pytest.fixture
def store(store_url: str, world: World) -> Iterator[PostgresStore]:
    """The system's store is PostgreSQL, with two connections, for which a request waits at most a second."""
    store = PostgresStore(store_url, pool_size=POOL, connect_timeout_s=1)
    world.app.store = store
    yield store
    store.close()


@contextmanager
def held(store: PostgresStore) -> Iterator[None]:
    """Other threads have every connection, until the block ends: who waits for them to come back waits for ever."""
    over, taken = threading.Event(), threading.Barrier(POOL + 1)

    def hold() -> None:
        store.read(lambda _: (taken.wait(PATIENCE_S), over.wait(PATIENCE_S)))

    holders = [threading.Thread(target=hold) for _ in range(POOL)]
    for one in holders:
        one.start()
    try:
        taken.wait(PATIENCE_S)
        yield
        assert all(one.is_alive() for one in holders)
    finally:
        over.set()
        for one in holders:
            one.join(PATIENCE_S)


def read_notifications(functions: "Functions") -> "Reply":
    return functions.call("notifications", "GET", "/api/notifications", user="usr_1")


def assert_told_to_come_again(answer: "Reply") -> None:
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert (answer.json["code"], answer.json["status"]) == ("service-unavailable", 503)
    assert int(answer.headers["Retry-After"]) == 2


def test_a_request_that_finds_every_connection_busy_is_told_to_come_again(
    functions: "Functions", store: PostgresStore
) -> None:
    with held(store):
        assert_told_to_come_again(read_notifications(functions))
    assert read_notifications(functions).status_code == 200


def test_an_event_that_finds_every_connection_busy_is_left_to_be_brought_again(
    functions: "Functions", store: PostgresStore
) -> None:
    with held(store):
        answer = functions.call("sweep", "POST", "/")
    assert answer.status_code == 503
    assert store.read(lambda tx: tx.count(Notification, {})) == 0


def test_a_server_without_a_place_is_answered_alike(functions: "Functions", world: World, store_url: str) -> None:
    with psycopg.connect(store_url, autocommit=True) as connection, ExitStack() as closing:
        closing.callback(lambda: connection.execute("DROP ROLE crowded"))
        connection.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 1")
        closing.callback(lambda: connection.execute("DROP OWNED BY crowded"))
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO crowded")
        url = make_conninfo(store_url, user="crowded")
        crowded = world.app.store = PostgresStore(url)
        closing.callback(crowded.close)
        with psycopg.connect(url):
            assert_told_to_come_again(read_notifications(functions))
        assert read_notifications(functions).status_code == 200
