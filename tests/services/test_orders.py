"""What may be ordered: limits of each kind, one open order of a kind, and bills of any day."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.books import check_money
from tests.world import BCA, START, World

from pinjam.domain.loan import LoanStatus
from pinjam.domain.payment import Instructions, Method, Payment, PaymentKind, PaymentStatus
from pinjam.domain.payoff import payoff
from pinjam.services.errors import Invalid, NotFound, StateForbids
from pinjam.services.ports import Order, Unavailable
from pinjam.services.repaying import PaymentForm, Repaying

QRIS = Method(type="qris")
PENDING, EXPIRED = PaymentStatus.PENDING, PaymentStatus.EXPIRED
BILLED: tuple[PaymentKind, ...] = ("instalment", "settlement")
KINDS: tuple[tuple[PaymentKind, int | None], ...] = (("instalment", None), ("settlement", None), ("partial", 50_000))


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def loan_id(world: World, user_id: str) -> str:
    return world.active(user_id)


def refused(world: World, user_id: str, loan_id: str, **asked: Any) -> tuple[str, str, dict[str, object]]:
    """Field, code and limits of an order that is refused, with nothing left behind."""
    before = (world.all(Payment), len(world.payments.orders), len(world.kept()))
    with pytest.raises(Invalid) as answer:
        world.start_payment(user_id, loan_id, **asked)
    (problem,) = answer.value.fields
    assert (world.all(Payment), len(world.payments.orders), len(world.kept())) == before
    return problem.field, problem.code, dict(problem.params)


# Limits


@pytest.mark.parametrize("amount", [10_000, 10_001, 2_999_999, 3_000_000])
def test_a_part_may_be_anything_from_the_least_to_the_payoff(
    world: World, user_id: str, loan_id: str, amount: int
) -> None:
    payment = world.payment(world.order(user_id, loan_id, kind="partial", amount=amount))
    assert (payment.amount, payment.kind, payment.expires_at) == (amount, "partial", START + timedelta(hours=24))


@pytest.mark.parametrize(
    ("amount", "code", "limits"),
    [
        (1, "amount-too-low", {"minimum": 10_000}),
        (9_999, "amount-too-low", {"minimum": 10_000}),
        (3_000_001, "amount-too-high", {"maximum": 3_000_000}),
        (12_000_000, "amount-too-high", {"maximum": 3_000_000}),
    ],
)
def test_a_part_outside_is_refused_with_its_limit(
    world: World, user_id: str, loan_id: str, amount: int, code: str, limits: dict[str, object]
) -> None:
    assert refused(world, user_id, loan_id, kind="partial", amount=amount) == ("amount", code, limits)


def test_the_last_few_rupiah_may_be_paid_whatever_the_least_is(world: World, user_id: str, loan_id: str) -> None:
    while (left := payoff(world.loan(loan_id), world.clock.today()).total) >= 10_000:
        world.pay(user_id, loan_id, kind="partial", amount=max(10_000, left - 4_000))
    assert left > 0
    for amount, code in ((left - 1, "amount-too-low"), (left + 1, "amount-too-high")):
        field, found, limits = refused(world, user_id, loan_id, kind="partial", amount=amount)
        assert (field, found, set(limits.values())) == ("amount", code, {left})
    world.pay(user_id, loan_id, kind="partial", amount=left)
    assert payoff(world.loan(loan_id), world.clock.today()).total < left
    check_money(world)


def test_only_a_part_brings_its_amount(world: World, user_id: str, loan_id: str) -> None:
    assert refused(world, user_id, loan_id, kind="partial") == ("amount", "required", {})
    for kind in ("instalment", "settlement"):
        found = refused(world, user_id, loan_id, kind=kind, amount=544_650)
        assert found == ("amount", "amount-not-wanted", {"kind": kind})


@pytest.mark.parametrize("kind", ["settlement", "partial"])
def test_every_kind_has_the_limit_of_qris(world: World, user_id: str, kind: PaymentKind) -> None:
    for _ in range(2):  # Two loans repaid in time: the limit is 11,000,000.
        world.repaid(user_id)
        world.pass_days(31)
    world.put(replace(world.user(user_id), monthly_income=40_000_000))
    loan_id = world.active(user_id, amount=5_000_000, monthly_income=40_000_000)
    loan = world.loan(loan_id)
    first = replace(loan.instalments[0], principal=10_000_001)
    world.put(replace(loan, instalments=(first, *loan.instalments[1:])))
    total = payoff(world.loan(loan_id), world.clock.today()).total
    amount = 10_000_001 if kind == "partial" else None
    limits = {"max": 10_000_000, "amount": amount or total}
    found = refused(world, user_id, loan_id, kind=kind, amount=amount, method=QRIS)
    assert found == ("method.type", "qris-limit", limits)
    assert world.start_payment(user_id, loan_id, kind="partial", amount=10_000_000, method=QRIS).status == 200


# One open order of a kind


@pytest.mark.parametrize(("kind", "amount"), KINDS, ids=str)
def test_a_new_order_of_a_kind_replaces_the_open_one(
    world: World, user_id: str, loan_id: str, kind: PaymentKind, amount: int | None
) -> None:
    others = [world.order(user_id, loan_id, kind=other, amount=sum_) for other, sum_ in KINDS if other != kind]
    old = world.order(user_id, loan_id, kind=kind, amount=amount)
    new = world.order(user_id, loan_id, kind=kind, amount=amount)
    assert (world.payment(old).status, world.payments.orders[old].status) == (EXPIRED, "expired")
    assert world.actions(old) == ["payment-started", "payment-replaced"]
    for still in (new, *others):
        assert (world.payment(still).status, world.payments.orders[still].status) == (PENDING, "pending")
    check_money(world)


def test_money_that_arrives_on_a_replaced_order_is_posted(world: World, user_id: str, loan_id: str) -> None:
    old, new = world.order(user_id, loan_id), world.order(user_id, loan_id)
    world.settle(old)
    world.settle(new)
    assert [[part.number for part in world.payment(one).allocation] for one in (old, new)] == [[1], [2]]
    check_money(world)


def test_an_order_that_was_paid_before_it_could_be_replaced_stays_to_be_posted(
    world: World, user_id: str, loan_id: str
) -> None:
    old = world.order(user_id, loan_id)
    world.payments.move(old, "settled", paid_at=world.clock.now())
    new = world.order(user_id, loan_id)
    assert world.payment(old).status is PENDING
    # Its notification is lost: the sweep finds the money.
    world.clock.advance(minutes=16)
    world.sweep()
    assert (world.payment(old).status, world.payment(new).status) == (PaymentStatus.SETTLED, PENDING)
    check_money(world)


def test_another_loans_orders_are_left_alone(world: World, user_id: str, loan_id: str) -> None:
    other = world.verified(2)
    others = world.order(other, world.active(other))
    world.order(user_id, loan_id)
    world.order(user_id, loan_id)
    assert world.payment(others).status is PENDING


def test_an_old_order_ends_only_once_the_gateway_has_closed_it(world: World, user_id: str, loan_id: str) -> None:
    old = world.order(user_id, loan_id)
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.start_payment(user_id, loan_id, key="new")
    assert world.payment(old).status is PENDING
    world.payments.down = False
    # The repetition of the request finds it again; so does any newer request.
    new = str(world.start_payment(user_id, loan_id, key="new").body["id"])
    assert (world.payment(old).status, world.payments.orders[old].status) == (EXPIRED, "expired")
    assert world.payment(new).status is PENDING


def test_what_an_abandoned_request_left_behind_is_replaced_too(world: World, user_id: str, loan_id: str) -> None:
    old = world.order(user_id, loan_id)
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.order(user_id, loan_id)
    world.payments.down = False
    newest = world.order(user_id, loan_id)
    statuses = {one.id: one.status for one in world.all(Payment)}
    assert statuses.pop(newest) is PENDING
    assert statuses.pop(old) is EXPIRED
    assert list(statuses.values()) == [EXPIRED]


class Racing:
    """A gateway on whose way to the first order something happens."""

    def __init__(self, world: World, happens: Callable[[], None]) -> None:
        self.gateway = world.payments
        self.happens = happens

    def charge(self, **asked: Any) -> tuple[Order, Instructions]:
        self.happens()
        return self.gateway.charge(**asked)

    def cancel(self, order_id: str) -> None:
        self.gateway.cancel(order_id)

    def status(self, order_id: str) -> Order | None:
        return self.gateway.status(order_id)


def start_while(
    world: World, user_id: str, loan_id: str, happens: Callable[[], None], gateway: type[Racing] = Racing
) -> Payment:
    repaying: Repaying = replace(world.app.repaying, gateway=gateway(world, happens))  # type: ignore[arg-type]  # as asked
    answered = repaying.start(
        user_id,
        PaymentForm(loan_id=loan_id, kind="instalment", amount=None, method=BCA),
        keyed=world.keyed(user_id, "pay", "slow"),
        actor=world.actor(user_id),
    )
    return world.payment(str(answered.body["id"]))


def test_of_two_orders_at_the_same_moment_one_stays_open(world: World, user_id: str, loan_id: str) -> None:
    newer: list[str] = []
    loser = start_while(world, user_id, loan_id, lambda: newer.append(world.order(user_id, loan_id)))
    assert (loser.status, world.payments.orders[loser.id].status) == (EXPIRED, "expired")
    assert (world.payment(newer[0]).status, world.payments.orders[newer[0]].status) == (PENDING, "pending")
    # Its own borrower is told so, now and when asking again.
    again = world.start_payment(user_id, loan_id, key="slow")
    assert (again.replayed, again.body) == (True, {"id": loser.id, "status": "expired"})


def test_an_order_that_reaches_the_gateway_while_it_is_replaced_is_closed_there(
    world: World, user_id: str, loan_id: str
) -> None:
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.start_payment(user_id, loan_id, key="one")
    world.payments.down = False
    world.clock.advance(seconds=1)
    (old,) = world.all(Payment)

    class Reaching(Racing):
        def status(self, order_id: str) -> Order | None:
            answer = super().status(order_id)
            if answer is None:
                world.start_payment(user_id, loan_id, key="one")
            return answer

    new = start_while(world, user_id, loan_id, lambda: None, Reaching)
    assert (world.payment(old.id).status, world.payments.orders[old.id].status) == (EXPIRED, "expired")
    assert (new.status, world.payments.orders[new.id].status) == (PENDING, "pending")


def test_an_order_that_cannot_be_closed_after_it_lost_is_answered_all_the_same(
    world: World, user_id: str, loan_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    def lose() -> None:
        world.order(user_id, loan_id)
        world.payments.down_from = world.payments.calls + 2  # The next call opens the order; closing it fails.

    loser = start_while(world, user_id, loan_id, lose)
    assert loser.status is EXPIRED
    assert world.payments.orders[loser.id].status == "pending"
    assert [one.message for one in caplog.records] == ["order-left-open"]
    world.payments.down_from = None
    world.settle(loser.id)
    assert world.payment(loser.id).status is PaymentStatus.SETTLED
    check_money(world)


def test_a_refusal_does_not_overwrite_what_happened_meanwhile(world: World, user_id: str, loan_id: str) -> None:
    def replaced_and_then_refused() -> None:
        world.order(user_id, loan_id)
        world.payments.refusing = True

    with pytest.raises(Unavailable):
        start_while(world, user_id, loan_id, replaced_and_then_refused)
    loser = next(one for one in world.all(Payment) if one.instructions is None)
    assert loser.status is EXPIRED
    assert world.actions(loser.id) == ["payment-started", "payment-replaced"]


# Days


def test_a_settlement_is_for_the_day_on_which_it_was_asked_for(world: World, user_id: str, loan_id: str) -> None:
    world.go_to(date(2026, 12, 30), hour=0)
    early = world.payment(world.order(user_id, loan_id, kind="settlement"))
    world.go_to(date(2026, 12, 30), hour=23)
    late = world.payment(world.order(user_id, loan_id, kind="settlement"))
    assert early.amount == late.amount
    assert early.expires_at == late.expires_at == datetime(2026, 12, 30, 17, tzinfo=UTC)
    world.go_to(date(2026, 12, 31), hour=0)
    assert world.app.collecting.check(late.id, actor=world.actor("sweep")) is EXPIRED
    assert world.payments.orders[late.id].status == "expired"
    next_day = world.payment(world.order(user_id, loan_id, kind="settlement"))
    assert next_day.amount > late.amount


def test_a_settlement_that_is_taken_up_after_midnight_has_the_new_days_price(
    world: World, user_id: str, loan_id: str
) -> None:
    world.go_to(date(2026, 12, 30), hour=23)
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.start_payment(user_id, loan_id, kind="settlement", key="one")
    (old,) = world.all(Payment)
    world.payments.down = False
    world.go_to(date(2026, 12, 31), hour=0)
    new = world.payment(str(world.start_payment(user_id, loan_id, kind="settlement", key="one").body["id"]))
    assert new.id != old.id
    assert new.amount > old.amount
    assert world.payment(old.id).status is EXPIRED


@pytest.mark.parametrize("day", ["2026-11-23", "2028-05-25"])
def test_a_bill_of_a_day_outside_the_loans_life_is_refused(world: World, user_id: str, loan_id: str, day: str) -> None:
    for kind in BILLED:
        with pytest.raises(Invalid) as answer:
            world.app.repaying.simulate(
                user_id,
                loan_id=loan_id,
                kind=kind,
                as_of=date.fromisoformat(day),
            )
        (problem,) = answer.value.fields
        assert (problem.field, problem.code) == ("as_of", "as-of-outside")
        assert problem.params == {"first": "2026-11-24", "last": "2028-05-24"}


@pytest.mark.parametrize("day", ["2026-11-24", "2026-12-24", "2027-01-10", "2027-05-24", "2028-05-24"])
def test_a_bill_is_what_paying_on_that_day_takes(world: World, user_id: str, loan_id: str, day: str) -> None:
    on = date.fromisoformat(day)
    simulated = {kind: world.app.repaying.simulate(user_id, loan_id=loan_id, kind=kind, as_of=on) for kind in BILLED}
    before = world.all(Payment), world.loan(loan_id)
    world.go_to(on)
    for kind, bill in simulated.items():
        payment = world.payment(world.order(user_id, loan_id, kind=kind))
        assert payment.amount == bill.amount == bill.principal + bill.interest + bill.late_fee
        assert bill.expires_at == datetime(on.year, on.month, on.day, 17, tzinfo=UTC)
        assert bill.as_of == on
    assert before == ([], world.loan(loan_id))
    world.settle(world.order(user_id, loan_id, kind="settlement"))
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    check_money(world)


def test_a_bill_is_the_owners_and_of_a_live_loan(world: World, user_id: str) -> None:
    accepted = world.accepted(user_id)
    with pytest.raises(StateForbids, match="loan-not-active"):
        world.app.repaying.simulate(user_id, loan_id=accepted, kind="instalment", as_of=None)
    with pytest.raises(NotFound, match="loan-not-found"):
        world.app.repaying.simulate(world.verified(2), loan_id=accepted, kind="instalment", as_of=None)
