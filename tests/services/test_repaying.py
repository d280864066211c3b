"""Repayments: one order a key, whatever fails on the way."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.world import START, World

from pinjam.domain.payment import Instructions, Method, Payment, PaymentStatus
from pinjam.domain.repayment import outstanding
from pinjam.services.errors import Invalid, NotFound, StateForbids
from pinjam.services.ports import Order, Unavailable


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
        loan_id=loan_id,
        kind="instalment",
        method=Method(type="qris"),
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
            loan_id=loan_id,
            kind="instalment",
            method=Method(type="bank_transfer", bank="bca"),
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
        loan_id=loan_id,
        kind="instalment",
        method=Method(type="qris"),
        keyed=world.keyed(user_id, "pay", "one"),
        actor=world.actor(user_id),
    )
    (payment,) = world.all(Payment)
    assert payment.status is PaymentStatus.SETTLED
    assert payment.instructions is not None
    world.hear(payment.id)
    assert owed(world, loan_id) == before - payment.amount
    assert len(world.events("payment-settled")) == 1


@pytest.mark.parametrize("state", ["accepted", "settled"])
def test_only_an_active_loan_is_repaid(world: World, user_id: str, state: str) -> None:
    loan_id = world.accepted(user_id, tenor_months=1)
    if state == "settled":
        world.app.disbursing.disburse(world.accepted_event(loan_id))
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
