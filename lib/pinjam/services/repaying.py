"""Repayments: an order at the gateway, and the money's way into the loan."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Allocation, Method, Payment, PaymentKind, PaymentStatus
from pinjam.domain.policy import Policies
from pinjam.domain.pricing import FieldProblem
from pinjam.domain.repayment import allocate, instalment_amount
from pinjam.domain.trail import AuditRecord, Event, KeptAnswer, Topic
from pinjam.services.errors import Forbidden, Invalid, NotFound, StateForbids
from pinjam.services.once import Answered, Keyed
from pinjam.services.ports import Clock, ForgedNotification, Ids, Order, PaymentGateway, Refused, Unavailable
from pinjam.services.recording import Actor, Outbox, Recorder, last_record
from pinjam.services.store import Find, Page, Store, Transaction

log = logging.getLogger(__name__)

GATEWAY = "payment-gateway"
OPEN_FOR = timedelta(hours=24)
"""How long an instalment's order can be paid."""
CLOSED_AS = {"expired": PaymentStatus.EXPIRED, "failed": PaymentStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Repaying:
    """Starts repayments and posts those that arrived."""

    store: Store
    gateway: PaymentGateway
    policies: Policies
    clock: Clock
    ids: Ids
    recorder: Recorder
    outbox: Outbox

    def start(
        self,
        user_id: str,
        *,
        loan_id: str,
        kind: PaymentKind,
        method: Method,
        keyed: Keyed[Payment],
        actor: Actor,
    ) -> Answered:
        """Open an order for the instalment that is due next.

        The payment is stored before the gateway is asked, under the id that the gateway gets: a
        repetition after a crash finds it and asks again for the same order. NotFound, StateForbids
        `loan-not-active`, Invalid for a method over its limit, Unavailable when the gateway is.
        """
        begun = self.store.transact(
            lambda tx: self._begin(tx, user_id, loan_id, kind, method, keyed, actor, self.ids.new("pay"))
        )
        if isinstance(begun, Answered):
            return begun
        payment, running = begun
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

        def keep(tx: Transaction) -> Answered:
            # The gateway may have told of the order meanwhile: what that posted stays.
            opened = replace(
                _payment(tx.get(Payment, payment.id)),
                instructions=instructions,
                transaction_id=order.transaction_id,
                updated_at=self.clock.now(),
            )
            record, answered = keyed.answer(running, opened)
            tx.update(opened)
            tx.update(record)
            return answered

        return self.store.transact(keep)

    def list(self, user_id: str, *, loan_id: str | None, limit: int, after: str | None) -> Page[Payment]:
        """The borrower's payments, newest first, perhaps of one loan only."""
        where = {"user_id": user_id} if loan_id is None else {"user_id": user_id, "loan_id": loan_id}
        query = Find(kind=Payment, where=where, descending=True, limit=limit, after=after)
        return self.store.read(lambda tx: tx.find(query))

    def show(self, user_id: str, payment_id: str) -> Payment:
        """One payment. NotFound if it is not the borrower's."""
        payment = self.store.read(lambda tx: tx.get(Payment, payment_id))
        if payment is None or payment.user_id != user_id:
            raise NotFound("payment-not-found")
        return payment

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
        if self.store.read(lambda tx: tx.get(Payment, order_id)) is None:
            raise NotFound("payment-not-found")
        self.check(order_id, actor=Actor(id=GATEWAY, request_id=request_id))

    def check(self, payment_id: str, *, actor: Actor) -> PaymentStatus:
        """Ask the gateway about an order and post what it says. Safe to repeat, in any order."""
        order = self.gateway.status(payment_id)
        if order is None:
            return self._close(payment_id, "expired", actor) if self._overdue(payment_id) else PaymentStatus.PENDING
        if order.status == "settled":
            return self._settle(order, actor)
        if order.status in CLOSED_AS:
            return self._close(payment_id, order.status, actor)
        if order.status == "pending" and self._overdue(payment_id):
            self.gateway.cancel(payment_id)
            return self._close(payment_id, "expired", actor)
        return self.store.read(lambda tx: _payment(tx.get(Payment, payment_id))).status

    def _begin(
        self,
        tx: Transaction,
        user_id: str,
        loan_id: str,
        kind: PaymentKind,
        method: Method,
        keyed: Keyed[Payment],
        actor: Actor,
        payment_id: str,
    ) -> Answered | tuple[Payment, KeptAnswer]:
        now, today = self.clock.now(), self.clock.today()
        kept = keyed.recall(tx, now=now)
        if isinstance(kept, Answered):
            return kept
        if kept is not None:
            unfinished = tx.get(Payment, kept.subject)
            if unfinished is not None and unfinished.status is PaymentStatus.PENDING and unfinished.expires_at > now:
                running = replace(keyed.begin(kept.subject, now=now), created_at=kept.created_at)
                tx.update(running)
                return unfinished, running
        loan = tx.get(Loan, loan_id)
        if loan is None or loan.user_id != user_id:
            raise NotFound("loan-not-found")
        if loan.status is not LoanStatus.ACTIVE:
            raise StateForbids("loan-not-active", {"status": loan.status.value})
        amount = instalment_amount(loan, today)
        limit = self.policies.on(today).payment.qris_max
        if method.type == "qris" and amount > limit:
            raise Invalid(FieldProblem(field="method.type", code="qris-limit", params={"max": limit, "amount": amount}))
        payment = Payment(
            id=payment_id,
            loan_id=loan_id,
            user_id=user_id,
            kind=kind,
            amount=amount,
            status=PaymentStatus.PENDING,
            method=method,
            expires_at=now + OPEN_FOR,
            created_at=now,
            updated_at=now,
        )
        running = keyed.begin(payment.id, now=now)
        tx.insert(payment)
        if kept is None:
            tx.insert(running)
        else:
            tx.update(running)
        self._audit(tx, None, None, payment, "payment-started", actor)
        return payment, running

    def _abandon(self, tx: Transaction, payment: Payment, running: KeptAnswer) -> None:
        """The gateway refused the order: it failed, and the same key may try again with a new one."""
        previous = last_record(tx, payment.id)
        failed = replace(payment, status=PaymentStatus.FAILED, updated_at=self.clock.now())
        tx.update(failed)
        tx.update(replace(running, leased_until=None))
        self._audit(
            tx, previous, payment, failed, "payment-refused", Actor(id=GATEWAY, request_id=running.id.split(":")[0])
        )

    def _overdue(self, payment_id: str) -> bool:
        payment = self.store.read(lambda tx: tx.get(Payment, payment_id))
        return payment is not None and payment.expires_at <= self.clock.now()

    def _settle(self, order: Order, actor: Actor) -> PaymentStatus:
        """Post money that arrived, once, even for an order that had been given up."""

        def work(tx: Transaction) -> tuple[Event, ...]:
            payment = _payment(tx.get(Payment, order.order_id))
            loan = tx.get(Loan, payment.loan_id)
            payment_trail, loan_trail = last_record(tx, payment.id), last_record(tx, payment.loan_id)
            if payment.status in (PaymentStatus.SETTLED, PaymentStatus.REVERSED) or loan is None:
                return ()
            if order.amount != payment.amount:
                # Fixed-amount orders cannot bring another sum; a person must look before anything is posted.
                log.error("payment-amount-differs", extra={"payment": payment.id, "arrived": order.amount})
                raise StateForbids("payment-amount-differs")
            now, today = self.clock.now(), self.clock.today()
            paid, allocation, surplus = _post(loan, payment.amount, today=today, at=now)
            settled = replace(
                payment,
                status=PaymentStatus.SETTLED,
                transaction_id=order.transaction_id,
                allocation=allocation,
                surplus=surplus,
                settled_at=now,
                updated_at=now,
            )
            tx.update(settled)
            if paid is not loan:
                tx.update(paid)
                self.recorder.loan(tx, loan_trail, loan, paid, "loan-repaid", actor)
            self._audit(tx, payment_trail, payment, settled, "payment-settled", actor)
            events = [self._tell(tx, "payment-settled", settled.id, loan, actor)]
            if paid.status is LoanStatus.SETTLED and loan.status is not LoanStatus.SETTLED:
                events.append(self._tell(tx, "loan-settled", loan.id, loan, actor))
            return tuple(events)

        self.outbox.publish(*self.store.transact(work))
        return PaymentStatus.SETTLED

    def _tell(self, tx: Transaction, topic: Topic, subject: str, loan: Loan, actor: Actor) -> Event:
        return self.recorder.event(tx, topic, subject=subject, actor=actor, user_id=loan.user_id, loan_id=loan.id)

    def _close(self, payment_id: str, how: str, actor: Actor) -> PaymentStatus:
        """An order that will not be paid; money that was posted already is not touched."""

        def work(tx: Transaction) -> PaymentStatus:
            payment = _payment(tx.get(Payment, payment_id))
            previous = last_record(tx, payment_id)
            if payment.status is not PaymentStatus.PENDING:
                return payment.status
            closed = replace(payment, status=CLOSED_AS[how], updated_at=self.clock.now())
            tx.update(closed)
            self._audit(tx, previous, payment, closed, f"payment-{closed.status.value}", actor)
            return closed.status

        return self.store.transact(work)

    def _audit(
        self,
        tx: Transaction,
        previous: AuditRecord | None,
        before: Payment | None,
        after: Payment,
        action: str,
        actor: Actor,
    ) -> None:
        self.recorder.audit(
            tx,
            previous,
            subject=after.id,
            action=action,
            actor=actor,
            before={"status": before.status.value} if before else None,
            after={
                "status": after.status.value,
                "loan": after.loan_id,
                "amount": after.amount,
                "allocated": sum(part.total for part in after.allocation),
                "surplus": after.surplus,
            },
        )


def _payment(found: Payment | None) -> Payment:
    if found is None:
        raise NotFound("payment-not-found")
    return found


def _post(loan: Loan, amount: int, *, today: date, at: datetime) -> tuple[Loan, tuple[Allocation, ...], int]:
    """The loan after the payment, where the money went, and what exceeded the debt."""
    if loan.status is not LoanStatus.ACTIVE:
        return loan, (), amount
    paid, allocation, surplus = allocate(loan, amount, today)
    if paid.next_due_on is None:
        return move(paid, LoanStatus.SETTLED, updated_at=at, settled_at=at), allocation, surplus
    return replace(paid, updated_at=at), allocation, surplus
