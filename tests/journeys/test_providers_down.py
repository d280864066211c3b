"""Providers that are away, or refuse: nothing is lost, and nothing happens twice."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg

from pinjam.domain.task import MOST_TRIES
from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem

Check = Callable[..., dict[str, Any]]
WAIT_S = 30


def rows(system: LocalSystem, query: str, *values: object) -> list[Any]:
    with psycopg.connect(system.app.settings.database_url) as connection:
        return connection.execute(query, values).fetchall()


def payouts(system: LocalSystem, walker: Walker) -> list[tuple[str, int]]:
    """What was paid out to a borrower's account, by status."""
    account = walker.person.bank_account["account_number"]
    query = "SELECT status, amount FROM local_sandbox.payouts WHERE beneficiary_account = %s ORDER BY created_at"
    return [(status, amount) for status, amount in rows(system, query, account)]


def test_a_payment_gateway_that_is_down_asks_to_come_back_and_then_makes_one_order(
    walker: Walker, road: Road, system: LocalSystem, problem: Check
) -> None:
    loan_id = walker.become_borrower()
    road.fault("payment", "down")
    for _ in range(2):
        refused = walker.start_payment(loan_id, key="pay")
        problem(refused, 503, "service-unavailable")
        assert int(refused.headers["retry-after"]) >= 1
    road.fault("payment", "ok")
    payment = walker.start_payment(loan_id, key="pay").expect(201)
    again = walker.start_payment(loan_id, key="pay")
    assert (again.expect(201), again.headers["idempotent-replayed"]) == (payment, "true")
    listed = walker.call("GET", "/api/payments", query={"loan_id": loan_id}).expect(200)["payments"]
    assert [one["id"] for one in listed] == [payment["id"]]
    orders = "SELECT count(*) FROM local_sandbox.orders WHERE order_id IN (SELECT id FROM payments WHERE loan_id = %s)"
    assert rows(system, orders, loan_id) == [(1,)]


def test_a_payment_gateway_that_refuses_once_is_asked_anew_under_the_same_key(
    walker: Walker, road: Road, problem: Check
) -> None:
    loan_id = walker.become_borrower()
    road.fault("payment", "reject", times=1)
    problem(walker.start_payment(loan_id, key="pay"), 503, "service-unavailable")
    payment = walker.start_payment(loan_id, key="pay").expect(201)
    listed = walker.call("GET", "/api/payments", query={"loan_id": loan_id}).expect(200)["payments"]
    assert [(one["id"] == payment["id"], one["status"]) for one in listed] == [(True, "pending"), (False, "failed")]
    road.pay_at_bank(payment["id"]).expect(200)
    assert walker.payment(payment["id"]).expect(200)["status"] == "settled"


def test_a_gateway_that_is_down_when_it_notifies_is_asked_again_by_the_sweep(walker: Walker, road: Road) -> None:
    loan_id = walker.become_borrower()
    payment = walker.start_payment(loan_id, key="pay").expect(201)
    road.fault("payment", "down")
    told = road.pay_at_bank(payment["id"]).expect(200)
    assert told["notifications"] == [503]
    assert walker.payment(payment["id"]).expect(200)["status"] == "pending"
    road.fault("payment", "ok")
    road.set_date(road.today() + timedelta(days=1)).expect(200)
    assert road.sweep().expect(200)["payments_checked"] >= 1
    assert walker.payment(payment["id"]).expect(200)["status"] == "settled"


def test_a_payout_provider_that_was_down_pays_once(walker: Walker, road: Road, system: LocalSystem) -> None:
    loan_id = walker.become_approved()
    road.fault("payout", "down", times=3)
    walker.accept(loan_id, key="accept").expect(200)
    for _ in range(3):
        assert system.wait_until_quiet(WAIT_S)
        assert walker.loan(loan_id).expect(200)["status"] != "active"
        road.pass_minutes(1).expect(200)
    assert walker.disbursed(loan_id)["status"] == "active"
    assert system.wait_until_quiet(WAIT_S)
    assert payouts(system, walker) == [("completed", 2_970_000)]
    assert Counter(one["kind"] for one in walker.told("loan-disbursed"))["loan-disbursed"] == 1


def test_a_payout_that_fails_returns_the_loan_and_is_tried_again_by_the_sweep(
    walker: Walker, road: Road, system: LocalSystem, problem: Check
) -> None:
    loan_id = walker.become_approved()
    road.fault("payout", "reject")
    walker.accept(loan_id, key="accept").expect(200)
    assert system.wait_until_quiet(WAIT_S)
    returned = walker.loan(loan_id).expect(200)
    assert (returned["status"], returned["disbursed_at"], returned["outstanding"]) == ("accepted", None, 0)
    problem(walker.start_payment(loan_id, key="pay"), 409, "loan-not-active")
    assert payouts(system, walker) == []
    road.fault("payout", "ok")
    road.set_date(road.today() + timedelta(days=1)).expect(200)
    assert road.sweep().expect(200)["payouts_retried"] >= 1
    assert walker.disbursed(loan_id)["status"] == "active"
    assert payouts(system, walker) == [("completed", 2_970_000)]


def test_an_account_from_which_the_money_comes_back_is_corrected_and_paid(walker: Walker, system: LocalSystem) -> None:
    loan_id = walker.become_approved()
    wrong = {**walker.person.bank_account, "account_number": "1234569103"}
    walker.change(bank_account=wrong).expect(200)
    walker.accept(loan_id, key="accept").expect(200)
    assert system.wait_until_quiet(WAIT_S)
    assert walker.loan(loan_id).expect(200)["status"] == "accepted"
    walker.change(bank_account=walker.person.bank_account).expect(200)
    assert walker.disbursed(loan_id)["status"] == "active"
    assert payouts(system, walker) == [("completed", 2_970_000)]


def test_a_mail_server_that_was_down_delivers_once_when_it_is_back(
    walker: Walker, road: Road, system: LocalSystem
) -> None:
    walker.become_verified()
    walker.told("identity-verified")
    road.fault("email", "down", times=3)
    loan_id = walker.apply(3_000_000, 6, key="one").expect(202)["loan"]["id"]
    assert walker.decided(loan_id)["status"] == "approved"
    for _ in range(4):
        assert system.wait_until_quiet(WAIT_S)
        road.pass_minutes(2).expect(200)
    told = {one["kind"]: one["deliveries"] for one in walker.told("application-received", "loan-approved")}
    emails = [one for kind in told.values() for one in kind if one["channel"] == "email"]
    assert {one["status"] for one in emails} == {"sent"}
    assert sum(one["attempts"] for one in emails) == len(emails) + 3
    # The text message did not wait for the mail server, and was not sent again with it.
    texts = [one for one in told["loan-approved"] if one["channel"] == "sms"]
    assert [(one["status"], one["attempts"]) for one in texts] == [("sent", 1)]
    subjects = Counter(one["subject"] for one in road.inbox(walker.person.email))
    assert subjects == {
        "Identitas Anda terverifikasi": 1,
        "Pengajuan Anda kami terima": 1,
        "Pinjaman Anda disetujui": 1,
    }
    assert len(road.inbox(walker.person.phone_e164, channel="sms")) == 1


def test_a_mailbox_that_refuses_has_failed_and_the_other_channels_are_served(walker: Walker, road: Road) -> None:
    loan_id = walker.become_approved()
    walker.told("loan-approved")
    road.fault("email", "reject")
    walker.accept(loan_id, key="accept").expect(200)
    assert walker.disbursed(loan_id)["status"] == "active"
    found = next(one for one in walker.told("loan-disbursed") if one["kind"] == "loan-disbursed")
    outcome = {one["channel"]: (one["status"], one["attempts"]) for one in found["deliveries"]}
    assert outcome == {"email": ("failed", 1), "sms": ("sent", 1), "whatsapp": ("sent", 1)}
    assert "Dana pinjaman sudah dikirim" not in {one["subject"] for one in road.inbox(walker.person.email)}
    assert len(road.inbox(walker.person.phone_e164, channel="whatsapp")) == 1


def test_channels_that_all_fail_for_a_day_do_not_hold_the_loan_up(
    walker: Walker, road: Road, system: LocalSystem
) -> None:
    loan_id = walker.become_approved()
    walker.told("loan-approved")
    for channel in ("email", "sms", "whatsapp"):
        road.fault(channel, "down")
    walker.accept(loan_id, key="accept").expect(200)
    assert walker.disbursed(loan_id)["status"] == "active"
    for _ in range(MOST_TRIES):
        assert system.wait_until_quiet(WAIT_S)
        road.pass_minutes(20 * 60).expect(200)
    found = next(one for one in walker.told("loan-disbursed") if one["kind"] == "loan-disbursed")
    assert {(one["status"], one["attempts"]) for one in found["deliveries"]} == {("failed", 8)}
