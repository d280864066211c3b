"""Repayment schedules, exact to the minor unit of any currency."""

from datetime import date, datetime
from typing import Literal, get_args

from pinjam.domain.calendar import MONTHS_A_YEAR, months_later
from pinjam.domain.loan import InterestMethod, ScheduleRow
from pinjam.domain.money import PPM, Rounding, divide

DayCount = Literal["30/360", "actual/365"]
ScheduleRounding = Literal["half_up", "half_even"]

MAX_INSTALMENTS = 600
MAX_ANNUAL_RATE_PPM = 100 * PPM
DAYS_A_YEAR = 365


def amortize(
    *,
    principal: int,
    annual_rate_ppm: int,
    instalments: int,
    start: date,
    method: InterestMethod = "declining",
    day_count: DayCount = "30/360",
    rounding: ScheduleRounding = "half_up",
) -> tuple[ScheduleRow, ...]:
    """The monthly instalments that pay off `principal`, in whole minor units.

    Instalment n is due n months after `start`, clamped to the month's end from the original day.

    Declining: the instalment is the annuity at the exact rate of each period (30/360: a twelfth of the
    annual rate; actual/365: by the days between due dates), rounded once; each period's interest on the
    balance is rounded; the last instalment takes the remainder. Flat: interest for the whole time is on
    the first principal, rounded; interest and principal are split evenly, each share rounded, and the last
    instalment takes the remainders. No part is ever negative: when rounding would repay more than is
    left, or an instalment does not reach a long period's interest, the principal of that row is cut to fit.

    Args:
        principal: At least 1.
        annual_rate_ppm: Nominal rate a year, from 0 to 100,000,000 (10,000 %).
        instalments: From 1 to 600.
        start: The day from which interest runs.
        method: `declining` or `flat`.
        day_count: `30/360` or `actual/365` (leap years too have 365 days).
        rounding: `half_up` (halves away from zero) or `half_even`; for the annuity and each interest alike.

    Raises:
        ValueError: Naming the argument and its limit.
    """
    _check_whole("principal", principal, at_least=1)
    _check_whole("annual_rate_ppm", annual_rate_ppm, at_least=0, at_most=MAX_ANNUAL_RATE_PPM)
    _check_whole("instalments", instalments, at_least=1, at_most=MAX_INSTALMENTS)
    _check_choice("method", method, get_args(InterestMethod))
    _check_choice("day_count", day_count, get_args(DayCount))
    _check_choice("rounding", rounding, get_args(ScheduleRounding))
    due_dates = _due_dates(start, instalments)
    # The rate of a period is numerator / year: exact, whatever the day count.
    if day_count == "30/360":
        year = MONTHS_A_YEAR * PPM
        rates = [annual_rate_ppm] * instalments
    else:
        year = DAYS_A_YEAR * PPM
        begins = [start, *due_dates[:-1]]
        rates = [annual_rate_ppm * (ends - began).days for began, ends in zip(begins, due_dates, strict=True)]
    if method == "flat":
        return _flat(principal, divide(principal * sum(rates), year, rounding), due_dates, rounding)
    return _declining(principal, rates, year, due_dates, rounding)


def _declining(
    principal: int, rates: list[int], year: int, due_dates: list[date], rounding: Rounding
) -> tuple[ScheduleRow, ...]:
    instalment = _annuity(principal, rates, year, rounding)
    last = len(due_dates)
    balance = principal
    rows = []
    for number, (due_date, rate) in enumerate(zip(due_dates, rates, strict=True), start=1):
        interest = divide(balance * rate, year, rounding)
        repaid = balance if number == last else min(max(instalment - interest, 0), balance)
        balance -= repaid
        rows.append(_row(number, due_date, repaid, interest, balance))
    return tuple(rows)


def _annuity(principal: int, rates: list[int], year: int, rounding: Rounding) -> int:
    """The equal instalment whose present value is the principal, rounded once.

    With growth factors g = (year + rate) / year it is P x g1..gn / (sum over k of g(k+1)..gn). Both
    products are kept over the denominator year^n, so that all arithmetic is on integers.
    """
    if len(set(rates)) == 1:
        rate = rates[0]
        if rate == 0:
            return divide(principal, len(rates), rounding)
        grown, still = (year + rate) ** len(rates), year ** len(rates)
        return divide(principal * rate * grown, year * (grown - still), rounding)
    grown, shares, scale = 1, 0, 1
    for rate in rates:
        factor = year + rate
        scale *= year
        grown *= factor
        shares = shares * factor + scale
    return divide(principal * grown, shares, rounding)


def _flat(principal: int, interest: int, due_dates: list[date], rounding: Rounding) -> tuple[ScheduleRow, ...]:
    last = len(due_dates)
    principal_share, interest_share = divide(principal, last, rounding), divide(interest, last, rounding)
    balance, unearned = principal, interest
    rows = []
    for number, due_date in enumerate(due_dates, start=1):
        repaid = balance if number == last else min(principal_share, balance)
        earned = unearned if number == last else min(interest_share, unearned)
        balance -= repaid
        unearned -= earned
        rows.append(_row(number, due_date, repaid, earned, balance))
    return tuple(rows)


def _row(number: int, due_date: date, principal: int, interest: int, balance: int) -> ScheduleRow:
    return ScheduleRow(
        number=number,
        due_date=due_date,
        principal=principal,
        interest=interest,
        total=principal + interest,
        balance=balance,
    )


def _due_dates(start: object, instalments: int) -> list[date]:
    if not isinstance(start, date) or isinstance(start, datetime):
        raise ValueError(f"start must be a date without a time, not {start!r}")  # noqa: TRY004  # One class for all.
    try:
        return [months_later(start, number) for number in range(1, instalments + 1)]
    except ValueError as error:
        raise ValueError(f"start must leave {instalments} months before the year 10000, not {start}") from error


def _check_whole(name: str, value: object, *, at_least: int, at_most: int | None = None) -> None:
    # A float or a bool would pass every comparison below and spoil the arithmetic.
    if type(value) is not int:
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, not {value}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be at most {at_most}, not {value}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
