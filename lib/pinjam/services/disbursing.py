"""What paying a loan out does to the loan and to the books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.domain.ledger import disbursement, payout_returned, payout_sent
from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.repayment import open_instalments
from pinjam.services.paying_out import Owed
from pinjam.services.recording import last_record

if TYPE_CHECKING:
    from pinjam.domain.ledger import EntryKind, Posting
    from pinjam.domain.loan import Contract
    from pinjam.domain.payout import Payout
    from pinjam.domain.trail import AuditRecord, Event
    from pinjam.services.books import Books
    from pinjam.services.ports import Clock
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.store import Reader, Transaction


@dataclass(frozen=True, slots=True)
class Disbursing:
    """The cause of payouts that is a loan: `accepted -> disbursing -> active`, or back to `accepted`."""

    clock: Clock
    recorder: Recorder
    books: Books

    def read(self, tx: Reader, subject_id: str) -> LoanToPay | None:
        """The loan, None if there is none."""
        loan = tx.get(Loan, subject_id)
        return LoanToPay(self, loan, last_record(tx, subject_id)) if loan else None

    def reckon(self, subject_id: str, *, actor: Actor) -> None:
        """Nothing: what the contract promises does not change."""


@dataclass(frozen=True, slots=True)
class LoanToPay:
    """A loan as its payout finds it."""

    by: Disbursing
    loan: Loan
    previous: AuditRecord | None

    @property
    def owed(self) -> Owed | None:
        """What the contract promises, once it is accepted and until it is on its way."""
        if self.loan.status is not LoanStatus.ACCEPTED:
            return None
        contract = _contract(self.loan)
        return Owed(
            user_id=self.loan.user_id,
            loan_id=self.loan.id,
            amount=contract.quote.disbursed_amount,
            notes=f"Pinjam {contract.number}",
        )

    def sending(self, tx: Transaction, payout: Payout, actor: Actor) -> None:
        """The loan is being disbursed, and its money is in transit."""
        started = move(self.loan, LoanStatus.DISBURSING, updated_at=self.by.clock.now(), payout_id=payout.id)
        self._write(tx, started, "payout-started", actor)
        self._book(tx, "payout_sent", payout, payout_sent(_contract(started).quote), event=payout.id)

    def paid(self, tx: Transaction, payout: Payout, actor: Actor) -> tuple[Event, ...]:
        """The loan is a live debt: the contract's schedule, its dates counted from today."""
        now, today = self.by.clock.now(), self.by.clock.today()
        instalments = open_instalments(_contract(self.loan).quote, today)
        active = move(
            self.loan,
            LoanStatus.ACTIVE,
            updated_at=now,
            disbursed_on=today,
            disbursed_at=now,
            instalments=instalments,
            next_due_on=instalments[0].due_date,
        )
        self._write(tx, active, "loan-disbursed", actor)
        self._book(tx, "disbursement", payout, disbursement(_contract(active).quote), event=active.id)
        told = self.by.recorder.event(
            tx, "loan-disbursed", subject=active.id, actor=actor, user_id=active.user_id, amount=payout.amount
        )
        return (told,)

    def failed(self, tx: Transaction, payout: Payout, actor: Actor) -> None:
        """The loan is accepted and waits for another payout; its money is at the gateway again."""
        returned = move(self.loan, LoanStatus.ACCEPTED, updated_at=self.by.clock.now(), payout_id=None)
        self._write(tx, returned, "payout-failed", actor)
        self._book(tx, "payout_returned", payout, payout_returned(_contract(returned).quote), event=payout.id)

    def _write(self, tx: Transaction, after: Loan, action: str, actor: Actor) -> None:
        tx.update(after)
        self.by.recorder.change(tx, self.previous, self.loan, after, action, actor)

    def _book(
        self, tx: Transaction, kind: EntryKind, payout: Payout, postings: Sequence[Posting], *, event: str
    ) -> None:
        """One journal entry for an event of the payout; `event` is what happens only once."""
        self.by.books.post(
            tx,
            kind,
            key=f"{kind}:{event}",
            loan_id=self.loan.id,
            subject=payout.id,
            postings=postings,
            on=self.by.clock.today(),
        )


def _contract(loan: Loan) -> Contract:
    if loan.contract is None:
        raise LookupError(f"{loan.id}: on its way to being paid out without a contract")
    return loan.contract
