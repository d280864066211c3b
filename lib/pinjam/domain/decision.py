"""The decision on an application: a pure function that replays bit for bit.

Every rule runs and keeps its result, also after one has failed. The strictest outcome wins: decline before
refer before counter-offer before approve.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

from pinjam.domain.calendar import MONTHS_A_YEAR
from pinjam.domain.history import BorrowerSnapshot, History
from pinjam.domain.loan import Application, Decision, Outcome, RuleResult
from pinjam.domain.money import PPM
from pinjam.domain.policy import Policy
from pinjam.domain.pricing import benefit_max, capped_days, quote
from pinjam.domain.schedule import amortize
from pinjam.domain.scorecard import attributes, score
from pinjam.domain.user import UserStatus

Effect = Literal["decline", "refer", "counter_offer"]

STRICTEST_FIRST: tuple[Effect, ...] = ("decline", "refer", "counter_offer")
OUTCOMES: Mapping[Effect, Outcome] = {"decline": "declined", "refer": "referred", "counter_offer": "counter_offer"}
REASONS_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """An application with what the rules ask of it: score, limit, and the most that could be offered."""

    application: Application
    borrower: BorrowerSnapshot
    history: History
    policy: Policy
    on: date
    score: int
    limit: int
    offer: int | None


def decide(
    application: Application,
    borrower: BorrowerSnapshot,
    history: History,
    policy: Policy,
    on: date,
    *,
    decided_at: datetime,
) -> Decision:
    """The answer on the business day `on`. Amount and tenor have passed `pricing.check_request`.

    `offered_amount` is what was asked for when approved, less in a counter-offer, the most that a person
    may approve when referred, and None when declined. PriceOverCap if the policy's price breaks a cap:
    that is an error of configuration and no answer.
    """
    limit = credit_limit(history, policy)
    case = _Case(
        application=application,
        borrower=borrower,
        history=history,
        policy=policy,
        on=on,
        score=score(attributes(application, borrower, history), policy.decision.scorecard),
        limit=limit,
        offer=_largest_offer(application, policy, on, limit),
    )
    rules = tuple(_rules(case))
    failed = [rule for effect in STRICTEST_FIRST for rule in rules if rule.effect == effect]
    strictest = failed[0].effect if failed else None
    outcome: Outcome = OUTCOMES[strictest] if strictest else "approved"
    return Decision(
        outcome=outcome,
        reasons=tuple(rule.code for rule in failed[:REASONS_SHOWN]),
        rules=rules,
        score=case.score,
        limit=limit,
        offered_amount=None if outcome == "declined" else case.offer,
        policy_id=policy.id,
        policy_hash=policy.hash,
        decided_on=on,
        decided_at=decided_at,
        snapshot=_snapshot(application, borrower, history, on, decided_at),
    )


def credit_limit(history: History, policy: Policy) -> int:
    """The most that the borrower may owe, in rupiah: it grows with every loan that was repaid in time."""
    rules = policy.decision
    in_time = sum(days <= rules.limit_late_days_max for days in history.settled_days_late)
    return min(rules.limit_max, rules.first_limit + in_time * rules.limit_step)


def _largest_offer(application: Application, policy: Policy, on: date, limit: int) -> int | None:
    """What was asked for if it is affordable and within the limit, else the largest step that is.

    None if not even the smallest loan is. Larger loans have larger instalments, so a bisection finds it.
    """
    if application.amount <= limit and _affordable(application, policy, on, application.amount):
        return application.amount
    step = policy.product.amount_step
    fits, too_much = policy.product.amount_min // step, min(application.amount, limit) // step + 1
    if not _affordable(application, policy, on, fits * step):
        return None
    while too_much - fits > 1:
        middle = (fits + too_much) // 2
        if _affordable(application, policy, on, middle * step):
            fits = middle
        else:
            too_much = middle
    return fits * step


def _affordable(application: Application, policy: Policy, on: date, amount: int) -> bool:
    return _instalments(application, policy, on, amount) <= _instalments_max(application, policy)


def _instalments(application: Application, policy: Policy, on: date, amount: int) -> int:
    """A month's instalments to all creditors with a new loan of `amount`, counting its largest one."""
    rows = amortize(
        principal=amount,
        annual_rate_ppm=MONTHS_A_YEAR * policy.product.monthly_rate_ppm,
        instalments=application.tenor_months,
        start=on,
        method=policy.product.interest_method,
    )
    return application.other_instalments + max(row.total for row in rows)


def _instalments_max(application: Application, policy: Policy) -> int:
    """The most whole rupiah of instalments that the income carries; comparing with it is exact."""
    return application.monthly_income * policy.decision.dsr_max_ppm // PPM


def _rules(case: _Case) -> Iterator[RuleResult]:
    yield from _eligibility(case)
    yield _identity(case)
    rules, history = case.policy.decision, case.history
    yield _result(
        "VELOCITY",
        "velocity",
        passed=history.applications_in_window <= rules.applications_max,
        observed=history.applications_in_window,
        limit=rules.applications_max,
    )
    yield from _affordability(case)
    card = rules.scorecard
    yield _result(
        "SCORE_MIN",
        "scorecard",
        passed=case.score >= card.cut,
        effect="refer" if case.score >= card.refer_from else "decline",
        observed=case.score,
        limit=card.cut,
    )
    yield _result(
        "LIMIT_MAX",
        "limit",
        passed=case.application.amount <= case.limit,
        effect="counter_offer",
        observed=case.application.amount,
        limit=case.limit,
    )
    yield _price(case)


def _eligibility(case: _Case) -> Iterator[RuleResult]:
    rules, history = case.policy.decision, case.history
    age = case.borrower.age
    income = case.application.monthly_income
    worst = history.worst_days_past_due or 0
    yield _result(
        "AGE_RANGE",
        "eligibility",
        passed=rules.age_min <= age <= rules.age_max,
        observed=age,
        limit=f"{rules.age_min}-{rules.age_max}",
    )
    yield _result(
        "INCOME_MIN", "eligibility", passed=income >= rules.income_min, observed=income, limit=rules.income_min
    )
    yield _result(
        "ACTIVE_LOAN", "eligibility", passed=history.active_loans == 0, observed=history.active_loans, limit=0
    )
    yield _result(
        "ARREARS",
        "eligibility",
        passed=worst <= rules.arrears_max_days,
        observed=worst,
        limit=rules.arrears_max_days,
    )


def _identity(case: _Case) -> RuleResult:
    status = case.borrower.status
    return _result(
        "KYC_VERIFIED",
        "identity",
        passed=status == UserStatus.VERIFIED,
        # Whatever is neither proven nor disproven is for a person.
        effect="decline" if status == UserStatus.REJECTED else "refer",
        observed=status.value,
        limit=UserStatus.VERIFIED.value,
    )


def _affordability(case: _Case) -> Iterator[RuleResult]:
    """Both at the amount that was asked for. The debt service ratio is shown in rupiah a month."""
    application, rules = case.application, case.policy.decision
    instalments = _instalments(application, case.policy, case.on, application.amount)
    instalments_max = _instalments_max(application, case.policy)
    yield _result(
        "DSR_MAX",
        "affordability",
        passed=instalments <= instalments_max,
        effect="decline" if case.offer is None else "counter_offer",
        observed=instalments,
        limit=instalments_max,
    )
    yield _result(
        "INCOME_EVIDENCE",
        "affordability",
        passed=application.amount <= rules.evidence_above or case.borrower.has_income_document,
        effect="refer",
        observed=application.amount,
        limit=rules.evidence_above,
    )


def _price(case: _Case) -> RuleResult:
    """The quote of what would be offered raises when it is over a cap, so that a result here has passed."""
    amount, tenor_months = case.offer or case.application.amount, case.application.tenor_months
    price = quote(case.policy, amount=amount, tenor_months=tenor_months, start=case.on)
    days = capped_days(tenor_months, price.schedule, case.on)
    return _result(
        "PRICE_CAP",
        "price",
        passed=True,
        observed=price.total_interest + price.admin_fee,
        limit=benefit_max(case.policy.product, amount=amount, tenor_months=tenor_months, days=days),
    )


def _result(
    code: str, stage: str, *, passed: bool, observed: int | str, limit: int | str, effect: Effect = "decline"
) -> RuleResult:
    return RuleResult(
        code=code,
        stage=stage,
        passed=passed,
        effect=None if passed else effect,
        observed=str(observed),
        limit=str(limit),
    )


def replay(snapshot: Mapping[str, object], policy: Policy) -> Decision:
    """The decision again, from the snapshot that it kept; identical under the policy that it was made under.

    A person's review is not in it: that is nothing that follows from the input.
    """
    # What came back from the store is untyped; a snapshot is written by `_snapshot` only.
    plain: Mapping[str, Any] = snapshot
    application, borrower, history = plain["application"], plain["borrower"], plain["history"]
    return decide(
        Application(**application | {"consented_at": datetime.fromisoformat(application["consented_at"])}),
        BorrowerSnapshot(**borrower | {"status": UserStatus(borrower["status"])}),
        History(**history | {"settled_days_late": tuple(history["settled_days_late"])}),
        policy,
        date.fromisoformat(plain["on"]),
        decided_at=datetime.fromisoformat(plain["decided_at"]),
    )


def _snapshot(
    application: Application, borrower: BorrowerSnapshot, history: History, on: date, decided_at: datetime
) -> Mapping[str, object]:
    """The full input as values that JSON keeps unchanged."""
    return {
        "application": asdict(application) | {"consented_at": application.consented_at.isoformat()},
        "borrower": asdict(borrower) | {"status": borrower.status.value},
        "history": asdict(history) | {"settled_days_late": list(history.settled_days_late)},
        "on": on.isoformat(),
        "decided_at": decided_at.isoformat(),
    }
