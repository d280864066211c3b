"""Money on its way in: the gateway's notifications, and what they do to payment, loan and ledger."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple

from pinjam.domain.calendar import local_date
from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.ledger import repayment
from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import CLOSED_AS, GATEWAY, Payment, PaymentStatus
from pinjam.domain.receipts import Receipt, comes_before_others, receive
from pinjam.domain.refund import owed_back
from pinjam.services.errors import Forbidden, Invalid, NotFound, StateForbids
from pinjam.services.ports import ForgedNotification, Refused, Unavailable
from pinjam.services.reckoning import Change, scene_of
from pinjam.services.recording import Actor, last_record, trail_of
from pinjam.services.store import Contention

if TYPE_CHECKING:
    from pinjam.domain.trail import Event
    from pinjam.services.books import Books
    from pinjam.services.ports import Clock, Ids, Order, PaymentGateway
    from pinjam.services.reckoning import Reckoning
    from pinjam.services.recording import Outbox, Recorder
    from pinjam.services.reversing import Reversing
    from pinjam.services.store import Store, Transaction

log = logging.getLogger(__name__)

OWING = frozenset({LoanStatus.ACTIVE, LoanStatus.WRITTEN_OFF})
"""A written-off debt is still owed: what comes in late is a recovery."""


@dataclass(frozen=True, slots=True)
class Collecting:
    """Posts what the gateway says has happened: once each, in whatever order and however often it says so."""

    store: Store
    gateway: PaymentGateway
    clock: Clock
    ids: Ids
    recorder: Recorder
    books: Books
    outbox: Outbox
    reckoning: Reckoning
    reversing: Reversing

    def hear(self, notification: Mapping[str, object], *, request_id: str) -> None:
        """Take in the gateway's notification. It only says where to look: what counts is the order's status.

        Forbidden if it is not genuine, NotFound for an order that is not ours, Unavailable when the
        gateway cannot confirm it now (it will notify again).
        """
        try:
            order_id = self.gateway.read_notification(notification)
        except ForgedNotification:
            raise Forbidden("bad-signature") from None
        except ValueError as wrong:
            raise Invalid(FieldProblem(field=str(wrong), code="required", params={})) from None
        try:
            self.check(order_id, actor=Actor(id=GATEWAY, request_id=request_id))
        except Refused as refused:
            # The notification was genuine; that the gateway will not confirm it is for us to repair, not to lose.
            raise Unavailable(refused.service, refused.code) from refused

    def check(self, payment_id: str, *, actor: Actor) -> PaymentStatus:
        """Ask the gateway about an order and post what it says. Safe to repeat, in any order.

        What the gateway said may be old by the time it is posted. It is posted only onto the status that the
        payment had before the gateway was asked; if somebody else knew more meanwhile, it is asked again.
        """
        for _ in PaymentStatus:  # A payment never returns to a status, so that it cannot change more often.
            seen = _found(self.store.get(Payment, payment_id))
            try:
                return self._take_in(seen, self._order(seen), actor)
            except _Overtaken:
                continue
        raise Contention(f"{payment_id} kept changing")

    def _order(self, seen: Payment) -> Order | None:
        """The order as the gateway has it; one past its time is closed there first, unless it was paid."""
        order = self.gateway.status(seen.id)
        if order is not None and order.status == "pending" and seen.expires_at <= self.clock.now():
            self.gateway.cancel(seen.id)
            return self.gateway.status(seen.id)
        return order

    def _take_in(self, seen: Payment, order: Order | None, actor: Actor) -> PaymentStatus:
        if order is None:
            overdue = seen.expires_at <= self.clock.now()
            return self._close(seen, PaymentStatus.EXPIRED, actor) if overdue else seen.status
        if order.status == "settled":
            return self._settle(seen, order, actor)
        if order.status == "reversed" or (order.status == "failed" and seen.status is PaymentStatus.SETTLED):
            # Some banks take money back by denying what they had settled.
            return self._take_back(seen.id, actor)
        if order.status in CLOSED_AS:
            return self._close(seen, CLOSED_AS[order.status], actor)
        return seen.status

    def _settle(self, seen: Payment, order: Order, actor: Actor) -> PaymentStatus:
        """Post money that arrived, once, even for an order that had been given up."""

        def work(tx: Transaction) -> tuple[PaymentStatus, tuple[Event, ...]]:
            tx.prefetch((Payment, seen.id), (Loan, seen.loan_id), trail_of(seen.id), trail_of(seen.loan_id))
            payment = _found(tx.get(Payment, seen.id))
            if payment.status in (PaymentStatus.SETTLED, PaymentStatus.REVERSED):
                return payment.status, ()
            if payment.status is not seen.status:
                raise _Overtaken
            loan = tx.get(Loan, payment.loan_id)
            if loan is None:
                raise LookupError(f"{payment.id}: {payment.loan_id} is not there")
            if order.amount != payment.amount:
                # Fixed-amount orders cannot bring another sum; a person must look before anything is posted.
                log.error("payment-amount-differs", extra={"payment": payment.id, "arrived": order.amount})
                raise StateForbids("payment-amount-differs")
            now = self.clock.now()
            receipt = _receipt(payment, loan, order.paid_at or now, today=self.clock.today())
            settled = replace(
                payment,
                status=PaymentStatus.SETTLED,
                transaction_id=order.transaction_id,
                settled_at=now,
                posted_on=receipt.on,
                closes=receipt.closes,
                updated_at=now,
            )
            post = self._insert if comes_before_others(loan, receipt.on) else self._append
            return PaymentStatus.SETTLED, post(tx, loan, _Arrival(payment, settled, receipt), actor)

        status, events = self.store.transact(work)
        self.outbox.publish(*events)
        return status

    def _insert(self, tx: Transaction, loan: Loan, arrival: _Arrival, actor: Actor) -> tuple[Event, ...]:
        """Money of an earlier business day than what is posted: those that came after it are reckoned again."""
        change = Change(
            before=arrival.payment, after=arrival.settled, action="payment-settled", loan_action="loan-repaid"
        )
        reckoned = self.reckoning.reckon(tx, scene_of(tx, loan), change, actor)
        return self._told(tx, arrival.settled, reckoned.surplus, actor), *reckoned.events

    def _append(self, tx: Transaction, loan: Loan, arrival: _Arrival, actor: Actor) -> tuple[Event, ...]:
        """Money that is the newest by its business day, as it nearly always is: no other payment is touched."""
        now, payment = self.clock.now(), arrival.payment
        trails = last_record(tx, payment.id), last_record(tx, loan.id)
        owing = loan.status in OWING
        paid, allocation, surplus = receive(loan, arrival.receipt) if owing else (loan, (), payment.amount)
        settled = replace(arrival.settled, allocation=allocation, surplus=surplus)
        tx.update(settled)
        if paid is not loan:
            paid = self._moved(paid, now)
            tx.update(paid)
            self.recorder.change(tx, trails[1], loan, paid, "loan-repaid", actor)
        self.recorder.change(tx, trails[0], payment, settled, "payment-settled", actor)
        self.books.post(
            tx,
            "repayment",
            key=f"repayment:{payment.id}",
            loan_id=loan.id,
            subject=payment.id,
            postings=repayment(allocation, surplus, written_off=loan.status is LoanStatus.WRITTEN_OFF),
            on=arrival.receipt.on,
        )
        if surplus:
            refund = owed_back(settled, self.ids.new("rfd"), now)
            tx.insert(refund)
            self.recorder.change(tx, None, None, refund, "refund-owed", actor)
        told = self._told(tx, settled, surplus, actor)
        if paid.status is LoanStatus.SETTLED and loan.status is not LoanStatus.SETTLED:
            who = {"user_id": loan.user_id, "loan_id": loan.id}
            return told, self.recorder.event(tx, "loan-settled", subject=loan.id, actor=actor, **who)
        return (told,)

    def _told(self, tx: Transaction, payment: Payment, surplus: int, actor: Actor) -> Event:
        """That money came; `surplus` is what the borrower is owed back because of it, of this payment or another."""
        return self.recorder.event(
            tx,
            "payment-settled",
            subject=payment.id,
            actor=actor,
            user_id=payment.user_id,
            loan_id=payment.loan_id,
            amount=payment.amount,
            surplus=surplus,
        )

    def _moved(self, paid: Loan, now: datetime) -> Loan:
        """Settled when the last rupiah is paid; a written-off loan stays what it is."""
        if paid.next_due_on is None and paid.status is LoanStatus.ACTIVE:
            return move(paid, LoanStatus.SETTLED, updated_at=now, settled_at=now)
        return replace(paid, updated_at=now)

    def _take_back(self, payment_id: str, actor: Actor) -> PaymentStatus:
        status, events = self.store.transact(lambda tx: self.reversing.reverse(tx, payment_id, actor))
        self.outbox.publish(*events)
        return status

    def _close(self, seen: Payment, to: PaymentStatus, actor: Actor) -> PaymentStatus:
        """An order that will not be paid; money that was posted already is not touched."""

        def work(tx: Transaction) -> PaymentStatus:
            payment = _found(tx.get(Payment, seen.id))
            previous = last_record(tx, seen.id)
            if payment.status is not seen.status:
                raise _Overtaken
            if payment.status is not PaymentStatus.PENDING:
                return payment.status
            closed = replace(payment, status=to, updated_at=self.clock.now())
            tx.update(closed)
            self.recorder.change(tx, previous, payment, closed, f"payment-{to.value}", actor)
            return to

        return self.store.transact(work)


class _Arrival(NamedTuple):
    """A payment before and after its money came, and that money with its day."""

    payment: Payment
    settled: Payment
    receipt: Receipt


class _Overtaken(Exception):
    """The payment changed while the gateway was asked about it."""


def _found(payment: Payment | None) -> Payment:
    if payment is None:
        raise NotFound("payment-not-found")
    return payment


def _receipt(payment: Payment, loan: Loan, paid_at: datetime, *, today: date) -> Receipt:
    """The money with the day that counts for it: when it was paid, not when we heard of it."""
    closes = payment.kind == "settlement" and paid_at < payment.expires_at
    paid_on = local_date(payment.created_at) if closes else local_date(paid_at)
    return Receipt(
        payment_id=payment.id,
        amount=payment.amount,
        on=min(today, max(paid_on, loan.disbursed_on or paid_on)),
        closes=closes,
    )
