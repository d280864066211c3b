"""The price of a loan: its quote, its effective rate, and the caps that no offer may exceed."""

from collections.abc import Sequence
from datetime import date

from pinjam.domain.calendar import DAYS_A_MONTH, MONTHS_A_YEAR
from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.loan import Quote, ScheduleRow
from pinjam.domain.money import PPM, divide
from pinjam.domain.policy import Policy, ProductPolicy
from pinjam.domain.schedule import amortize


class PriceOverCap(Exception):
    """A policy whose price breaks a cap: an error of configuration, never an offer.

    `benefit` is interest and fees in rupiah; `cap` names the cap that it exceeds.
    """

    def __init__(self, *, policy_id: str, amount: int, tenor_months: int, benefit: int, cap: str) -> None:
        super().__init__(
            f"policy {policy_id}: interest and fees of {benefit} on {amount} over {tenor_months} months exceed {cap}"
        )
        self.policy_id = policy_id
        self.amount = amount
        self.tenor_months = tenor_months
        self.benefit = benefit
        self.cap = cap


def quote(policy: Policy, *, amount: int, tenor_months: int, start: date) -> Quote:
    """The whole price of `amount` rupiah if it is paid out on `start`.

    Amount and tenor are taken as they come: `check_request` says whether the policy offers them.
    PriceOverCap if the price breaks a cap.
    """
    product = policy.product
    rows = amortize(
        principal=amount,
        annual_rate_ppm=MONTHS_A_YEAR * product.monthly_rate_ppm,
        instalments=tenor_months,
        start=start,
        method=product.interest_method,
    )
    admin_fee = divide(amount * product.admin_fee_ppm, PPM, "half_up")
    total_interest = sum(row.interest for row in rows)
    check_caps(
        policy, amount=amount, tenor_months=tenor_months, benefit=total_interest + admin_fee, rows=rows, start=start
    )
    received = amount - admin_fee
    return Quote(
        amount=amount,
        tenor_months=tenor_months,
        interest_method=product.interest_method,
        monthly_rate_ppm=product.monthly_rate_ppm,
        admin_fee=admin_fee,
        disbursed_amount=received,
        instalment=rows[0].total,
        total_interest=total_interest,
        total_payable=amount + total_interest,
        effective_annual_rate_ppm=effective_annual_rate_ppm(received, rows),
        schedule=rows,
        policy_id=policy.id,
    )


def effective_annual_rate_ppm(received: int, rows: Sequence[ScheduleRow]) -> int:
    """Twelve times the monthly internal rate of return, in ppm, rounded half up.

    The rate at which the present value of the rows, one a month, is what the borrower receives. Found by
    bisection between rates half a ppm off the whole ones, on integers: nothing is rounded before the end.
    ValueError if nothing is received or less is paid back than that.
    """
    totals = [row.total for row in rows]
    if not 0 < received <= sum(totals):
        raise ValueError(f"received must be from 1 to the sum of the rows, {sum(totals)}, not {received}")
    low, high = 0, MONTHS_A_YEAR * PPM // 10
    while not _discounts_below(totals, received, high):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if _discounts_below(totals, received, middle):
            high = middle
        else:
            low = middle + 1
    return low


def _discounts_below(totals: Sequence[int], received: int, rate_ppm: int) -> bool:
    """Whether at `rate_ppm` + 1/2 a year the rows are worth less than what is received."""
    still = 2 * MONTHS_A_YEAR * PPM
    grown = still + 2 * rate_ppm + 1
    worth, scale = 0, 1
    # Both sides times grown^n: sum of total_k * still^k * grown^(n-k) against received * grown^n.
    for total in totals:
        scale *= still
        worth = worth * grown + total * scale
    power: int = grown ** len(totals)
    return worth < received * power


def price_cap_ppm_per_day(product: ProductPolicy, tenor_months: int) -> int:
    """The cap on interest and fees a day, in ppm of the contract value, for a tenor."""
    for cap in product.price_caps:
        if tenor_months <= cap.up_to_months:
            return cap.ppm_per_day
    raise ValueError(f"tenor_months must be at most {product.price_caps[-1].up_to_months}, not {tenor_months}")


def capped_days(tenor_months: int, rows: Sequence[ScheduleRow], start: date) -> int:
    """The days that a cap per day is multiplied with: 30 a month, or the actual days where they are fewer."""
    return min(DAYS_A_MONTH * tenor_months, (rows[-1].due_date - start).days)


def benefit_max(product: ProductPolicy, *, amount: int, tenor_months: int, days: int) -> int:
    """The most interest and fees in whole rupiah that both caps allow; comparing whole rupiah with it is exact."""
    per_loan = price_cap_ppm_per_day(product, tenor_months) * days
    return amount * min(per_loan, product.total_cap_ppm) // PPM


def check_caps(
    policy: Policy, *, amount: int, tenor_months: int, benefit: int, rows: Sequence[ScheduleRow], start: date
) -> None:
    """Compare interest and fees with the caps of SEOJK 19/SEOJK.06/2025 XIV.3 and XIV.5, never rounded.

    PriceOverCap if one is exceeded.
    """
    cap_ppm = price_cap_ppm_per_day(policy.product, tenor_months)
    days = capped_days(tenor_months, rows, start)
    cap = None
    if benefit * PPM > cap_ppm * amount * days:
        cap = f"{cap_ppm} ppm a day of the contract value over {days} days"
    elif benefit * PPM > policy.product.total_cap_ppm * amount:
        cap = f"the total cap of {policy.product.total_cap_ppm} ppm of the contract value"
    if cap is not None:
        raise PriceOverCap(policy_id=policy.id, amount=amount, tenor_months=tenor_months, benefit=benefit, cap=cap)


def check_request(policy: Policy, *, amount: int, tenor_months: int, purpose: str | None) -> tuple[FieldProblem, ...]:
    """Every field of a request that the policy does not offer, at most one problem for each field.

    `purpose` None leaves the purpose out, for a quote. Codes: `amount-too-low`, `amount-too-high`,
    `amount-not-a-step`, `tenor-too-short`, `tenor-too-long`, `purpose-unknown`.
    """
    product = policy.product
    problems = []

    def refuse(field: str, code: str, **params: int | str) -> None:
        problems.append(FieldProblem(field=field, code=code, params=params))

    if amount < product.amount_min:
        refuse("amount", "amount-too-low", minimum=product.amount_min)
    elif amount > product.amount_max:
        refuse("amount", "amount-too-high", maximum=product.amount_max)
    elif amount % product.amount_step:
        refuse("amount", "amount-not-a-step", step=product.amount_step)
    if tenor_months < product.tenor_min_months:
        refuse("tenor_months", "tenor-too-short", minimum=product.tenor_min_months)
    elif tenor_months > product.tenor_max_months:
        refuse("tenor_months", "tenor-too-long", maximum=product.tenor_max_months)
    if purpose is not None and purpose not in product.purposes:
        refuse("purpose", "purpose-unknown", allowed=", ".join(product.purposes))
    return tuple(problems)
