"""The servicing clock: run twice, or not for a week, it duplicates and loses nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import TypeVar

import pytest
from tests.world import World

from pinjam.domain.loan import LoanStatus
from pinjam.domain.payment import PaymentStatus
from pinjam.domain.trail import Event
from pinjam.services.ports import PayoutAnswer
from pinjam.services.servicing import Swept
from pinjam.services.store import Contention, Transaction

A = TypeVar("A")


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


def sweep(world: World) -> Swept:
    return world.app.servicing.sweep(request_id="req_sweep")


def test_a_quiet_day_needs_nothing(world: World, user_id: str) -> None:
    world.active(user_id)
    assert sweep(world) == Swept()
    assert sweep(world) == Swept()


def test_what_a_crash_left_in_the_outbox_is_published_once(world: World, user_id: str) -> None:
    world.publisher.down = True
    world.apply(user_id)
    (event,) = world.all(Event)
    assert (world.publisher.events, event.published_at) == ([], None)
    world.publisher.down = False
    world.clock.advance(seconds=5)
    assert sweep(world).relayed == 0
    world.clock.advance(seconds=1)
    assert [sweep(world).relayed for _ in range(3)] == [1, 0, 0]
    assert world.publisher.events == [event]
    assert world.get(Event, event.id).published_at == world.clock.instant


def test_events_that_still_cannot_be_published_stay_and_the_rest_goes_on(world: World, user_id: str) -> None:
    loan_id = world.apply(user_id)
    world.decide(loan_id)
    world.publisher.down = True
    world.apply(world.verified(2))
    world.pass_days(8)
    swept = sweep(world)
    assert (swept.relayed, swept.faults, swept.offers_expired) == (0, 1, 1)
    world.publisher.down = False
    assert sweep(world).relayed == 1


def test_an_offer_expires_after_its_last_day(world: World, user_id: str) -> None:
    loan_id = world.apply(user_id)
    world.decide(loan_id)
    world.go_to(date(2026, 12, 1), hour=23)
    assert sweep(world).offers_expired == 0
    world.go_to(date(2026, 12, 2), hour=0)
    assert [sweep(world).offers_expired for _ in range(2)] == [1, 0]
    loan = world.loan(loan_id)
    assert (loan.status, loan.open_for) == (LoanStatus.EXPIRED, None)
    assert world.actions(loan_id)[-1] == "offer-expired"
    assert world.apply(user_id)


def test_only_offers_expire(world: World, user_id: str) -> None:
    accepted, submitted = world.accepted(user_id), world.apply(world.verified(2))
    world.payouts.down = True
    world.pass_days(30)
    assert sweep(world).offers_expired == 0
    assert (world.loan(accepted).status, world.loan(submitted).status) == (
        LoanStatus.ACCEPTED,
        LoanStatus.SUBMITTED,
    )


def test_a_payment_whose_notification_was_lost_is_asked_about(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    payment_id = world.order(user_id, loan_id)
    world.payments.move(payment_id, "settled")
    world.clock.advance(minutes=15)
    assert sweep(world).payments_checked == 0
    world.clock.advance(seconds=1)
    assert [sweep(world).payments_checked for _ in range(2)] == [1, 0]
    assert world.payment(payment_id).status is PaymentStatus.SETTLED
    assert len(world.events("payment-settled")) == 1


def test_an_order_that_nobody_paid_expires(world: World, user_id: str) -> None:
    payment_id = world.order(user_id, world.active(user_id))
    world.clock.advance(hours=23)
    assert sweep(world).payments_checked == 1
    assert world.payment(payment_id).status is PaymentStatus.PENDING
    world.clock.advance(hours=1)
    sweep(world)
    assert world.payment(payment_id).status is PaymentStatus.EXPIRED
    assert sweep(world).payments_checked == 0


def test_a_payment_that_cannot_be_posted_keeps_no_other_waiting(world: World) -> None:
    loans = {user_id: world.active(user_id) for user_id in (world.verified(1), world.verified(2))}
    wrong, right = (world.order(user_id, loan_id) for user_id, loan_id in loans.items())
    world.payments.move(wrong, "settled", amount=1)
    world.payments.move(right, "settled")
    world.clock.advance(hours=1)
    swept = sweep(world)
    assert (swept.payments_checked, swept.faults) == (1, 1)
    assert world.payment(right).status is PaymentStatus.SETTLED


@pytest.mark.parametrize("how", ["down", "refusing"])
def test_a_gateway_in_trouble_keeps_no_reminder_waiting(world: World, user_id: str, how: str) -> None:
    loan_id = world.active(user_id)
    world.order(user_id, loan_id)
    setattr(world.payments, how, True)
    world.go_to(date(2026, 12, 24))
    swept = sweep(world)
    assert (swept.payments_checked, swept.faults, swept.reminders) == (0, 1, 1)


def test_a_payout_without_a_final_answer_is_asked_about(world: World, user_id: str) -> None:
    loan_id = world.accepted(user_id)
    world.payouts.outcome = PayoutAnswer(reference="", status="processing")
    world.app.payout_desk.take_up(world.accepted_event(loan_id))
    assert sweep(world) == Swept()
    world.clock.advance(minutes=5, seconds=1)
    assert [sweep(world).payouts_checked for _ in range(2)] == [1, 0]
    world.clock.advance(minutes=5, seconds=1)
    payout_id = world.loan(loan_id).payout_id
    assert payout_id is not None
    world.payouts.end(payout_id, "completed")
    assert [sweep(world).payouts_checked for _ in range(2)] == [1, 0]
    assert (world.loan(loan_id).status, world.payouts.paid) == (LoanStatus.ACTIVE, [2_970_000])


def test_a_payout_that_failed_is_tried_again_after_a_while(world: World, user_id: str) -> None:
    loan_id = world.accepted(user_id)
    world.payouts.refusing = True
    world.app.payout_desk.take_up(world.accepted_event(loan_id))
    world.payouts.refusing = False
    assert sweep(world).payouts_retried == 0
    world.clock.advance(minutes=15, seconds=1)
    assert sweep(world).payouts_retried == 1
    assert world.loan(loan_id).status is LoanStatus.ACTIVE


def test_a_loan_is_reminded_at_each_milestone_once(world: World, user_id: str) -> None:
    world.active(user_id)
    told = {}
    for days in range(-5, 40):
        world.go_to(date(2026, 12, 24) + timedelta(days=days))
        count = sum(sweep(world).reminders for _ in range(2))
        if count:
            told[days] = (count, str(world.all(Event)[-1].data["milestone"]))
    assert told == {
        -3: (1, "upcoming"),
        0: (1, "due"),
        1: (1, "overdue"),
        7: (1, "overdue"),
        30: (1, "overdue"),
    }


@pytest.mark.parametrize(
    ("days", "milestone"), [(-1, "upcoming"), (0, "due"), (5, "overdue"), (12, "overdue"), (50, "overdue")], ids=str
)
def test_after_a_pause_the_newest_milestone_alone_is_told(
    world: World, user_id: str, days: int, milestone: str
) -> None:
    world.active(user_id)
    world.go_to(date(2026, 12, 24) + timedelta(days=days))
    assert [sweep(world).reminders for _ in range(2)] == [1, 0]
    assert [event.data["milestone"] for event in world.events("instalment-reminder")] == [milestone]


def test_the_next_instalment_has_reminders_of_its_own(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    for due in (date(2026, 12, 24), date(2027, 1, 24)):
        world.go_to(due)
        assert sweep(world).reminders == 1
        world.pay(user_id, loan_id)
        assert sweep(world).reminders == 0
    assert [event.data["due_date"] for event in world.events("instalment-reminder")] == ["2026-12-24", "2027-01-24"]


def test_more_than_a_batch_is_done_in_one_run(world: World) -> None:
    loan = world.loan(world.active(world.verified()))
    for number in range(205):
        world.put(replace(loan, id=f"loan_{number:05}", open_for=None, payout_id=None))
    world.go_to(date(2026, 12, 24))
    assert [sweep(world).reminders for _ in range(2)] == [206, 0]


class Busy:
    """A store in which other transactions keep winning while something is written of one loan."""

    def __init__(self, world: World, loan_id: str) -> None:
        self._store, self._loan_id = world.store, loan_id
        self.read, self.get, self.find = world.store.read, world.store.get, world.store.find

    def transact(self, work: Callable[[Transaction], A]) -> A:
        def looked_at(tx: Transaction) -> A:
            asked: list[str] = []

            class Seen:
                def __getattr__(self, name: str) -> object:
                    return getattr(tx, name)

                def get(self, kind: type, id: str) -> object:
                    asked.append(id)
                    return tx.get(kind, id)

            result = work(Seen())  # type: ignore[arg-type]  # the transaction, watched
            if self._loan_id in asked:
                raise Contention("others keep winning")
            return result

        return self._store.transact(looked_at)


def test_a_loan_that_others_keep_changing_keeps_no_other_waiting(world: World) -> None:
    first, second = (world.active(world.verified(number)) for number in (1, 2))
    offers = [world.apply(world.verified(number)) for number in (3, 4)]
    for offer in offers:
        world.decide(offer)
    for day, busy in ((date(2026, 12, 2), offers[0]), (date(2026, 12, 24), first)):
        world.go_to(day)
        servicing = replace(world.app.servicing, store=Busy(world, busy))
        assert servicing.sweep(request_id="req_sweep").faults == 1
        assert sweep(world).faults == 0
    assert [event.subject for event in world.events("instalment-reminder")] == [second, first]
    assert {world.loan(offer).status for offer in offers} == {LoanStatus.EXPIRED}
