"""What must hold between a policy's values, beyond their types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from pinjam.domain.money import PPM
from pinjam.domain.policy import NumberScale
from pinjam.domain.pricing import PriceOverCap, price_cap_ppm_per_day, quote
from pinjam.domain.task import MOST_TRIES
from pinjam.policy.reading import PolicyError

if TYPE_CHECKING:
    from pinjam.domain.policy import DecisionPolicy, Policy, ProductPolicy, Scorecard

HARDEST_START = date(2023, 1, 31)
"""No other day begins fewer actual days for any number of months: 28 for one, 59 for two, 89 for three."""

BEST_MATCH = 100

Problem = tuple[str, str]
"""A key, and what it must hold."""


def check(policy: Policy, *, file: str) -> None:
    """PolicyError for the first value that contradicts another, or a price over a cap."""
    for key, problem in _problems(policy):
        raise PolicyError(file, key, problem)


def _problems(policy: Policy) -> Iterator[Problem]:
    yield from _product(policy.product)
    yield from _decision(policy.decision, policy.product)
    yield from _scorecard(policy.decision.scorecard)
    verification = policy.verification
    if not 0 < verification.selfie_review < verification.selfie_accept <= BEST_MATCH:
        yield "verification.selfie_review", f"must be above 0 and below selfie_accept, which is at most {BEST_MATCH}"
    yield from _at_least_one(verification, "verification", "attempts_per_day", "faults_before_review")
    if verification.faults_before_review > MOST_TRIES:
        yield "verification.faults_before_review", f"must be at most {MOST_TRIES}, the tries that there are"
    yield from _at_least_one(policy.payment, "payment", "qris_max")
    yield from _prices(policy)


def _product(product: ProductPolicy) -> Iterator[Problem]:
    yield from _at_least_one(product, "product", "amount_step", "tenor_min_months", "late_fee_from_day")
    yield from _at_least_one(product, "product", "offer_valid_days")
    if not product.amount_step <= product.amount_min <= product.amount_max:
        yield "product.amount_min", f"must be from amount_step to amount_max, {product.amount_max}"
    for key in ("amount_min", "amount_max"):
        if getattr(product, key) % product.amount_step:
            yield f"product.{key}", f"must be a multiple of amount_step, {product.amount_step}"
    if product.tenor_min_months > product.tenor_max_months:
        yield "product.tenor_min_months", f"must be at most tenor_max_months, {product.tenor_max_months}"
    if len(set(product.purposes)) != len(product.purposes):
        yield "product.purposes", "must not repeat a purpose"
    yield from _rates(product)


def _rates(product: ProductPolicy) -> Iterator[Problem]:
    for key in ("admin_fee_ppm", "monthly_rate_ppm", "late_fee_daily_ppm"):
        if getattr(product, key) >= PPM:
            yield f"product.{key}", f"must be below {PPM}"
    months = [cap.up_to_months for cap in product.price_caps]
    if not _rises(months):
        yield "product.price_caps", f"must not overlap: up_to_months must rise, not {months}"
    if months[-1] < product.tenor_max_months:
        yield "product.price_caps", f"must cover every tenor up to {product.tenor_max_months} months"


def _at_least_one(part: object, name: str, *keys: str) -> Iterator[Problem]:
    for key in keys:
        if getattr(part, key) < 1:
            yield f"{name}.{key}", "must be at least 1"


def _decision(decision: DecisionPolicy, product: ProductPolicy) -> Iterator[Problem]:
    if decision.age_min > decision.age_max:
        yield "decision.age_min", f"must be at most age_max, {decision.age_max}"
    if not 1 <= decision.dsr_max_ppm <= PPM:
        yield "decision.dsr_max_ppm", f"must be from 1 to {PPM}"
    yield from _at_least_one(decision, "decision", "applications_max", "applications_window_days")
    if not product.amount_min <= decision.first_limit <= decision.limit_max:
        yield "decision.first_limit", f"must be from amount_min to limit_max, {decision.limit_max}"
    if decision.limit_max > product.amount_max:
        yield "decision.limit_max", f"must be at most product.amount_max, {product.amount_max}"


def _scorecard(scorecard: Scorecard) -> Iterator[Problem]:
    if scorecard.refer_from > scorecard.cut:
        yield "decision.scorecard.refer_from", f"must not overlap: at most the cut, {scorecard.cut}"
    for name in type(scorecard).__slots__:
        scale = getattr(scorecard, name)
        if isinstance(scale, NumberScale):
            starts = [each.at_least for each in scale.bins]
            if starts[0] != 0 or not _rises(starts):
                yield f"decision.scorecard.{name}.bins", f"must not overlap: from 0 and rising, not {starts}"


def _rises(values: list[int]) -> bool:
    return all(left < right for left, right in pairwise(values))


def _prices(policy: Policy) -> Iterator[Problem]:
    """Every tenor at the lowest and the highest amount, begun on the day with the fewest days to count."""
    product = policy.product
    for tenor_months in range(product.tenor_min_months, product.tenor_max_months + 1):
        for amount in sorted({product.amount_min, product.amount_max}):
            try:
                price = quote(policy, amount=amount, tenor_months=tenor_months, start=HARDEST_START)
            except PriceOverCap as error:
                yield "product.price_caps", f"must not be exceeded: {error}"
                return
            # XIV.4: even with every instalment overdue at once, a day's late fees stay under their cap.
            cap_ppm = price_cap_ppm_per_day(product, tenor_months)
            if product.late_fee_daily_ppm * price.total_payable > cap_ppm * amount:
                yield "product.late_fee_daily_ppm", f"must not exceed {cap_ppm} ppm a day of the contract value"
                return
