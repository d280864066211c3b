"""Money that is heard of late takes its place in business order, and what came after it is reckoned again."""

from datetime import timedelta

import pytest
from tests.books import check_money
from tests.world import World

from pinjam.domain.ledger import Account
from pinjam.domain.loan import LoanStatus
from pinjam.domain.payment import Payment
from pinjam.domain.refund import Refund, RefundStatus

QUOTED_AFTER = 20
"""Days past the first due date on which the settlement is quoted and paid."""


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def loan_id(world: World, user_id: str) -> str:
    return world.active(user_id)


def paid_silently(world: World, user_id: str, loan_id: str, *, amount: int | None = None) -> str:
    """An order that is paid now, of which we do not hear yet: a part, or the quoted payoff."""
    order = world.order(user_id, loan_id, kind="partial" if amount else "settlement", amount=amount)
    world.payments.move(order, "settled", paid_at=world.clock.now())
    return order


def heard(world: World, order: str) -> Payment:
    """The payment once the gateway's notification has come."""
    world.hear(order)
    world.clock.advance(seconds=1)
    return world.payment(order)


def go_past_due(world: World, loan_id: str) -> None:
    world.go_to(world.loan(loan_id).instalments[0].due_date + timedelta(days=QUOTED_AFTER))


@pytest.mark.parametrize("meanwhile", [10_000, 700_000, None])
@pytest.mark.parametrize("days", [1, 40])
def test_a_payoff_that_was_paid_in_time_closes_the_loan_whatever_was_posted_before_we_heard(
    world: World, user_id: str, loan_id: str, meanwhile: int | None, days: int
) -> None:
    go_past_due(world, loan_id)
    quoted_on = world.clock.today()
    closing = paid_silently(world, user_id, loan_id)
    world.pass_days(days)
    other = world.pay(user_id, loan_id, kind="partial" if meanwhile else "settlement", amount=meanwhile)
    world.pass_days(2)
    payment, loan = heard(world, closing), world.loan(loan_id)
    assert (loan.status, loan.next_due_on) == (LoanStatus.SETTLED, None)
    assert {one.paid_on for one in loan.instalments} == {quoted_on}
    assert (payment.posted_on, payment.closes, payment.surplus) == (quoted_on, True, 0)
    later = world.payment(other)
    assert (later.allocation, later.surplus) == ((), later.amount)
    assert world.actions(other)[-1] == "payment-reallocated"
    assert world.actions(loan_id)[-1] == "loan-repaid"
    assert len(world.events("loan-settled")) == 1
    check_money(world)
    # What the later payment brought goes back, and the borrower is told so with the news.
    (told,) = [one for one in world.events("payment-settled") if one.subject == closing]
    assert told.data["surplus"] == later.amount
    assert (world.refund_of(other).status, world.refund_of(other).amount) == (RefundStatus.OWED, later.amount)
    world.deliver(repeat=2)
    world.clock.advance(minutes=16)
    world.sweep()
    assert world.payouts.paid == [2_970_000, later.amount]
    assert world.balances()[Account.REFUNDS_OWED] == 0
    check_money(world)


def test_a_part_that_is_heard_late_spares_the_late_fee_of_the_days_between(
    world: World, user_id: str, loan_id: str
) -> None:
    go_past_due(world, loan_id)
    part = paid_silently(world, user_id, loan_id, amount=200_000)
    world.pass_days(10)
    instalment = world.pay(user_id, loan_id)
    fee = sum(one.late_fee for one in world.payment(instalment).allocation)
    heard(world, part)
    loan = world.loan(loan_id)
    assert sum(one.paid_late_fee for one in loan.instalments) < fee
    assert [one.fee_from for one in loan.instalments[:2]] == [world.clock.today()] * 2
    check_money(world)


def test_what_is_heard_last_stands_as_if_it_had_been_heard_in_time(world: World, user_id: str, loan_id: str) -> None:
    """Two borrowers pay the same on the same days; of the one we hear in time, of the other backwards."""
    twin = world.verified(2)
    twin_loan = world.active(twin)
    orders = []
    for amount in (150_000, 500_000, 600_000, 300_000):
        world.pass_days(20)
        orders.append(paid_silently(world, user_id, loan_id, amount=amount))
        heard(world, paid_silently(world, twin, twin_loan, amount=amount))
    for order in reversed(orders):
        heard(world, order)
        check_money(world)
    late, in_time = world.loan(loan_id), world.loan(twin_loan)
    assert (late.instalments, late.next_due_on) == (in_time.instalments, in_time.next_due_on)


def test_corrections_of_late_news_are_entries_of_the_day_on_which_it_came(
    world: World, user_id: str, loan_id: str
) -> None:
    closing = paid_silently(world, user_id, loan_id)
    world.pass_days(3)
    part = world.pay(user_id, loan_id, kind="partial", amount=100_000)
    world.pass_days(3)
    heard(world, closing)
    written = [(one.key.split(":")[0], one.subject, one.on) for one in world.entries(loan_id)]
    today = world.clock.today()
    assert written[-3:] == [
        ("repayment", closing, today),
        ("reversal", part, today),
        ("repayment", part, today),
    ]
    check_money(world)


def test_what_exceeds_a_refund_that_was_paid_already_is_a_second_refund(
    world: World, user_id: str, loan_id: str
) -> None:
    closing = paid_silently(world, user_id, loan_id)
    world.pass_days(10)
    # Another payoff, of which 25,000 are too much since a part came between, and go back at once.
    other = world.order(user_id, loan_id, kind="settlement")
    world.pay(user_id, loan_id, kind="partial", amount=100_000)
    world.settle(other)
    world.deliver()
    (first,) = world.all(Refund)
    assert (first.payment_id, first.status) == (other, RefundStatus.PAID)
    heard(world, closing)
    payment = world.payment(other)
    assert (payment.allocation, payment.surplus) == ((), payment.amount)
    refunds = [one for one in world.all(Refund) if one.payment_id == other]
    assert [(one.status, one.amount) for one in refunds] == [
        (RefundStatus.PAID, first.amount),
        (RefundStatus.OWED, payment.amount - first.amount),
    ]
    check_money(world)
    world.deliver()
    world.clock.advance(minutes=16)
    world.sweep()
    assert {one.status for one in world.all(Refund)} == {RefundStatus.PAID}
    assert world.balances()[Account.REFUNDS_OWED] == 0
    check_money(world)


def test_late_news_of_a_written_off_loan_is_a_recovery(world: World, user_id: str, loan_id: str) -> None:
    go_past_due(world, loan_id)
    closing = paid_silently(world, user_id, loan_id)
    world.pass_days(3)
    part = world.pay(user_id, loan_id, kind="partial", amount=100_000)
    world.app.writing_off.write_off(loan_id, reason="cannot be found", actor=world.actor("staff"))
    payment = heard(world, closing)
    assert (payment.surplus, world.payment(part).surplus) == (0, 100_000)
    assert world.loan(loan_id).status is LoanStatus.WRITTEN_OFF
    assert world.balances()[Account.WRITE_OFFS] == world.balances()[Account.LOANS_RECEIVABLE] == 0
    check_money(world)


def test_a_payment_that_was_inserted_can_be_taken_back(world: World, user_id: str, loan_id: str) -> None:
    go_past_due(world, loan_id)
    closing = paid_silently(world, user_id, loan_id)
    world.pass_days(3)
    part = world.pay(user_id, loan_id, kind="partial", amount=100_000)
    before = world.loan(loan_id)
    heard(world, closing)
    world.take_back(closing)
    after = world.loan(loan_id)
    assert (after.status, after.instalments) == (LoanStatus.ACTIVE, before.instalments)
    assert (world.refund_of(part).status, world.payment(part).surplus) == (RefundStatus.VOID, 0)
    check_money(world)
