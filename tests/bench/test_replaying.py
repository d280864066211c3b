"""What a call sends, taken down and sent again."""

import threading
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import psycopg
import pytest
from bench.replaying import again, ask_again, hold, taking_down
from tests.contracts.conftest import Samples

from pinjam.adapters.postgres import PostgresStore
from pinjam.domain.trail import Event
from pinjam.local.servers import WsgiServer
from pinjam.services.store import Find


def test_statements_are_taken_down_in_their_groups_and_do_the_same_again(store_url: str) -> None:
    store, event = PostgresStore(store_url), Samples().event()
    try:
        store.get(Event, event.id)  # Connects.
        with taking_down() as sent:
            store.transact(lambda tx: tx.insert(event))
            store.read(lambda tx: (tx.get(Event, event.id), tx.find(Find(kind=Event))))
        texts = [[text.decode().split()[0] for text, _ in group] for group in sent.groups]
        assert texts == [["BEGIN"], ["INSERT", "COMMIT"], ["BEGIN", "SELECT"], ["SELECT"], ["COMMIT"]]
        with psycopg.connect(store_url, autocommit=True) as connection:
            connection.execute("TRUNCATE outbox")
            hold(sent, again(connection, sent.groups), [])
        assert store.read(lambda tx: tx.get(Event, event.id)) == event
    finally:
        store.close()


def test_statements_that_meet_other_rows_when_sent_again_are_no_baseline(store_url: str) -> None:
    store, event = PostgresStore(store_url), Samples().event()
    try:
        store.transact(lambda tx: tx.insert(event))
        with taking_down() as sent:
            store.read(lambda tx: tx.find(Find(kind=Event)))
        with psycopg.connect(store_url, autocommit=True) as connection:
            connection.execute("TRUNCATE outbox")
            with pytest.raises(ValueError, match="rows became"):
                hold(sent, again(connection, sent.groups), [])
    finally:
        store.close()


def test_what_other_threads_send_is_not_taken_down(store_url: str) -> None:
    store = PostgresStore(store_url)
    try:
        with taking_down() as sent:
            other = threading.Thread(target=lambda: store.read(lambda tx: tx.find(Find(kind=Event))))
            other.start()
            other.join()
        assert (sent.groups, sent.requests) == ([], [])
    finally:
        store.close()


def test_requests_are_taken_down_and_sent_again() -> None:
    heard: list[tuple[str, str, bytes]] = []

    def server(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        heard.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], body))
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    with WsgiServer(server) as served, httpx.Client(trust_env=False) as client:
        with taking_down() as sent:
            client.post(f"{served.url}/charge", json={"amount": 1})
        statuses = ask_again(client, sent.requests)
        ask_again(client, sent.requests, lambda one: one.content.replace(b"1", b"2"))
    assert heard == [("POST", "/charge", b'{"amount":%d}' % amount) for amount in (1, 1, 2)]
    hold(sent, [], statuses)
    with pytest.raises(ValueError, match="answers"):
        hold(sent, [], [406])
