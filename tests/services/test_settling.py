"""Money that arrives, or does not: posted once, in whatever order it is told of."""

import threading
from datetime import date
from typing import Any

import pytest
from tests.world import START, World

from pinjam.domain.loan import LoanStatus
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.repayment import outstanding
from pinjam.services.errors import Forbidden, Invalid, NotFound, StateForbids
from pinjam.services.ports import Refused, Unavailable
from pinjam.services.recording import Actor

SWEEP = Actor(id="sweep", request_id="req_sweep")


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def loan_id(world: World, user_id: str) -> str:
    return world.active(user_id)


def owed(world: World, loan_id: str) -> int:
    return outstanding(world.loan(loan_id), world.clock.today())


def settle(world: World, payment_id: str) -> None:
    world.payments.move(payment_id, "settled")
    world.hear(payment_id)


def test_a_settlement_goes_into_the_loan_once(world: World, user_id: str, loan_id: str) -> None:
    before = owed(world, loan_id)
    payment_id = world.pay(user_id, loan_id)
    for _ in range(3):
        world.hear(payment_id)
        world.app.repaying.check(payment_id, actor=SWEEP)
    payment, loan = world.payment(payment_id), world.loan(loan_id)
    assert (payment.status, payment.settled_at, payment.surplus) == (PaymentStatus.SETTLED, START, 0)
    assert sum(part.total for part in payment.allocation) == payment.amount
    assert owed(world, loan_id) == before - payment.amount
    assert loan.next_due_on == loan.instalments[1].due_date
    (event,) = world.events("payment-settled")
    assert (event.subject, event.data) == (payment_id, {"user_id": user_id, "loan_id": loan_id})
    assert world.actions(payment_id) == ["payment-started", "payment-settled"]
    assert world.actions(loan_id)[-1] == "loan-repaid"


def test_notifications_at_the_same_moment_post_once(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    world.payments.move(payment_id, "settled")
    start = threading.Barrier(5)

    def hear() -> None:
        start.wait(10)
        world.hear(payment_id)

    threads = [threading.Thread(target=hear) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert world.actions(loan_id).count("loan-repaid") == 1
    assert len(world.events("payment-settled")) == 1


def test_what_counts_is_the_gateways_status_and_not_the_notification(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    world.app.repaying.hear(
        {"order_id": payment_id, "signature_key": "genuine", "transaction_status": "settlement"}, request_id="req"
    )
    assert world.payment(payment_id).status is PaymentStatus.PENDING


def test_a_forged_notification_changes_nothing(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    world.payments.move(payment_id, "settled")
    with pytest.raises(Forbidden, match="bad-signature"):
        world.app.repaying.hear({"order_id": payment_id, "signature_key": "forged"}, request_id="req")
    assert world.payment(payment_id).status is PaymentStatus.PENDING


def test_a_notification_of_an_unknown_or_no_order_is_refused(world: World) -> None:
    with pytest.raises(NotFound, match="payment-not-found"):
        world.app.repaying.hear({"order_id": "pay_1", "signature_key": "genuine"}, request_id="req")
    with pytest.raises(Invalid) as refused:
        world.app.repaying.hear({"order_id": None, "signature_key": "genuine"}, request_id="req")
    assert [(one.field, one.code) for one in refused.value.fields] == [("order_id", "required")]


def test_a_gateway_that_cannot_confirm_now_is_asked_when_it_tells_again(
    world: World, user_id: str, loan_id: str
) -> None:
    payment_id = world.order(user_id, loan_id)
    world.payments.move(payment_id, "settled")
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.hear(payment_id)
    world.payments.down = False
    world.hear(payment_id)
    assert world.payment(payment_id).status is PaymentStatus.SETTLED


def test_another_sum_than_was_asked_is_not_posted(world: World, user_id: str, loan_id: str) -> None:
    payment_id, before = world.order(user_id, loan_id), owed(world, loan_id)
    world.payments.move(payment_id, "settled", amount=1)
    with pytest.raises(StateForbids, match="payment-amount-differs"):
        world.hear(payment_id)
    assert (world.payment(payment_id).status, owed(world, loan_id)) == (PaymentStatus.PENDING, before)


@pytest.mark.parametrize(
    ("told", "status"), [("expired", PaymentStatus.EXPIRED), ("failed", PaymentStatus.FAILED)], ids=str
)
def test_an_order_that_ended_unpaid_is_closed_once(
    world: World, user_id: str, loan_id: str, told: Any, status: PaymentStatus
) -> None:
    payment_id, before = world.order(user_id, loan_id), owed(world, loan_id)
    world.payments.move(payment_id, told)
    for _ in range(2):
        world.hear(payment_id)
    assert (world.payment(payment_id).status, owed(world, loan_id)) == (status, before)
    assert world.actions(payment_id) == ["payment-started", f"payment-{status.value}"]


def test_an_end_that_is_told_after_the_settlement_changes_nothing(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.pay(user_id, loan_id)
    after = owed(world, loan_id)
    world.payments.move(payment_id, "expired")
    world.hear(payment_id)
    assert (world.payment(payment_id).status, owed(world, loan_id)) == (PaymentStatus.SETTLED, after)


def test_money_that_comes_after_the_end_is_posted(world: World, user_id: str, loan_id: str) -> None:
    payment_id, before = world.order(user_id, loan_id), owed(world, loan_id)
    world.payments.move(payment_id, "expired")
    world.hear(payment_id)
    settle(world, payment_id)
    payment = world.payment(payment_id)
    assert (payment.status, owed(world, loan_id)) == (PaymentStatus.SETTLED, before - payment.amount)


def test_two_orders_for_one_debt_go_to_the_next_instalments(world: World, user_id: str, loan_id: str) -> None:
    one, two = world.order(user_id, loan_id), world.order(user_id, loan_id)
    settle(world, one)
    settle(world, two)
    assert [part.number for part in world.payment(one).allocation] == [1]
    assert [part.number for part in world.payment(two).allocation] == [2]


def test_what_exceeds_the_debt_is_a_surplus(world: World, user_id: str) -> None:
    loan_id = world.active(user_id, tenor_months=1)
    orders = [world.order(user_id, loan_id) for _ in range(2)]
    for payment_id in orders:
        settle(world, payment_id)
    first, second = (world.payment(one) for one in orders)
    assert (first.surplus, second.surplus, second.allocation) == (0, second.amount, ())
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    assert len(world.events("loan-settled")) == 1


def test_the_last_instalment_settles_the_loan_and_tells_of_it(world: World, user_id: str) -> None:
    loan_id = world.active(user_id, tenor_months=2)
    world.pay(user_id, loan_id)
    assert world.events("loan-settled") == []
    world.pay(user_id, loan_id)
    loan = world.loan(loan_id)
    assert (loan.status, loan.open_for, loan.next_due_on) == (LoanStatus.SETTLED, None, None)
    assert (loan.settled_at, owed(world, loan_id)) == (START, 0)
    (event,) = world.events("loan-settled")
    assert (event.subject, event.data) == (loan_id, {"user_id": user_id, "loan_id": loan_id})
    assert [one.topic for one in world.publisher.events[-2:]] == ["payment-settled", "loan-settled"]
    assert world.apply(user_id)


def test_an_order_past_its_time_is_cancelled_and_expired(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    assert world.app.repaying.check(payment_id, actor=SWEEP) is PaymentStatus.PENDING
    world.clock.advance(hours=24)
    assert world.app.repaying.check(payment_id, actor=SWEEP) is PaymentStatus.EXPIRED
    assert world.payments.orders[payment_id].status == "expired"


def test_an_order_that_the_gateway_never_got_expires_in_time(world: World, user_id: str, loan_id: str) -> None:
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.order(user_id, loan_id)
    world.payments.down = False
    (payment,) = world.all(Payment)
    assert world.app.repaying.check(payment.id, actor=SWEEP) is PaymentStatus.PENDING
    world.clock.advance(hours=24)
    assert world.app.repaying.check(payment.id, actor=SWEEP) is PaymentStatus.EXPIRED


def test_a_gateway_that_refuses_the_question_is_no_answer(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    world.payments.refusing = True
    with pytest.raises(Refused):
        world.app.repaying.check(payment_id, actor=SWEEP)
    assert world.payment(payment_id).status is PaymentStatus.PENDING


def test_days_late_end_with_the_payment(world: World, user_id: str, loan_id: str) -> None:
    world.go_to(date(2027, 1, 3))
    world.pay(user_id, loan_id)
    first = world.loan(loan_id).instalments[0]
    assert (first.paid_on, first.paid_late_fee > 0) == (date(2027, 1, 3), True)
