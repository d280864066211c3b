"""Surplus on its way back to the borrower: first it pays what the loan owes again, and only the rest leaves."""

from dataclasses import dataclass

from pinjam.domain.loan import Loan
from pinjam.domain.refund import Refund
from pinjam.domain.trail import Event
from pinjam.services.reckoning import Reckoning, scene_of
from pinjam.services.recording import Actor, Outbox
from pinjam.services.refunding import Refunding
from pinjam.services.store import Find, Store, Transaction

NAME = "refund"


@dataclass(frozen=True, slots=True)
class Returning:
    """Sends refunds, and reckons their loan before and after: what is owed back follows from what is owed."""

    store: Store
    refunding: Refunding
    reckoning: Reckoning
    outbox: Outbox

    def hear(self, event: Event) -> None:
        """Pay back what a payment brought beyond the debt; see `Refunding.hear`."""
        loan_id, actor = str(event.data["loan_id"]), Actor(id=NAME, request_id=event.request_id)
        self._net(loan_id, actor)
        self.refunding.hear(event)
        self._net(loan_id, actor)

    def pay(self, refund: Refund, *, actor: Actor) -> bool:
        """Pay one refund, if it is owed still; see `Refunding.pay`."""
        self._net(refund.loan_id, actor)
        paid = self.refunding.pay(refund.id, actor=actor)
        self._net(refund.loan_id, actor)
        return paid

    def _net(self, loan_id: str, actor: Actor) -> None:
        """Reckon a loan that has refunds: one may have failed, or been paid, since its payment was taken back."""

        def work(tx: Transaction) -> tuple[Event, ...]:
            loan = tx.get(Loan, loan_id)
            if loan is None or not tx.find(Find(kind=Refund, where={"loan_id": loan_id}, limit=1)).items:
                return ()
            return self.reckoning.reckon(tx, scene_of(tx, loan), None, actor).events

        self.outbox.publish(*self.store.transact(work))
