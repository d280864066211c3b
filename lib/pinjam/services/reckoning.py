"""A loan reckoned anew from its payments in business order, with the books and the refunds that follow from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from pinjam.domain.ledger import claim, repayment
from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.receipts import Receipt, replay
from pinjam.domain.refund import Refund, RefundStatus, owed_back
from pinjam.services.books import entries_of, standing
from pinjam.services.recording import last_record
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.domain.ledger import JournalEntry
    from pinjam.domain.trail import Event
    from pinjam.services.books import Books
    from pinjam.services.ports import Clock, Ids
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.store import Reader, Transaction

log = logging.getLogger(__name__)

BATCH = 100
GONE = frozenset({RefundStatus.SENDING, RefundStatus.PAID})
"""Refunds whose money has left, or may have: it cannot be called back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a reckoning reads before it writes.

    `settled` has the payments that stand, as they were heard of; `rival` is the loan that the borrower has
    open now, if any.
    """

    loan: Loan
    settled: tuple[Payment, ...]
    entries: tuple[JournalEntry, ...]
    refunds: tuple[Refund, ...]
    rival: Loan | None

    def refunds_of(self, payment_id: str) -> tuple[Refund, ...]:
        """A payment's refunds, oldest first."""
        return tuple(one for one in self.refunds if one.payment_id == payment_id)

    def gone_of(self, payment_id: str) -> int:
        """How much of a payment has left again, in rupiah."""
        return sum(one.amount for one in self.refunds_of(payment_id) if one.status in GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The payment that a reckoning is about: one that comes to stand, or stands no more. Actions name it in trails."""

    before: Payment
    after: Payment
    action: str
    loan_action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoned:
    """What a reckoning made: the loan, what is owed back more than before (in rupiah), and what others must hear."""

    loan: Loan
    surplus: int
    events: tuple[Event, ...]


def scene_of(tx: Reader, loan: Loan) -> Scene:
    """Read all that a loan's reckoning needs, but for the trails."""
    settled: list[Payment] = []
    cursor: str | None = None
    while True:
        page = tx.find(Find(kind=Payment, where={"loan_id": loan.id}, limit=BATCH, after=cursor))
        settled += [one for one in page.items if one.status is PaymentStatus.SETTLED]
        cursor = page.next_cursor
        if cursor is None:
            break
    rivals = tx.find(Find(kind=Loan, where={"open_for": loan.user_id}, limit=1)).items
    return Scene(
        loan=loan,
        settled=tuple(settled),
        entries=entries_of(tx, loan.id),
        refunds=tx.find(Find(kind=Refund, where={"loan_id": loan.id}, limit=BATCH)).items,
        rival=next(iter(rivals), None),
    )


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Rebuilds a loan, and corrects what was posted otherwise: by reversal and a new entry, in one transaction."""

    clock: Clock
    ids: Ids
    recorder: Recorder
    books: Books

    def reckon(self, tx: Transaction, scene: Scene, change: Change | None, actor: Actor) -> Reckoned:
        """Bring loan, payments, books and refunds to what the payments that stand make of them.

        Without a change nothing is written unless something else has happened since: a refund that came back
        pays what the loan owes, and one that was paid although its payment is gone is claimed.
        """
        now = self.clock.now()
        before = {one.id: one for one in scene.settled}
        if change is not None:
            before[change.before.id] = change.before
        kept, rebuilt = _replayed(scene, change)
        moved = tuple(replace(one, updated_at=now) for one in kept.values() if one != before[one.id])
        taken_back = () if change is None or change.before.id in kept else (change.after,)
        loan = _next(scene, rebuilt, now)
        refunds = self._refunds(scene, {one.id: one for one in taken_back} | kept, now)
        subjects = [loan.id, *(one.id for one in (*taken_back, *moved)), *(old.id for old, _ in refunds if old)]
        trails = {subject: last_record(tx, subject) for subject in subjects}
        if loan is not scene.loan:
            tx.update(loan)
            action = change.loan_action if change else "refund-netted"
            self.recorder.change(tx, trails[loan.id], scene.loan, loan, action, actor)
        for one in (*taken_back, *moved):
            tx.update(one)
            action = change.action if change and one.id == change.before.id else "payment-reallocated"
            self.recorder.change(tx, trails[one.id], before[one.id], one, action, actor)
            self._correct_books(tx, scene, one)
        for old, new in refunds:
            if old is None:
                tx.insert(new)
            else:
                tx.update(new)
            action = "refund-corrected" if old else "refund-owed"
            self.recorder.change(tx, trails[new.id] if old else None, old, new, action, actor)
        self._claim(tx, scene, kept)
        more = sum(max(0, one.surplus - before[one.id].surplus) for one in moved)
        return Reckoned(loan=loan, surplus=more, events=self._settled(tx, scene, loan, actor))

    def _settled(self, tx: Transaction, scene: Scene, loan: Loan, actor: Actor) -> tuple[Event, ...]:
        if loan.status is not LoanStatus.SETTLED or scene.loan.status is LoanStatus.SETTLED:
            return ()
        who = {"user_id": loan.user_id, "loan_id": loan.id}
        return (self.recorder.event(tx, "loan-settled", subject=loan.id, actor=actor, **who),)

    def _correct_books(self, tx: Transaction, scene: Scene, one: Payment) -> None:
        """Reverse the entry of what changed, and make it anew where the money is there: as of today.

        A day's balance that was told is not changed any more.
        """
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
            key=f"repayment:{one.id}:{len(made) + 1}" if made else f"repayment:{one.id}",
            loan_id=one.loan_id,
            subject=one.id,
            postings=repayment(one.allocation, one.surplus, written_off=written_off),
            on=self.clock.today(),
        )

    def _refunds(
        self, scene: Scene, payments: Mapping[str, Payment], now: datetime
    ) -> tuple[tuple[Refund | None, Refund], ...]:
        """The refunds to be changed or made, so that what has left and what is owed is each payment's surplus.

        A refund that has left stays as it is; what is owed beyond it is a refund of its own.
        """
        changes: list[tuple[Refund | None, Refund]] = []
        for one in payments.values():
            owed = max(0, one.surplus - scene.gone_of(one.id))
            here = [refund for refund in scene.refunds_of(one.id) if refund.status not in GONE]
            if owed and not here:
                new = owed_back(one, self.ids.new("rfd"), now)
                changes.append((None, replace(new, amount=owed)))
            for refund in here:
                status = RefundStatus.OWED if owed else RefundStatus.VOID
                if (refund.amount, refund.status) != (owed, status):
                    changes.append((refund, replace(refund, amount=owed, status=status, updated_at=now)))
                owed = 0
        return tuple(changes)

    def _claim(self, tx: Transaction, scene: Scene, kept: Mapping[str, Payment]) -> None:
        """A refund that was paid of money that was then taken back: the borrower owes it."""
        claimed = {entry.key for entry in scene.entries if entry.kind == "claim"}
        for refund in scene.refunds:
            key = f"claim:{refund.id}"
            if refund.status is not RefundStatus.PAID or refund.payment_id in kept or key in claimed:
                continue
            log.error("refund-claimed", extra={"refund": refund.id, "amount": refund.amount})
            self.books.post(
                tx,
                "claim",
                key=key,
                loan_id=refund.loan_id,
                subject=refund.id,
                postings=claim(refund.amount),
                on=self.clock.today(),
            )


def _replayed(scene: Scene, change: Change | None) -> tuple[dict[str, Payment], Loan]:
    """The payments that stand after the change, each with where it goes then, and the loan that they make."""
    standing_now = [one for one in scene.settled if change is None or one.id != change.before.id]
    if change is not None and change.after.status is PaymentStatus.SETTLED:
        standing_now.append(change.after)
    as_heard = {one.id: one for one in sorted(standing_now, key=_heard)}
    replayed = replay(scene.loan, (_receipt(one, scene.gone_of(one.id)) for one in as_heard.values()))
    kept = {
        payment_id: replace(as_heard[payment_id], allocation=allocation, surplus=surplus)
        for payment_id, (allocation, surplus) in replayed.postings.items()
    }
    return kept, replayed.loan


def _heard(payment: Payment) -> tuple[datetime, str]:
    """The order in which we heard of money."""
    if payment.settled_at is None:
        raise LookupError(f"{payment.id} is settled but has no time")
    return payment.settled_at, payment.id


def _receipt(payment: Payment, gone: int) -> Receipt:
    """The payment as it came in, less what has left again as refunds."""
    if payment.posted_on is None:
        raise LookupError(f"{payment.id} is settled but was posted on no day")
    return Receipt(
        payment_id=payment.id, amount=payment.amount, on=payment.posted_on, closes=payment.closes, refunded=gone
    )


def _next(scene: Scene, rebuilt: Loan, now: datetime) -> Loan:
    """The loan as it is to be stored; the scene's own where nothing changed.

    Settled when the last rupiah is paid; active again when a debt is back. The borrower may have opened
    another loan since: then both live. A written-off loan stays what it is.
    """
    if rebuilt == scene.loan:
        return scene.loan
    if rebuilt.status is LoanStatus.SETTLED and rebuilt.next_due_on is not None:
        return move(rebuilt, LoanStatus.ACTIVE, updated_at=now, holds_borrower=scene.rival is None)
    if rebuilt.status is LoanStatus.ACTIVE and rebuilt.next_due_on is None:
        return move(rebuilt, LoanStatus.SETTLED, updated_at=now, settled_at=now)
    return replace(rebuilt, updated_at=now)
