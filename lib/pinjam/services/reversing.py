"""Taking a payment back: its postings are undone, and everything that came after it is reckoned again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from pinjam.domain.loan import Loan
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.services.errors import NotFound
from pinjam.services.reckoning import Change, scene_of
from pinjam.services.recording import last_record

if TYPE_CHECKING:
    from pinjam.domain.trail import Event
    from pinjam.services.ports import Clock
    from pinjam.services.reckoning import Reckoning
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.store import Transaction


@dataclass(frozen=True, slots=True)
class Reversing:
    """Reverses settled payments: the only correction there is."""

    clock: Clock
    recorder: Recorder
    reckoning: Reckoning

    def reverse(self, tx: Transaction, payment_id: str, actor: Actor) -> tuple[PaymentStatus, tuple[Event, ...]]:
        """Take the payment out of its loan's history and reckon the rest.

        A refund that is still owed is corrected; one that is on its way stays; one that was paid is claimed
        from the borrower, in the ledger. A payment that was never settled here has failed.
        """
        payment = tx.get(Payment, payment_id)
        loan = tx.get(Loan, payment.loan_id) if payment else None
        if payment is None or loan is None:
            raise NotFound("payment-not-found")
        now = self.clock.now()
        if payment.status is not PaymentStatus.SETTLED:
            return self._fail(tx, payment, actor, now), ()
        taken_back = replace(
            payment, status=PaymentStatus.REVERSED, reversed_at=now, updated_at=now, allocation=(), surplus=0
        )
        change = Change(before=payment, after=taken_back, action="payment-reversed", loan_action="repayment-reversed")
        reckoned = self.reckoning.reckon(tx, scene_of(tx, loan), change, actor)
        told = self.recorder.event(
            tx,
            "payment-reversed",
            subject=payment.id,
            actor=actor,
            user_id=loan.user_id,
            loan_id=loan.id,
            amount=payment.amount,
        )
        return PaymentStatus.REVERSED, (told, *reckoned.events)

    def _fail(self, tx: Transaction, payment: Payment, actor: Actor, now: datetime) -> PaymentStatus:
        """Money that came and went again before it was posted; a payment that has ended already stays as it is."""
        previous = last_record(tx, payment.id)
        if payment.status is not PaymentStatus.PENDING:
            return payment.status
        failed = replace(payment, status=PaymentStatus.FAILED, updated_at=now)
        tx.update(failed)
        self.recorder.change(tx, previous, payment, failed, "payment-failed", actor)
        return failed.status
