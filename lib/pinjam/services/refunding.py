"""What paying back what exceeded the debt does to the refund and to the books."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.ledger import refund as refund_postings
from pinjam.domain.loan import Loan
from pinjam.domain.payment import Payment
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.services.paying_out import Owed
from pinjam.services.reckoning import scene_of
from pinjam.services.recording import last_record

if TYPE_CHECKING:
    from pinjam.domain.payout import Payout
    from pinjam.domain.trail import AuditRecord, Event
    from pinjam.services.books import Books
    from pinjam.services.ports import Clock
    from pinjam.services.reckoning import Reckoning
    from pinjam.services.recording import Actor, Outbox, Recorder
    from pinjam.services.store import Reader, Store, Transaction


@dataclass(frozen=True, slots=True)
class Refunding:
    """The cause of payouts that is a refund: `owed -> sending -> paid`, or back to `owed`."""

    store: Store
    clock: Clock
    recorder: Recorder
    books: Books
    outbox: Outbox
    reckoning: Reckoning

    def read(self, tx: Reader, subject_id: str) -> RefundToPay | None:
        """The refund, None if there is none."""
        refund = tx.get(Refund, subject_id)
        if refund is None:
            return None
        payment = tx.get(Payment, refund.payment_id)
        return RefundToPay(self, refund, payment.surplus if payment else 0, last_record(tx, subject_id))

    def reckon(self, subject_id: str, *, actor: Actor) -> None:
        """Reckon the refund's loan: what it owes again is paid first, and only the rest leaves.

        A refund may have failed, or been paid, since its payment was taken back.
        """

        def work(tx: Transaction) -> tuple[Event, ...]:
            refund = tx.get(Refund, subject_id)
            loan = tx.get(Loan, refund.loan_id) if refund else None
            return self.reckoning.reckon(tx, scene_of(tx, loan), None, actor).events if loan else ()

        self.outbox.publish(*self.store.transact(work))


@dataclass(frozen=True, slots=True)
class RefundToPay:
    """A refund as its payout finds it; `surplus` is what its payment brings beyond the debt by now."""

    by: Refunding
    refund: Refund
    surplus: int
    previous: AuditRecord | None

    @property
    def owed(self) -> Owed | None:
        """The refund's amount, while it is owed."""
        refund = self.refund
        if refund.status is not RefundStatus.OWED or refund.amount == 0:
            return None
        return Owed(user_id=refund.user_id, loan_id=refund.loan_id, amount=refund.amount, notes="Pinjam refund")

    def sending(self, tx: Transaction, payout: Payout, actor: Actor) -> None:
        """The refund is on its way."""
        now = self.by.clock.now()
        started = replace(self.refund, status=RefundStatus.SENDING, payout_id=payout.id, updated_at=now)
        self._write(tx, started, "refund-started", actor)

    def paid(self, tx: Transaction, payout: Payout, actor: Actor) -> tuple[Event, ...]:
        """The refund is no longer owed."""
        now = self.by.clock.now()
        paid = replace(self.refund, status=RefundStatus.PAID, paid_at=now, updated_at=now)
        self._write(tx, paid, "refund-paid", actor)
        self.by.books.post(
            tx,
            "refund",
            key=f"refund:{payout.id}",
            loan_id=paid.loan_id,
            subject=paid.id,
            postings=refund_postings(paid.amount),
            on=self.by.clock.today(),
        )
        return ()

    def failed(self, tx: Transaction, payout: Payout, actor: Actor) -> None:  # noqa: ARG002 - as every subject has it
        """The refund is owed again, unless its payment was taken back meanwhile: then nothing is."""
        status = RefundStatus.OWED if self.surplus else RefundStatus.VOID
        now = self.by.clock.now()
        returned = replace(self.refund, status=status, amount=self.surplus, payout_id=None, updated_at=now)
        self._write(tx, returned, "refund-failed", actor)

    def _write(self, tx: Transaction, after: Refund, action: str, actor: Actor) -> None:
        tx.update(after)
        self.by.recorder.change(tx, self.previous, self.refund, after, action, actor)
