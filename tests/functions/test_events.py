"""Event functions: an event is taken in once, whoever brings it, and brought again when it had no effect."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.functions.conftest import Functions, envelope, wrapped
from tests.functions.test_edge import broken
from tests.world import START, picture

from pinjam.adapters.cloud_tasks import CloudTasks
from pinjam.adapters.event_messages import event_message
from pinjam.domain.loan import LoanStatus
from pinjam.domain.notification import Notification
from pinjam.domain.task import Task
from pinjam.domain.trail import Event
from pinjam.domain.user import UserStatus
from pinjam.runtime.events import read
from pinjam.services.store import Contention, StoreUnavailable
from pinjam.services.subscriptions import SUBSCRIPTIONS

Carry = Callable[[Event], tuple[Mapping[str, str], bytes]]
PLAIN = {"Content-Type": "application/json", "User-Agent": "CloudPubSub-Google"}
CONSUMERS = ["decide_loan", "disburse", "notify", "verify_identity"]
GOOD: dict[str, Any] = {
    "id": f"evt_{1:026}",
    "topic": "loan-submitted",
    "subject": "loan_1",
    "data": {"user_id": "usr_1"},
    "request_id": "req_12345678",
    "occurred_at": "2026-11-24T02:00:00Z",
}


@pytest.fixture
def submitted(functions: Functions) -> Event:
    functions.world.apply(functions.world.verified())
    return functions.world.publisher.events[-1]


def test_each_consumer_has_its_effect_and_a_repetition_none(functions: Functions) -> None:
    """The road of one loan, every event brought twice."""
    world = functions.world
    user = world.register()
    world.upload(user.id, "ktp", picture(1))
    world.upload(user.id, "selfie", picture(2))
    account = {"bank_code": "bca", "account_number": "1234567890", "account_name": "SITI"}
    functions.call("profile", "PATCH", "/api/users/profile", {"bank_account": account}, user=user.id)
    bring_all(functions)
    assert world.user(user.id).status is UserStatus.VERIFIED
    loan_id = world.apply(user.id)
    bring_all(functions)
    assert world.loan(loan_id).status is LoanStatus.APPROVED
    world.accept(user.id, loan_id)
    bring_all(functions)
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    assert world.payouts.paid == [2_970_000]
    kinds = [one.kind for one in world.all(Notification)]
    assert kinds == [
        "identity-verified",
        "application-received",
        "loan-approved",
        "contract-accepted",
        "loan-disbursed",
    ]
    assert len(world.messengers["email"].sent) == 5


def bring_all(functions: Functions) -> None:
    while functions.world.delivered < len(functions.world.publisher.events):
        event = functions.world.publisher.events[functions.world.delivered]
        functions.world.delivered += 1
        for name in SUBSCRIPTIONS[event.topic]:
            for _ in range(2):
                assert functions.bring(name, event).status_code == 200
    while (task := functions.world.tasks.take_due(functions.world.clock.now())) is not None:
        for _ in range(2):
            assert functions.bring(task.function, task.event).status_code == 200


@pytest.mark.parametrize("name", CONSUMERS)
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        json.dumps({name: value for name, value in GOOD.items() if name != "subject"}).encode(),
        json.dumps(GOOD | {"topic": "loan-forgotten"}).encode(),
        json.dumps(GOOD | {"id": "evt_1"}).encode(),
        json.dumps(GOOD | {"occurred_at": "2026-11-24T02:00:00"}).encode(),
        json.dumps(GOOD | {"data": {"nested": {"x": 1}}}).encode(),
        json.dumps(GOOD | {"secret": "Siti"}).encode(),
    ],
    ids=["empty", "text", "list", "null", "missing", "topic", "id", "zone", "nested", "extra"],
)
def test_a_message_that_is_no_event_is_not_acknowledged(
    functions: Functions, lines: pytest.LogCaptureFixture, name: str, message: bytes
) -> None:
    answer = functions.post(name, *wrapped(message, message_id="m-1"))
    assert answer.status_code == 400
    assert "Siti" not in answer.text
    (record,) = [one for one in lines.records if one.message == "event-malformed"]
    assert record.event == "m-1"  # type: ignore[attr-defined]  # what the call passed as a fact
    assert "Siti" not in lines.text


@pytest.mark.parametrize("headers", [wrapped(b"")[0], PLAIN], ids=["eventarc", "push"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"not json",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"message": null}',
        b'{"message": []}',
        b'{"message": {}, "subscription": "s"}',
        b'{"message": {"data": "!"}, "subscription": "s"}',
        b'{"message": {"data": 1, "messageId": "1"}, "subscription": "s"}',
        b'{"message": {"attributes": {"a": "b"}, "messageId": "1"}, "subscription": "s"}',
        json.dumps(GOOD).encode(),
    ],
    ids=lambda body: body[:60].decode(errors="replace"),
)
def test_a_body_without_a_message_is_refused_and_logged_once(
    functions: Functions, lines: pytest.LogCaptureFixture, headers: Mapping[str, str], body: bytes
) -> None:
    answer = functions.post("notify", {**headers, "Authorization": "Bearer of-the-caller"}, body)
    assert (answer.status_code, answer.text) == (400, "Not an event of ours.")
    assert [one.message for one in lines.records if one.levelname == "ERROR"] == ["event-malformed"]


def test_an_event_is_posted(functions: Functions, lines: pytest.LogCaptureFixture) -> None:
    assert functions.call("notify", "GET", "/").status_code == 405
    assert [one.message for one in lines.records if one.levelname == "ERROR"] == []


def by_eventarc(event: Event) -> tuple[dict[str, str], bytes]:
    """Binary mode, as "Receive events using Cloud Run" in Eventarc's documentation shows it."""
    message = event_message(event)
    body = {
        "subscription": "projects/pinjam-test/subscriptions/eventarc-asia-southeast2-notify-sub-812",
        "message": {**message, "messageId": "12345", "publishTime": "2026-11-24T02:00:00.123Z"},
    }
    headers = {
        "Content-Type": "application/json",
        "ce-id": "12345",
        "ce-source": f"//pubsub.googleapis.com/projects/pinjam-test/topics/{event.topic}",
        "ce-specversion": "1.0",
        "ce-time": "2026-11-24T02:00:00.123Z",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "User-Agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google)",
    }
    return headers, json.dumps(body).encode()


def by_push(event: Event) -> tuple[dict[str, str], bytes]:
    """The wrapped message of Pub/Sub's "Receive messages from push": both spellings, and no header of an event."""
    body = {
        "message": {
            **event_message(event),
            "messageId": "2070443601311540",
            "message_id": "2070443601311540",
            "publishTime": "2026-11-24T02:00:00.85Z",
            "publish_time": "2026-11-24T02:00:00.85Z",
        },
        "subscription": f"projects/pinjam-test/subscriptions/{event.topic}--notify",
        "deliveryAttempt": 5,
    }
    return PLAIN, json.dumps(body).encode()


def by_task(event: Event) -> tuple[dict[str, str], bytes]:
    """What the adapter asks Cloud Tasks to send, with the headers that Cloud Tasks adds."""
    tasks = CloudTasks(
        url="https://tasks.example", project="p", location="l", functions_url="https://f.example", account="a@example"
    )
    task = Task(id="t-1", queue="sms", function="notify", due_at=START, event=event)
    call: Any = tasks._body(task, "projects/p/locations/l/queues/sms")["httpRequest"]
    added = {"X-CloudTasks-QueueName": "sms", "X-CloudTasks-TaskName": "t-1", "X-CloudTasks-TaskRetryCount": "0"}
    return {**call["headers"], **added}, base64.b64decode(call["body"])


@pytest.mark.parametrize("first", [by_eventarc, by_push, by_task])
@pytest.mark.parametrize("then", [by_eventarc, by_push, by_task])
def test_an_event_has_its_effect_once_whoever_brings_it(
    functions: Functions, submitted: Event, first: Carry, then: Carry
) -> None:
    for carry in (first, then):
        assert functions.post("decide_loan", *carry(submitted)).status_code == 200
        assert functions.post("notify", *carry(submitted)).status_code == 200
    assert functions.world.loan(submitted.subject).status is LoanStatus.APPROVED
    assert len(functions.world.events("loan-decided")) == 1
    assert [one.kind for one in functions.world.all(Notification)].count("application-received") == 1


@pytest.mark.parametrize(
    "fault", [StoreUnavailable("gone"), Contention("busy")], ids=lambda fault: type(fault).__name__
)
@pytest.mark.parametrize("name", CONSUMERS)
def test_an_event_without_effect_comes_again(
    functions: Functions, submitted: Event, name: str, fault: Exception
) -> None:
    broken(functions, fault)
    assert functions.bring(name, submitted).status_code == 503


def test_an_event_whose_next_try_cannot_be_kept_is_brought_again(functions: Functions) -> None:
    world = functions.world
    loan_id = world.accepted(world.verified())
    world.payouts.down = world.tasks.down = True
    event = world.accepted_event(loan_id)
    assert functions.bring("disburse", event).status_code == 503
    world.payouts.down = world.tasks.down = False
    assert functions.bring("disburse", event).status_code == 200
    assert world.payouts.paid == [2_970_000]


def test_what_nobody_foresaw_is_logged_and_tells_the_caller_nothing(
    functions: Functions, submitted: Event, lines: pytest.LogCaptureFixture
) -> None:
    broken(functions, RuntimeError("secret of Siti Rahmawati"))
    answer = functions.bring("decide_loan", submitted)
    assert answer.status_code == 500
    for told in ("secret", "Siti", "RuntimeError", "Traceback"):
        assert told not in answer.text
    (record,) = [one for one in lines.records if one.message == "event-failed"]
    assert record.exc_info is not None


@pytest.mark.parametrize("outcome", ["done", "not-yet", "failed"])
def test_each_event_has_one_line_with_the_request_that_caused_it(
    functions: Functions, submitted: Event, lines: pytest.LogCaptureFixture, outcome: str
) -> None:
    if outcome != "done":
        broken(functions, Contention("busy") if outcome == "not-yet" else RuntimeError())
    lines.clear()
    functions.bring("decide_loan", submitted)
    (record,) = [one for one in lines.records if one.message == "event"]
    facts = [getattr(record, name) for name in ("function", "topic", "event", "subject", "outcome")]
    assert facts == ["decide_loan", "loan-submitted", submitted.id, submitted.subject, outcome]
    assert "Siti" not in json.dumps([one.__dict__ for one in lines.records], default=str)


def test_what_an_event_causes_carries_its_request_id(functions: Functions, submitted: Event) -> None:
    functions.bring("decide_loan", replace(submitted, request_id="req_of_the_app"))
    (decided,) = functions.world.events("loan-decided")
    assert decided.request_id == "req_of_the_app"
    assert functions.world.trail(submitted.subject)[-1].request_id == "req_of_the_app"


def test_an_event_travels_unchanged(submitted: Event) -> None:
    event = replace(submitted, data={"text": "x", "none": None, "number": 5}, occurred_at=START)
    _, body = envelope(event)
    assert read(body).event == event
