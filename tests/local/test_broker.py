import json
import socket
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import functions_framework
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool
from werkzeug.test import Client

from pinjam.local.broker import Broker
from pinjam.local.broker_queue import OutgoingMessage
from pinjam.local.dispatch import PushSettings
from pinjam.local.gateway import mount
from pinjam.local.servers import WsgiServer

FAST = PushSettings(first_pause_s=0.002, longest_pause_s=0.01, deliveries=3, answer_within_s=5)
QUIET_S = 20
SUBSCRIPTIONS = {"loan-submitted": ("decide_loan", "notify"), "loan-decided": ("notify",), "user-verified": ()}
PUBLISH = "/v1/projects/pinjam-test/topics/loan-decided:publish"


@dataclass
class Functions:
    """Functions that note each call and answer as they are told: the statuses to come, then 204."""

    statuses: dict[str, list[int]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, str], Mapping[str, object]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    before: Callable[[], object] = lambda: None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.before()
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        headers = {name[5:].lower().replace("_", "-"): str(value) for name, value in environ.items() if "HTTP_" in name}
        headers["content-type"] = environ["CONTENT_TYPE"]
        name = environ["PATH_INFO"].strip("/")
        with self.lock:
            self.calls.append((name, headers, body))
            coming = self.statuses.get(name)
            status = coming.pop(0) if coming else 204
        start_response(f"{status} Told", [("Content-Length", "0")])
        return [b""]

    def names(self) -> list[str]:
        return sorted(name for name, _, _ in self.calls)


@dataclass
class Setting:
    pool: ConnectionPool
    functions: Functions
    url: str
    brokers: list[Broker] = field(default_factory=list)

    def broker(self, settings: PushSettings = FAST, *, url: str | None = None) -> Broker:
        made = Broker(
            self.pool,
            project="pinjam-test",
            functions_url=url or self.url,
            token="the-broker",
            subscriptions=SUBSCRIPTIONS,
            settings=settings,
        )
        self.brokers.append(made)
        return made


@pytest.fixture
def setting(database_url: str) -> Iterator[Setting]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS local_broker CASCADE")
    functions = Functions()
    with (
        ConnectionPool(database_url, min_size=1, max_size=6, open=True) as pool,
        WsgiServer(functions) as server,
    ):
        made = Setting(pool, functions, server.url)
        yield made
        for broker in made.brokers:
            broker.stop()


def message(text: str = "{}", **attributes: str) -> OutgoingMessage:
    return OutgoingMessage(data=b64encode(text.encode()).decode(), attributes=attributes)


def test_each_subscribed_function_gets_the_message_once(setting: Setting) -> None:
    broker = setting.broker().start()
    broker.publish("loan-submitted", [message()])
    assert broker.wait_until_quiet(QUIET_S)
    assert setting.functions.names() == ["decide_loan", "notify"]


def test_a_push_is_the_cloudevent_that_eventarc_sends(setting: Setting) -> None:
    broker = setting.broker().start()
    (message_id,) = broker.publish("loan-decided", [message('{"a":1}', topic="loan-decided")])
    assert broker.wait_until_quiet(QUIET_S)
    ((name, headers, body),) = setting.functions.calls
    assert name == "notify"
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == "Bearer the-broker"
    assert headers["ce-id"] == str(message_id)
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-type"] == "google.cloud.pubsub.topic.v1.messagePublished"
    assert headers["ce-source"] == "//pubsub.googleapis.com/projects/pinjam-test/topics/loan-decided"
    assert body == {
        "message": {
            "data": b64encode(b'{"a":1}').decode(),
            "attributes": {"topic": "loan-decided"},
            "messageId": str(message_id),
            "publishTime": headers["ce-time"],
        },
        "subscription": "projects/pinjam-test/subscriptions/loan-decided--notify",
    }
    assert datetime.fromisoformat(headers["ce-time"]).tzinfo == UTC


def test_googles_own_framework_reads_a_push(setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for leaked in ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE"):
        monkeypatch.setenv(leaked, "")
    source = tmp_path / "main.py"
    source.write_text(
        "import json, pathlib, functions_framework\n"
        "@functions_framework.cloud_event\n"
        "def broker_test(event):\n"
        f"    pathlib.Path({str(tmp_path / 'seen')!r}).write_text(json.dumps([event['type'], event.data]))\n"
    )
    app = functions_framework.create_app(target="broker_test", source=str(source), signature_type="cloudevent")  # type: ignore[no-untyped-call]  # it has no types
    with WsgiServer(mount({"notify": app}, token="the-broker")) as server:
        broker = setting.broker(url=server.url).start()
        broker.publish("loan-decided", [message("halo")])
        assert broker.wait_until_quiet(QUIET_S)
    kind, data = json.loads((tmp_path / "seen").read_text())
    assert kind == "google.cloud.pubsub.topic.v1.messagePublished"
    assert b64decode(data["message"]["data"]) == b"halo"
    assert broker.dead_letters() == []


def test_a_refused_message_comes_again_to_that_function_only(setting: Setting) -> None:
    setting.functions.statuses = {"notify": [500, 404]}
    broker = setting.broker().start()
    broker.publish("loan-submitted", [message()])
    assert broker.wait_until_quiet(QUIET_S)
    assert setting.functions.names() == ["decide_loan", "notify", "notify", "notify"]
    assert broker.dead_letters() == []


def test_the_last_failure_makes_a_dead_letter_that_can_be_driven_again(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.functions.statuses = {"notify": [500, 500, 503]}
    broker = setting.broker().start()
    (message_id,) = broker.publish("loan-decided", [message()])
    assert broker.wait_until_quiet(QUIET_S)
    (letter,) = broker.dead_letters()
    assert (letter.message_id, letter.subscription, letter.attempts) == (message_id, "notify", 3)
    assert str(letter.last_error).startswith("HTTP 503")
    assert [record.levelname for record in caplog.records if record.message == "broker.dead_letter"] == ["ERROR"]
    broker.publish("loan-decided", [message()])
    assert broker.wait_until_quiet(QUIET_S)
    assert len(setting.functions.calls) == 4
    assert len(broker.dead_letters()) == 1
    setting.functions.statuses = {"notify": [500]}
    assert broker.redrive() == 1
    assert broker.wait_until_quiet(QUIET_S)
    assert broker.dead_letters() == []
    assert len(setting.functions.calls) == 6


def test_a_function_that_is_away_is_tried_again(setting: Setting) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        broker = setting.broker(url=f"http://127.0.0.1:{closed.getsockname()[1]}").start()
        broker.publish("loan-decided", [message()])
        assert broker.wait_until_quiet(QUIET_S)
    (letter,) = broker.dead_letters()
    assert letter.last_error == "ConnectError"


def test_what_a_dead_broker_left_is_delivered_by_the_next(setting: Setting) -> None:
    crashed = setting.broker()  # Never started: it accepts and dies.
    crashed.publish("loan-submitted", [message(), message()])
    next_one = setting.broker().start()
    assert next_one.wait_until_quiet(QUIET_S)
    assert setting.functions.names() == ["decide_loan", "decide_loan", "notify", "notify"]


def test_what_was_in_hand_at_a_crash_is_delivered_again(setting: Setting) -> None:
    crashed = setting.broker()
    crashed.publish("loan-decided", [message()])
    assert len(crashed._queue.take(4, ())) == 1
    next_one = setting.broker().start()
    assert next_one.wait_until_quiet(QUIET_S)
    assert setting.functions.names() == ["notify"]


def test_a_message_in_hand_is_not_pushed_twice_at_once(setting: Setting) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert go_on.wait(QUIET_S)

    setting.functions.before = hold
    broker = setting.broker().start()
    broker.publish("loan-decided", [message()])
    assert reached.wait(QUIET_S)
    broker.publish("user-verified", [message()])  # Wakes the dispatcher.
    assert not broker.wait_until_quiet(0.05)
    go_on.set()
    assert broker.wait_until_quiet(QUIET_S)
    assert setting.functions.names() == ["notify"]


def test_stopping_lets_a_push_finish_and_starts_no_other(setting: Setting) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert go_on.wait(QUIET_S)

    setting.functions.before = hold
    broker = setting.broker(PushSettings(workers=1)).start()
    broker.publish("loan-submitted", [message()])
    assert reached.wait(QUIET_S)
    stopper = threading.Thread(target=broker.stop)
    stopper.start()
    go_on.set()
    stopper.join()
    assert len(setting.functions.calls) == 1
    assert broker._queue.waiting() == 1


def test_many_messages_all_arrive(setting: Setting) -> None:
    broker = setting.broker().start()
    ids = broker.publish("loan-decided", [message(str(n)) for n in range(60)])
    assert broker.wait_until_quiet(QUIET_S)
    assert sorted(int(headers["ce-id"]) for _, headers, _ in setting.functions.calls) == list(ids)


@given(attempts=st.integers(1, 40), chance=st.floats(0, 1))
def test_pauses_double_up_to_the_longest_and_are_spread(attempts: int, chance: float) -> None:
    settings = PushSettings()
    full = min(30.0, 0.5 * 2 ** (attempts - 1))
    assert full / 2 <= settings.pause_s(attempts, chance) <= full


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/projects/pinjam-test/topics/nothing:publish", {"messages": [{"data": "e30="}]}, 404),
        ("/v1/projects/another/topics/loan-decided:publish", {"messages": [{"data": "e30="}]}, 404),
        ("/v1/anything", {}, 404),
        (PUBLISH, {}, 400),
        (PUBLISH, [], 400),
        (PUBLISH, {"messages": []}, 400),
        (PUBLISH, {"messages": [{}]}, 400),
        (PUBLISH, {"messages": ["e30="]}, 400),
        (PUBLISH, {"messages": [{"data": "not base64"}]}, 400),
        (PUBLISH, {"messages": [{"data": "é"}]}, 400),
        (PUBLISH, {"messages": [{"data": "e30=", "attributes": {"a": 1}}]}, 400),
        (PUBLISH, {"messages": [{"data": "e30=", "attributes": {"a": "\0"}}]}, 400),
        (PUBLISH, {"messages": [{"data": "e30=", "attributes": {"\ud800": "a"}}]}, 400),
    ],
)
def test_a_request_that_pubsub_would_refuse_is_refused_and_nothing_kept(
    setting: Setting, path: str, body: object, status: int
) -> None:
    broker = setting.broker()
    answer = Client(broker.app).post(path, json=body)
    assert answer.status_code == status
    assert answer.get_json()["error"]["code"] == status
    assert broker._queue.waiting() == 0


def test_a_topic_without_functions_takes_messages_all_the_same(setting: Setting) -> None:
    broker = setting.broker()
    answer = Client(broker.app).post(
        PUBLISH.replace("loan-decided", "user-verified"), json={"messages": [{"data": "e30="}]}
    )
    assert len(answer.get_json()["messageIds"]) == 1
    assert broker._queue.waiting() == 0
