"""The decision on an application, made once and kept so that it can be replayed."""

from dataclasses import dataclass
from datetime import timedelta

from pinjam.domain.decision import decide
from pinjam.domain.document import DocumentKind
from pinjam.domain.history import history_of, snapshot_of
from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Decision, Loan, LoanStatus, Outcome
from pinjam.domain.policy import Policies, Policy
from pinjam.domain.pricing import quote
from pinjam.domain.trail import Event
from pinjam.services.borrowers import documents_of, known, loans_of
from pinjam.services.ports import Clock
from pinjam.services.recording import Actor, Outbox, Recorder, consume, last_record
from pinjam.services.store import Store, Transaction

CONSUMER = "decide_loan"

STATUS_OF: dict[Outcome, LoanStatus] = {
    "approved": LoanStatus.APPROVED,
    "counter_offer": LoanStatus.APPROVED,
    "referred": LoanStatus.REFERRED,
    "declined": LoanStatus.DECLINED,
}


@dataclass(frozen=True, slots=True)
class Deciding:
    """Answers applications."""

    store: Store
    policies: Policies
    clock: Clock
    recorder: Recorder
    outbox: Outbox

    def decide(self, event: Event) -> None:
        """Decide the application that an event tells of; a repetition of the event changes nothing."""
        actor = Actor(id=CONSUMER, request_id=event.request_id)

        def work(tx: Transaction) -> tuple[Event, ...]:
            loan = tx.get(Loan, event.subject)
            if loan is None or loan.status is not LoanStatus.SUBMITTED:
                return ()
            user = known(tx, loan.user_id)
            papers = documents_of(tx, loan.user_id)
            loans = loans_of(tx, loan.user_id)
            previous = last_record(tx, loan.id)
            today, now = self.clock.today(), self.clock.now()
            policy = self.policies.on(today)
            decision = decide(
                loan.application,
                snapshot_of(user, has_income_document=any(one.kind is DocumentKind.INCOME for one in papers)),
                history_of(
                    loans,
                    application_id=loan.id,
                    on=today,
                    window_days=policy.decision.applications_window_days,
                ),
                policy,
                today,
                decided_at=now,
            )
            decided = _decided(loan, decision, policy)
            tx.update(decided)
            consume(tx, CONSUMER, event, now)
            self.recorder.loan(tx, previous, loan, decided, "loan-decided", actor)
            told = self.recorder.event(
                tx, "loan-decided", subject=loan.id, actor=actor, user_id=loan.user_id, outcome=decision.outcome
            )
            return (told,)

        self.outbox.publish(*self.store.transact(work))


def _decided(loan: Loan, decision: Decision, policy: Policy) -> Loan:
    """The loan with its decision and, where there is one, its offer."""
    to = STATUS_OF[decision.outcome]
    if to is not LoanStatus.APPROVED or decision.offered_amount is None:
        return move(loan, to, updated_at=decision.decided_at, decision=decision)
    offer = quote(policy, amount=decision.offered_amount, tenor_months=loan.tenor_months, start=decision.decided_on)
    expires_on = decision.decided_on + timedelta(days=policy.product.offer_valid_days)
    return move(loan, to, updated_at=decision.decided_at, decision=decision, offer=offer, offer_expires_on=expires_on)
