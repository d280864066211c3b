"""Random histories of many borrowers: whatever comes in whatever order, the sums and the records hold."""

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.world import World, make_world

from pinjam.domain.lifecycle import HELD_OPEN, MOVES
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.repayment import bill
from pinjam.domain.retention import BROUGHT_AGAIN
from pinjam.domain.trail import AuditRecord, Event
from pinjam.services.errors import Denied
from pinjam.services.ports import OrderStatus, PayoutAnswer, Unavailable
from pinjam.services.recording import GENESIS, audit_hash

BORROWERS = (1, 2)
PAYOUTS = st.sampled_from(["completed", "completed", "failed", "processing"])
ORDERS: st.SearchStrategy[OrderStatus] = st.sampled_from(["settled", "settled", "expired", "failed", "pending"])
PAYMENT_MOVES = {
    PaymentStatus.PENDING: {PaymentStatus.SETTLED, PaymentStatus.EXPIRED, PaymentStatus.FAILED},
    # Money that comes after all is posted.
    PaymentStatus.EXPIRED: {PaymentStatus.SETTLED},
    PaymentStatus.FAILED: {PaymentStatus.SETTLED},
}


class Histories(RuleBasedStateMachine):
    """Borrowers, providers and the clock do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World = make_world()
        self.users: list[str] = []
        self.arrived: dict[str, int] = {}
        self.last: date = self.world.clock.today()

    @initialize()
    def borrowers(self) -> None:
        self.users = [self.world.verified(number) for number in BORROWERS]

    def newest(self, who: int) -> Loan | None:
        mine = [loan for loan in self.world.all(Loan) if loan.user_id == self.users[who]]
        return mine[-1] if mine else None

    @rule(who=st.integers(0, 1), amount=st.sampled_from([500_000, 3_000_000]), tenor=st.integers(1, 3))
    def apply(self, who: int, amount: int, tenor: int) -> None:
        try:
            self.world.apply(self.users[who], amount=amount, tenor_months=tenor)
        except Denied:
            held = [loan.status for loan in self.world.all(Loan) if loan.user_id == self.users[who]]
            assert HELD_OPEN & set(held)

    @rule(who=st.integers(0, 1), tenor=st.integers(1, 3))
    def borrow(self, who: int, tenor: int) -> None:
        """The straight way, so that most histories have debts in them."""
        self.apply(who, 500_000, tenor)
        self.deliver(1)
        self.accept(who)
        self.deliver(1)

    @rule(who=st.integers(0, 1))
    def accept(self, who: int) -> None:
        loan = self.newest(who)
        if loan is None:
            return
        try:
            self.world.accept(self.users[who], loan.id)
        except Denied:
            assert loan.status is not LoanStatus.APPROVED or (
                loan.offer_expires_on is not None and loan.offer_expires_on < self.world.clock.today()
            )

    @rule(who=st.integers(0, 1))
    def withdraw(self, who: int) -> None:
        loan = self.newest(who)
        if loan is not None and loan.status is LoanStatus.APPROVED:
            self.world.app.lending.withdraw(self.users[who], loan.id, actor=self.world.actor(self.users[who]))

    @rule(who=st.integers(0, 1), key=st.integers(0, 3))
    def start_payment(self, who: int, key: int) -> None:
        loan = self.newest(who)
        if loan is None:
            return
        try:
            self.world.start_payment(self.users[who], loan.id, key=f"{loan.id}-{key}")
        except Denied:
            assert loan.status is not LoanStatus.ACTIVE
        except Unavailable:
            assert self.world.payments.down

    @rule(who=st.integers(0, 1), orders=st.integers(1, 3), days=st.integers(0, 40))
    def repay(self, who: int, orders: int, days: int) -> None:
        """Open orders, some for one debt, and pay them later and out of order."""
        before = set(self.world.payments.orders)
        for key in range(orders):
            self.start_payment(who, 10 + key + 10 * len(before))
        self.pass_days(days)
        for order_id in sorted(set(self.world.payments.orders) - before, reverse=True):
            self.tell(sorted(self.world.payments.orders).index(order_id), "settled", 2)

    @rule(number=st.integers(0, 9), status=ORDERS, repeat=st.integers(1, 3), days_ago=st.sampled_from([0, 0, 1, 9, 40]))
    def tell(self, number: int, status: OrderStatus, repeat: int, days_ago: int = 0) -> None:
        """An order changes at the gateway (never away from the money), and it tells so, perhaps late and repeatedly."""
        orders = sorted(self.world.payments.orders)
        if not orders:
            return
        order = self.world.payments.orders[orders[number % len(orders)]]
        if order.status != "settled":
            paid_at = self.world.clock.now() - timedelta(days=days_ago) if status == "settled" else None
            self.world.payments.move(order.order_id, status, paid_at=paid_at)
        if self.world.payments.orders[order.order_id].status == "settled":
            self.arrived[order.order_id] = order.amount
        for _ in range(repeat):
            try:
                self.world.hear(order.order_id)
            except Unavailable:
                assert self.world.payments.down

    @rule(outcome=PAYOUTS)
    def payouts_become(self, outcome: str) -> None:
        self.world.payouts.outcome = PayoutAnswer(reference="", status=outcome)  # type: ignore[arg-type]  # one of PAYOUTS
        for payout_id, payout in self.world.payouts.payouts.items():
            if payout.status == "processing" and outcome != "processing":
                self.world.payouts.payouts[payout_id] = PayoutAnswer(reference=payout.reference, status="completed")

    @rule(publisher=st.booleans(), payments=st.booleans())
    def trouble(self, *, publisher: bool, payments: bool) -> None:
        self.world.publisher.down, self.world.payments.down = publisher, payments

    @rule(days=st.integers(0, 45))
    def pass_days(self, days: int) -> None:
        self.world.clock.instant += timedelta(days=days, minutes=20)
        self.last = self.world.clock.today()

    @rule()
    def sweep(self) -> None:
        self.world.app.servicing.sweep(request_id="req_sweep")
        # Orders that the gateway knows as paid may have been found by asking.
        self.arrived |= {o.order_id: o.amount for o in self.world.payments.orders.values() if o.status == "settled"}

    @rule(repeat=st.integers(1, 2))
    def deliver(self, repeat: int) -> None:
        while self.world.delivered < len(self.world.publisher.events):
            try:
                self.world.deliver(repeat=repeat)
            except Unavailable:
                continue  # A payout in process: the sweep asks again.

    @invariant()
    def no_rupiah_is_lost_or_made(self) -> None:
        settled = [one for one in self.world.all(Payment) if one.status is PaymentStatus.SETTLED]
        for one in settled:
            assert one.amount == self.arrived[one.id] == sum(part.total for part in one.allocation) + one.surplus
        for loan in self.world.all(Loan):
            posted = sum(part.total for one in settled if one.loan_id == loan.id for part in one.allocation)
            paid = sum(each.paid_principal + each.paid_interest + each.paid_late_fee for each in loan.instalments)
            assert posted == paid

    @invariant()
    def nothing_is_owed_below_zero(self) -> None:
        for loan in self.world.all(Loan):
            for line in bill(loan, self.last).lines:
                assert min(line.owed_principal, line.owed_interest, line.owed_late_fee) >= 0
            if loan.status is LoanStatus.SETTLED:
                assert bill(loan, self.last).outstanding == 0

    @invariant()
    def a_borrower_has_one_open_loan_at_most_and_each_is_paid_out_once(self) -> None:
        for user_id in self.users:
            held = [loan for loan in self.world.all(Loan) if loan.user_id == user_id and loan.status in HELD_OPEN]
            assert len(held) <= 1
        lent = [loan for loan in self.world.all(Loan) if loan.disbursed_on is not None]
        confirmed = [loan.contract.quote.disbursed_amount for loan in lent if loan.contract]
        assert sorted(confirmed) == sorted(
            int(str(self.world.payouts.sent[loan.payout_id]["amount"])) for loan in lent if loan.payout_id
        )
        # A payout may have completed before the loan has heard of it, never the other way round.
        assert len(self.world.payouts.paid) >= len(lent)

    @invariant()
    def the_trail_is_unbroken_and_every_move_legal(self) -> None:
        chains: dict[str, list[AuditRecord]] = {}
        for record in sorted(self.world.all(AuditRecord), key=lambda record: record.number):
            chains.setdefault(record.subject, []).append(record)
        for subject, records in chains.items():
            previous = GENESIS
            for number, record in enumerate(records, 1):
                assert (record.number, record.previous, record.hash) == (number, previous, audit_hash(record))
                previous = record.hash
            states = [str(record.after.get("status")) for record in records]
            if subject.startswith("loan_"):
                moves = [(LoanStatus(a), LoanStatus(b)) for a, b in pairwise(states) if a != b]
                assert all(to in MOVES[came_from] for came_from, to in moves)
                assert states[-1] == self.world.loan(subject).status
            if subject.startswith("pay_"):
                paid = [(PaymentStatus(a), PaymentStatus(b)) for a, b in pairwise(states)]
                # A payment that an earlier one moved goes elsewhere, and stays settled.
                assert all(to in PAYMENT_MOVES[came_from] for came_from, to in paid if came_from != to)

    @invariant()
    def every_event_is_published_once_and_in_the_outbox_until_nothing_brings_it_again(self) -> None:
        published = {event.id: event for event in self.world.publisher.events}
        assert len(published) == len(self.world.publisher.events)
        outbox = {event.id: event for event in self.world.all(Event)}
        assert {event.id for event in outbox.values() if event.published_at is not None} <= set(published)
        gone = [published[event_id] for event_id in set(published) - set(outbox)]
        assert all(event.occurred_at < self.world.clock.now() - BROUGHT_AGAIN for event in gone)
        every = (published | outbox).values()
        told = [(event.topic, event.subject) for event in every if event.topic != "instalment-reminder"]
        assert len(told) == len(set(told))


Histories.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestHistories = Histories.TestCase
