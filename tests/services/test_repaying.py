"""Repayments: one order a key, and every rupiah posted once."""

import threading
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from tests.world import START, World

from pinjam.domain.loan import LoanStatus
from pinjam.domain.payment import Instructions, Method, Payment, PaymentStatus
from pinjam.domain.repayment import outstanding
from pinjam.services.errors import Forbidden, Invalid, NotFound, StateForbids
from pinjam.services.ports import Order, Refused, Unavailable
from pinjam.services.recording import Actor
from pinjam.services.repaying import PaymentForm

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


def test_a_payment_asks_for_the_next_instalment(world: World, user_id: str, loan_id: str) -> None:
    payment = world.payment(world.order(user_id, loan_id))
    first = world.loan(loan_id).instalments[0]
    assert payment.amount == first.principal + first.interest
    assert (payment.status, payment.expires_at) == (PaymentStatus.PENDING, START + timedelta(hours=24))
    assert payment.instructions is not None
    assert payment.instructions.va_number == "8808"
    assert payment.transaction_id == f"tx-{payment.id}"
    assert world.payments.orders[payment.id].amount == payment.amount
    assert world.actions(payment.id) == ["payment-started"]


def test_a_late_instalment_is_asked_for_with_its_late_fee(world: World, user_id: str, loan_id: str) -> None:
    first = world.loan(loan_id).instalments[0]
    world.go_to(first.due_date + timedelta(days=5))
    payment = world.payment(world.order(user_id, loan_id))
    # 0.1 % a day on two days (from day 4 past due), rounded half up.
    fee = (2 * (first.principal + first.interest) + 500) // 1000
    assert payment.amount == first.principal + first.interest + fee


def test_one_key_is_one_order(world: World, user_id: str, loan_id: str) -> None:
    first = world.start_payment(user_id, loan_id, key="one")
    again = world.start_payment(user_id, loan_id, key="one")
    assert (again.body, again.replayed) == (first.body, True)
    assert len(world.all(Payment)) == len(world.payments.orders) == 1
    with pytest.raises(Invalid) as refused:
        world.start_payment(user_id, loan_id, key="one", request="another")
    assert refused.value.code == "idempotency-key-reused"


def test_while_the_first_request_runs_its_repetition_waits(world: World, user_id: str, loan_id: str) -> None:
    answers: list[Any] = []
    gateway = world.payments

    class Slow:
        def charge(self, **asked: Any) -> tuple[Order, Instructions]:
            with pytest.raises(StateForbids) as refused:
                world.start_payment(user_id, loan_id, key="one")
            answers.append(refused.value.code)
            return gateway.charge(**asked)

    slow = replace(world.app.repaying, gateway=Slow())  # type: ignore[arg-type]  # answers as the port asks
    slow.start(
        user_id,
        PaymentForm(loan_id=loan_id, kind="instalment", amount=None, method=Method(type="qris")),
        keyed=world.keyed(user_id, "pay", "one"),
        actor=world.actor(user_id),
    )
    assert answers == ["request-running"]
    assert len(world.all(Payment)) == 1


def test_a_request_that_died_is_taken_up_with_the_same_order(world: World, user_id: str, loan_id: str) -> None:
    class Dead(BaseException):
        pass

    class Dying:
        def charge(self, **_: object) -> None:
            raise Dead

    dying = replace(world.app.repaying, gateway=Dying())  # type: ignore[arg-type]  # it answers nothing
    with pytest.raises(Dead):
        dying.start(
            user_id,
            PaymentForm(
                loan_id=loan_id, kind="instalment", amount=None, method=Method(type="bank_transfer", bank="bca")
            ),
            keyed=world.keyed(user_id, "pay", "one"),
            actor=world.actor(user_id),
        )
    with pytest.raises(StateForbids, match="request-running"):
        world.start_payment(user_id, loan_id, key="one")
    world.clock.advance(seconds=30)
    answered = world.start_payment(user_id, loan_id, key="one")
    (payment,) = world.all(Payment)
    assert answered.body["id"] == payment.id
    assert payment.instructions is not None


def test_a_gateway_that_comes_back_gets_the_same_order(world: World, user_id: str, loan_id: str) -> None:
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.start_payment(user_id, loan_id, key="one")
    (waiting,) = world.all(Payment)
    world.payments.down = False
    answered = world.start_payment(user_id, loan_id, key="one")
    assert not answered.replayed
    assert answered.body["id"] == waiting.id
    assert list(world.payments.orders) == [waiting.id]
    assert world.start_payment(user_id, loan_id, key="one").replayed


def test_a_request_taken_up_after_its_orders_end_gets_a_new_order(world: World, user_id: str, loan_id: str) -> None:
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.start_payment(user_id, loan_id, key="one")
    (old,) = world.all(Payment)
    world.payments.down = False
    world.clock.advance(hours=24)
    payment = world.payment(str(world.start_payment(user_id, loan_id, key="one").body["id"]))
    assert payment.id != old.id
    assert payment.expires_at == world.clock.instant + timedelta(hours=24)


def test_a_refused_order_failed_and_the_key_may_try_again(world: World, user_id: str, loan_id: str) -> None:
    world.payments.refusing = True
    with pytest.raises(Unavailable):
        world.start_payment(user_id, loan_id, key="one")
    (refused,) = world.all(Payment)
    assert refused.status is PaymentStatus.FAILED
    assert world.actions(refused.id) == ["payment-started", "payment-refused"]
    world.payments.refusing = False
    assert world.start_payment(user_id, loan_id, key="one").body["id"] != refused.id
    assert len(world.payments.orders) == 1


def test_a_settlement_that_is_faster_than_our_own_answer_is_posted_once(
    world: World, user_id: str, loan_id: str
) -> None:
    gateway, before = world.payments, owed(world, loan_id)

    class Fast:
        """The money is there, and told of, before the gateway's answer has reached us."""

        def charge(self, **asked: Any) -> tuple[Order, Instructions]:
            answer = gateway.charge(**asked)
            settle(world, asked["order_id"])
            return answer

    fast = replace(world.app.repaying, gateway=Fast())  # type: ignore[arg-type]  # answers as the port asks
    fast.start(
        user_id,
        PaymentForm(loan_id=loan_id, kind="instalment", amount=None, method=Method(type="qris")),
        keyed=world.keyed(user_id, "pay", "one"),
        actor=world.actor(user_id),
    )
    (payment,) = world.all(Payment)
    assert payment.status is PaymentStatus.SETTLED
    assert payment.instructions is not None
    world.hear(payment.id)
    assert owed(world, loan_id) == before - payment.amount
    assert len(world.events("payment-settled")) == 1


def test_a_settlement_goes_into_the_loan_once(world: World, user_id: str, loan_id: str) -> None:
    before = owed(world, loan_id)
    payment_id = world.pay(user_id, loan_id)
    for _ in range(3):
        world.hear(payment_id)
        world.app.collecting.check(payment_id, actor=SWEEP)
    payment, loan = world.payment(payment_id), world.loan(loan_id)
    assert (payment.status, payment.settled_at, payment.surplus) == (PaymentStatus.SETTLED, START, 0)
    assert sum(part.total for part in payment.allocation) == payment.amount
    assert owed(world, loan_id) == before - payment.amount
    assert loan.next_due_on == loan.instalments[1].due_date
    (event,) = world.events("payment-settled")
    told = {"user_id": user_id, "loan_id": loan_id, "amount": payment.amount, "surplus": 0}
    assert (event.subject, event.data) == (payment_id, told)
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
    world.app.collecting.hear(
        {"order_id": payment_id, "signature_key": "genuine", "transaction_status": "settlement"}, request_id="req"
    )
    assert world.payment(payment_id).status is PaymentStatus.PENDING


def test_a_forged_notification_changes_nothing(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    world.payments.move(payment_id, "settled")
    with pytest.raises(Forbidden, match="bad-signature"):
        world.app.collecting.hear({"order_id": payment_id, "signature_key": "forged"}, request_id="req")
    assert world.payment(payment_id).status is PaymentStatus.PENDING


def test_a_notification_of_an_unknown_or_no_order_is_refused(world: World) -> None:
    with pytest.raises(NotFound, match="payment-not-found"):
        world.app.collecting.hear({"order_id": "pay_1", "signature_key": "genuine"}, request_id="req")
    with pytest.raises(Invalid) as refused:
        world.app.collecting.hear({"order_id": None, "signature_key": "genuine"}, request_id="req")
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
    assert (loan.settled_at, owed(world, loan_id)) == (START + timedelta(seconds=1), 0)
    (event,) = world.events("loan-settled")
    assert (event.subject, event.data) == (loan_id, {"user_id": user_id, "loan_id": loan_id})
    assert [one.topic for one in world.publisher.events[-2:]] == ["payment-settled", "loan-settled"]
    assert world.apply(user_id)


@pytest.mark.parametrize("state", ["accepted", "settled"])
def test_only_an_active_loan_is_repaid(world: World, user_id: str, state: str) -> None:
    loan_id = world.accepted(user_id, tenor_months=1)
    if state == "settled":
        world.app.payout_desk.take_up(world.accepted_event(loan_id))
        world.pay(user_id, loan_id)
    with pytest.raises(StateForbids) as refused:
        world.order(user_id, loan_id)
    assert (refused.value.code, refused.value.params) == ("loan-not-active", {"status": state})


def test_a_qris_payment_has_a_limit_of_its_own(world: World, user_id: str, loan_id: str) -> None:
    loan = world.loan(loan_id)
    first = replace(loan.instalments[0], principal=10_000_001, interest=0)
    world.put(replace(loan, instalments=(first, *loan.instalments[1:])))
    with pytest.raises(Invalid) as refused:
        world.start_payment(user_id, loan_id, method=Method(type="qris"))
    (problem,) = refused.value.fields
    assert (problem.field, problem.code) == ("method.type", "qris-limit")
    assert problem.params == {"max": 10_000_000, "amount": 10_000_001}
    assert world.all(Payment) == []
    assert world.start_payment(user_id, loan_id).status == 200


def test_another_borrowers_loan_and_payment_are_not_there(world: World, user_id: str, loan_id: str) -> None:
    other, payment_id = world.verified(2), world.order(user_id, loan_id)
    for unseen in (loan_id, "loan_nothing"):
        with pytest.raises(NotFound, match="loan-not-found"):
            world.order(other, unseen)
    with pytest.raises(NotFound, match="payment-not-found"):
        world.app.repaying.show(other, payment_id)
    assert world.app.repaying.show(user_id, payment_id).id == payment_id
    assert world.app.repaying.list(other, loan_id=None, limit=20, after=None).items == ()


def test_payments_are_listed_newest_first_and_of_one_loan(world: World, user_id: str, loan_id: str) -> None:
    made = [world.order(user_id, loan_id) for _ in range(3)]
    page = world.app.repaying.list(user_id, loan_id=loan_id, limit=2, after=None)
    rest = world.app.repaying.list(user_id, loan_id=loan_id, limit=2, after=page.next_cursor)
    assert [one.id for one in (*page.items, *rest.items)] == made[::-1]
    assert world.app.repaying.list(user_id, loan_id="loan_other", limit=2, after=None).items == ()


def test_an_order_past_its_time_is_cancelled_and_expired(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    assert world.app.collecting.check(payment_id, actor=SWEEP) is PaymentStatus.PENDING
    world.clock.advance(hours=24)
    assert world.app.collecting.check(payment_id, actor=SWEEP) is PaymentStatus.EXPIRED
    assert world.payments.orders[payment_id].status == "expired"


def test_an_order_that_the_gateway_never_got_expires_in_time(world: World, user_id: str, loan_id: str) -> None:
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.order(user_id, loan_id)
    world.payments.down = False
    (payment,) = world.all(Payment)
    assert world.app.collecting.check(payment.id, actor=SWEEP) is PaymentStatus.PENDING
    world.clock.advance(hours=24)
    assert world.app.collecting.check(payment.id, actor=SWEEP) is PaymentStatus.EXPIRED


def test_a_gateway_that_refuses_the_question_is_no_answer(world: World, user_id: str, loan_id: str) -> None:
    payment_id = world.order(user_id, loan_id)
    world.payments.refusing = True
    with pytest.raises(Refused):
        world.app.collecting.check(payment_id, actor=SWEEP)
    assert world.payment(payment_id).status is PaymentStatus.PENDING


def test_days_late_end_with_the_payment(world: World, user_id: str, loan_id: str) -> None:
    world.go_to(date(2027, 1, 3))
    world.pay(user_id, loan_id)
    first = world.loan(loan_id).instalments[0]
    assert (first.paid_on, first.paid_late_fee > 0) == (date(2027, 1, 3), True)
