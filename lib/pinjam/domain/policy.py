"""The dated rules of the business as typed facts: what is offered, at what price, to whom.

Files in `pinjam.policy` hold the values; no rule has a number of its own. Amounts are rupiah, rates ppm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pinjam.domain.loan import InterestMethod, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceCap:
    """The highest price for tenors up to so many months.

    `ppm_per_day` is of the contract value, once for interest and fees together and once for late fees.
    """

    up_to_months: int
    ppm_per_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductPolicy:
    """What can be borrowed and what it costs.

    Interest counts months of 30 days. The admin fee is taken from the disbursement. The late fee is a
    share a day of an overdue instalment's unpaid principal and interest; `late_fee_from_day` is the first
    day past due that costs anything. `total_cap_ppm` of the principal bounds interest and all fees
    together. An offer can be accepted on `offer_valid_days` days after the day of the decision.
    """

    amount_min: int
    amount_max: int
    amount_step: int
    tenor_min_months: int
    tenor_max_months: int
    purposes: tuple[Purpose, ...]
    interest_method: InterestMethod
    monthly_rate_ppm: int
    admin_fee_ppm: int
    late_fee_daily_ppm: int
    late_fee_from_day: int
    price_caps: tuple[PriceCap, ...]
    total_cap_ppm: int
    offer_valid_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Points for values from `at_least` up to the next bin's."""

    at_least: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberScale:
    """Points for a number; an absent one has points of its own. Bins rise, the first starts at 0."""

    missing: int
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryScale:
    """Points for a word; an absent one and one that is not listed have points of their own."""

    missing: int
    other: int
    points: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """Integer points for each attribute, added to `base`.

    From `cut` on a score passes, from `refer_from` up to the cut a person decides, below it declines.
    `existing_instalments_ppm` is the share of income that goes to other creditors already.
    """

    base: int
    cut: int
    refer_from: int
    age: NumberScale
    monthly_income: NumberScale
    existing_instalments_ppm: NumberScale
    settled_loans: NumberScale
    worst_days_past_due: NumberScale
    applications_in_window: NumberScale
    tenor_months: NumberScale
    occupation: CategoryScale


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPolicy:
    """Who gets a loan, and how much.

    Ages are completed years, both ends included. Above `evidence_above` an income document is needed.
    `arrears_max_days` and `applications_max` are the most that is accepted. A settled loan with no
    instalment more than `limit_late_days_max` days late raises the limit by `limit_step`.
    """

    age_min: int
    age_max: int
    income_min: int
    evidence_above: int
    dsr_max_ppm: int
    arrears_max_days: int
    applications_max: int
    applications_window_days: int
    first_limit: int
    limit_step: int
    limit_max: int
    limit_late_days_max: int
    scorecard: Scorecard


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationPolicy:
    """When a face matches (0-100): from `selfie_accept` on yes, from `selfie_review` on a person looks.

    After `faults_before_review` tries without an answer from the provider a person may look, too.
    """

    selfie_accept: int
    selfie_review: int
    attempts_per_day: int
    faults_before_review: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentPolicy:
    """Limits of payments, in rupiah: the lowest partial payment, and the highest by QRIS."""

    qris_max: int
    partial_min: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All rules in force from a day on. `id` is the file's name, `hash` (hex) that of its content."""

    id: str
    hash: str
    effective_from: date
    product: ProductPolicy
    decision: DecisionPolicy
    verification: VerificationPolicy
    payment: PaymentPolicy


@dataclass(frozen=True, slots=True)
class Policies:
    """Every policy there has been, oldest first."""

    policies: tuple[Policy, ...]

    def on(self, day: date) -> Policy:
        """The policy in force on a day. LookupError before the first."""
        in_force = [policy for policy in self.policies if policy.effective_from <= day]
        if not in_force:
            first = min((policy.effective_from for policy in self.policies), default=None)
            raise LookupError(f"no policy is in force on {day}: the first one starts on {first}")
        return max(in_force, key=lambda policy: policy.effective_from)

    def get(self, id: str) -> Policy:
        """The policy with this id. LookupError if there is none."""
        for policy in self.policies:
            if policy.id == id:
                return policy
        raise LookupError(f"no policy is called {id!r}: there are {', '.join(policy.id for policy in self.policies)}")
