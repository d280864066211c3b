"""What staff see of a case: everything that its decision needs, and no secret, whole NIK or address."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pinjam.domain.money import PPM, divide
from pinjam.domain.payout import Payout
from pinjam.domain.reasons import reason_text
from pinjam.domain.user import User
from pinjam.runtime.models.documents import DocumentShown, DocumentWithLink
from pinjam.runtime.models.fields import Instant, ReasonShown, Rupiah, Shown
from pinjam.runtime.models.identity import CheckShown

if TYPE_CHECKING:
    from pinjam.domain.loan import Decision, Loan
    from pinjam.domain.trail import AuditRecord
    from pinjam.services.reviewing import Case, Queue


class WaitingShown(Shown):
    """A case that waits."""

    id: str
    kind: Literal["identity", "application", "payout"]
    since: Instant
    reasons: list[str]
    amount: Rupiah | None


class QueueShown(Shown):
    """What waits; `whole` is false when there is more of a kind than is shown."""

    cases: list[WaitingShown]
    whole: bool

    @classmethod
    def of(cls, queue: "Queue") -> "QueueShown":
        """The cases in their order."""
        return cls(
            cases=[
                WaitingShown(id=one.id, kind=one.kind, since=one.since, reasons=list(one.reasons), amount=one.amount)
                for one in queue.cases
            ],
            whole=queue.whole,
        )


class IdentityShown(Shown):
    """Who the borrower says they are, and what the provider said to that."""

    id: str
    full_name: str
    nik_masked: str
    birth_date: date
    gender: Literal["male", "female"]
    occupation: str | None
    status: str
    checks: list[CheckShown]
    reasons: list[ReasonShown]
    attempts: Annotated[int, Field(description="Verifications on the day of the last one.")]
    faults: Annotated[int, Field(description="How often the provider gave no answer in the last one.")]

    @classmethod
    def of(cls, user: User, *, born: date) -> "IdentityShown":
        """The borrower with the latest verification."""
        return cls(
            id=user.id,
            full_name=user.full_name,
            nik_masked=user.nik_masked,
            birth_date=born,
            gender=user.gender,
            occupation=user.occupation,
            status=user.status.value,
            checks=[CheckShown(name=one.name, outcome=one.outcome, score=one.score) for one in user.kyc.checks],
            reasons=_reasons(user.kyc.reasons),
            attempts=user.kyc.attempts,
            faults=user.kyc.faults,
        )


class RuleShown(Shown):
    """One rule of the machine's decision; `effect` is what its failure calls for."""

    code: str
    passed: bool
    effect: str | None
    observed: str
    limit: str


class DecisionDetail(Shown):
    """The machine's decision. Instalments are a month's, with the loan that was asked for, to all creditors."""

    outcome: str
    reasons: list[ReasonShown]
    decided_at: Instant
    policy_id: str
    score: int
    credit_limit: Rupiah
    offered_amount: Annotated[Rupiah | None, Field(description="The most that a person may approve.")]
    instalments: Rupiah
    instalments_max: Rupiah
    dsr_ppm: Annotated[int, Field(description="Instalments to income, rounded up.")]
    rules: list[RuleShown]

    @classmethod
    def of(cls, decision: "Decision", monthly_income: int) -> "DecisionDetail":
        """The decision with all its rules."""
        service = next(rule for rule in decision.rules if rule.code == "DSR_MAX")
        instalments = int(service.observed)
        return cls(
            outcome=decision.outcome,
            reasons=_reasons(decision.reasons),
            decided_at=decision.decided_at,
            policy_id=decision.policy_id,
            score=decision.score,
            credit_limit=decision.limit,
            offered_amount=decision.offered_amount,
            instalments=instalments,
            instalments_max=int(service.limit),
            dsr_ppm=divide(instalments * PPM, max(monthly_income, 1), "up"),
            rules=[
                RuleShown(
                    code=rule.code, passed=rule.passed, effect=rule.effect, observed=rule.observed, limit=rule.limit
                )
                for rule in decision.rules
            ],
        )


class LoanBrief(Shown):
    """Another loan of the borrower."""

    id: str
    status: str
    amount: Rupiah
    created_at: Instant

    @classmethod
    def of(cls, loan: "Loan") -> "LoanBrief":
        """The loan in one line."""
        return cls(id=loan.id, status=loan.status.value, amount=loan.amount, created_at=loan.created_at)


class ApplicationShown(Shown):
    """What was asked for, and what the machine made of it."""

    id: str
    status: str
    amount: Rupiah
    tenor_months: int
    purpose: str
    monthly_income: Rupiah
    other_instalments: Rupiah
    decision: DecisionDetail | None

    @classmethod
    def of(cls, loan: "Loan") -> "ApplicationShown":
        """The application as it was declared."""
        asked = loan.application
        return cls(
            id=loan.id,
            status=loan.status.value,
            amount=asked.amount,
            tenor_months=asked.tenor_months,
            purpose=asked.purpose,
            monthly_income=asked.monthly_income,
            other_instalments=asked.other_instalments,
            decision=DecisionDetail.of(loan.decision, asked.monthly_income) if loan.decision else None,
        )


class PayoutShown(Shown):
    """Money that was not sent: how much, for what, and why; the account is as the borrower gave it."""

    id: str
    purpose: Literal["loan", "refund"]
    status: str
    amount: Rupiah
    hold: str | None
    bank_code: str
    account_name: str
    holder: Annotated[str | None, Field(description="Whom the bank names; null if it knows none or is silent.")]
    created_at: Instant

    @classmethod
    def of(cls, payout: Payout, holder: str | None) -> "PayoutShown":
        """The payout without its account's number."""
        return cls(
            id=payout.id,
            purpose=payout.purpose,
            status=payout.status.value,
            amount=payout.amount,
            hold=payout.hold,
            bank_code=payout.account.bank_code,
            account_name=payout.account.account_name,
            holder=holder,
            created_at=payout.created_at,
        )


class TrailShown(Shown):
    """One record of the audit log."""

    number: int
    at: Instant
    actor: str
    action: str
    after: dict[str, object]

    @classmethod
    def of(cls, record: "AuditRecord") -> "TrailShown":
        """The record without its hashes."""
        return cls(
            number=record.number, at=record.at, actor=record.actor, action=record.action, after=dict(record.after)
        )


class CaseShown(Shown):
    """A case with all that its decision needs; `application` is null when it is about the identity itself."""

    identity: IdentityShown
    application: ApplicationShown | None
    payout: PayoutShown | None
    other_loans: list[LoanBrief]
    documents: list[DocumentWithLink]
    trail: list[TrailShown]

    @classmethod
    def of(cls, case: "Case") -> "CaseShown":
        """The case as staff see it."""
        return cls(
            identity=IdentityShown.of(case.user, born=case.born),
            application=ApplicationShown.of(case.loan) if case.loan else None,
            payout=PayoutShown.of(case.payout, case.holder) if case.payout else None,
            other_loans=[LoanBrief.of(one) for one in case.others],
            documents=[
                DocumentWithLink(**vars(DocumentShown.of(paper)), download_url=url) for paper, url in case.papers
            ],
            trail=[TrailShown.of(one) for one in case.trail],
        )


class DecidedShown(Shown):
    """What became of a case."""

    id: str
    status: str
    offered_amount: Rupiah | None = None
    offer_expires_on: date | None = None

    @classmethod
    def of(cls, decided: "User | Loan | Payout") -> "DecidedShown":
        """The borrower, the loan or the payout after the decision."""
        if isinstance(decided, User | Payout):
            return cls(id=decided.id, status=decided.status.value)
        return cls(
            id=decided.id,
            status=decided.status.value,
            offered_amount=decided.offer.amount if decided.offer else None,
            offer_expires_on=decided.offer_expires_on,
        )


def _reasons(codes: tuple[str, ...]) -> list[ReasonShown]:
    return [ReasonShown(code=code, message=reason_text(code, "en")) for code in codes]
