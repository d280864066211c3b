"""Giving a debt up: a person's decision, with a reason. The debt stays owed; what still comes in is a recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.domain.ledger import write_off
from pinjam.domain.lifecycle import IllegalMove, move
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.repayment import bill
from pinjam.services.errors import NotFound, StateForbids
from pinjam.services.recording import last_record

if TYPE_CHECKING:
    from pinjam.services.books import Books
    from pinjam.services.ports import Clock
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.store import Store, Transaction


@dataclass(frozen=True, slots=True)
class WritingOff:
    """Writes loans off."""

    store: Store
    clock: Clock
    recorder: Recorder
    books: Books

    def write_off(self, loan_id: str, *, reason: str, actor: Actor) -> Loan:
        """Write an active loan off, its unpaid principal as a loss. Again is harmless.

        NotFound; StateForbids for a loan that is not active.
        """

        def work(tx: Transaction) -> Loan:
            loan = tx.get(Loan, loan_id)
            if loan is None:
                raise NotFound("loan-not-found")
            previous = last_record(tx, loan_id)
            if loan.status is LoanStatus.WRITTEN_OFF:
                return loan
            today = self.clock.today()
            try:
                written_off = move(loan, LoanStatus.WRITTEN_OFF, updated_at=self.clock.now())
            except IllegalMove:
                raise StateForbids("loan-not-active", {"status": loan.status.value}) from None
            tx.update(written_off)
            self.recorder.change(tx, previous, loan, written_off, "loan-written-off", actor, reason=reason)
            self.books.post(
                tx,
                "write_off",
                key=f"write_off:{loan_id}",
                loan_id=loan_id,
                subject=loan_id,
                postings=write_off(bill(loan, today).outstanding_principal),
                on=today,
            )
            return written_off

        return self.store.transact(work)
