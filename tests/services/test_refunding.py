"""What exceeded the debt goes back to the borrower, once."""

import threading
from dataclasses import replace

import pytest
from tests.books import check_money
from tests.world import World, waits_for_the_gateway

from pinjam.domain.ledger import Account
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.trail import Event
from pinjam.services.ports import PayoutAnswer
from pinjam.services.profiles import NewBankAccount
from pinjam.services.recording import Actor

SWEEP = Actor(id="sweep", request_id="req_sweep")
LENT = 2_970_000
SURPLUS = 544_650


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def extra(world: World, user_id: str) -> str:
    """A payment that came when nothing was owed any more."""
    loan_id = world.active(user_id)
    order = world.order(user_id, loan_id)
    world.pay(user_id, loan_id, kind="settlement")
    world.settle(order)
    return order


def event_of(world: World, payment_id: str) -> Event:
    (event,) = [one for one in world.events("payment-settled") if one.subject == payment_id]
    return event


def without_account(world: World, user_id: str) -> None:
    world.put(replace(world.user(user_id), bank_account=None))


def test_a_surplus_goes_to_the_borrowers_bank_account_once(world: World, user_id: str, extra: str) -> None:
    for _ in range(3):
        world.app.payout_desk.take_up(event_of(world, extra))
    refund = world.refund_of(extra)
    assert refund.payout_id is not None
    assert world.payouts.paid == [LENT, SURPLUS]
    assert world.payouts.sent[refund.payout_id] == {
        "amount": SURPLUS,
        "bank_code": "bca",
        "account_number": "1234567890",
        "account_name": "SITI RAHMAWATI",
        "notes": "Pinjam refund",
    }
    assert (refund.status, refund.amount, refund.user_id) == (RefundStatus.PAID, SURPLUS, user_id)
    assert refund.paid_at == world.clock.now()
    assert world.actions(refund.id) == ["refund-owed", "refund-started", "refund-paid"]
    assert world.balances()[Account.REFUNDS_OWED] == 0
    check_money(world)


def test_every_event_of_a_payment_may_come_again(world: World, user_id: str, extra: str) -> None:
    assert extra
    world.deliver(repeat=3)
    assert world.payouts.paid == [LENT, SURPLUS]
    (told,) = world.notifications("payment-surplus")
    assert told.user_id == user_id
    assert "Rp544.650" in told.body
    check_money(world)


def test_a_payment_without_surplus_pays_nothing_back(world: World, user_id: str) -> None:
    world.pay(user_id, world.active(user_id))
    world.deliver()
    assert world.all(Refund) == []
    assert world.payouts.paid == [LENT]


def test_without_a_bank_account_it_stays_owed_until_there_is_one(world: World, user_id: str, extra: str) -> None:
    without_account(world, user_id)
    world.deliver()
    assert world.refund_of(extra).status is RefundStatus.OWED
    assert world.payouts.paid == [LENT]
    for _ in range(2):
        world.pass_days(1)
        assert world.sweep().faults == 0
    assert (world.refund_of(extra).status, world.balances()[Account.REFUNDS_OWED]) == (RefundStatus.OWED, -SURPLUS)
    world.app.profiles.change(
        user_id,
        actor=world.actor(user_id),
        bank_account=NewBankAccount(bank_code="bri", account_number="999000111", account_name="SITI RAHMAWATI"),
    )
    assert world.sweep().refunds_retried == 1
    assert world.sweep().refunds_retried == 0
    refund = world.refund_of(extra)
    assert refund.payout_id is not None
    assert world.payouts.sent[refund.payout_id]["account_number"] == "999000111"
    assert world.payouts.paid == [LENT, SURPLUS]
    check_money(world)


def test_a_refund_that_waits_for_an_account_is_no_retry(world: World, user_id: str, extra: str) -> None:
    without_account(world, user_id)
    world.pass_days(1)
    assert world.sweep().refunds_retried == 0
    assert world.actions(world.refund_of(extra).id) == ["refund-owed"]


@pytest.mark.parametrize("how", ["refused", "failed"])
def test_a_payout_that_fails_is_tried_again_under_a_new_id(world: World, extra: str, how: str) -> None:
    world.payouts.refusing = how == "refused"
    world.payouts.outcome = PayoutAnswer(reference="", status="failed", failure="unknown account")
    world.deliver()
    owed = world.refund_of(extra)
    assert (owed.status, owed.payout_id, owed.amount) == (RefundStatus.OWED, None, SURPLUS)
    assert world.balances()[Account.REFUNDS_OWED] == -SURPLUS
    check_money(world)
    world.payouts.refusing, world.payouts.outcome = False, PayoutAnswer(reference="", status="completed")
    assert world.sweep().refunds_retried == 0
    world.clock.advance(minutes=16)
    assert world.sweep().refunds_retried == 1
    refund = world.refund_of(extra)
    assert refund.status is RefundStatus.PAID
    first, second = (one.after["payout_id"] for one in world.trail(refund.id) if one.action == "refund-started")
    assert first != second == refund.payout_id
    assert world.payouts.paid == [LENT, SURPLUS]
    check_money(world)


def test_a_payout_on_its_way_is_asked_about_under_its_id(world: World, extra: str) -> None:
    world.payouts.outcome = PayoutAnswer(reference="", status="processing")
    for _ in range(2):
        world.app.payout_desk.take_up(event_of(world, extra))
    sending = world.refund_of(extra)
    assert (sending.status, sending.paid_at) == (RefundStatus.SENDING, None)
    assert world.balances()[Account.REFUNDS_OWED] == -SURPLUS
    check_money(world)
    world.clock.advance(hours=1)
    assert world.sweep().payouts_checked == 1
    assert sending.payout_id is not None
    world.payouts.end(sending.payout_id, "completed")
    world.clock.advance(minutes=6)
    assert world.sweep().payouts_checked == 1
    assert (world.refund_of(extra).status, world.refund_of(extra).payout_id) == (RefundStatus.PAID, sending.payout_id)
    assert world.payouts.paid == [LENT, SURPLUS]
    check_money(world)


def test_a_gateway_that_is_down_gets_the_same_payout_later(world: World, extra: str) -> None:
    world.payouts.down_from = world.payouts.calls + 2  # It names the account's holder, and then goes away.
    world.app.payout_desk.take_up(event_of(world, extra))
    assert waits_for_the_gateway(world)
    payout_id = world.refund_of(extra).payout_id
    assert payout_id is not None
    world.payouts.down_from = None
    world.app.payout_desk.take_up(event_of(world, extra))
    assert world.refund_of(extra).payout_id == payout_id
    assert world.payouts.paid == [LENT, SURPLUS]


def test_the_event_and_the_sweep_at_the_same_moment_pay_once(world: World, extra: str) -> None:
    start = threading.Barrier(6)
    refund_id, event = world.refund_of(extra).id, event_of(world, extra)

    def pay(number: int) -> None:
        start.wait(10)
        if number % 2:
            world.app.paying_out.pay("refund", refund_id, actor=SWEEP)
        else:
            world.app.payout_desk.take_up(event)

    threads = [threading.Thread(target=pay, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert world.payouts.paid == [LENT, SURPLUS]
    assert world.actions(refund_id) == ["refund-owed", "refund-started", "refund-paid"]
    check_money(world)
