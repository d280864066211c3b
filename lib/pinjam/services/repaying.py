"""Repayments: what is to be paid on a day, and an order at the gateway to pay it with."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from pinjam.domain.calendar import JAKARTA, local_date
from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import CLOSED_AS, GATEWAY, Payment, PaymentStatus
from pinjam.domain.payoff import payoff
from pinjam.domain.repayment import bill
from pinjam.domain.trail import KeptAnswer
from pinjam.domain.user import User
from pinjam.services.borrowers import trusted
from pinjam.services.errors import Invalid, NotFound, StateForbids
from pinjam.services.once import Answered
from pinjam.services.ports import Refused, Unavailable
from pinjam.services.recording import Actor, last_record
from pinjam.services.store import Contention, Find, StoreUnavailable

if TYPE_CHECKING:
    from pinjam.domain.payment import Method, PaymentKind
    from pinjam.domain.policy import Policies
    from pinjam.services.once import Keyed
    from pinjam.services.ports import Clock, Ids, PaymentGateway
    from pinjam.services.recording import Recorder
    from pinjam.services.store import Page, Reader, Store, Transaction

log = logging.getLogger(__name__)

OPEN_FOR = timedelta(hours=24)
"""How long an instalment's or a partial payment's order can be paid."""
SIMULATED_DAYS = 366
"""How far behind the last due date a bill can be simulated."""
MOST_PENDING = 20
"""More orders of one loan are hardly ever open: there is one for each kind, but for those being replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentForm:
    """What a borrower wants to pay, and how. `amount` in rupiah, for a partial payment only."""

    loan_id: str
    kind: PaymentKind
    amount: int | None
    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a payment on a business date would be, in rupiah. `expires_at` is the end of that day in Jakarta."""

    loan_id: str
    kind: PaymentKind
    as_of: date
    principal: int
    interest: int
    late_fee: int
    interest_saved: int
    expires_at: datetime

    @property
    def amount(self) -> int:
        """The whole sum."""
        return self.principal + self.interest + self.late_fee


@dataclass(frozen=True, slots=True)
class Repaying:
    """Simulates bills and starts repayments."""

    store: Store
    gateway: PaymentGateway
    policies: Policies
    clock: Clock
    ids: Ids
    recorder: Recorder

    def simulate(self, user_id: str, *, loan_id: str, kind: PaymentKind, as_of: date | None) -> Simulation:
        """The bill of an instalment or of settling the loan, on any day of its life; nothing is written.

        NotFound; StateForbids unless the loan is active; Invalid for a day before the disbursement, or
        more than a year after the last instalment, unless that has come.
        """
        loan = _own_active(self.store, user_id, loan_id)
        today = self.clock.today()
        day = as_of or today
        first = loan.disbursed_on or day
        ends = max((one.due_date for one in loan.instalments), default=day)
        # A debt that is still owed then has a price then.
        last = max(today, ends + timedelta(days=SIMULATED_DAYS))
        if not first <= day <= last:
            limits = {"first": first.isoformat(), "last": last.isoformat()}
            raise Invalid(FieldProblem(field="as_of", code="as-of-outside", params=limits))
        return simulate(loan, kind, day)

    def start(self, user_id: str, form: PaymentForm, *, keyed: Keyed[Payment], actor: Actor) -> Answered:
        """Open an order at the gateway.

        The payment is stored before the gateway is asked, under the id that the gateway gets: a
        repetition after a crash finds it and asks again for the same order. Of each kind a loan has one
        open order: a new one replaces it. NotFound; StateForbids `loan-not-active`; Invalid for an amount or
        a method over its limit; Unavailable when the gateway is.
        """
        _check_amount_given(form)
        payment_id = self.ids.new("pay")
        begun = self.store.transact(lambda tx: self._begin(tx, user_id, form, keyed, actor, payment_id))
        if isinstance(begun, Answered):
            return begun
        payment, running, rivals = begun
        try:
            order, instructions = self.gateway.charge(
                order_id=payment.id,
                amount=payment.amount,
                method=payment.method,
                expires_at=payment.expires_at,
                now=self.clock.now(),
            )
        except Refused as refused:
            self.store.transact(lambda tx: self._abandon(tx, payment, running))
            raise Unavailable(refused.service, refused.code) from refused
        except Unavailable:
            self.store.transact(lambda tx: tx.update(replace(running, leased_until=None)))
            raise
        opened = replace(
            payment, instructions=instructions, transaction_id=order.transaction_id, updated_at=self.clock.now()
        )
        kept, answered = self.store.transact(lambda tx: self._keep(tx, opened, running, keyed))
        # Only now, so that the old order can be paid if there is no new one; or this one, should it be the older.
        for loser in (*rivals, kept) if kept.status is PaymentStatus.EXPIRED else rivals:
            self._end(loser.id, actor)
        return answered

    def list(self, user_id: str, *, loan_id: str | None, limit: int, after: str | None) -> Page[Payment]:
        """The borrower's payments, newest first, perhaps of one loan only."""
        where = {"user_id": user_id} if loan_id is None else {"user_id": user_id, "loan_id": loan_id}
        query = Find(kind=Payment, where=where, descending=True, limit=limit, after=after)
        return self.store.find(query)

    def show(self, user_id: str, payment_id: str) -> Payment:
        """One payment. NotFound if it is not the borrower's."""
        payment = self.store.get(Payment, payment_id)
        if payment is None or payment.user_id != user_id:
            raise NotFound("payment-not-found")
        return payment

    def _begin(
        self,
        tx: Transaction,
        user_id: str,
        form: PaymentForm,
        keyed: Keyed[Payment],
        actor: Actor,
        payment_id: str,
    ) -> Answered | tuple[Payment, KeptAnswer, tuple[Payment, ...]]:
        now = self.clock.now()
        tx.prefetch((User, user_id), (KeptAnswer, keyed.id), (Loan, form.loan_id), _open_orders(form.loan_id))
        trusted(tx, user_id, actor)
        kept = keyed.recall(tx, now=now)
        if isinstance(kept, Answered):
            return kept
        if kept is not None:
            unfinished = tx.get(Payment, kept.subject)
            if unfinished is not None and unfinished.status is PaymentStatus.PENDING and unfinished.expires_at > now:
                # Those that came later have this one among their own rivals.
                rivals = tuple(one for one in _rivals(tx, unfinished) if _came(one) < _came(unfinished))
                running = replace(keyed.begin(kept.subject, now=now), created_at=kept.created_at)
                tx.update(running)
                return unfinished, running, rivals
        loan = _own_active(tx, user_id, form.loan_id)
        payment = self._payment(user_id, form, loan, now, payment_id)
        rivals = _rivals(tx, payment)
        running = keyed.begin(payment.id, now=now)
        tx.insert(payment)
        if kept is None:
            tx.insert(running)
        else:
            tx.update(running)
        self.recorder.change(tx, None, None, payment, "payment-started", actor)
        return payment, running, rivals

    def _payment(self, user_id: str, form: PaymentForm, loan: Loan, now: datetime, payment_id: str) -> Payment:
        today = local_date(now)
        amount = self._amount(form, loan, today)
        qris_max = self.policies.on(today).payment.qris_max
        if form.method.type == "qris" and amount > qris_max:
            limits = {"max": qris_max, "amount": amount}
            raise Invalid(FieldProblem(field="method.type", code="qris-limit", params=limits))
        return Payment(
            id=payment_id,
            loan_id=loan.id,
            user_id=user_id,
            kind=form.kind,
            amount=amount,
            status=PaymentStatus.PENDING,
            method=form.method,
            expires_at=end_of_day(today) if form.kind == "settlement" else now + OPEN_FOR,
            created_at=now,
            updated_at=now,
        )

    def _amount(self, form: PaymentForm, loan: Loan, today: date) -> int:
        """The sum of the order: reckoned for an instalment or a settlement, given for a partial payment."""
        if form.kind != "partial" or form.amount is None:
            return simulate(loan, form.kind, today).amount
        lowest, most = self.policies.on(today).payment.partial_min, payoff(loan, today).total
        if form.amount < min(lowest, most):
            raise Invalid(FieldProblem(field="amount", code="amount-too-low", params={"minimum": min(lowest, most)}))
        if form.amount > most:
            raise Invalid(FieldProblem(field="amount", code="amount-too-high", params={"maximum": most}))
        return form.amount

    def _keep(
        self, tx: Transaction, opened: Payment, running: KeptAnswer, keyed: Keyed[Payment]
    ) -> tuple[Payment, Answered]:
        """The answer, unless the order was settled or replaced meanwhile: then what happened to it stays."""
        current = tx.get(Payment, opened.id)
        if current is not None and current.status is not PaymentStatus.PENDING:
            opened = replace(current, instructions=opened.instructions, transaction_id=opened.transaction_id)
        record, answered = keyed.answer(running, opened)
        tx.update(opened)
        tx.update(record)
        return opened, answered

    def _end(self, payment_id: str, actor: Actor) -> None:
        """Close an order that gave way to a newer one: at the gateway, and only then here.

        One that was paid first stays, to be posted. One that cannot be closed now stays too: the next order
        closes it, or time does.
        """
        try:
            for _ in range(2):  # An order that the gateway does not know may be reaching it in this very moment.
                self.gateway.cancel(payment_id)
                order = self.gateway.status(payment_id)
                if order is not None and order.status not in CLOSED_AS:
                    return
                expire = partial(self._expire, payment_id=payment_id, actor=actor, unknown=order is None)
                if self.store.transact(expire):
                    return
        except (Refused, Unavailable, Contention, StoreUnavailable) as fault:
            log.warning("order-left-open", extra={"payment": payment_id, "fault": str(fault)})

    def _expire(self, tx: Transaction, *, payment_id: str, actor: Actor, unknown: bool) -> bool:
        """Expire a replaced payment; False if its order reached the gateway after that did not know it."""
        old = tx.get(Payment, payment_id)
        previous = last_record(tx, payment_id)
        if old is None or old.status is not PaymentStatus.PENDING:
            return True
        if unknown and old.instructions is not None:
            return False
        expired = replace(old, status=PaymentStatus.EXPIRED, updated_at=self.clock.now())
        tx.update(expired)
        self.recorder.change(tx, previous, old, expired, "payment-replaced", actor)
        return True

    def _abandon(self, tx: Transaction, payment: Payment, running: KeptAnswer) -> None:
        """The gateway refused the order: it failed, and the same key may try again with a new one."""
        current = tx.get(Payment, payment.id)
        previous = last_record(tx, payment.id)
        tx.update(replace(running, leased_until=None))
        if current is None or current.status is not PaymentStatus.PENDING:
            return
        failed = replace(current, status=PaymentStatus.FAILED, updated_at=self.clock.now())
        tx.update(failed)
        actor = Actor(id=GATEWAY, request_id="")
        self.recorder.change(tx, previous, current, failed, "payment-refused", actor)


def _check_amount_given(form: PaymentForm) -> None:
    """Invalid unless a partial payment, and no other, brings its amount."""
    if form.kind == "partial" and form.amount is None:
        raise Invalid(FieldProblem(field="amount", code="required", params={}))
    if form.kind != "partial" and form.amount is not None:
        raise Invalid(FieldProblem(field="amount", code="amount-not-wanted", params={"kind": form.kind}))


def simulate(loan: Loan, kind: PaymentKind, on: date) -> Simulation:
    """The bill of an active loan on a day: its oldest unpaid instalment, or what settling it costs."""
    if kind == "settlement":
        sum_ = payoff(loan, on)
        principal, interest, late_fee, saved = sum_.principal, sum_.interest, sum_.late_fee, sum_.interest_saved
    else:
        line = bill(loan, on).next_due
        principal, interest, late_fee = (
            (line.owed_principal, line.owed_interest, line.owed_late_fee) if line else (0, 0, 0)
        )
        saved = 0
    return Simulation(
        loan_id=loan.id,
        kind=kind,
        as_of=on,
        principal=principal,
        interest=interest,
        late_fee=late_fee,
        interest_saved=saved,
        expires_at=end_of_day(on),
    )


def end_of_day(day: date) -> datetime:
    """The first instant of the next business date: until then a price of this day holds."""
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=JAKARTA)


def _own_active(tx: Reader | Store, user_id: str, loan_id: str) -> Loan:
    loan = tx.get(Loan, loan_id)
    if loan is None or loan.user_id != user_id:
        raise NotFound("loan-not-found")
    if loan.status is not LoanStatus.ACTIVE:
        raise StateForbids("loan-not-active", {"status": loan.status.value})
    return loan


def _open_orders(loan_id: str) -> Find[Payment]:
    """What finds the orders that are open for a loan."""
    return Find(kind=Payment, where={"loan_id": loan_id, "status": PaymentStatus.PENDING}, limit=MOST_PENDING)


def _rivals(tx: Reader, payment: Payment) -> tuple[Payment, ...]:
    """The other orders of its kind that are open for its loan."""
    open_now = tx.find(_open_orders(payment.loan_id)).items
    return tuple(one for one in open_now if one.kind == payment.kind and one.id != payment.id)


def _came(payment: Payment) -> tuple[datetime, str]:
    return payment.created_at, payment.id
