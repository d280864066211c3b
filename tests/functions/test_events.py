"""Event functions: a CloudEvent from Pub/Sub, taken in once, and brought again when it had no effect."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.functions.conftest import Functions, envelope, wrapped
from tests.functions.test_edge import broken
from tests.world import START, picture

from pinjam.domain.loan import LoanStatus
from pinjam.domain.notification import Notification
from pinjam.domain.trail import Event
from pinjam.domain.user import UserStatus
from pinjam.services.store import Contention, StoreUnavailable
from pinjam.services.subscriptions import SUBSCRIPTIONS

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
    assert answer.status_code == 500
    assert "Siti" not in answer.text
    (record,) = [one for one in lines.records if one.message == "event-malformed"]
    assert record.event == "m-1"  # type: ignore[attr-defined]  # what the call passed as a fact
    assert "Siti" not in lines.text


@pytest.mark.parametrize("body", [b"{}", b'{"message": {}}', b'{"message": {"data": "!"}}', b'{"message": []}', b"[]"])
def test_an_envelope_without_a_message_is_not_acknowledged(functions: Functions, body: bytes) -> None:
    headers, _ = wrapped(b"")
    assert functions.post("notify", headers, body).status_code >= 400


def test_a_request_that_is_no_event_at_all_is_refused(functions: Functions) -> None:
    answer = functions.post("notify", {"Content-Type": "application/json"}, json.dumps(GOOD).encode())
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "fault", [StoreUnavailable("gone"), Contention("busy")], ids=lambda fault: type(fault).__name__
)
@pytest.mark.parametrize("name", CONSUMERS)
def test_an_event_without_effect_comes_again(
    functions: Functions, submitted: Event, name: str, fault: Exception
) -> None:
    broken(functions, fault)
    assert functions.bring(name, submitted).status_code == 500


def test_an_event_whose_next_try_cannot_be_kept_is_brought_again(functions: Functions) -> None:
    world = functions.world
    loan_id = world.accepted(world.verified())
    world.payouts.down = world.tasks.down = True
    event = world.accepted_event(loan_id)
    assert functions.bring("disburse", event).status_code == 500
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


def test_an_event_travels_unchanged(functions: Functions, submitted: Event) -> None:
    from cloudevents.http import from_http  # noqa: PLC0415 - used here only

    from pinjam.runtime.events import read  # noqa: PLC0415 - as above

    event = replace(submitted, data={"text": "x", "none": None, "number": 5}, occurred_at=START)
    headers, body = envelope(event)
    assert read(from_http(headers, body)) == event
    assert functions.world.app.ids is not None
