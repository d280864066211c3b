"""Random histories of money: paid, paid twice, late, taken back, refunded, written off. The books always agree."""

from collections import Counter
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.books import check_money
from tests.world import World, make_world

from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Payment, PaymentKind, PaymentStatus
from pinjam.domain.payoff import payoff
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.retention import BROUGHT_AGAIN
from pinjam.domain.trail import Event
from pinjam.services.errors import Denied, Invalid
from pinjam.services.ports import PayoutAnswer, Unavailable
from pinjam.services.recording import Actor

BORROWERS = (1, 2)
STAFF = Actor(id="staff:siti", request_id="req_staff")
KINDS: st.SearchStrategy[PaymentKind] = st.sampled_from(["instalment", "partial", "settlement"])
WHICH = st.integers(0, 30)
OUTCOMES = st.sampled_from(["completed", "completed", "failed", "processing"])


class Money(RuleBasedStateMachine):
    """Two borrowers, their banks, the gateway and the clock do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World = make_world()
        self.users: list[str] = []

    @initialize()
    def borrowers(self) -> None:
        self.users = [self.world.verified(number) for number in BORROWERS]
        for who in range(len(BORROWERS)):
            self.borrow(who, 2_000_000, 3)

    def live(self) -> list[Loan]:
        return [loan for loan in self.world.all(Loan) if loan.status is LoanStatus.ACTIVE]

    def orders(self, *statuses: str) -> list[str]:
        """The orders at the gateway that stand so."""
        return sorted(one.order_id for one in self.world.payments.orders.values() if one.status in statuses)

    @rule(who=st.integers(0, 1), amount=st.sampled_from([500_000, 2_000_000, 5_000_000]), tenor=st.integers(1, 6))
    def borrow(self, who: int, amount: int, tenor: int) -> None:
        """From application to payout, as far as it goes."""
        self.moment()
        try:
            loan_id = self.world.apply(self.users[who], amount=amount, tenor_months=tenor)
        except Denied:
            return
        if self.world.decide(loan_id).status is LoanStatus.APPROVED:
            self.world.accept(self.users[who], loan_id)
            self.deliver(repeat=1)

    @precondition(lambda self: self.live())
    @rule(which=WHICH, kind=KINDS, share=st.integers(1, 100))
    def order(self, which: int, kind: PaymentKind, share: int) -> None:
        self.moment()
        loan = self.live()[which % len(self.live())]
        amount = payoff(loan, self.world.clock.today()).total * share // 100 if kind == "partial" else None
        try:
            order = self.world.order(loan.user_id, loan.id, kind=kind, amount=amount)
        except Invalid as refused:
            assert [one.code for one in refused.fields] == ["amount-too-low"]  # noqa: PT017 - what may come only here
            return
        rivals = [one for one in self.world.all(Payment) if (one.loan_id, one.kind) == (loan.id, kind)]
        open_now = [one.id for one in rivals if self.world.payments.orders[one.id].status == "pending"]
        assert open_now == [order]

    @precondition(lambda self: self.live())
    @rule(which=WHICH, kinds=st.lists(KINDS, min_size=1, max_size=3), days=st.sampled_from([0, 3, 30, 40]))
    def repay(self, which: int, kinds: list[PaymentKind], days: int) -> None:
        """The usual way: ordered, paid, told; perhaps several orders of a debt that one of them ends."""
        loan = self.live()[which % len(self.live())]
        self.world.pass_days(days)
        before = set(self.world.payments.orders)
        for kind in kinds:
            self.order(self.live().index(loan), kind, 70)
        for number, order in enumerate(sorted(self.world.payments.orders)):
            if order not in before:
                self.world.settle(order)
                if number % 2:
                    self.world.hear(order)

    @precondition(lambda self: self.orders("pending", "expired", "failed"))
    @rule(which=WHICH, hours_ago=st.sampled_from([0, 0, 1, 30, 900]), told=st.integers(0, 3))
    def pay(self, which: int, hours_ago: int, told: int) -> None:
        """The money comes, perhaps to an order that has ended, or it came earlier; we hear of it, or not yet."""
        self.moment()
        payable = self.orders("pending", "expired", "failed")
        order = payable[which % len(payable)]
        created = self.world.payment(order).created_at
        paid_at = max(created, self.world.clock.now() - timedelta(hours=hours_ago))
        self.world.payments.move(order, "settled", paid_at=paid_at)
        for _ in range(told):
            self.world.hear(order)

    @precondition(lambda self: self.live())
    @rule(which=WHICH, late=KINDS, meanwhile=KINDS, days=st.sampled_from([1, 9, 40]), share=st.integers(5, 100))
    def hear_late(self, which: int, late: PaymentKind, meanwhile: PaymentKind, days: int, share: int) -> None:
        """Paid on a day, heard of on another; between them another payment is posted."""
        loan = self.live()[which % len(self.live())]
        before = set(self.world.payments.orders)
        self.order(self.live().index(loan), late, share)
        unheard = set(self.world.payments.orders) - before
        for order in unheard:
            self.world.payments.move(order, "settled", paid_at=self.world.clock.now())
        self.repay(self.live().index(loan), [meanwhile], days)
        for order in unheard:
            self.world.hear(order)

    @precondition(lambda self: self.orders("pending", "settled"))
    @rule(which=WHICH, how=st.sampled_from(["reversed", "failed", "reversed", "expired"]), told=st.integers(1, 2))
    def undo(self, which: int, how: str, told: int) -> None:
        """An order ends unpaid, or its money is taken back."""
        self.moment()
        statuses = ("pending",) if how == "expired" else ("pending", "settled")
        possible = self.orders(*statuses)
        if not possible:
            return
        order = possible[which % len(possible)]
        self.world.payments.move(order, how)  # type: ignore[arg-type]  # one of the sampled
        for _ in range(told):
            self.world.hear(order)

    @precondition(lambda self: self.world.payments.orders)
    @rule(which=WHICH, times=st.integers(1, 3))
    def tell_again(self, which: int, times: int) -> None:
        """Any notification, at any time, however often."""
        self.moment()
        known = sorted(self.world.payments.orders)
        for _ in range(times):
            self.world.hear(known[which % len(known)])

    @rule(outcome=OUTCOMES)
    def payouts_become(self, outcome: str) -> None:
        """What becomes of new payouts; those on their way arrive, or fail."""
        self.world.payouts.outcome = PayoutAnswer(reference="", status=outcome)  # type: ignore[arg-type]  # one of OUTCOMES
        for payout_id, payout in self.world.payouts.payouts.items():
            if payout.status == "processing" and outcome != "processing":
                self.world.payouts.payouts[payout_id] = PayoutAnswer(reference=payout.reference, status=outcome)  # type: ignore[arg-type]  # one of OUTCOMES

    @rule(repeat=st.integers(1, 2))
    def deliver(self, repeat: int) -> None:
        """Payouts, refunds and messages are asked for by event."""
        self.moment()
        while self.world.delivered < len(self.world.publisher.events):
            try:
                self.world.deliver(repeat=repeat)
            except Unavailable:
                continue  # A payout on its way: the sweep asks again.

    @precondition(lambda self: self.live())
    @rule(which=WHICH, sure=st.sampled_from([False, False, False, True]))
    def write_off(self, which: int, *, sure: bool) -> None:
        self.moment()
        if sure:
            loan = self.live()[which % len(self.live())]
            self.world.app.writing_off.write_off(loan.id, reason="cannot be found", actor=STAFF)

    @rule(days=st.sampled_from([0, 1, 5, 20, 29, 31, 64]))
    def pass_days(self, days: int) -> None:
        self.world.pass_days(days)

    @rule()
    def sweep(self) -> None:
        self.moment()
        self.world.clock.advance(minutes=16)
        self.world.sweep()

    def moment(self) -> None:
        self.world.clock.advance(seconds=1)

    @invariant()
    def the_books_agree_with_the_records(self) -> None:
        check_money(self.world)

    @invariant()
    def every_event_is_told_once(self) -> None:
        published = {event.id: event for event in self.world.publisher.events}
        told = Counter((one.topic, one.subject) for one in published.values() if one.topic.startswith("payment-"))
        settled = [one for one in self.world.all(Payment) if one.settled_at is not None]
        taken_back = [one for one in settled if one.status is PaymentStatus.REVERSED]
        expected = Counter([("payment-settled", one.id) for one in settled])
        expected.update(("payment-reversed", one.id) for one in taken_back)
        assert told == expected
        assert len(published) == len(self.world.publisher.events)
        gone = published.keys() - {one.id for one in self.world.all(Event)}
        assert len(published) == len(gone) + len(self.world.all(Event))
        assert all(published[one].occurred_at < self.world.clock.now() - BROUGHT_AGAIN for one in gone)

    @invariant()
    def money_leaves_once_for_each_loan_and_refund(self) -> None:
        lent = [loan.payout_id for loan in self.world.all(Loan) if loan.disbursed_on]
        paid = [one.payout_id for one in self.world.all(Refund) if one.status is RefundStatus.PAID]
        on_the_way = [loan.payout_id for loan in self.world.all(Loan) if loan.status is LoanStatus.DISBURSING]
        on_the_way += [one.payout_id for one in self.world.all(Refund) if one.status is RefundStatus.SENDING]
        left = [id_ for id_, payout in self.world.payouts.payouts.items() if payout.status == "completed"]
        assert set(left) <= {*lent, *paid, *on_the_way}
        assert {*lent, *paid} <= set(left)


Money.TestCase.settings = settings(
    max_examples=18,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestMoney = Money.TestCase
