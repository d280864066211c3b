"""Due dates never drift, a month counts 30 days, and a day begins in Jakarta."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.calendar import days_30_360, local_date, months_later, years_between

dates = st.dates(date(2020, 1, 1), date(2060, 12, 31))


def test_due_dates_on_the_31st_are_clamped_from_the_original_day() -> None:
    """Apache Fineract, LoanApplicationScheduleMonthlyTest (validateSeedDate): 14 months from 31 January 2023."""
    expected = [
        "2023-01-31",
        "2023-02-28",
        "2023-03-31",
        "2023-04-30",
        "2023-05-31",
        "2023-06-30",
        "2023-07-31",
        "2023-08-31",
        "2023-09-30",
        "2023-10-31",
        "2023-11-30",
        "2023-12-31",
        "2024-01-31",
        "2024-02-29",
    ]
    assert [months_later(date(2022, 12, 31), n).isoformat() for n in range(1, 15)] == expected
    assert [months_later(date(2023, 1, 31), n).isoformat() for n in range(14)] == expected


def test_months_can_be_counted_backwards() -> None:
    assert months_later(date(2026, 1, 31), -2) == date(2025, 11, 30)
    assert months_later(date(2026, 3, 15), -3) == date(2025, 12, 15)


@given(dates, st.integers(0, 60))
def test_a_period_between_two_due_dates_always_counts_30_days(start: date, number: int) -> None:
    begins, ends = months_later(start, number), months_later(start, number + 1)
    assert days_30_360(begins, ends, anchor_day=start.day) == 30
    assert days_30_360(start, ends, anchor_day=start.day) == 30 * (number + 1)


@given(dates, st.integers(0, 60))
def test_days_elapsed_in_a_period_grow_by_the_date_and_stay_within_the_period(start: date, number: int) -> None:
    begins, ends = months_later(start, number), months_later(start, number + 1)
    days = [date.fromordinal(n) for n in range(begins.toordinal(), ends.toordinal() + 1)]
    elapsed = [days_30_360(begins, day, anchor_day=start.day) for day in days]
    assert elapsed == sorted(elapsed)
    assert (elapsed[0], elapsed[-1]) == (0, 30)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2026-01-15", "2026-02-01", 16),
        ("2026-02-15", "2026-03-10", 25),
        ("2026-01-30", "2026-01-31", 0),
        ("2026-03-01", "2026-03-31", 29),
        ("2026-05-31", "2026-06-30", 30),
        ("2026-01-31", "2026-02-28", 30),
        ("2026-01-29", "2026-02-28", 30),
        ("2028-02-29", "2028-03-31", 31),
    ],
)
def test_days_follow_30e_360(start: str, end: str, days: int) -> None:
    assert days_30_360(date.fromisoformat(start), date.fromisoformat(end)) == days


def test_a_day_begins_in_jakarta() -> None:
    assert local_date(datetime(2026, 3, 1, 16, 59, 59, tzinfo=UTC)) == date(2026, 3, 1)
    assert local_date(datetime(2026, 3, 1, 17, 0, 0, tzinfo=UTC)) == date(2026, 3, 2)


def test_an_instant_without_a_zone_has_no_business_date() -> None:
    with pytest.raises(ValueError, match="time zone"):
        local_date(datetime(2026, 3, 1, 17))  # noqa: DTZ001  # The mistake under test.


def test_an_age_counts_completed_years() -> None:
    assert years_between(date(2000, 5, 20), date(2026, 5, 19)) == 25
    assert years_between(date(2000, 5, 20), date(2026, 5, 20)) == 26
    assert years_between(date(2004, 2, 29), date(2026, 2, 28)) == 21
    assert years_between(date(2004, 2, 29), date(2026, 3, 1)) == 22
