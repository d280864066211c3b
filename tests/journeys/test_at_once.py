"""The same thing asked for many times at the same moment has one effect."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import psycopg
import pytest
from tests.journeys.records import records

from pinjam.domain.loan import Loan
from pinjam.domain.notification import Notification
from pinjam.domain.payment import Payment
from pinjam.domain.trail import AuditRecord, Event
from pinjam.domain.user import User
from pinjam.local.road import Reply, Road, Walker
from pinjam.local.sandbox.midtrans import notification
from pinjam.local.state import read_secrets
from pinjam.local.system import LocalSystem

WAIT_S = 30
WEBHOOK = "/api/payments/webhook/midtrans"
AtOnce = Callable[[int, Callable[[int], Any]], list[Any]]


def outcomes(replies: list[Reply]) -> Counter[tuple[int, str | None]]:
    """How often each status came, with the code of a problem."""
    return Counter((reply.status, (reply.body or {}).get("code")) for reply in replies)


def rows(system: LocalSystem, query: str, *values: object) -> list[Any]:
    """What the sandbox keeps, which is in PostgreSQL whatever the store is."""
    with psycopg.connect(system.app.settings.database_url) as connection:
        return connection.execute(query, values).fetchall()


def test_twenty_applications_under_one_key_make_one_loan(walker: Walker, system: LocalSystem, at_once: AtOnce) -> None:
    walker.become_verified()
    replies = at_once(20, lambda _: walker.apply(3_000_000, 6, key="same"))
    assert set(outcomes(replies)) <= {(202, None), (409, "request-running")}
    answered = [reply for reply in replies if reply.status == 202]
    assert all(reply.body == answered[0].body for reply in answered)
    first = [reply for reply in answered if "Idempotent-Replayed" not in reply.headers]
    assert len(first) == 1
    assert all(reply.headers["Idempotent-Replayed"] == "true" for reply in answered if reply is not first[0])
    assert len(walker.call("GET", "/api/loans").expect(200)["loans"]) == 1
    assert walker.decided(first[0].body["loan"]["id"])["status"] == "approved"
    assert system.wait_until_quiet(WAIT_S)
    kinds = Counter(one["kind"] for one in walker.told("loan-approved"))
    assert kinds == {"identity-verified": 1, "application-received": 1, "loan-approved": 1}


def test_twenty_applications_under_twenty_keys_make_one_loan(walker: Walker, at_once: AtOnce) -> None:
    walker.become_verified()
    replies = at_once(20, lambda number: walker.apply(3_000_000, 6, key=f"key-{number}"))
    assert outcomes(replies) == {(202, None): 1, (409, "application-open"): 19}
    assert len(walker.call("GET", "/api/loans").expect(200)["loans"]) == 1


def test_twenty_notifications_of_one_payment_settle_it_once(
    walker: Walker, road: Road, system: LocalSystem, at_once: AtOnce
) -> None:
    loan_id = walker.become_borrower()
    before = walker.loan(loan_id).expect(200)
    payment = walker.start_payment(loan_id, key="pay").expect(201)
    # Paid at the bank, with one notification; then Midtrans repeats itself.
    order = system.sandbox.sandbox.orders.move(payment["id"], "settlement")
    body = notification(order, system.app.settings.midtrans.server_key)
    replies = at_once(20, lambda _: road.call("POST", WEBHOOK, body=body))
    assert outcomes(replies) == {(200, None): 20}

    settled = walker.payment(payment["id"]).expect(200)
    row = before["schedule"][0]
    part = {"number": 1, "late_fee": 0, "interest": row["interest"], "principal": row["principal"]}
    assert (settled["status"], settled["allocation"], settled["surplus"]) == ("settled", [part], 0)
    after = walker.loan(loan_id).expect(200)
    assert after["outstanding"] == before["outstanding"] - payment["amount"]
    assert [row["paid"] for row in after["schedule"]] == [payment["amount"], 0, 0, 0, 0, 0]

    assert system.wait_until_quiet(WAIT_S)
    assert Counter(one["kind"] for one in walker.told("payment-received"))["payment-received"] == 1
    subjects = Counter(one["subject"] for one in road.inbox(walker.person.email))
    assert subjects["Pembayaran Anda kami terima"] == 1
    templates = Counter(one["subject"] for one in road.inbox(walker.person.phone_e164, channel="whatsapp"))
    assert templates["payment_received (id)"] == 1


def test_a_payment_started_twenty_times_under_one_key_is_one_order(
    walker: Walker, system: LocalSystem, at_once: AtOnce
) -> None:
    loan_id = walker.become_borrower()
    replies = at_once(20, lambda _: walker.start_payment(loan_id, key="pay"))
    assert set(outcomes(replies)) <= {(201, None), (409, "request-running")}
    made = {reply.body["id"] for reply in replies if reply.status == 201}
    assert len(made) == 1
    listed = walker.call("GET", "/api/payments", query={"loan_id": loan_id}).expect(200)["payments"]
    assert {one["id"] for one in listed} == made
    ids = [one.id for one in records(system, Payment, loan_id=loan_id)]
    orders = "SELECT order_id FROM local_sandbox.orders WHERE order_id = ANY(%s)"
    assert {row[0] for row in rows(system, orders, ids)} == made


def test_twenty_acceptances_under_twenty_keys_bind_once_and_pay_out_once(
    walker: Walker, system: LocalSystem, at_once: AtOnce
) -> None:
    loan_id = walker.become_approved()
    replies = at_once(20, lambda number: walker.accept(loan_id, key=f"key-{number}"))
    assert outcomes(replies) == {(200, None): 1, (409, "no-offer"): 19}
    assert walker.disbursed(loan_id)["status"] == "active"
    assert system.wait_until_quiet(WAIT_S)
    (loan,) = records(system, Loan, id=loan_id)
    paid = rows(system, "SELECT amount, status FROM local_sandbox.payouts WHERE idempotency_key = %s", loan.payout_id)
    assert paid == [(2_970_000, "completed")]
    account = walker.person.bank_account["account_number"]
    paid = rows(system, "SELECT count(*) FROM local_sandbox.payouts WHERE beneficiary_account = %s", account)
    assert paid == [(1,)]
    assert Counter(one["kind"] for one in walker.told("loan-disbursed"))["loan-disbursed"] == 1


def test_ten_registrations_of_one_person_make_one_borrower(
    walker: Walker, system: LocalSystem, at_once: AtOnce
) -> None:
    body = walker.person.registration
    replies = at_once(10, lambda _: walker.road.call("POST", "/api/auth/register", body=body))
    assert set(outcomes(replies)) <= {(201, None), (409, "already-registered")}
    ids = {reply.body["user"]["id"] for reply in replies if reply.status == 201}
    assert len(ids) == 1
    assert [user.id for user in records(system, User, email=walker.person.email)] == [ids.pop()]
    assert walker.log_in(walker.person.phone).expect(200)["user"]["email"] == walker.person.email


@pytest.fixture
def push(system: LocalSystem) -> Callable[[str, Event], int]:
    """Hands an event to a function as Eventarc does; the answer's status."""
    token = read_secrets(system._state)["gateway_token"]

    def deliver(function: str, event: Event) -> int:
        headers = {
            "Authorization": f"Bearer {token}",
            "ce-id": "1",
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
            "ce-source": f"//pubsub.googleapis.com/projects/pinjam-local/topics/{event.topic}",
        }
        body = {"message": {"data": data_of(event), "messageId": "1"}, "subscription": "s"}
        url = f"{system.app.settings.tasks.functions_url}/{function}"
        return httpx.post(url, json=body, headers=headers, timeout=WAIT_S, trust_env=False).status_code

    return deliver


def data_of(event: Event) -> str:
    facts: Mapping[str, object] = {
        "id": event.id,
        "topic": event.topic,
        "subject": event.subject,
        "data": dict(event.data),
        "request_id": event.request_id,
        "occurred_at": event.occurred_at.isoformat(),
    }
    return base64.b64encode(json.dumps(facts).encode()).decode()


def event_of(system: LocalSystem, topic: str, subject: str) -> Event:
    (event,) = records(system, Event, topic=topic, subject=subject)
    return event


def test_an_event_delivered_ten_times_at_once_decides_and_tells_once(
    walker: Walker, road: Road, system: LocalSystem, at_once: AtOnce, push: Callable[[str, Event], int]
) -> None:
    loan_id = walker.become_approved()
    submitted, decided = (event_of(system, topic, loan_id) for topic in ("loan-submitted", "loan-decided"))
    assert system.wait_until_quiet(WAIT_S)
    before = walker.loan(loan_id).expect(200)
    statuses = at_once(10, lambda _: push("decide_loan", submitted)) + at_once(10, lambda _: push("notify", decided))
    assert set(statuses) == {200}
    assert system.wait_until_quiet(WAIT_S)
    assert walker.loan(loan_id).expect(200) == before
    assert Counter(one["kind"] for one in walker.told("loan-approved"))["loan-approved"] == 1
    assert len(road.inbox(walker.person.phone_e164, channel="sms")) == 1


def test_an_event_published_ten_times_before_anybody_heard_it_has_one_effect(
    walker: Walker, system: LocalSystem, road: Road
) -> None:
    walker.become_verified()
    user_id = walker.profile().expect(200)["id"]
    application = walker.apply(3_000_000, 6, key="one").expect(202)["loan"]
    submitted = event_of(system, "loan-submitted", application["id"])
    system.app.publisher.publish([submitted] * 10)
    assert walker.decided(application["id"])["status"] == "approved"
    assert system.wait_until_quiet(WAIT_S)
    assert len(records(system, AuditRecord, subject=application["id"], action="loan-decided")) == 1
    assert len(records(system, Event, topic="loan-decided", subject=application["id"])) == 1
    told = Counter(one.kind for one in records(system, Notification, user_id=user_id))
    assert told == {"identity-verified": 1, "application-received": 1, "loan-approved": 1}
    assert len(road.inbox(walker.person.email)) == 3
    assert len(road.inbox(walker.person.phone_e164, channel="sms")) == 1
