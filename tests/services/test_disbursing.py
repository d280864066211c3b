"""Paying a loan out, once."""

import threading
from dataclasses import replace
from datetime import date

import pytest
from tests.world import World, waits_for_the_gateway

from pinjam.domain.loan import LoanStatus
from pinjam.domain.task import MOST_TRIES
from pinjam.domain.trail import Event
from pinjam.services.ports import PayoutAnswer

PROCESSING = PayoutAnswer(reference="", status="processing")
COMPLETED = PayoutAnswer(reference="", status="completed")
FAILED = PayoutAnswer(reference="", status="failed", failure="account closed")


@pytest.fixture
def accepted(world: World) -> tuple[str, Event]:
    """A loan to be paid out, and the event that asks for it."""
    loan_id = world.accepted(world.verified())
    return loan_id, world.accepted_event(loan_id)


def test_a_payout_sends_what_the_contract_says(world: World, accepted: tuple[str, Event]) -> None:
    loan_id, event = accepted
    world.app.payout_desk.take_up(event)
    loan = world.loan(loan_id)
    assert loan.contract is not None
    assert loan.payout_id is not None
    assert world.payouts.sent == {
        loan.payout_id: {
            "amount": 2_970_000,
            "bank_code": "bca",
            "account_number": "1234567890",
            "account_name": "SITI RAHMAWATI",
            "notes": f"Pinjam {loan.contract.number}",
        }
    }
    assert (loan.status, loan.disbursed_on, loan.disbursed_at) == (
        LoanStatus.ACTIVE,
        date(2026, 11, 24),
        world.clock.instant,
    )
    assert [event.topic for event in world.publisher.events][-1] == "loan-disbursed"
    assert world.actions(loan_id)[-2:] == ["payout-started", "loan-disbursed"]


def test_dates_count_from_the_day_the_payout_is_confirmed(world: World, accepted: tuple[str, Event]) -> None:
    loan_id, event = accepted
    world.payouts.outcome = PROCESSING
    world.go_to(date(2026, 11, 30))
    world.app.payout_desk.take_up(event)
    world.go_to(date(2026, 12, 31))
    (payout_id,) = world.payouts.payouts
    world.payouts.end(payout_id, "completed")
    world.app.payout_desk.take_up(event)
    loan = world.loan(loan_id)
    assert loan.disbursed_on == date(2026, 12, 31)
    assert loan.next_due_on == date(2027, 1, 31)
    assert [one.due_date.isoformat() for one in loan.instalments] == [
        "2027-01-31",
        "2027-02-28",
        "2027-03-31",
        "2027-04-30",
        "2027-05-31",
        "2027-06-30",
    ]
    assert world.payouts.paid == [2_970_000]


def test_the_event_again_pays_nothing_more(world: World, accepted: tuple[str, Event]) -> None:
    loan_id, event = accepted
    for _ in range(3):
        world.app.payout_desk.take_up(event)
        world.pass_days(1)
    assert world.payouts.paid == [2_970_000]
    assert world.loan(loan_id).disbursed_on == date(2026, 11, 24)
    assert len(world.events("loan-disbursed")) == 1


def test_many_workers_at_once_pay_once(world: World, accepted: tuple[str, Event]) -> None:
    loan_id, event = accepted
    start = threading.Barrier(5)

    def work() -> None:
        start.wait(10)
        world.app.payout_desk.take_up(event)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert world.payouts.paid == [2_970_000]
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    assert len(world.events("loan-disbursed")) == 1


def test_a_gateway_that_gives_no_answer_is_asked_again_for_the_same_payout(
    world: World, accepted: tuple[str, Event]
) -> None:
    loan_id, event = accepted
    world.payouts.down_from = world.payouts.calls + 2  # It names the account's holder, and then goes away.
    world.app.payout_desk.take_up(event)
    assert waits_for_the_gateway(world)
    waiting = world.loan(loan_id)
    assert waiting.status is LoanStatus.DISBURSING
    world.payouts.down_from = None
    world.app.payout_desk.take_up(event)
    assert list(world.payouts.sent) == [waiting.payout_id]


def test_a_payout_in_process_is_asked_about_again(world: World, accepted: tuple[str, Event]) -> None:
    loan_id, event = accepted
    world.payouts.outcome = PROCESSING
    for _ in range(2):
        world.app.payout_desk.take_up(event)
    assert world.loan(loan_id).status is LoanStatus.DISBURSING
    assert len(world.payouts.sent) == 1


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "failed"])
def test_a_payout_that_failed_is_tried_again_under_another_id(
    world: World, accepted: tuple[str, Event], *, refused: bool
) -> None:
    loan_id, event = accepted
    world.payouts.refusing, world.payouts.outcome = refused, FAILED
    world.app.payout_desk.take_up(event)
    returned = world.loan(loan_id)
    assert (returned.status, returned.payout_id, returned.disbursed_on) == (LoanStatus.ACCEPTED, None, None)
    assert returned.open_for == returned.user_id
    assert world.actions(loan_id)[-1] == "payout-failed"
    assert world.events("loan-disbursed") == []
    world.payouts.refusing, world.payouts.outcome = False, COMPLETED
    world.app.payout_desk.take_up(event)
    assert world.loan(loan_id).status is LoanStatus.ACCEPTED, "an event that comes twice is no reason to hurry"
    world.clock.advance(minutes=15)
    world.app.payout_desk.take_up(event)
    ids = {record.after["payout_id"] for record in world.trail(loan_id) if record.action == "payout-started"}
    assert len(ids) == 2
    assert world.payouts.paid == [2_970_000]
    assert world.loan(loan_id).status is LoanStatus.ACTIVE


@pytest.mark.parametrize("status", [LoanStatus.APPROVED, LoanStatus.WITHDRAWN, LoanStatus.SETTLED])
def test_only_an_accepted_loan_is_paid_out(world: World, accepted: tuple[str, Event], status: LoanStatus) -> None:
    loan_id, event = accepted
    world.put(replace(world.loan(loan_id), status=status))
    world.app.payout_desk.take_up(event)
    world.app.payout_desk.take_up(replace(event, subject="loan_nothing"))
    assert world.payouts.sent == {}


def test_a_gateway_that_was_down_pays_without_anybody_asking(world: World, accepted: tuple[str, Event]) -> None:
    loan_id, event = accepted
    world.payouts.down = True
    for _ in range(2):
        world.app.payout_desk.take_up(event)
    assert world.loan(loan_id).status is LoanStatus.ACCEPTED
    assert len(world.tasks.waiting) == 1
    world.payouts.down = False
    world.clock.advance(seconds=10)
    assert world.run_tasks() == 1
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    assert len(world.payouts.paid) == 1


def test_a_gateway_that_is_down_for_a_day_is_left_to_the_sweep(world: World, accepted: tuple[str, Event]) -> None:
    loan_id, event = accepted
    world.payouts.down = True
    world.app.payout_desk.take_up(event)
    for _ in range(MOST_TRIES - 1):
        world.clock.instant = next(iter(world.tasks.waiting.values())).due_at
        assert world.run_tasks() == 1
    assert not waits_for_the_gateway(world)
    world.payouts.down = False
    assert world.sweep().payouts_retried == 1
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
