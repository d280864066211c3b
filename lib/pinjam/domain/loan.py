"""A loan from application to the last instalment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pinjam.domain.user import Sealed

Purpose = Literal["education", "health", "home", "business", "travel", "family", "other"]
InterestMethod = Literal["declining", "flat"]
Outcome = Literal["approved", "counter_offer", "referred", "declined"]


class LoanStatus(StrEnum):
    """Where a loan is in its life; the legal moves are in `pinjam.domain.lifecycle`."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    REFERRED = "referred"
    DECLINED = "declined"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    DISBURSING = "disbursing"
    ACTIVE = "active"
    SETTLED = "settled"
    WRITTEN_OFF = "written_off"


OPEN_APPLICATION = frozenset(
    {
        LoanStatus.SUBMITTED,
        LoanStatus.REFERRED,
        LoanStatus.APPROVED,
        LoanStatus.ACCEPTED,
        LoanStatus.DISBURSING,
    }
)
"""States of an application that is not yet a debt and not yet over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """One instalment of a schedule, in whole minor units; `balance` is the principal left after it."""

    number: int
    due_date: date
    principal: int
    interest: int
    total: int
    balance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The whole price of a loan, in rupiah, before anything is signed.

    `instalment` is the regular one (the last may differ by rounding). `effective_annual_rate_ppm` is
    twelve times the monthly internal rate of return of what the borrower receives and pays.
    """

    amount: int
    tenor_months: int
    interest_method: InterestMethod
    monthly_rate_ppm: int
    admin_fee: int
    disbursed_amount: int
    instalment: int
    total_interest: int
    total_payable: int
    effective_annual_rate_ppm: int
    schedule: tuple[ScheduleRow, ...]
    policy_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What the borrower declared when applying; incomes and instalments in rupiah a month."""

    amount: int
    tenor_months: int
    purpose: Purpose
    monthly_income: int
    other_instalments: int
    consented_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One rule of a decision. `effect` is what its failure calls for; None when it passed."""

    code: str
    stage: str
    passed: bool
    effect: Literal["decline", "refer", "counter_offer"] | None
    observed: str
    limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A person's answer to a referred application; in whose words, and why, is in the audit log.

    `reasons` and `offered_amount` are as in a decision; `policy_id` is the policy that the answer kept to.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    offered_amount: int | None
    policy_id: str
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The machine's answer to an application, with all that is needed to replay it, and a person's if it was referred.

    `reasons` are the codes shown to the borrower (at most four, most serious first); `rules` holds every
    rule's result; `snapshot` the full input, as plain JSON values; `limit` the borrower's limit in rupiah.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    rules: tuple[RuleResult, ...]
    score: int
    limit: int
    offered_amount: int | None
    policy_id: str
    policy_hash: str
    decided_on: date
    decided_at: datetime
    snapshot: Mapping[str, object]
    review: Review | None = None

    @property
    def last_word(self) -> "Decision | Review":
        """The answer that counts: the person's where there is one."""
        return self.review or self


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatory:
    """The borrower as a party to a contract: what the profile said at acceptance. Sealed for the borrower's id."""

    full_name: str
    nik_masked: str
    address: Sealed | None
    bank_code: str
    account_number: Sealed
    account_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The facts that acceptance freezes. `borrower` is None where it was accepted before that was kept."""

    number: str
    quote: Quote
    late_fee_daily_ppm: int
    late_fee_from_day: int
    total_cap_ppm: int
    statements: tuple[str, ...]
    locale: str
    accepted_at: datetime
    policy_id: str
    policy_hash: str
    borrower: Signatory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instalment:
    """One instalment of a live loan, in rupiah: what it asks and what has been paid of it.

    `late_fee_fixed` is the late fee fixed by allocations so far, paid or not; what accrues since
    `fee_from` (the last allocation that touched this instalment) is a function of the date.
    `waived_interest` is interest that an early closing forgave: the schedule asked for it, nobody owes it.
    """

    number: int
    due_date: date
    principal: int
    interest: int
    paid_principal: int = 0
    paid_interest: int = 0
    paid_late_fee: int = 0
    late_fee_fixed: int = 0
    fee_from: date | None = None
    paid_on: date | None = None
    waived_interest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """An application and, once it is paid out, the debt.

    `amount` is what was asked for until acceptance, then the contract's amount. `open_for` is the
    borrower's id while the loan is an open application or a live debt, else None: it is unique, so that
    one borrower can have one at a time. `next_due_on` is the due date of the oldest unpaid instalment.
    """

    id: str
    user_id: str
    status: LoanStatus
    amount: int
    tenor_months: int
    purpose: Purpose
    application: Application
    open_for: str | None
    created_at: datetime
    updated_at: datetime
    decision: Decision | None = None
    offer: Quote | None = None
    offer_expires_on: date | None = None
    contract: Contract | None = None
    payout_id: str | None = None
    disbursed_on: date | None = None
    disbursed_at: datetime | None = None
    instalments: tuple[Instalment, ...] = ()
    next_due_on: date | None = None
    settled_at: datetime | None = None

    def audit_facts(self) -> dict[str, object]:
        """What its audit records keep: its state and its money, and no personal data."""
        return {
            "status": self.status.value,
            "amount": self.amount,
            "tenor_months": self.tenor_months,
            "payout_id": self.payout_id,
            "unpaid_principal": sum(one.principal - one.paid_principal for one in self.instalments),
            "offered": self.offer.amount if self.offer else None,
        }
