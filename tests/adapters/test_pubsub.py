"""The publisher against a strict server of Pub/Sub's REST API: what it sends, and what it makes of each answer.

The requests are those of `projects.topics.publish` in the reference of Pub/Sub's REST API, v1.
"""

import json
import re
import socket
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.google_server import Answer, Call, GoogleError, GoogleServer, Renewable, invalid

from pinjam.adapters.pubsub import MAX_BATCH, PubSubPublisher
from pinjam.domain.trail import Event, Topic
from pinjam.services.ports import NoSuchTopic, Unavailable

TOPICS = ("loan-decided", "loan-submitted", "user-verified")


@dataclass
class PubSub(GoogleServer):
    """Knows three topics of one project, and refuses what the reference does not name."""

    kept: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def answer(self, call: Call) -> Answer:
        named = re.fullmatch(r"/v1/projects/pinjam-test/topics/([a-z-]+):publish", call.path)
        if call.method != "POST" or call.query or named is None:
            raise invalid("Not a request to publish.")
        if named[1] not in TOPICS:
            raise GoogleError(404, "NOT_FOUND", f"Resource not found (resource={named[1]}).")
        messages = call.fields(required={"messages"})["messages"]
        if not 0 < len(messages) <= 1000:
            raise invalid("The value for message_count is too large.")
        for message in messages:
            if set(message) != {"data", "attributes"} or not all(
                isinstance(value, str) and 0 < len(value) <= 1024 for value in message["attributes"].values()
            ):
                raise invalid("Some messages in the batch are invalid.")
            b64decode(message["data"], validate=True)
        kept = self.kept.setdefault(named[1], [])
        kept.extend(messages)
        return 200, {"messageIds": [str(len(self.calls) * 1000 + number) for number in range(len(messages))]}


@pytest.fixture
def server() -> Iterator[PubSub]:
    with PubSub() as running:
        yield running


@pytest.fixture
def publisher(server: PubSub) -> Iterator[PubSubPublisher]:
    made = PubSubPublisher(project="pinjam-test", url=server.url, token=lambda: "good-token", timeout_s=5)
    with closing(made):
        yield made


def event(number: int = 1, topic: Topic = "loan-decided") -> Event:
    return Event(
        id=f"evt_{number}",
        topic=topic,
        subject="loan_1",
        data={"outcome": "approved", "limit": 5_000_000, "note": None},
        request_id="req_1",
        occurred_at=datetime(2026, 3, 1, 9, 0, tzinfo=timezone(timedelta(hours=7))),
    )


def test_an_event_is_one_message_with_its_facts_in_the_data(server: PubSub, publisher: PubSubPublisher) -> None:
    publisher.publish([event()])
    ((message,),) = server.kept.values()
    assert message["attributes"] == {"event_id": "evt_1", "topic": "loan-decided", "request_id": "req_1"}
    assert json.loads(b64decode(str(message["data"]))) == {
        "id": "evt_1",
        "topic": "loan-decided",
        "subject": "loan_1",
        "data": {"outcome": "approved", "limit": 5_000_000, "note": None},
        "request_id": "req_1",
        "occurred_at": "2026-03-01T02:00:00Z",
    }


def test_each_topic_is_published_to_in_batches(server: PubSub, publisher: PubSubPublisher) -> None:
    decided = [event(number) for number in range(MAX_BATCH + 1)]
    publisher.publish([decided[0], event(topic="user-verified"), *decided[1:]])
    assert server.paths == [
        "POST /v1/projects/pinjam-test/topics/loan-decided:publish",
        "POST /v1/projects/pinjam-test/topics/loan-decided:publish",
        "POST /v1/projects/pinjam-test/topics/user-verified:publish",
    ]
    assert [len(call.json["messages"]) for call in server.calls] == [MAX_BATCH, 1, 1]


def test_nothing_to_publish_asks_nobody(server: PubSub, publisher: PubSubPublisher) -> None:
    publisher.publish([])
    assert server.calls == []


def test_every_request_shows_the_token_and_a_refused_one_is_renewed(server: PubSub) -> None:
    token = Renewable("stale-token", "good-token")
    with closing(PubSubPublisher(project="pinjam-test", url=server.url, token=token)) as publisher:
        publisher.publish([event(1), event(2, "user-verified")])
    shown = [call.headers["authorization"] for call in server.calls]
    assert shown == ["Bearer stale-token", "Bearer good-token", "Bearer good-token"]
    assert len(server.kept) == 2


def test_without_a_token_nothing_is_shown_and_a_refusal_is_unavailable(server: PubSub) -> None:
    with (
        closing(PubSubPublisher(project="pinjam-test", url=server.url)) as publisher,
        pytest.raises(Unavailable, match="401"),
    ):
        publisher.publish([event()])
    assert "authorization" not in server.calls[0].headers


def test_a_token_that_cannot_be_had_publishes_nothing(server: PubSub) -> None:
    def none() -> str:
        raise Unavailable("google-tokens", "away")

    with (
        closing(PubSubPublisher(project="pinjam-test", url=server.url, token=none)) as publisher,
        pytest.raises(Unavailable, match="away"),
    ):
        publisher.publish([event()])
    assert server.calls == []


def test_a_missing_topic_is_named_and_the_others_are_published(server: PubSub, publisher: PubSubPublisher) -> None:
    gone: list[Topic] = ["loan-accepted", "payout-held"]
    with pytest.raises(NoSuchTopic) as told:
        publisher.publish([event(number, topic) for number, topic in enumerate([*gone, "user-verified"])])
    assert told.value.topics == set(gone)
    assert list(server.kept) == ["user-verified"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((503, {"error": {"status": "UNAVAILABLE"}}), "503"),
        ((429, {"error": {"status": "RESOURCE_EXHAUSTED"}}), "429"),
        ((500, {"messageIds": ["1", "2"]}), "500"),
        ((403, {"error": {"status": "PERMISSION_DENIED"}}), "loan-decided: HTTP 403"),
        ((400, {"error": {"status": "INVALID_ARGUMENT"}}), "loan-decided: HTTP 400"),
        ((302, {}), "302"),
        ((200, {}), "shape"),
        ((200, {"messageIds": None}), "shape"),
        ((200, {"messageIds": []}), "not all"),
        ((200, {"messageIds": ["1"]}), "not all"),
        ((200, {"messageIds": ["1", "2", "3"]}), "not all"),
    ],
    ids=lambda given: str(given)[:50],
)
def test_events_that_are_not_surely_kept_are_unavailable(
    server: PubSub, publisher: PubSubPublisher, answer: Answer, says: str
) -> None:
    server.before.append(answer)
    with pytest.raises(Unavailable, match=says) as told:
        publisher.publish([event(1), event(2)])
    assert not isinstance(told.value, NoSuchTopic)
    publisher.publish([event(1), event(2)])
    assert len(server.kept["loan-decided"]) == 2


@pytest.mark.parametrize("content", [b"", b"oops", b"[]", b'{"messageIds": ["1"', b'{"messageIds": "12"}'])
def test_an_answer_that_is_not_pubsubs_is_unavailable(answering: Callable[[bytes], str], content: bytes) -> None:
    with (
        closing(PubSubPublisher(project="pinjam-test", url=answering(content))) as publisher,
        pytest.raises(Unavailable),
    ):
        publisher.publish([event()])


def test_without_pubsub_it_is_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with (
            closing(PubSubPublisher(project="pinjam-test", url=url)) as publisher,
            pytest.raises(Unavailable, match="ConnectError"),
        ):
            publisher.publish([event()])


def test_instants_are_sent_in_utc(server: PubSub, publisher: PubSubPublisher) -> None:
    at = datetime(2026, 3, 1, 2, 0, 0, 123456, tzinfo=UTC)
    publisher.publish([replace(event(), occurred_at=at)])
    ((message,),) = server.kept.values()
    assert json.loads(b64decode(str(message["data"])))["occurred_at"] == "2026-03-01T02:00:00.123456Z"


def test_a_message_names_the_trace_in_which_it_is_sent(server: PubSub) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    asked = iter([trace, None])
    made = PubSubPublisher(
        project="pinjam-test", url=server.url, token=lambda: "good-token", traceparent=lambda: next(asked)
    )
    with closing(made) as publisher:
        publisher.publish([event(1)])
        publisher.publish([event(2)])
    named = [json.loads(json.dumps(one["attributes"])).get("traceparent") for one in server.kept["loan-decided"]]
    assert named == [trace, None]
