"""The topics of the deployment on Google's emulator of Pub/Sub, and the door through which it pushes."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest
from tests.google_server import Answer, Call, GoogleServer

from pinjam.local.dispatch import PushSettings
from pinjam.local.emulators.pubsub import PubSubEmulator
from pinjam.local.emulators.push_door import PushDoor
from pinjam.local.emulators.topics import Topics
from pinjam.local.gateway import mount
from pinjam.local.servers import WsgiServer
from pinjam.services.ports import Unavailable
from pinjam.services.subscriptions import SUBSCRIPTIONS

QUIET_S = 40
_PROJECTS = count(1)


@dataclass
class Notify:
    """A function that keeps what it is asked."""

    calls: list[tuple[WSGIEnvironment, bytes]] = field(default_factory=list)
    status: str = "200 OK"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.calls.append((dict(environ), environ["wsgi.input"].read()))
        start_response(self.status, [("Content-Length", "2")])
        return [b"OK"]


@dataclass
class PubSub:
    """A project of the test's own in the emulator."""

    url: str
    project: str
    notify: Notify
    topics: Callable[..., Topics]

    def call(self, method: str, path: str, body: object = None) -> Any:
        address = f"{self.url}/v1/projects/{self.project}/{path}"
        answer = httpx.request(method, address, json=body, timeout=20, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()

    def publish(self, topic: str) -> None:
        self.call("POST", f"topics/{topic}:publish", {"messages": [{"data": "e30="}]})


@pytest.fixture
def pubsub(pubsub_emulator: PubSubEmulator) -> Iterator[PubSub]:
    notify, project, url = Notify(), f"pinjam-topics-{next(_PROJECTS)}", f"http://{pubsub_emulator.host}"
    with ExitStack() as running:

        def topics(push: PushSettings | None = None, **changes: Any) -> Topics:
            """In front of a server of its own, as after a start anew."""
            door = PushDoor(mount({"notify": notify}, token="shown"), push_token="hard to guess", token="shown")
            server = running.enter_context(WsgiServer(door))
            wanted = {"subscriptions": {"loan-decided": ("notify",)}, **changes}
            made = Topics(url=url, project=project, functions_url=server.url, door=door, push=push, **wanted)
            running.callback(made.stop)
            return made

        yield PubSub(url, project, notify, topics)


def test_every_topic_of_the_system_has_its_subscriptions_and_a_place_for_what_is_dead(pubsub: PubSub) -> None:
    topics = pubsub.topics(subscriptions=None).create()
    named = {one["name"].rpartition("/")[2] for one in pubsub.call("GET", "topics?pageSize=100")["topics"]}
    assert named == {name for topic in SUBSCRIPTIONS for name in (topic, f"{topic}--dead-letters")}
    made = {
        one["name"].rpartition("/")[2]: one for one in pubsub.call("GET", "subscriptions?pageSize=200")["subscriptions"]
    }
    pushing = {f"{topic}--{function}" for topic, functions in SUBSCRIPTIONS.items() for function in functions}
    aside = {f"{topic}--{what}" for topic in SUBSCRIPTIONS for what in ("dead-letters", "watch")}
    assert made.keys() == pushing | aside
    assert {name for name, one in made.items() if one.get("pushConfig")} == pushing
    assert topics.wait_until_quiet(QUIET_S)
    assert list(topics.dead_letters()) == []


def test_a_subscription_says_how_often_and_how_soon_a_message_comes_again(pubsub: PubSub) -> None:
    pubsub.topics().create()
    made = pubsub.call("GET", "subscriptions/loan-decided--notify")
    assert made["topic"] == f"projects/{pubsub.project}/topics/loan-decided"
    assert made["ackDeadlineSeconds"] == 120
    assert made["retryPolicy"] == {"minimumBackoff": "0.500s", "maximumBackoff": "30s"}
    assert made["deadLetterPolicy"] == {
        "deadLetterTopic": f"projects/{pubsub.project}/topics/loan-decided--dead-letters",
        "maxDeliveryAttempts": 20,
    }


@pytest.mark.parametrize(
    ("asked", "deliveries", "ack_s", "pauses"),
    [
        (PushSettings(deliveries=1, answer_within_s=1, first_pause_s=0), 5, 10, None),
        (
            PushSettings(deliveries=200, answer_within_s=3600, first_pause_s=0.05, longest_pause_s=7200),
            100,
            600,
            {"minimumBackoff": "0.050s", "maximumBackoff": "600s"},
        ),
    ],
    ids=["least", "most"],
)
def test_what_pubsub_would_refuse_is_asked_as_near_as_it_allows(
    pubsub: PubSub, asked: PushSettings, deliveries: int, ack_s: int, pauses: object
) -> None:
    pubsub.topics(asked).create()
    made = pubsub.call("GET", "subscriptions/loan-decided--notify")
    assert made["deadLetterPolicy"]["maxDeliveryAttempts"] == deliveries
    assert made["ackDeadlineSeconds"] == ack_s
    assert made.get("retryPolicy") == pauses


def test_creating_again_is_harmless_and_moves_the_pushes_to_where_the_functions_are_now(pubsub: PubSub) -> None:
    first = pubsub.topics().create()
    pubsub.publish("loan-decided")
    assert first.wait_until_quiet(QUIET_S)
    again = pubsub.topics(PushSettings(deliveries=7, first_pause_s=0)).create()
    before = pubsub.call("GET", "subscriptions/loan-decided--notify")
    again.create()
    assert pubsub.call("GET", "subscriptions/loan-decided--notify") == before
    assert before["deadLetterPolicy"]["maxDeliveryAttempts"] == 7
    assert before["pushConfig"]["pushEndpoint"] == again._door.endpoint(again._functions_url, "notify")
    pubsub.publish("loan-decided")
    assert again.wait_until_quiet(QUIET_S)
    reached = [f"http://127.0.0.1:{environ['SERVER_PORT']}" for environ, _ in pubsub.notify.calls]
    assert reached == [first._functions_url, again._functions_url]


def test_a_push_of_the_emulator_is_pubsubs_wrapped_message(pubsub: PubSub) -> None:
    topics = pubsub.topics().create()
    pubsub.publish("loan-decided")
    assert topics.wait_until_quiet(QUIET_S)
    ((environ, content),) = pubsub.notify.calls
    body = json.loads(content)
    assert body["subscription"] == f"projects/{pubsub.project}/subscriptions/loan-decided--notify"
    assert body["message"]["data"] == "e30="
    assert {"messageId", "publishTime"} <= body["message"].keys()
    assert not [name for name in environ if name.startswith("HTTP_CE_")]
    assert (environ["HTTP_AUTHORIZATION"], environ["QUERY_STRING"]) == ("Bearer shown", "")


def test_quiet_is_not_said_while_a_message_is_refused(pubsub: PubSub) -> None:
    topics = pubsub.topics(PushSettings(first_pause_s=0)).create()
    pubsub.notify.status = "500 Broken"
    pubsub.publish("loan-decided")
    assert not topics.wait_until_quiet(0.3)
    pubsub.notify.status = "200 OK"
    assert topics.wait_until_quiet(QUIET_S)


@pytest.fixture
def door() -> Iterator[tuple[str, Notify, PushDoor]]:
    notify = Notify()
    made = PushDoor(mount({"notify": notify}, token="shown"), push_token="hard to guess", token="shown")
    with WsgiServer(made) as server:
        yield server.url, notify, made


def ask(url: str, content: bytes = b"{}", **headers: str) -> int:
    return httpx.post(url, content=content, headers=headers, timeout=20, trust_env=False).status_code


def test_the_door_is_shut_to_whoever_does_not_know_the_secret(door: tuple[str, Notify, PushDoor]) -> None:
    url, notify, made = door
    for wrong in (
        "",
        "?push_token=",
        "?push_token=hard",
        "?push_token=%C3%A9",
        "?token=hard+to+guess",
        "?push_token=shown",
    ):
        assert ask(f"{url}/notify{wrong}") == 401
    assert ask(f"{url}/notify", Authorization="Bearer hard to guess") == 401
    assert (notify.calls, made.version) == ([], 0)
    assert ask(made.endpoint(url, "notify")) == 200
    assert ask(f"{url}/notify", Authorization="Bearer shown") == 200
    assert len(notify.calls) == 2


def test_the_door_counts_what_was_acknowledged_and_nothing_else(door: tuple[str, Notify, PushDoor]) -> None:
    url, notify, made = door

    def push(number: int) -> bytes:
        return json.dumps(
            {"message": {"messageId": str(number)}, "subscription": "projects/p/subscriptions/s"}
        ).encode()

    assert ask(made.endpoint(url, "notify"), push(1)) == 200
    notify.status = "503 Later"
    assert ask(made.endpoint(url, "notify"), push(2)) == 503
    notify.status = "204 No Content"
    for odd in (b"", b"{}", b"[]", b"null", b'{"message": 1, "subscription": "s"}', b"\xff"):
        assert ask(made.endpoint(url, "notify"), odd) == 204
    assert ask(made.endpoint(url, "nothing"), push(3)) == 404
    assert made.acknowledged == {("s", "1")}
    assert (made.in_hand, made.version) == (0, 9)
    assert notify.calls[0][1] == push(1)


@dataclass
class Away(GoogleServer):
    """A server that has no Pub/Sub."""

    def answer(self, call: Call) -> Answer:
        return 403, {"error": {"code": 403, "message": call.path, "status": "PERMISSION_DENIED"}}


def test_topics_that_cannot_be_made_are_unavailable(door: tuple[str, Notify, PushDoor]) -> None:
    with Away(token=None) as server:
        topics = Topics(url=server.url, project="p", functions_url=door[0], door=door[2])
        with pytest.raises(Unavailable, match="topics/user-documents-completed: HTTP 403"):
            topics.start()
        topics.stop()
    assert server.paths == ["PUT /v1/projects/p/topics/user-documents-completed"]
