"""Taking a payment back: its postings are undone, and everything that came after it is reckoned again."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pinjam.domain.ledger import JournalEntry, repayment
from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.receipts import Receipt, replay
from pinjam.domain.refund import Refund, RefundStatus, owed_back
from pinjam.domain.trail import AuditRecord, Event
from pinjam.services.books import Books, entries_of, standing
from pinjam.services.errors import NotFound
from pinjam.services.ports import Clock, Ids
from pinjam.services.recording import Actor, Recorder, last_record
from pinjam.services.store import Find, Reader, Transaction

log = logging.getLogger(__name__)

BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What a reversal reads before it writes; `rival` is the loan that the borrower has open now, if any."""

    payment: Payment
    loan: Loan
    settled: tuple[Payment, ...]
    entries: tuple[JournalEntry, ...]
    refunds: Mapping[str, Refund]
    rival: Loan | None


@dataclass(frozen=True, slots=True)
class Reversing:
    """Reverses settled payments: the only correction there is."""

    clock: Clock
    ids: Ids
    recorder: Recorder
    books: Books

    def reverse(self, tx: Transaction, payment_id: str, actor: Actor) -> tuple[PaymentStatus, tuple[Event, ...]]:
        """Take the payment out of its loan's history and replay the rest.

        Payments whose allocation changes by that have their entries reversed and made anew. A refund that
        is still owed is corrected; one that is on its way or paid stays owed by the borrower, in the ledger.
        A payment that was never settled here has failed.
        """
        scene = _scene(tx, payment_id)
        payment, loan = scene.payment, scene.loan
        now = self.clock.now()
        if payment.status is not PaymentStatus.SETTLED:
            return self._fail(tx, payment, actor, now), ()
        taken_back = replace(
            payment, status=PaymentStatus.REVERSED, reversed_at=now, updated_at=now, allocation=(), surplus=0
        )
        moved, replayed = _replayed(scene, now)
        changed = (taken_back, *moved)
        refunds = tuple(scene.refunds[one.id] for one in changed if one.id in scene.refunds)
        subjects = [loan.id, *(one.id for one in changed), *(one.id for one in refunds)]
        trails = {subject: last_record(tx, subject) for subject in subjects}
        reopened = _reopened(scene, replayed, now)
        tx.update(reopened)
        self.recorder.loan(tx, trails[loan.id], loan, reopened, "repayment-reversed", actor)
        before = {one.id: one for one in scene.settled}
        for one in changed:
            action = "payment-reversed" if one is taken_back else "payment-reallocated"
            tx.update(one)
            self.recorder.payment(tx, trails[one.id], before[one.id], one, action, actor)
            self._correct_books(tx, scene, one)
            self._correct_refund(tx, scene, one, trails, actor, now)
        told = self.recorder.event(
            tx, "payment-reversed", subject=payment.id, actor=actor, user_id=loan.user_id, loan_id=loan.id
        )
        return PaymentStatus.REVERSED, (told,)

    def _fail(self, tx: Transaction, payment: Payment, actor: Actor, now: datetime) -> PaymentStatus:
        """Money that came and went again before it was posted; a payment that has ended already stays as it is."""
        previous = last_record(tx, payment.id)
        if payment.status is not PaymentStatus.PENDING:
            return payment.status
        failed = replace(payment, status=PaymentStatus.FAILED, updated_at=now)
        tx.update(failed)
        self.recorder.payment(tx, previous, payment, failed, "payment-failed", actor)
        return failed.status

    def _correct_books(self, tx: Transaction, scene: _Scene, one: Payment) -> None:
        """Reverse the entry of what changed, and make it anew where the money is still there."""
        written_off = scene.loan.status is LoanStatus.WRITTEN_OFF
        made = [entry for entry in scene.entries if entry.subject == one.id and entry.kind == "repayment"]
        for entry in standing(scene.entries):
            if entry in made:
                self.books.reverse(tx, entry, written_off=written_off)
        if one.status is PaymentStatus.REVERSED:
            return
        self.books.post(
            tx,
            "repayment",
            key=f"repayment:{one.id}:{len(made) + 1}",
            loan_id=one.loan_id,
            subject=one.id,
            postings=repayment(one.allocation, one.surplus, written_off=written_off),
            on=self.clock.today(),
        )

    def _correct_refund(
        self,
        tx: Transaction,
        scene: _Scene,
        one: Payment,
        trails: Mapping[str, AuditRecord | None],
        actor: Actor,
        now: datetime,
    ) -> None:
        """What is owed back of a payment that changed; money that has left already cannot be called back."""
        refund = scene.refunds.get(one.id)
        if refund is None:
            if one.surplus:
                owed = owed_back(one, self.ids.new("rfd"), now)
                tx.insert(owed)
                self.recorder.refund(tx, None, None, owed, "refund-owed", actor)
        elif refund.status in (RefundStatus.OWED, RefundStatus.VOID):
            status = RefundStatus.OWED if one.surplus else RefundStatus.VOID
            corrected = replace(refund, amount=one.surplus, status=status, updated_at=now)
            tx.update(corrected)
            self.recorder.refund(tx, trails[refund.id], refund, corrected, "refund-corrected", actor)
        elif refund.amount > one.surplus:
            extra = {"refund": refund.id, "refunded": refund.amount, "surplus": one.surplus}
            log.error("refund-exceeds-surplus", extra=extra)


def _replayed(scene: _Scene, now: datetime) -> tuple[tuple[Payment, ...], Loan]:
    """The payments that went elsewhere without the one that is taken back, and the loan that they make."""
    kept = tuple(one for one in scene.settled if one.id != scene.payment.id)
    replayed = replay(scene.loan, tuple(_receipt(one, scene.refunds.get(one.id)) for one in kept))
    moved = []
    for one in kept:
        allocation, surplus = replayed.postings[one.id]
        if (allocation, surplus) != (one.allocation, one.surplus):
            moved.append(replace(one, allocation=allocation, surplus=surplus, updated_at=now))
    return tuple(moved), replayed.loan


def _scene(tx: Reader, payment_id: str) -> _Scene:
    payment = tx.get(Payment, payment_id)
    loan = tx.get(Loan, payment.loan_id) if payment else None
    if payment is None or loan is None:
        raise NotFound("payment-not-found")
    settled: list[Payment] = []
    cursor: str | None = None
    while True:
        page = tx.find(Find(kind=Payment, where={"loan_id": loan.id}, limit=BATCH, after=cursor))
        settled += [one for one in page.items if one.status is PaymentStatus.SETTLED]
        cursor = page.next_cursor
        if cursor is None:
            break
    refunds = tx.find(Find(kind=Refund, where={"loan_id": loan.id}, limit=BATCH)).items
    rivals = tx.find(Find(kind=Loan, where={"open_for": loan.user_id}, limit=1)).items
    return _Scene(
        payment=payment,
        loan=loan,
        settled=tuple(sorted(settled, key=_came)),
        entries=entries_of(tx, loan.id),
        refunds={refund.payment_id: refund for refund in refunds},
        rival=next(iter(rivals), None),
    )


def _came(payment: Payment) -> tuple[datetime, str]:
    """The order in which money was posted."""
    if payment.settled_at is None:
        raise LookupError(f"{payment.id} is settled but has no time")
    return payment.settled_at, payment.id


def _receipt(payment: Payment, refund: Refund | None) -> Receipt:
    """The payment as it came in, less what has left again as a refund."""
    if payment.posted_on is None:
        raise LookupError(f"{payment.id} is settled but was posted on no day")
    gone = refund is not None and refund.status in (RefundStatus.SENDING, RefundStatus.PAID)
    return Receipt(
        payment_id=payment.id,
        amount=payment.amount,
        on=payment.posted_on,
        closes=payment.closes,
        refunded=refund.amount if refund is not None and gone else 0,
    )


def _reopened(scene: _Scene, replayed: Loan, now: datetime) -> Loan:
    """The loan with its debt back; active again if the payment had settled it.

    The borrower may have opened another loan since: then both live.
    """
    if scene.loan.status is LoanStatus.SETTLED and replayed.next_due_on is not None:
        return move(replayed, LoanStatus.ACTIVE, updated_at=now, holds_borrower=scene.rival is None)
    return replace(replayed, updated_at=now)
