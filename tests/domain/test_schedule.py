"""Schedules: tables that others published, to the minor unit, and what must hold for every schedule."""

from datetime import UTC, date, datetime
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinjam.domain.loan import InterestMethod, ScheduleRow
from pinjam.domain.schedule import DayCount, ScheduleRounding, amortize

EMI = "apache/fineract EMICalculation-Part1.feature"
EMI_3 = "apache/fineract EMICalculation-Part3.feature"
MONTH_END = "apache/fineract LoanMonthEndDueDateStrategy.feature"


class Published(NamedTuple):
    """A schedule as its source prints it; rows are (due date, principal, interest, total, balance)."""

    source: str
    principal: int
    annual_rate_ppm: int
    start: str
    rows: tuple[tuple[str, int, int, int, int], ...]
    day_count: DayCount = "30/360"


PUBLISHED = [
    Published(
        f"{EMI}, 360/30, C3154",
        10_000,
        120_000,
        "2024-01-01",
        (
            ("2024-02-01", 1625, 100, 1725, 8375),
            ("2024-03-01", 1641, 84, 1725, 6734),
            ("2024-04-01", 1658, 67, 1725, 5076),
            ("2024-05-01", 1674, 51, 1725, 3402),
            ("2024-06-01", 1691, 34, 1725, 1711),
            ("2024-07-01", 1711, 17, 1728, 0),
        ),
    ),
    Published(
        f"{EMI_3}, zero interest, C3455",
        90_000,
        0,
        "2025-01-13",
        (
            ("2025-02-13", 30_000, 0, 30_000, 60_000),
            ("2025-03-13", 30_000, 0, 30_000, 30_000),
            ("2025-04-13", 30_000, 0, 30_000, 0),
        ),
    ),
    Published(
        f"{EMI}, 365/actual, C3159",
        10_000,
        120_000,
        "2024-01-01",
        (
            ("2024-02-01", 1623, 102, 1725, 8377),
            ("2024-03-01", 1645, 80, 1725, 6732),
            ("2024-04-01", 1656, 69, 1725, 5076),
            ("2024-05-01", 1675, 50, 1725, 3401),
            ("2024-06-01", 1690, 35, 1725, 1711),
            ("2024-07-01", 1711, 17, 1728, 0),
        ),
        "actual/365",
    ),
    Published(
        f"{EMI_3}, one period, C3322",
        100_000,
        70_000,
        "2024-01-01",
        (("2024-02-01", 100_000, 583, 100_583, 0),),
    ),
    Published(
        f"{EMI}, pay-off UC1, C3211",
        10_000,
        70_000,
        "2024-01-01",
        (
            ("2024-02-01", 1643, 58, 1701, 8357),
            ("2024-03-01", 1652, 49, 1701, 6705),
            ("2024-04-01", 1662, 39, 1701, 5043),
            ("2024-05-01", 1672, 29, 1701, 3371),
            ("2024-06-01", 1681, 20, 1701, 1690),
            ("2024-07-01", 1690, 10, 1700, 0),
        ),
    ),
    Published(
        f"{MONTH_END}, UC3",
        1_000_000,
        120_000,
        "2025-01-31",
        (
            ("2025-02-28", 330_022, 10_000, 340_022, 669_978),
            ("2025-03-31", 333_322, 6_700, 340_022, 336_656),
            ("2025-04-30", 336_656, 3_367, 340_023, 0),
        ),
    ),
]


@pytest.mark.parametrize("rounding", ["half_up", "half_even"])
@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.source)
def test_a_published_schedule_is_met_to_the_unit(table: Published, rounding: ScheduleRounding) -> None:
    rows = amortize(
        principal=table.principal,
        annual_rate_ppm=table.annual_rate_ppm,
        instalments=len(table.rows),
        start=date.fromisoformat(table.start),
        day_count=table.day_count,
        rounding=rounding,
    )
    found = [(row.due_date.isoformat(), row.principal, row.interest, row.total, row.balance) for row in rows]
    assert found == list(table.rows)
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))


def test_a_flat_loan_is_that_of_the_textbook() -> None:
    """OJK, "Mengenal Otoritas Jasa Keuangan", p. 114: 12,000,000 at 17 % flat for 12 months."""
    rows = schedule(principal=12_000_000, annual_rate_ppm=170_000, instalments=12, method="flat")
    assert sum(row.interest for row in rows) == 2_040_000
    assert {row.total for row in rows} == {1_170_000}
    assert rows[-1].balance == 0


@pytest.mark.parametrize(
    ("source", "principal", "annual_rate_ppm", "instalments", "instalment"),
    [
        ("numpy-financial test_pmt_decimal_simple: 304.1459", 150_000_000, 80_000, 60, 3_041_459),
        ("numpy-financial test_pmt_zero_rate: 250", 150_000_000, 0, 60, 2_500_000),
        ("Excel PMT(8%/12, 10, 10000): 1037.0321", 100_000_000, 80_000, 10, 10_370_321),
        ("sapling.com, 1,000 at 2 % a month: 178.53", 100_000, 240_000, 6, 17_853),
    ],
)
def test_the_regular_instalment_is_the_annuity(
    source: str, principal: int, annual_rate_ppm: int, instalments: int, instalment: int
) -> None:
    rows = schedule(principal=principal, annual_rate_ppm=annual_rate_ppm, instalments=instalments)
    assert {row.total for row in rows[:-1]} == {instalment}, source
    assert abs(rows[-1].total - instalment) < instalments, source


def test_the_textbook_table_starts_with_these_rows() -> None:
    """sapling.com, reducing balance: 20.00 and 158.53, then 16.83 and 161.70."""
    rows = schedule(principal=100_000, annual_rate_ppm=240_000, instalments=6)
    assert [(row.interest, row.principal) for row in rows[:2]] == [(2_000, 15_853), (1_683, 16_170)]
    assert rows[0].balance == 84_147


def test_halves_are_rounded_as_asked() -> None:
    """50 at 12 % a year for one month is 0.5 of interest; 150 is 1.5."""
    assert schedule(principal=50, annual_rate_ppm=120_000, instalments=1)[0].interest == 1
    assert schedule(principal=50, annual_rate_ppm=120_000, instalments=1, rounding="half_even")[0].interest == 0
    assert schedule(principal=150, annual_rate_ppm=120_000, instalments=1, rounding="half_even")[0].interest == 2


def test_a_flat_loan_leaves_the_remainders_to_the_last_instalment() -> None:
    rows = schedule(principal=1_000_000, annual_rate_ppm=100_000, instalments=7, method="flat")
    assert [row.principal for row in rows] == [142_857] * 6 + [142_858]
    assert [row.interest for row in rows] == [8_333] * 6 + [8_335]


def test_flat_interest_by_actual_days_counts_the_days_of_the_whole_loan() -> None:
    rows = schedule(principal=365_000, annual_rate_ppm=100_000, instalments=2, method="flat", day_count="actual/365")
    assert sum(row.interest for row in rows) == 100 * (date(2026, 3, 15) - date(2026, 1, 15)).days


def test_a_principal_smaller_than_its_instalments_is_repaid_without_negative_rows() -> None:
    assert [row.principal for row in schedule(principal=2, annual_rate_ppm=0, instalments=5)] == [0, 0, 0, 0, 2]
    assert [row.principal for row in schedule(principal=8, annual_rate_ppm=0, instalments=5)] == [2, 2, 2, 2, 0]
    flat = schedule(principal=100, annual_rate_ppm=500_000, instalments=60, method="flat")
    assert sum(row.principal for row in flat) == 100
    assert sum(row.interest for row in flat) == 250


def test_no_principal_is_repaid_in_a_period_whose_interest_eats_the_instalment() -> None:
    rows = schedule(principal=10_000, annual_rate_ppm=100_000_000, instalments=12, day_count="actual/365")
    assert rows[0].principal == 0
    assert rows[-1].balance == 0


def schedule(
    *,
    principal: int,
    annual_rate_ppm: int,
    instalments: int,
    start: date = date(2026, 1, 15),
    method: InterestMethod = "declining",
    day_count: DayCount = "30/360",
    rounding: ScheduleRounding = "half_up",
) -> tuple[ScheduleRow, ...]:
    return amortize(
        principal=principal,
        annual_rate_ppm=annual_rate_ppm,
        instalments=instalments,
        start=start,
        method=method,
        day_count=day_count,
        rounding=rounding,
    )


@settings(max_examples=150, deadline=None)
@given(
    principal=st.integers(1, 10**12) | st.integers(1, 500),
    annual_rate_ppm=st.integers(0, 5_000_000) | st.integers(0, 100_000_000),
    instalments=st.integers(1, 84),
    start=st.dates(date(2020, 1, 1), date(2040, 12, 31)),
    method=st.sampled_from(["declining", "flat"]),
    day_count=st.sampled_from(["30/360", "actual/365"]),
    rounding=st.sampled_from(["half_up", "half_even"]),
)
def test_every_schedule_repays_exactly_its_principal(
    *,
    principal: int,
    annual_rate_ppm: int,
    instalments: int,
    start: date,
    method: InterestMethod,
    day_count: DayCount,
    rounding: ScheduleRounding,
) -> None:
    rows = amortize(
        principal=principal,
        annual_rate_ppm=annual_rate_ppm,
        instalments=instalments,
        start=start,
        method=method,
        day_count=day_count,
        rounding=rounding,
    )
    assert len(rows) == instalments
    assert sum(row.principal for row in rows) == principal
    left = principal
    for row in rows:
        left -= row.principal
        assert row.balance == left
        assert row.total == row.principal + row.interest
        assert min(row.principal, row.interest, row.balance) >= 0
    assert [row.due_date for row in rows] == sorted({row.due_date for row in rows})


@settings(max_examples=60, deadline=None)
@given(
    principal=st.integers(1_000, 10**9),
    annual_rate_ppm=st.integers(1, 2_000_000),
    instalments=st.integers(2, 60),
    start=st.dates(date(2020, 1, 1), date(2040, 12, 31)),
    day_count=st.sampled_from(["30/360", "actual/365"]),
)
def test_the_instalment_is_the_present_value_formula_in_fractions(
    principal: int, annual_rate_ppm: int, instalments: int, start: date, day_count: DayCount
) -> None:
    """A second way to the same figure: the principal over the sum of the discount factors."""
    rows = schedule(
        principal=principal, annual_rate_ppm=annual_rate_ppm, instalments=instalments, start=start, day_count=day_count
    )
    discount, discounts, began = Fraction(1), Fraction(0), start
    for row in rows:
        part = Fraction(1, 12) if day_count == "30/360" else Fraction((row.due_date - began).days, 365)
        discount /= 1 + Fraction(annual_rate_ppm, 1_000_000) * part
        discounts += discount
        began = row.due_date
    exact = principal / discounts
    if rows[0].principal not in (0, principal):
        assert rows[0].total == int(exact + Fraction(1, 2))


@pytest.mark.parametrize(
    ("argument", "value", "limit"),
    [
        ("principal", 0, "at least 1"),
        ("principal", -5, "at least 1"),
        ("principal", 1.5, "whole number"),
        ("principal", True, "whole number"),
        ("annual_rate_ppm", -1, "at least 0"),
        ("annual_rate_ppm", 100_000_001, "at most 100000000"),
        ("instalments", 0, "at least 1"),
        ("instalments", 601, "at most 600"),
        ("start", datetime(2026, 1, 1, tzinfo=UTC), "a date without a time"),
        ("start", date(9999, 6, 1), "before the year 10000"),
        ("method", "balloon", "declining, flat"),
        ("day_count", "30/365", "30/360, actual/365"),
        ("rounding", "up", "half_up, half_even"),
    ],
)
def test_a_bad_argument_is_refused_by_name_and_limit(argument: str, value: object, limit: str) -> None:
    arguments: dict[str, object] = {
        "principal": 1_000_000,
        "annual_rate_ppm": 300_000,
        "instalments": 12,
        "start": date(2026, 1, 15),
    }
    with pytest.raises(ValueError, match=f"^{argument} must .*{limit}"):
        amortize(**(arguments | {argument: value}))  # type: ignore[arg-type]  # Bad on purpose.
