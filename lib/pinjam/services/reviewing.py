"""What waits for a person, what they need to know of it, and their decision.

A decision is the machine's in all but its actor: the same moves, events and notifications, in one transaction
with its audit record, which has the reviewer and the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from pinjam.domain.document import DocumentStatus
from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payout import Payout
from pinjam.domain.review import RulesForbid, approved, declined
from pinjam.domain.trail import AuditRecord
from pinjam.domain.user import User, UserStatus
from pinjam.services.borrowers import MOST, documents_of, known, loans_of, reveal, safe_of
from pinjam.services.deciding import answered, decision_on
from pinjam.services.errors import Invalid, NotFound, StateForbids
from pinjam.services.ports import Unavailable
from pinjam.services.recording import Actor, last_record
from pinjam.services.store import Find
from pinjam.services.verification import conclude

if TYPE_CHECKING:
    from pinjam.domain.document import Document
    from pinjam.domain.policy import Policies
    from pinjam.domain.trail import Event
    from pinjam.services.links import Links
    from pinjam.services.payout_desk import PayoutDesk
    from pinjam.services.ports import Clock
    from pinjam.services.recording import Outbox, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store, Transaction

PAYOUT = "out_"
"""What the ids of payouts begin with."""

REJECTED = "REVIEWED_REJECTED"
"""The reason code of a person's refusal of an identity."""

REASON_MIN, REASON_MAX, REVIEWER_MIN, REVIEWER_MAX = 5, 500, 2, 64
"""Lengths of what goes into the audit log, in characters."""

_NIK = re.compile(r"\d{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A case that a person must decide; `reasons` are why, `amount` (rupiah) is what is asked for or to be paid out."""

    id: str
    kind: Literal["identity", "application", "payout"]
    since: datetime
    reasons: tuple[str, ...]
    amount: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What waits, of each kind what was touched least recently first; `whole` is false when there is more."""

    cases: tuple[Waiting, ...]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is known of a case. `loan` is None when it is about the identity itself; `others` are the other loans.

    `payout` is there when the case is about money on its way, for `loan`; `holder` is whom the bank then names as the
    holder of its account, None if it knows none or gives no answer.

    `born` is the borrower's birth date. `papers` come with a URL that gives their bytes for five minutes; `trail`
    is the subject's audit log.
    """

    user: User
    born: date
    loan: Loan | None
    others: tuple[Loan, ...]
    trail: tuple[AuditRecord, ...]
    papers: tuple[tuple[Document, str], ...] = ()
    payout: Payout | None = None
    holder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A person's decision. Invalid unless reviewer and reason are one line each, of a length that can be kept,

    without a whole NIK: the audit log holds no personal data.
    """

    approve: bool
    reviewer: str
    reason: str

    def __post_init__(self) -> None:
        problems = [
            *_line("reviewer", self.reviewer, REVIEWER_MIN, REVIEWER_MAX),
            *_line("reason", self.reason, REASON_MIN, REASON_MAX),
        ]
        if problems:
            raise Invalid(*problems)


@dataclass(frozen=True, slots=True)
class Reviewing:
    """Lets a person decide what the machine would not."""

    store: Store
    vault: Vault
    links: Links
    policies: Policies
    clock: Clock
    recorder: Recorder
    outbox: Outbox
    payouts: PayoutDesk

    def waiting(self, *, limit: int = MOST) -> Queue:
        """Identities in review, then referred applications, then held payouts, at most `limit` of each."""
        in_review = Find(kind=User, where={"status": UserStatus.REVIEW}, order="updated_at", limit=limit)
        referred = Find(kind=Loan, where={"status": LoanStatus.REFERRED}, order="updated_at", limit=limit)
        users, loans = self.store.read(lambda tx: (tx.find(in_review), tx.find(referred)))
        payouts = self.payouts.held(limit=limit)
        return Queue(
            cases=(*map(_identity, users.items), *map(_application, loans.items), *map(_payout, payouts.items)),
            whole=users.next_cursor is None and loans.next_cursor is None and payouts.next_cursor is None,
        )

    def show(self, case_id: str) -> Case:
        """The case of a borrower's identity, of a loan or of a payout. NotFound if there is no such."""
        born = self._born(case_id)

        def work(tx: Reader) -> tuple[Case, tuple[Document, ...]]:
            subject = _subject(tx, case_id)
            user = subject if isinstance(subject, User) else known(tx, subject.user_id)
            loan = tx.get(Loan, subject.loan_id) if isinstance(subject, Payout) else subject
            trail = Find(kind=AuditRecord, where={"subject": case_id}, order="number", descending=True, limit=MOST)
            case = Case(
                user=user,
                born=born,
                loan=loan if isinstance(loan, Loan) else None,
                others=tuple(one for one in loans_of(tx, user.id) if loan is None or one.id != loan.id),
                trail=tx.find(trail).items[::-1],
                payout=subject if isinstance(subject, Payout) else None,
            )
            return case, documents_of(tx, user.id)

        case, documents = self.store.read(work)
        papers = tuple((one, self.links.to(one.id)) for one in documents if one.status is not DocumentStatus.REPLACED)
        return replace(case, papers=papers, holder=self._holder(case.payout))

    def _holder(self, payout: Payout | None) -> str | None:
        try:
            return self.payouts.holder_of(payout) if payout else None
        except Unavailable:
            return None

    def decide(self, case_id: str, verdict: Verdict, *, request_id: str) -> User | Loan | Payout:
        """Decide a case; the borrower, the loan or the payout as it stands then.

        A yes to a payout sends it to the account that it holds; after a no it stays held, and the borrower is asked
        again for an account. NotFound; StateForbids `not-in-review` when nothing, or no longer, waits for a person,
        and `rules-forbid` for a yes that the rules in force do not allow. Of two at once one is refused.
        """
        actor = Actor(id=f"staff:{verdict.reviewer}", request_id=request_id)
        if case_id.startswith(PAYOUT):
            settle = self.payouts.release if verdict.approve else self.payouts.refuse
            try:
                return settle(case_id, reason=verdict.reason, actor=actor)
            except NotFound:
                raise NotFound("case-not-found") from None
        born = self._born(case_id)

        def work(tx: Transaction) -> tuple[User | Loan, tuple[Event, ...]]:
            subject = _subject(tx, case_id)
            if isinstance(subject, Loan):
                return self._application(tx, subject, born, verdict, actor)
            if isinstance(subject, User):
                return self._identity(tx, subject, verdict, actor)
            raise NotFound("case-not-found")

        decided, events = self.store.transact(work)
        self.outbox.publish(*events)
        return decided

    def _born(self, case_id: str) -> date:
        """The birth date of whom a case is about. NotFound if there is no such case."""

        def work(tx: Reader) -> User:
            subject = _subject(tx, case_id)
            return subject if isinstance(subject, User) else known(tx, subject.user_id)

        user = self.store.read(work)
        return reveal(user, safe_of(self.vault, user.id)).birth_date

    def _identity(self, tx: Transaction, user: User, verdict: Verdict, actor: Actor) -> tuple[User, tuple[Event, ...]]:
        documents = documents_of(tx, user.id)
        previous = last_record(tx, user.id)
        if user.status is not UserStatus.REVIEW:
            raise StateForbids("not-in-review", {"status": user.status.value})
        status, reasons = (UserStatus.VERIFIED, ()) if verdict.approve else (UserStatus.REJECTED, (REJECTED,))
        return conclude(
            tx,
            self.recorder,
            previous,
            user,
            documents,
            status,
            kyc=replace(user.kyc, reasons=reasons),
            action="identity-reviewed",
            actor=actor,
            facts={"reason": verdict.reason},
            at=self.clock.now(),
        )

    def _application(
        self, tx: Transaction, loan: Loan, born: date, verdict: Verdict, actor: Actor
    ) -> tuple[Loan, tuple[Event, ...]]:
        user, papers, loans = known(tx, loan.user_id), documents_of(tx, loan.user_id), loans_of(tx, loan.user_id)
        previous = last_record(tx, loan.id)
        if loan.status is not LoanStatus.REFERRED or loan.decision is None:
            raise StateForbids("not-in-review", {"status": loan.status.value})
        today, now = self.clock.today(), self.clock.now()
        policy = self.policies.on(today)
        if verdict.approve:
            again = decision_on(loan, user, papers, loans, policy, born=born, on=today, decided_at=now)
            try:
                decision = approved(loan.decision, again, loan.application, policy, decided_at=now)
            except RulesForbid as rules:
                raise StateForbids("rules-forbid", {"rules": str(rules)}) from None
        else:
            decision = declined(loan.decision, policy, decided_at=now)
        after = answered(loan, decision, policy, on=today)
        tx.update(after)
        self.recorder.change(tx, previous, loan, after, "application-reviewed", actor, reason=verdict.reason)
        told = self.recorder.event(
            tx,
            "loan-decided",
            subject=loan.id,
            actor=actor,
            user_id=loan.user_id,
            outcome=decision.last_word.outcome,
        )
        return after, (told,)


def _subject(tx: Reader, case_id: str) -> User | Loan | Payout:
    kind: type[User] | type[Loan] | type[Payout] = User
    if case_id.startswith("loan_"):
        kind = Loan
    elif case_id.startswith(PAYOUT):
        kind = Payout
    subject = tx.get(kind, case_id) if case_id.isascii() else None  # A terminal's half a letter fits no store.
    if subject is None:
        raise NotFound("case-not-found")
    return subject


def _identity(user: User) -> Waiting:
    return Waiting(
        id=user.id, kind="identity", since=user.kyc.concluded_at or user.updated_at, reasons=user.kyc.reasons
    )


def _application(loan: Loan) -> Waiting:
    decision = loan.decision
    return Waiting(
        id=loan.id,
        kind="application",
        since=decision.decided_at if decision else loan.created_at,
        reasons=decision.reasons if decision else (),
        amount=loan.application.amount,
    )


def _payout(payout: Payout) -> Waiting:
    return Waiting(
        id=payout.id,
        kind="payout",
        since=payout.updated_at,
        reasons=(payout.hold,) if payout.hold else (),
        amount=payout.amount,
    )


def _line(field: str, text: str, shortest: int, longest: int) -> Iterator[FieldProblem]:
    if len(text.strip()) < shortest:
        yield FieldProblem(field=field, code="too-short", params={"limit": shortest})
    elif len(text) > longest:
        yield FieldProblem(field=field, code="too-long", params={"limit": longest})
    elif not text.isprintable():
        yield FieldProblem(field=field, code="control-characters", params={})
    elif _NIK.search(text):
        yield FieldProblem(field=field, code="holds-a-nik", params={})
