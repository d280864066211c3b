"""Payments that are taken back: the rest of the loan's history is reckoned again as if they had never come."""

from datetime import timedelta
from typing import Literal

import pytest
from tests.books import check_journal, check_money
from tests.world import World

from pinjam.domain.ledger import Account, JournalEntry
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import PaymentKind, PaymentStatus
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.trail import Event
from pinjam.services.errors import StateForbids
from pinjam.services.ports import OrderStatus, PayoutAnswer
from pinjam.services.recording import Actor

STAFF = Actor(id="staff:siti", request_id="req_staff")
CHAIN: tuple[tuple[PaymentKind, int | None, int], ...] = (
    ("partial", 150_000, 10),
    ("instalment", None, 30),
    ("partial", 600_000, 45),
    ("instalment", None, 5),
    ("settlement", None, 10),
)
"""A loan's payments: kind, amount, and the days that pass before each."""


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def loan_id(world: World, user_id: str) -> str:
    return world.active(user_id)


def repay(world: World, user_id: str, loan_id: str, *, but: int | None = None) -> list[str]:
    """The payments of CHAIN; the one at `but` is paid, and never reaches us."""
    made = []
    for at, (kind, amount, days) in enumerate(CHAIN):
        world.pass_days(days)
        order = world.order(user_id, loan_id, kind=kind, amount=amount)
        if at != but:
            world.settle(order)
        made.append(order)
    return made


def refund_on_its_way(world: World, user_id: str, loan_id: str) -> tuple[str, str, Event]:
    """A payment beyond the debt whose refund has no final answer yet; the payment before it; the first one's event."""
    extra = world.order(user_id, loan_id)
    settling = world.pay(user_id, loan_id, kind="settlement")
    world.payouts.outcome = PayoutAnswer(reference="", status="processing")
    world.settle(extra)
    (event,) = [one for one in world.events("payment-settled") if one.subject == extra]
    world.consume("disburse", event)
    return extra, settling, event


def debt(loan: Loan) -> object:
    """What a reversal must rebuild."""
    return loan.instalments, loan.next_due_on


@pytest.mark.parametrize("at", range(len(CHAIN)))
@pytest.mark.parametrize("how", ["reversed", "failed"])
def test_each_payment_of_a_chain_can_be_taken_back(
    world: World, user_id: str, loan_id: str, at: int, how: OrderStatus
) -> None:
    payments = repay(world, user_id, loan_id)
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    for _ in range(2):
        world.take_back(payments[at], how)
    gone, loan = world.payment(payments[at]), world.loan(loan_id)
    assert (gone.status, gone.allocation, gone.surplus) == (PaymentStatus.REVERSED, (), 0)
    assert gone.reversed_at is not None
    assert (loan.status, loan.settled_at, loan.open_for) == (LoanStatus.ACTIVE, None, user_id)
    assert world.owed(loan_id) > 0
    assert world.actions(loan_id).count("repayment-reversed") == 1
    assert world.actions(payments[at])[-1] == "payment-reversed"
    (told,) = world.events("payment-reversed")
    assert told.subject == payments[at]
    assert told.data == {"user_id": user_id, "loan_id": loan_id, "amount": gone.amount}
    check_money(world)
    # What is owed again can be paid again.
    world.pay(user_id, loan_id, kind="settlement")
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    check_money(world)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_the_rest_stands_as_if_the_payment_had_never_come(world: World, user_id: str, loan_id: str, at: int) -> None:
    amounts = (150_000, 500_000, 600_000, 300_000)
    orders = []
    twin = world.verified(2)
    twin_loan = world.active(twin)
    for number, amount in enumerate(amounts):
        world.pass_days(20)
        order = world.order(user_id, loan_id, kind="partial", amount=amount)
        orders.append(order)
        world.settle(order)
        if number != at:
            world.pay(twin, twin_loan, kind="partial", amount=amount)
    world.take_back(orders[at])
    assert debt(world.loan(loan_id)) == debt(world.loan(twin_loan))
    check_money(world)


def test_a_payment_that_moves_others_has_their_entries_reversed_and_made_anew(
    world: World, user_id: str, loan_id: str
) -> None:
    first, second = world.pay(user_id, loan_id), world.pay(user_id, loan_id)
    world.pass_days(3)
    before = world.payment(second)
    world.take_back(first)
    moved = world.payment(second)
    assert [part.number for part in before.allocation] == [2]
    assert [part.number for part in moved.allocation] == [1]
    assert (moved.status, moved.settled_at, moved.posted_on) == (before.status, before.settled_at, before.posted_on)
    assert world.actions(second) == ["payment-started", "payment-settled", "payment-reallocated"]
    keys = [(one.kind, one.subject) for one in world.entries(loan_id)][-5:]
    assert keys == [
        ("repayment", first),
        ("repayment", second),
        ("reversal", first),
        ("reversal", second),
        ("repayment", second),
    ]
    assert world.entries(loan_id)[-1].key == f"repayment:{second}:2"
    # Corrections are made on the day of the correction, and never in days whose balance was told.
    assert {one.on for one in world.entries(loan_id)[-3:]} == {world.clock.today()}
    check_money(world)


def test_every_payment_can_be_taken_back_one_after_the_other(world: World, user_id: str, loan_id: str) -> None:
    untouched = debt(world.loan(loan_id))
    payments = repay(world, user_id, loan_id)
    for payment_id in (payments[2], payments[0], payments[4], payments[1], payments[3]):
        world.take_back(payment_id)
        check_money(world)
    assert debt(world.loan(loan_id)) == untouched
    assert len({one.key for one in world.entries(loan_id)}) == len(world.entries(loan_id))
    assert world.balances()[Account.LOANS_RECEIVABLE] == 3_000_000
    assert world.balances()[Account.INTEREST_INCOME] == 0


def test_a_reopened_loan_lives_beside_another_that_was_opened_since(world: World, user_id: str, loan_id: str) -> None:
    settling = world.pay(user_id, loan_id, kind="settlement")
    second = world.active(user_id)
    world.take_back(settling)
    first = world.loan(loan_id)
    assert (first.status, first.open_for) == (LoanStatus.ACTIVE, None)
    assert (world.loan(second).status, world.loan(second).open_for) == (LoanStatus.ACTIVE, user_id)
    check_money(world)
    # Both are repaid; only then may a third be asked for.
    world.pay(user_id, second, kind="settlement")
    with pytest.raises(StateForbids, match="loan-active"):
        world.apply(user_id)
    world.pay(user_id, loan_id, kind="settlement")
    assert (world.loan(loan_id).status, world.loan(second).status) == (LoanStatus.SETTLED, LoanStatus.SETTLED)
    assert world.apply(user_id)
    check_money(world)


def test_a_reopened_loan_lives_beside_an_application_that_is_then_declined(
    world: World, user_id: str, loan_id: str
) -> None:
    settling = world.pay(user_id, loan_id, kind="settlement")
    application = world.apply(user_id)
    world.take_back(settling)
    assert (world.loan(loan_id).status, world.loan(loan_id).open_for) == (LoanStatus.ACTIVE, None)
    decided = world.decide(application)
    assert decided.decision is not None
    assert (decided.status, decided.decision.reasons[0]) == (LoanStatus.DECLINED, "ACTIVE_LOAN")
    check_money(world)


def test_surplus_that_is_still_owed_pays_the_debt_that_is_back(world: World, user_id: str, loan_id: str) -> None:
    extra = world.order(user_id, loan_id)
    settling = world.pay(user_id, loan_id, kind="settlement")
    world.settle(extra)
    amount = world.payment(extra).amount
    assert world.refund_of(extra).amount == amount
    world.take_back(settling)
    refund = world.refund_of(extra)
    assert (refund.status, refund.amount, world.payment(extra).surplus) == (RefundStatus.VOID, 0, 0)
    assert world.actions(refund.id) == ["refund-owed", "refund-corrected"]
    assert world.balances()[Account.REFUNDS_OWED] == 0
    check_money(world)
    world.deliver()
    assert amount not in world.payouts.paid


def test_part_of_a_surplus_stays_owed_when_the_rest_of_it_is_needed(world: World, user_id: str) -> None:
    loan_id = world.active(user_id, amount=500_000, tenor_months=1)
    extra = world.order(user_id, loan_id)
    part = world.pay(user_id, loan_id, kind="partial", amount=100_000)
    world.pay(user_id, loan_id, kind="settlement")
    world.settle(extra)
    before = world.refund_of(extra).amount
    world.take_back(part)
    refund = world.refund_of(extra)
    assert (refund.status, refund.amount) == (RefundStatus.OWED, world.payment(extra).surplus)
    assert 0 < refund.amount < before
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    check_money(world)


def test_a_void_refund_stays_void_when_its_payment_is_taken_back_too(world: World, user_id: str, loan_id: str) -> None:
    extra = world.order(user_id, loan_id)
    settling = world.pay(user_id, loan_id, kind="settlement")
    world.settle(extra)
    world.take_back(settling)
    world.pay(user_id, loan_id, kind="settlement")
    world.take_back(extra)
    assert (world.refund_of(extra).status, world.refund_of(extra).amount) == (RefundStatus.VOID, 0)
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    check_money(world)


def test_a_payment_whose_surplus_was_paid_back_is_a_claim_in_the_ledger(
    world: World, user_id: str, loan_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    extra = world.order(user_id, loan_id)
    settling = world.pay(user_id, loan_id, kind="settlement")
    world.settle(extra)
    world.deliver()
    amount = world.payment(extra).amount
    assert world.refund_of(extra).status is RefundStatus.PAID
    world.take_back(extra)
    assert (world.refund_of(extra).status, world.payment(extra).surplus) == (RefundStatus.PAID, 0)
    assert world.balances()[Account.REFUNDS_OWED] == 0
    assert world.balances()[Account.REFUNDS_RECEIVABLE] == amount
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == ["refund-claimed"]
    claimed = world.entries(loan_id)[-1]
    assert (claimed.kind, claimed.subject) == ("claim", world.refund_of(extra).id)
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    check_money(world)
    # It is claimed once, whatever is reckoned afterwards.
    world.take_back(settling)
    assert world.balances()[Account.REFUNDS_RECEIVABLE] == amount
    check_money(world)


def test_money_that_was_paid_back_pays_no_debt_that_comes_back(world: World, user_id: str, loan_id: str) -> None:
    extra = world.order(user_id, loan_id)
    settling = world.pay(user_id, loan_id, kind="settlement")
    world.settle(extra)
    world.deliver()
    world.take_back(settling)
    payment = world.payment(extra)
    assert (payment.allocation, payment.surplus) == ((), payment.amount)
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    assert world.owed(loan_id) == 3_267_899
    check_money(world)


@pytest.mark.parametrize("ends", ["completed", "failed"])
def test_money_that_is_on_its_way_back_pays_no_debt_that_comes_back_unless_it_fails_to_arrive(
    world: World, user_id: str, loan_id: str, ends: Literal["completed", "failed"]
) -> None:
    extra, settling, event = refund_on_its_way(world, user_id, loan_id)
    world.take_back(settling)
    payment, refund = world.payment(extra), world.refund_of(extra)
    assert (payment.allocation, payment.surplus) == ((), payment.amount)
    assert (refund.status, refund.amount) == (RefundStatus.SENDING, payment.amount)
    check_money(world)
    assert refund.payout_id is not None
    world.payouts.end(refund.payout_id, ends)
    world.consume("disburse", event)
    refund, paid = world.refund_of(extra), ends == "completed"
    assert (refund.status, refund.amount) == ((RefundStatus.PAID, payment.amount) if paid else (RefundStatus.VOID, 0))
    assert world.balances()[Account.REFUNDS_OWED] == 0
    assert world.owed(loan_id) == 3_267_899 - (0 if paid else payment.amount)
    assert world.actions(loan_id)[-1] == ("repayment-reversed" if paid else "refund-netted")
    check_money(world)


def test_a_refund_that_failed_can_settle_the_loan_that_came_alive(world: World, user_id: str) -> None:
    loan_id = world.active(user_id, amount=500_000, tenor_months=1)
    extra, settling, event = refund_on_its_way(world, user_id, loan_id)
    world.take_back(settling)
    refund = world.refund_of(extra)
    assert refund.payout_id is not None
    world.payouts.end(refund.payout_id, "failed")
    world.consume("disburse", event)
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    assert len(world.events("loan-settled")) == 2
    check_money(world)


@pytest.mark.parametrize("crash", ["before it is netted", "before it is paid"])
def test_a_sweep_nets_what_a_crash_left_before_it_pays(world: World, user_id: str, loan_id: str, crash: str) -> None:
    extra, settling, _ = refund_on_its_way(world, user_id, loan_id)
    refund = world.refund_of(extra)
    assert refund.payout_id is not None
    if crash == "before it is netted":
        world.take_back(settling)
        world.payouts.end(refund.payout_id, "failed")
        failed = PayoutAnswer(reference="", status="failed", failure="unknown account")
        world.store.transact(lambda tx: world.app.paying_out._take_in(tx, str(refund.payout_id), failed, STAFF))
        assert (world.refund_of(extra).status, world.loan(loan_id).status) == (RefundStatus.OWED, LoanStatus.ACTIVE)
    else:
        world.take_back(extra)
        world.payouts.end(refund.payout_id, "completed")
    world.payouts.outcome = PayoutAnswer(reference="", status="completed")
    world.clock.advance(minutes=16)
    world.sweep()
    check_money(world)
    paid = refund.amount if crash == "before it is paid" else 0
    assert world.payouts.paid == [2_970_000, *([paid] if paid else [])]
    assert world.balances()[Account.REFUNDS_RECEIVABLE] == paid


def test_a_refund_that_fails_after_its_payment_was_taken_back_is_not_owed(
    world: World, user_id: str, loan_id: str
) -> None:
    extra, _, event = refund_on_its_way(world, user_id, loan_id)
    world.take_back(extra)
    refund = world.refund_of(extra)
    assert refund.status is RefundStatus.SENDING
    assert refund.payout_id is not None
    world.payouts.end(refund.payout_id, "failed", "unknown account")
    world.consume("disburse", event)
    refund = world.refund_of(extra)
    assert (refund.status, refund.amount, refund.payout_id) == (RefundStatus.VOID, 0, None)
    world.payouts.outcome = PayoutAnswer(reference="", status="completed")
    world.clock.advance(hours=1)
    world.sweep()
    assert world.payouts.paid == [2_970_000]
    check_money(world)


def test_a_reversal_after_the_write_off_is_a_loss_at_once(world: World, user_id: str, loan_id: str) -> None:
    first, second = world.pay(user_id, loan_id), world.pay(user_id, loan_id)
    world.pass_days(200)
    world.app.writing_off.write_off(loan_id, reason="cannot be found", actor=STAFF)
    loss = world.balances()[Account.WRITE_OFFS]
    principal = sum(part.principal for part in world.payment(second).allocation)
    world.take_back(second)
    assert world.balances()[Account.WRITE_OFFS] == loss + principal
    assert world.balances()[Account.LOANS_RECEIVABLE] == 0
    assert world.loan(loan_id).status is LoanStatus.WRITTEN_OFF
    check_money(world)
    world.take_back(first)
    assert world.balances()[Account.WRITE_OFFS] == 3_000_000
    check_money(world)


def test_two_moments_that_are_alike_spoil_nothing(world: World, user_id: str, loan_id: str) -> None:
    """Orders are paid in another order than they were made, all at one instant of a coarse clock."""
    orders = [
        world.order(user_id, loan_id, kind="partial", amount=100_000),
        world.order(user_id, loan_id),
        world.order(user_id, loan_id, kind="settlement"),
    ]
    for order in reversed(orders):
        world.payments.move(order, "settled", paid_at=world.clock.now())
        world.hear(order)
    world.take_back(orders[0])
    check_money(world)
    world.take_back(orders[2])
    check_money(world)
    world.take_back(orders[1])
    check_money(world)
    assert world.owed(loan_id) == 3_267_899


def test_the_borrower_is_told_of_money_that_was_taken_back(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.pay(user_id, loan_id)
    world.take_back(payment_id)
    world.deliver(repeat=2)
    (told,) = world.notifications("payment-reversed")
    assert (told.user_id, told.data) == (user_id, {"loan_id": loan_id, "payment_id": payment_id})
    assert "Rp544.650" in told.body


def test_an_instalment_that_is_owed_again_is_overdue_since_its_due_date(
    world: World, user_id: str, loan_id: str
) -> None:
    payment_id = world.pay(user_id, loan_id)
    first = world.loan(loan_id).instalments[0]
    world.go_to(first.due_date + timedelta(days=10))
    world.take_back(payment_id)
    loan = world.loan(loan_id)
    assert loan.next_due_on == first.due_date
    # Days 4 to 10 cost 0.1 % each of 544,650: 3,812.55, rounded half up.
    assert world.app.repaying.simulate(user_id, loan_id=loan_id, kind="instalment", as_of=None).late_fee == 3_813


def test_many_payments_are_all_read(world: World, user_id: str, loan_id: str) -> None:
    made = [world.pay(user_id, loan_id, kind="partial", amount=10_000) for _ in range(101)]
    world.take_back(made[0])
    assert world.all(Refund) == []
    check_money(world)


def test_a_payment_of_before_the_journal_can_be_taken_back(world: World, user_id: str, loan_id: str) -> None:
    """Databases that are older than the journal have payments without entries."""
    payment_id = world.pay(user_id, loan_id)
    journal = world.memory._rows[JournalEntry]
    del journal[world.entries(loan_id)[-1].id]
    world.take_back(payment_id)
    assert world.payment(payment_id).status is PaymentStatus.REVERSED
    assert world.owed(loan_id) == 3_267_899
    check_journal(world)
