"""Paying back what exceeded the debt, once."""

import logging
from dataclasses import dataclass, replace

from pinjam.domain.ledger import refund as refund_postings
from pinjam.domain.payment import Payment
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.trail import Event
from pinjam.domain.user import User
from pinjam.services.books import Books
from pinjam.services.borrowers import known
from pinjam.services.ports import Clock, Ids, Payout, PayoutGateway, Refused, Unavailable, Vault
from pinjam.services.recording import Actor, Outbox, Recorder, last_record
from pinjam.services.store import Find, Store, Transaction

log = logging.getLogger(__name__)

NAME = "refund"


@dataclass(frozen=True, slots=True)
class Refunding:
    """Sends refunds out under an id of ours, so that asking twice pays once."""

    store: Store
    gateway: PayoutGateway
    vault: Vault
    clock: Clock
    ids: Ids
    recorder: Recorder
    books: Books
    outbox: Outbox

    def hear(self, event: Event) -> None:
        """Pay back what a payment brought beyond the debt; a repetition of the event pays nothing more.

        Unavailable (so that the event comes again) while the gateway gives no final answer.
        """
        query = Find(kind=Refund, where={"payment_id": event.subject}, limit=1)
        found = self.store.read(lambda tx: tx.find(query)).items
        if found:
            self.pay(found[0].id, actor=Actor(id=NAME, request_id=event.request_id))

    def pay(self, refund_id: str, *, actor: Actor) -> bool:
        """Pay one refund that is owed, or find out about one that is on its way; False if there is nothing to do.

        Without a bank account it stays owed. A payout that fails leaves it owed too, to be tried again
        under a new id, unless its payment was taken back meanwhile.
        """
        begun = self.store.transact(lambda tx: self._begin(tx, refund_id, actor))
        if begun is None:
            return False
        refund, user = begun
        try:
            payout = self._send(refund, user)
        except Refused as refused:
            payout = Payout(reference="", status="failed", failure=refused.code)
        if payout.status == "processing":
            raise Unavailable("payout", f"{refund.payout_id} still processing")
        self.store.transact(lambda tx: self._finish(tx, refund, payout, actor))
        return True

    def _send(self, refund: Refund, user: User) -> Payout:
        account = user.bank_account
        if account is None or refund.payout_id is None:
            raise LookupError(f"{refund.id}: sending without an account or a payout id")
        return self.gateway.pay_out(
            payout_id=refund.payout_id,
            amount=refund.amount,
            bank_code=account.bank_code,
            account_number=self.vault.open(account.account_number, owner=user.id, field="account_number"),
            account_name=account.account_name,
            notes="Pinjam refund",
        )

    def _begin(self, tx: Transaction, refund_id: str, actor: Actor) -> tuple[Refund, User] | None:
        refund = tx.get(Refund, refund_id)
        if refund is None or refund.status not in (RefundStatus.OWED, RefundStatus.SENDING):
            return None
        user = known(tx, refund.user_id)
        if refund.status is RefundStatus.SENDING:
            return refund, user
        if user.bank_account is None or refund.amount == 0:
            return None
        previous = last_record(tx, refund_id)
        sending = replace(
            refund, status=RefundStatus.SENDING, payout_id=self.ids.new("out"), updated_at=self.clock.now()
        )
        tx.update(sending)
        self.recorder.refund(tx, previous, refund, sending, "refund-started", actor)
        return sending, user

    def _finish(self, tx: Transaction, sent: Refund, payout: Payout, actor: Actor) -> None:
        refund = tx.get(Refund, sent.id)
        payment = tx.get(Payment, sent.payment_id)
        previous = last_record(tx, sent.id)
        if refund is None or refund.status is not RefundStatus.SENDING or refund.payout_id != sent.payout_id:
            return
        now = self.clock.now()
        if payout.status == "failed":
            # The payment may have been taken back while its surplus was on its way: then nothing is owed any more.
            amount = payment.surplus if payment else 0
            status = RefundStatus.OWED if amount else RefundStatus.VOID
            returned = replace(refund, status=status, amount=amount, payout_id=None, updated_at=now)
            tx.update(returned)
            self.recorder.refund(tx, previous, refund, returned, "refund-failed", actor)
            log.error("refund-failed", extra={"refund": refund.id, "failure": payout.failure})
            return
        paid = replace(refund, status=RefundStatus.PAID, paid_at=now, updated_at=now)
        tx.update(paid)
        self.recorder.refund(tx, previous, refund, paid, "refund-paid", actor)
        self.books.post(
            tx,
            "refund",
            key=f"refund:{refund.payout_id}",
            loan_id=refund.loan_id,
            subject=refund.id,
            postings=refund_postings(refund.amount),
            on=self.clock.today(),
        )
