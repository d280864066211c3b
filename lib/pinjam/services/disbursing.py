"""Paying a loan out, once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pinjam.domain.ledger import EntryKind, Posting, disbursement, payout_returned, payout_sent
from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Contract, Loan, LoanStatus
from pinjam.domain.repayment import open_instalments
from pinjam.domain.trail import Event
from pinjam.domain.user import User
from pinjam.services.books import Books
from pinjam.services.borrowers import known
from pinjam.services.ports import Clock, Ids, Payout, PayoutGateway, Refused, Unavailable, Vault
from pinjam.services.recording import Actor, Outbox, Recorder, last_record
from pinjam.services.store import Store, Transaction

log = logging.getLogger(__name__)

CONSUMER = "disburse"


@dataclass(frozen=True, slots=True)
class Disbursing:
    """Sends money out under an id of ours, so that asking twice pays once."""

    store: Store
    gateway: PayoutGateway
    vault: Vault
    clock: Clock
    ids: Ids
    recorder: Recorder
    books: Books
    outbox: Outbox

    def disburse(self, event: Event) -> None:
        """Pay out the loan that an event tells of; a repetition of the event pays nothing more.

        Unavailable (so that the event comes again) while the gateway gives no final answer. A payout that
        failed returns the loan to `accepted`, to be tried again under a new id.
        """
        actor = Actor(id=CONSUMER, request_id=event.request_id)
        begun = self.store.transact(lambda tx: self._begin(tx, event.subject, actor))
        if begun is None:
            return
        loan, user = begun
        try:
            payout = self._pay(loan, user)
        except Refused as refused:
            payout = Payout(reference="", status="failed", failure=refused.code)
        if payout.status == "processing":
            raise Unavailable("payout", f"{loan.payout_id} still processing")
        events = self.store.transact(lambda tx: self._finish(tx, loan, payout, actor))
        self.outbox.publish(*events)

    def _pay(self, loan: Loan, user: User) -> Payout:
        account, contract = user.bank_account, _contract(loan)
        if account is None or loan.payout_id is None:
            raise LookupError(f"{loan.id}: accepted without an account or a payout id")
        return self.gateway.pay_out(
            payout_id=loan.payout_id,
            amount=contract.quote.disbursed_amount,
            bank_code=account.bank_code,
            account_number=self.vault.open(account.account_number, owner=user.id, field="account_number"),
            account_name=account.account_name,
            notes=f"Pinjam {contract.number}",
        )

    def _begin(self, tx: Transaction, loan_id: str, actor: Actor) -> tuple[Loan, User] | None:
        """The loan on its way, with the payout's id fixed before anything is sent; None if there is nothing to do."""
        loan = tx.get(Loan, loan_id)
        if loan is None or loan.status not in (LoanStatus.ACCEPTED, LoanStatus.DISBURSING):
            return None
        user = known(tx, loan.user_id)
        if loan.status is LoanStatus.DISBURSING:
            return loan, user
        previous = last_record(tx, loan_id)
        sending = move(loan, LoanStatus.DISBURSING, updated_at=self.clock.now(), payout_id=self.ids.new("out"))
        tx.update(sending)
        self.recorder.loan(tx, previous, loan, sending, "payout-started", actor)
        self._book(tx, sending, "payout_sent", sending.payout_id, payout_sent(_contract(sending).quote))
        return sending, user

    def _finish(self, tx: Transaction, sent: Loan, payout: Payout, actor: Actor) -> tuple[Event, ...]:
        loan = tx.get(Loan, sent.id)
        previous = last_record(tx, sent.id)
        if loan is None or loan.status is not LoanStatus.DISBURSING or loan.payout_id != sent.payout_id:
            return ()
        if payout.status == "failed":
            returned = move(loan, LoanStatus.ACCEPTED, updated_at=self.clock.now(), payout_id=None)
            tx.update(returned)
            self.recorder.loan(tx, previous, loan, returned, "payout-failed", actor)
            self._book(tx, loan, "payout_returned", loan.payout_id, payout_returned(_contract(loan).quote))
            log.error("payout-failed", extra={"loan": loan.id, "payout": loan.payout_id, "failure": payout.failure})
            return ()
        active = self._activate(loan)
        tx.update(active)
        self.recorder.loan(tx, previous, loan, active, "loan-disbursed", actor)
        self._book(tx, active, "disbursement", active.id, disbursement(_contract(active).quote))
        told = self.recorder.event(tx, "loan-disbursed", subject=loan.id, actor=actor, user_id=loan.user_id)
        return (told,)

    def _activate(self, loan: Loan) -> Loan:
        """The live debt: the contract's schedule, its dates counted from today."""
        now, today = self.clock.now(), self.clock.today()
        instalments = open_instalments(_contract(loan).quote, today)
        return move(
            loan,
            LoanStatus.ACTIVE,
            updated_at=now,
            disbursed_on=today,
            disbursed_at=now,
            instalments=instalments,
            next_due_on=instalments[0].due_date,
        )

    def _book(
        self, tx: Transaction, loan: Loan, kind: EntryKind, event: str | None, postings: Sequence[Posting]
    ) -> None:
        """One journal entry for an event of the payout; `event` is what happens only once."""
        self.books.post(
            tx,
            kind,
            key=f"{kind}:{event}",
            loan_id=loan.id,
            subject=loan.payout_id or loan.id,
            postings=postings,
            on=self.clock.today(),
        )


def _contract(loan: Loan) -> Contract:
    if loan.contract is None:
        raise LookupError(f"{loan.id}: on its way to being paid out without a contract")
    return loan.contract
