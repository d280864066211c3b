"""Money on its way in: what closes a loan, what only pays it, and what the gateway may say in which order."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.books import check_money
from tests.world import START, World

from pinjam.domain.calendar import JAKARTA
from pinjam.domain.document import Document, DocumentKind, DocumentStatus
from pinjam.domain.ledger import Account
from pinjam.domain.loan import LoanStatus
from pinjam.domain.payment import Payment, PaymentKind, PaymentStatus
from pinjam.domain.payoff import payoff
from pinjam.domain.refund import RefundStatus
from pinjam.services.borrowers import loans_of
from pinjam.services.credit import credit_limit_of
from pinjam.services.errors import StateForbids
from pinjam.services.ports import Order, OrderStatus, Refused, Unavailable
from pinjam.services.recording import Actor

SWEEP = Actor(id="sweep", request_id="req_sweep")
LATE = datetime(2026, 12, 30, 23, 59, 59, tzinfo=JAKARTA)
MIDNIGHT = LATE + timedelta(seconds=1)

SLIP = Document(
    id="doc_slip",
    user_id="",
    kind=DocumentKind.INCOME,
    status=DocumentStatus.RECEIVED,
    content_type="application/pdf",
    size=1,
    sha256="0" * 64,
    source_sha256="0" * 64,
    object_key="documents/slip",
    created_at=START,
)


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def loan_id(world: World, user_id: str) -> str:
    return world.active(user_id)


@pytest.mark.parametrize("days", [0, 1, 29, 30, 31, 36, 59, 60, 95, 181, 210, 1000])
def test_the_quoted_payoff_closes_the_loan_on_any_day(world: World, user_id: str, loan_id: str, days: int) -> None:
    world.pass_days(days)
    quoted = world.app.repaying.simulate(user_id, loan_id=loan_id, kind="settlement", as_of=None)
    payment_id = world.pay(user_id, loan_id, kind="settlement")
    loan, payment = world.loan(loan_id), world.payment(payment_id)
    assert (loan.status, loan.open_for, loan.next_due_on) == (LoanStatus.SETTLED, None, None)
    assert (payment.amount, payment.closes, payment.surplus) == (quoted.amount, True, 0)
    assert sum(one.waived_interest for one in loan.instalments) == quoted.interest_saved
    assert len(world.events("loan-settled")) == 1
    check_money(world)


def test_what_counts_is_when_it_was_paid_and_not_when_we_heard(world: World, user_id: str, loan_id: str) -> None:
    world.go_to(date(2026, 12, 30), hour=23)
    payment_id = world.order(user_id, loan_id, kind="settlement")
    assert world.payment(payment_id).expires_at == MIDNIGHT
    world.go_to(date(2027, 1, 4))
    world.settle(payment_id, paid_at=LATE)
    payment, loan = world.payment(payment_id), world.loan(loan_id)
    assert (payment.closes, payment.posted_on, payment.surplus) == (True, date(2026, 12, 30), 0)
    assert loan.status is LoanStatus.SETTLED
    assert {one.paid_on for one in loan.instalments} == {date(2026, 12, 30)}
    check_money(world)


def test_a_payoff_that_is_paid_after_midnight_pays_but_does_not_close(world: World, user_id: str, loan_id: str) -> None:
    world.go_to(date(2026, 12, 30), hour=23)
    payment_id = world.order(user_id, loan_id, kind="settlement")
    world.go_to(date(2026, 12, 31))
    world.settle(payment_id, paid_at=MIDNIGHT)
    payment, loan = world.payment(payment_id), world.loan(loan_id)
    assert (payment.closes, payment.posted_on, payment.surplus) == (False, date(2026, 12, 31), 0)
    assert sum(part.total for part in payment.allocation) == payment.amount
    assert loan.status is LoanStatus.ACTIVE
    assert world.owed(loan_id) > 0
    check_money(world)


def test_without_a_time_from_the_gateway_the_moment_of_hearing_counts(world: World, user_id: str, loan_id: str) -> None:
    world.go_to(date(2026, 12, 30), hour=23)
    payment_id = world.order(user_id, loan_id, kind="settlement")
    world.payments.move(payment_id, "settled")
    world.go_to(date(2026, 12, 31))
    world.hear(payment_id)
    assert (world.payment(payment_id).closes, world.payment(payment_id).posted_on) == (False, date(2026, 12, 31))


def test_a_late_instalment_that_was_paid_in_time_costs_no_late_fee(world: World, user_id: str, loan_id: str) -> None:
    first = world.loan(loan_id).instalments[0]
    world.go_to(first.due_date, hour=20)
    payment_id = world.order(user_id, loan_id)
    paid_at = world.clock.now()
    world.go_to(first.due_date + timedelta(days=20))
    world.settle(payment_id, paid_at=paid_at)
    paid = world.loan(loan_id).instalments[0]
    assert (paid.paid_on, paid.paid_late_fee, paid.late_fee_fixed) == (first.due_date, 0, 0)
    check_money(world)


def test_a_time_that_cannot_be_is_brought_into_the_loans_life(world: World, user_id: str, loan_id: str) -> None:
    early, late = world.order(user_id, loan_id), world.order(user_id, loan_id, kind="partial", amount=10_000)
    world.settle(early, paid_at=START - timedelta(days=40))
    world.settle(late, paid_at=START + timedelta(days=40))
    assert world.payment(early).posted_on == world.loan(loan_id).disbursed_on
    assert world.payment(late).posted_on == world.clock.today()
    check_money(world)


def test_money_beyond_a_payoff_that_shrank_meanwhile_is_owed_back(world: World, user_id: str, loan_id: str) -> None:
    payoff_id = world.order(user_id, loan_id, kind="settlement")
    world.pay(user_id, loan_id, kind="partial", amount=100_000)
    world.settle(payoff_id)
    payment, refund = world.payment(payoff_id), world.refund_of(payoff_id)
    # Of the partial payment 75,000 was interest, taken ahead: the payoff had asked for 25,000 of it.
    assert (payment.closes, payment.surplus, refund.amount) == (True, 25_000, 25_000)
    assert (refund.status, refund.user_id, refund.loan_id) == (RefundStatus.OWED, user_id, loan_id)
    assert world.actions(refund.id) == ["refund-owed"]
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    (told,) = [one for one in world.events("payment-settled") if one.subject == payoff_id]
    assert told.data["surplus"] == 25_000
    assert world.balances()[Account.REFUNDS_OWED] == -25_000
    check_money(world)


def test_interest_that_was_paid_ahead_is_not_given_back(world: World, user_id: str, loan_id: str) -> None:
    world.pay(user_id, loan_id)
    world.pay(user_id, loan_id)
    assert sum(one.paid_interest for one in world.loan(loan_id).instalments) > 0
    payment_id = world.pay(user_id, loan_id, kind="settlement")
    assert {(part.interest, part.late_fee) for part in world.payment(payment_id).allocation} == {(0, 0)}
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    check_money(world)


def test_money_for_a_settled_loan_is_all_surplus(world: World, user_id: str, loan_id: str) -> None:
    instalment, payoff_id = world.order(user_id, loan_id), world.order(user_id, loan_id, kind="settlement")
    world.settle(payoff_id)
    before = world.loan(loan_id)
    world.settle(instalment)
    payment = world.payment(instalment)
    assert (payment.allocation, payment.surplus) == ((), payment.amount)
    assert world.loan(loan_id) == before
    assert world.actions(loan_id)[-1] == "loan-repaid"
    check_money(world)


ORDERS: list[tuple[list[OrderStatus], PaymentStatus]] = [
    (["settled", "settled", "settled"], PaymentStatus.SETTLED),
    (["settled", "expired"], PaymentStatus.SETTLED),
    (["settled", "pending"], PaymentStatus.SETTLED),
    (["expired", "settled"], PaymentStatus.SETTLED),
    (["failed", "settled"], PaymentStatus.SETTLED),
    (["failed", "expired"], PaymentStatus.FAILED),
    (["expired", "failed"], PaymentStatus.EXPIRED),
    (["settled", "failed"], PaymentStatus.REVERSED),
    (["settled", "reversed"], PaymentStatus.REVERSED),
    (["settled", "reversed", "reversed"], PaymentStatus.REVERSED),
    (["settled", "reversed", "settled"], PaymentStatus.REVERSED),
    (["reversed"], PaymentStatus.FAILED),
    (["reversed", "reversed"], PaymentStatus.FAILED),
    (["expired", "reversed"], PaymentStatus.EXPIRED),
    (["pending", "expired", "settled", "failed"], PaymentStatus.REVERSED),
]


@pytest.mark.parametrize(
    ("told", "status"), ORDERS, ids=lambda value: "-".join(value) if isinstance(value, list) else ""
)
@pytest.mark.parametrize("repeat", [1, 2])
def test_whatever_the_gateway_says_in_whatever_order_counts_once(
    world: World, user_id: str, loan_id: str, told: list[OrderStatus], status: PaymentStatus, repeat: int
) -> None:
    before = world.owed(loan_id)
    payment_id = world.order(user_id, loan_id)
    for one in told:
        world.payments.move(payment_id, one)
        for _ in range(repeat):
            world.hear(payment_id)
    payment = world.payment(payment_id)
    assert payment.status is status
    assert world.owed(loan_id) == before - (payment.amount if status is PaymentStatus.SETTLED else 0)
    assert len(world.events("payment-settled")) == ("settled" in told)
    assert len(world.events("payment-reversed")) == (status is PaymentStatus.REVERSED)
    check_money(world)


@pytest.mark.parametrize("amount", [1, 544_649, 544_651, 10_000_000])
def test_another_sum_is_refused_and_nothing_is_posted(
    world: World, user_id: str, loan_id: str, amount: int, caplog: pytest.LogCaptureFixture
) -> None:
    payment_id = world.order(user_id, loan_id)
    world.payments.move(payment_id, "settled", amount=amount)
    before = (world.loan(loan_id), world.entries(loan_id), world.trail(payment_id))
    for _ in range(2):
        with pytest.raises(StateForbids, match="payment-amount-differs"):
            world.hear(payment_id)
    assert (world.loan(loan_id), world.entries(loan_id), world.trail(payment_id)) == before
    assert world.payment(payment_id).status is PaymentStatus.PENDING
    assert [one.message for one in caplog.records] == ["payment-amount-differs"] * 2
    # What is right in the end is posted.
    world.payments.move(payment_id, "settled", amount=544_650)
    world.hear(payment_id)
    assert world.payment(payment_id).status is PaymentStatus.SETTLED
    check_money(world)


class Meanwhile:
    """A gateway during whose first answer something happens."""

    def __init__(self, world: World, happens: Callable[[], None]) -> None:
        self.world = world
        self.happens: Callable[[], None] | None = happens
        self.asked = 0

    def status(self, order_id: str) -> Order | None:
        self.asked += 1
        answer = self.world.payments.status(order_id)
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return answer

    def cancel(self, order_id: str) -> None:
        self.world.payments.cancel(order_id)


def check_while(world: World, payment_id: str, happens: Callable[[], None]) -> PaymentStatus:
    """Ask about an order while something happens."""
    gateway = Meanwhile(world, happens)
    collecting = replace(world.app.collecting, gateway=gateway)  # type: ignore[arg-type]  # what it asks is there
    return collecting.check(payment_id, actor=SWEEP)


def test_a_settlement_that_is_old_news_is_not_posted(world: World, user_id: str, loan_id: str) -> None:
    payment_id, before = world.order(user_id, loan_id), world.owed(loan_id)
    world.payments.move(payment_id, "settled")
    # The answer says settled; before it is posted the bank denies, and that is heard first.
    assert check_while(world, payment_id, lambda: world.take_back(payment_id, "failed")) is PaymentStatus.FAILED
    assert (world.payment(payment_id).status, world.owed(loan_id)) == (PaymentStatus.FAILED, before)
    assert world.events("payment-settled") == []
    check_money(world)


def test_a_deny_that_overtook_its_settlement_takes_it_back(world: World, user_id: str, loan_id: str) -> None:
    payment_id, before = world.order(user_id, loan_id), world.owed(loan_id)
    world.payments.move(payment_id, "failed")

    def posted_from_an_older_answer() -> None:
        world.payments.move(payment_id, "settled")
        world.hear(payment_id)
        world.payments.move(payment_id, "failed")

    assert check_while(world, payment_id, posted_from_an_older_answer) is PaymentStatus.REVERSED
    assert world.owed(loan_id) == before
    check_money(world)


def test_an_order_that_is_paid_while_it_is_being_closed_is_posted(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    world.clock.advance(hours=24)
    # Pending when asked, paid before the cancellation comes, and the notification never does.
    status = check_while(world, payment_id, lambda: world.payments.move(payment_id, "settled"))
    assert status is PaymentStatus.SETTLED
    check_money(world)


def test_an_order_that_the_gateway_will_not_close_is_asked_about_again(
    world: World, user_id: str, loan_id: str
) -> None:
    payment_id = world.order(user_id, loan_id)
    world.clock.advance(hours=24)

    class Stubborn(Meanwhile):
        def cancel(self, order_id: str) -> None:
            """A paid or challenged order cannot be closed."""

    stubborn = replace(world.app.collecting, gateway=Stubborn(world, lambda: None))  # type: ignore[arg-type]  # as above
    assert stubborn.check(payment_id, actor=SWEEP) is PaymentStatus.PENDING
    assert world.sweep().payments_checked == 1
    assert world.payment(payment_id).status is PaymentStatus.EXPIRED


def test_a_gateway_that_refuses_the_question_is_unavailable_to_its_notification(
    world: World, user_id: str, loan_id: str
) -> None:
    payment_id = world.order(user_id, loan_id)
    world.payments.refusing = True
    with pytest.raises(Unavailable):
        world.hear(payment_id)
    with pytest.raises(Refused):
        world.app.collecting.check(payment_id, actor=SWEEP)


def test_payments_of_every_kind_at_the_same_moment_are_each_posted_once(
    world: World, user_id: str, loan_id: str
) -> None:
    kinds: tuple[tuple[PaymentKind, int | None], ...] = (
        ("instalment", None),
        ("partial", 50_000),
        ("settlement", None),
    )
    orders = [world.order(user_id, loan_id, kind=kind, amount=amount) for kind, amount in kinds]
    for order in orders:
        world.payments.move(order, "settled", paid_at=START)
    start, faults = threading.Barrier(12), list[BaseException]()

    def hear(order: str) -> None:
        start.wait(10)
        try:
            world.hear(order)
        except BaseException as fault:  # noqa: BLE001 - told by the assertion below
            faults.append(fault)

    threads = [threading.Thread(target=hear, args=(order,)) for order in orders * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert faults == []
    settled = [one for one in world.all(Payment) if one.status is PaymentStatus.SETTLED]
    assert sorted(one.id for one in settled) == sorted(orders)
    came_in = sum(one.amount for one in settled)
    assert came_in == sum(one.surplus + sum(part.total for part in one.allocation) for one in settled)
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    assert -world.balances()[Account.REFUNDS_OWED] == sum(one.surplus for one in settled) > 0
    assert len(world.events("loan-settled")) == 1


def test_a_borrower_who_repaid_well_may_borrow_more_and_who_was_late_may_not(world: World, user_id: str) -> None:
    def limit() -> int:
        today = world.clock.today()
        loans = world.store.read(lambda tx: loans_of(tx, user_id))
        return credit_limit_of(loans, world.app.policies.on(today), today)

    assert limit() == 5_000_000
    world.repaid(user_id)
    assert limit() == 8_000_000
    world.pass_days(31)
    loan_id = world.active(user_id, amount=3_000_000, tenor_months=1)
    world.go_to(world.loan(loan_id).instalments[0].due_date + timedelta(days=6))
    world.pay(user_id, loan_id, kind="settlement")
    assert limit() == 8_000_000
    world.pass_days(31)
    loan_id = world.active(user_id, amount=3_000_000, tenor_months=1)
    world.go_to(world.loan(loan_id).instalments[0].due_date + timedelta(days=5))
    world.pay(user_id, loan_id, kind="settlement")
    assert limit() == 11_000_000
    check_money(world)


def test_a_second_loan_follows_the_first_under_the_new_limit(world: World, user_id: str) -> None:
    first = world.active(user_id)
    with pytest.raises(StateForbids, match="loan-active"):
        world.apply(user_id)
    world.pay(user_id, first, kind="settlement")
    world.put(replace(SLIP, user_id=user_id))
    second = world.apply(user_id, amount=9_000_000, tenor_months=12, monthly_income=12_000_000)
    decided = world.decide(second)
    assert decided.decision is not None
    assert (decided.decision.limit, decided.decision.outcome) == (8_000_000, "counter_offer")
    assert decided.offer is not None
    assert decided.offer.amount == 8_000_000
    world.accept(user_id, second)
    world.app.payout_desk.take_up(world.accepted_event(second))
    assert world.loan(second).status is LoanStatus.ACTIVE
    assert payoff(world.loan(second), world.clock.today()).total == 8_000_000
    check_money(world)


def test_instants_of_the_gateway_count_by_the_day_in_jakarta(world: World, user_id: str, loan_id: str) -> None:
    world.go_to(date(2026, 12, 1))
    payment_id = world.order(user_id, loan_id)
    world.go_to(date(2026, 12, 3))
    # 17:30 UTC is half past midnight of the next day.
    world.settle(payment_id, paid_at=datetime(2026, 12, 1, 17, 30, tzinfo=UTC))
    assert world.payment(payment_id).posted_on == date(2026, 12, 2)
