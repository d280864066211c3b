"""Payouts on the whole system: once, to the account of then, and held where it is somebody else's."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row
from tests.journeys.records import records
from tests.journeys.test_money import check_books

from pinjam.domain.payout import Payout
from pinjam.local.environment import OPERATIONS
from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem
from pinjam.services.recording import Actor

WAIT_S = 30
LENT = 2_970_000
WEBHOOK = "/api/payments/webhook/iris"
Row = Mapping[str, Any]


def rows(system: LocalSystem, query: str, *values: object) -> list[Row]:
    with psycopg.connect(system.app.settings.database_url, row_factory=dict_row) as connection:
        return list(connection.execute(query.encode(), values).fetchall())


def payouts(system: LocalSystem, loan_id: str) -> list[Payout]:
    return records(system, Payout, subject_id=loan_id)


def sent(system: LocalSystem, loan_id: str) -> list[tuple[str, str, int]]:
    """What the gateway was asked for, by the end of the account's number, and what became of it."""
    query = "SELECT * FROM local_sandbox.payouts WHERE idempotency_key = ANY(%s) ORDER BY created_at"
    ids = [one.id for one in payouts(system, loan_id)]
    return [(one["beneficiary_account"][-4:], one["status"], one["amount"]) for one in rows(system, query, ids)]


def own_number(walker: Walker) -> str:
    return str(walker.person.bank_account["account_number"])


def account(walker: Walker, ending: str) -> dict[str, object]:
    """An account of the borrower's own that ends so."""
    return {**walker.person.bank_account, "account_number": own_number(walker)[:-4] + ending}


def accept(walker: Walker, system: LocalSystem, ending: str) -> str:
    """A loan that was accepted, with an account that ends so; its id, once all has been done for it."""
    loan_id = walker.become_approved()
    walker.change(bank_account=account(walker, ending)).expect(200)
    walker.accept(loan_id, key="accept").expect(200)
    assert system.wait_until_quiet(WAIT_S)
    return loan_id


def on_its_way(walker: Walker, system: LocalSystem) -> tuple[str, str]:
    """A loan whose money is on its way, and stays there; its id and the payout's."""
    loan_id = accept(walker, system, "9104")
    assert walker.loan(loan_id).expect(200)["status"] == "disbursing"
    (payout,) = payouts(system, loan_id)
    assert (payout.status.value, payout.reference is None) == ("sending", False)
    return loan_id, payout.id


def check_paid_once(system: LocalSystem, walker: Walker, loan_id: str, ending: str) -> None:
    assert system.wait_until_quiet(WAIT_S)
    assert walker.loan(loan_id).expect(200)["status"] == "active"
    assert [one for one in sent(system, loan_id) if one[1] == "completed"] == [(ending, "completed", LENT)]
    assert Counter(one.status.value for one in payouts(system, loan_id))["paid"] == 1
    assert Counter(one["kind"] for one in walker.told("loan-disbursed"))["loan-disbursed"] == 1
    check_books(system, walker, loan_id)


def test_the_gateways_notification_alone_ends_a_payout(walker: Walker, road: Road, system: LocalSystem) -> None:
    loan_id, payout_id = on_its_way(walker, system)
    assert road.end_payout(payout_id).expect(200)["notifications"] == [200]
    check_paid_once(system, walker, loan_id, "9104")


def test_asking_alone_ends_a_payout(walker: Walker, road: Road, system: LocalSystem) -> None:
    loan_id, payout_id = on_its_way(walker, system)
    road.end_payout(payout_id, notifications=0).expect(200)
    assert walker.loan(loan_id).expect(200)["status"] == "disbursing"
    road.pass_minutes(6)
    assert road.sweep().expect(200)["payouts_checked"] >= 1
    check_paid_once(system, walker, loan_id, "9104")


def test_notifications_and_sweeps_together_pay_and_book_once(walker: Walker, road: Road, system: LocalSystem) -> None:
    loan_id, payout_id = on_its_way(walker, system)
    road.pass_minutes(6)
    road.end_payout(payout_id, notifications=0).expect(200)
    road.sweep().expect(200)
    assert road.end_payout(payout_id, notifications=3).expect(200)["notifications"] == [200] * 3
    road.pass_minutes(60)
    road.sweep().expect(200)
    check_paid_once(system, walker, loan_id, "9104")


def test_a_notification_that_iris_did_not_sign_changes_nothing(walker: Walker, road: Road, system: LocalSystem) -> None:
    loan_id, payout_id = on_its_way(walker, system)
    (payout,) = payouts(system, loan_id)
    road.end_payout(payout_id, notifications=0).expect(200)
    body = {"reference_no": payout.reference, "amount": "2970000.0", "status": "completed"}
    for headers in ({}, {"Iris-Signature": "0" * 128}):
        answer = httpx.post(system.url + WEBHOOK, json=body, headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (403, "bad-signature")
    assert walker.loan(loan_id).expect(200)["status"] == "disbursing"
    road.end_payout(payout_id).expect(200)
    check_paid_once(system, walker, loan_id, "9104")


def test_an_account_that_changed_after_a_lost_answer_is_not_the_one_that_is_asked_about(
    walker: Walker, road: Road, system: LocalSystem
) -> None:
    loan_id, payout_id = on_its_way(walker, system)
    # What is left when the gateway's first answer was lost: our id, and nothing of the gateway's.
    (begun,) = payouts(system, loan_id)
    system.app.store.transact(lambda tx: tx.update(replace(begun, reference=None)))
    walker.change(bank_account=walker.person.bank_account).expect(200)
    road.pass_minutes(6)
    assert road.sweep().expect(200)["payouts_checked"] >= 1
    (payout,) = payouts(system, loan_id)
    assert payout.reference is not None
    assert sent(system, loan_id) == [("9104", "processed", LENT)]
    road.end_payout(payout_id).expect(200)
    check_paid_once(system, walker, loan_id, "9104")


def test_an_account_of_somebody_else_is_held_released_by_a_person_and_paid(
    walker: Walker, road: Road, system: LocalSystem
) -> None:
    loan_id = accept(walker, system, "9101")
    (held,) = payouts(system, loan_id)
    assert (held.status.value, held.hold) == ("held", "name-mismatch")
    assert (walker.loan(loan_id).expect(200)["status"], sent(system, loan_id)) == ("accepted", [])
    walker.told("bank-account-check")
    actor = Actor(id="staff:ani", request_id="req_staff")
    assert held.id in [one.id for one in system.app.payout_desk.held(100).items]
    system.app.payout_desk.release(held.id, reason="married name", actor=actor)
    check_paid_once(system, walker, loan_id, "9101")
    assert road.inbox(OPERATIONS) == [one for one in road.inbox(OPERATIONS) if loan_id not in one["body"]]


def test_an_account_that_does_not_exist_is_held_corrected_by_the_borrower_and_paid(
    walker: Walker, system: LocalSystem
) -> None:
    loan_id = accept(walker, system, "9102")
    (held,) = payouts(system, loan_id)
    assert (held.status.value, held.hold) == ("held", "account-unknown")
    assert sent(system, loan_id) == []
    walker.change(bank_account=walker.person.bank_account).expect(200)
    check_paid_once(system, walker, loan_id, own_number(walker)[-4:])


def test_a_payout_that_fails_at_the_bank_is_told_to_both_sides(walker: Walker, road: Road, system: LocalSystem) -> None:
    loan_id = accept(walker, system, "9103")
    assert walker.loan(loan_id).expect(200)["status"] == "accepted"
    walker.told("disbursement-failed")
    (payout,) = payouts(system, loan_id)
    (mail,) = [one for one in road.inbox(OPERATIONS) if payout.id in one["subject"]]
    for fact in (payout.id, loan_id, "Rp2.970.000", "002"):
        assert fact in mail["body"]
    assert walker.person.full_name not in mail["body"]
    walker.change(bank_account=walker.person.bank_account).expect(200)
    check_paid_once(system, walker, loan_id, own_number(walker)[-4:])
    assert len([one for one in road.inbox(OPERATIONS) if loan_id in one["body"]]) == 1


def test_a_failure_that_comes_later_by_notification_returns_the_loan(
    walker: Walker, road: Road, system: LocalSystem
) -> None:
    loan_id, payout_id = on_its_way(walker, system)
    assert road.end_payout(payout_id, status="failed", notifications=2).expect(200)["notifications"] == [200, 200]
    assert system.wait_until_quiet(WAIT_S)
    assert walker.loan(loan_id).expect(200)["status"] == "accepted"
    walker.told("disbursement-failed")
    walker.change(bank_account=walker.person.bank_account).expect(200)
    check_paid_once(system, walker, loan_id, own_number(walker)[-4:])
