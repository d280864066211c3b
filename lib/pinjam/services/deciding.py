"""The decision on an application, made once and kept so that it can be replayed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from pinjam.domain.calendar import years_between
from pinjam.domain.decision import decide
from pinjam.domain.document import DocumentKind
from pinjam.domain.history import history_of, snapshot_of
from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.pricing import quote
from pinjam.domain.user import User
from pinjam.services.borrowers import documents_by, documents_of, known, loans_by, loans_of, reveal
from pinjam.services.recording import Actor, consume, last_record, trail_of

if TYPE_CHECKING:
    from pinjam.domain.document import Document
    from pinjam.domain.loan import Decision, Outcome
    from pinjam.domain.policy import Policies, Policy
    from pinjam.domain.trail import Event
    from pinjam.services.ports import Clock
    from pinjam.services.recording import Outbox, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store, Transaction

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
    vault: Vault
    policies: Policies
    clock: Clock
    recorder: Recorder
    outbox: Outbox

    def decide(self, event: Event) -> None:
        """Decide the application that an event tells of; a repetition of the event changes nothing."""
        actor = Actor(id=CONSUMER, request_id=event.request_id)
        applicant = self.store.read(lambda tx: _applicant(tx, event.subject))
        if applicant is None:
            return
        born = reveal(applicant, self.vault.safe(applicant.id)).birth_date

        def work(tx: Transaction) -> tuple[Event, ...]:
            owner = applicant.id
            tx.prefetch(
                (Loan, event.subject), (User, owner), documents_by(owner), loans_by(owner), trail_of(event.subject)
            )
            loan = tx.get(Loan, event.subject)
            if loan is None or loan.status is not LoanStatus.SUBMITTED:
                return ()
            user = known(tx, loan.user_id)
            papers = documents_of(tx, loan.user_id)
            loans = loans_of(tx, loan.user_id)
            previous = last_record(tx, loan.id)
            today, now = self.clock.today(), self.clock.now()
            policy = self.policies.on(today)
            decision = decision_on(loan, user, papers, loans, policy, born=born, on=today, decided_at=now)
            decided = answered(loan, decision, policy, on=today)
            tx.update(decided)
            consume(tx, CONSUMER, event, now)
            self.recorder.change(tx, previous, loan, decided, "loan-decided", actor)
            told = self.recorder.event(
                tx, "loan-decided", subject=loan.id, actor=actor, user_id=loan.user_id, outcome=decision.outcome
            )
            return (told,)

        self.outbox.publish(*self.store.transact(work))


def decision_on(
    loan: Loan,
    user: User,
    papers: tuple[Document, ...],
    loans: tuple[Loan, ...],
    policy: Policy,
    *,
    born: date,
    on: date,
    decided_at: datetime,
) -> Decision:
    """The decision on an application, by what is known of its borrower, born on the day `born`, now."""
    return decide(
        loan.application,
        snapshot_of(
            user,
            age=years_between(born, on),
            has_income_document=any(one.kind is DocumentKind.INCOME for one in papers),
        ),
        history_of(loans, application_id=loan.id, on=on, window_days=policy.decision.applications_window_days),
        policy,
        on,
        decided_at=decided_at,
    )


def answered(loan: Loan, decision: Decision, policy: Policy, *, on: date) -> Loan:
    """The loan with its decision and, where that is a yes, an offer at the policy's price from this day on."""
    answer = decision.last_word
    to, at = STATUS_OF[answer.outcome], answer.decided_at
    if to is not LoanStatus.APPROVED or answer.offered_amount is None:
        return move(loan, to, updated_at=at, decision=decision)
    offer = quote(policy, amount=answer.offered_amount, tenor_months=loan.tenor_months, start=on)
    expires_on = on + timedelta(days=policy.product.offer_valid_days)
    return move(loan, to, updated_at=at, decision=decision, offer=offer, offer_expires_on=expires_on)


def _applicant(tx: Reader, loan_id: str) -> User | None:
    """Whose application it is, None if there is nothing to decide."""
    loan = tx.get(Loan, loan_id)
    return known(tx, loan.user_id) if loan is not None and loan.status is LoanStatus.SUBMITTED else None
