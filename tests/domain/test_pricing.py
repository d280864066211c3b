"""Quotes, effective rates, caps and the limits of a request."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinjam.domain.calendar import months_later
from pinjam.domain.pricing import PriceOverCap, check_caps, check_request, effective_annual_rate_ppm, quote
from pinjam.domain.schedule import amortize
from pinjam.policy import load_policies
from pinjam.policy.limits import HARDEST_START

POLICY = load_policies().get("2026-01-01")
START = date(2026, 3, 15)


def test_a_quote_shows_the_whole_price() -> None:
    price = quote(POLICY, amount=3_000_000, tenor_months=6, start=START)
    assert (price.admin_fee, price.disbursed_amount) == (30_000, 2_970_000)
    assert price.instalment == 544_650
    assert price.total_interest == sum(row.interest for row in price.schedule)
    assert price.total_payable == 3_000_000 + price.total_interest == sum(row.total for row in price.schedule)
    assert price.schedule[0].due_date == date(2026, 4, 15)
    assert price.schedule[0].interest == 75_000
    assert price.policy_id == "2026-01-01"


def test_the_effective_rate_of_a_flat_loan_is_that_of_the_textbook() -> None:
    """OJK, "Mengenal Otoritas Jasa Keuangan", p. 114: 17 % flat is 30.03 % effective (30.02617 before rounding)."""
    rows = amortize(principal=12_000_000, annual_rate_ppm=170_000, instalments=12, start=START, method="flat")
    assert effective_annual_rate_ppm(12_000_000, rows) == 300_262


def test_the_effective_rate_counts_what_the_borrower_receives() -> None:
    with_fee = quote(POLICY, amount=12_000_000, tenor_months=12, start=START)
    assert effective_annual_rate_ppm(12_000_000, with_fee.schedule) == 300_000
    assert with_fee.effective_annual_rate_ppm == effective_annual_rate_ppm(11_880_000, with_fee.schedule) > 318_000


def test_the_effective_rate_of_a_loan_without_a_price_is_zero() -> None:
    rows = amortize(principal=900_000, annual_rate_ppm=0, instalments=3, start=START)
    assert effective_annual_rate_ppm(900_000, rows) == 0


def test_a_rate_needs_money_received_and_no_less_paid_back() -> None:
    rows = amortize(principal=900_000, annual_rate_ppm=0, instalments=3, start=START)
    for received in (0, 900_001):
        with pytest.raises(ValueError, match="received must be from 1 to the sum of the rows, 900000"):
            effective_annual_rate_ppm(received, rows)


@settings(max_examples=60, deadline=None)
@given(
    received=st.integers(100_000, 10**8),
    extra_ppm=st.integers(0, 3_000_000),
    instalments=st.integers(1, 36),
)
def test_the_effective_rate_discounts_the_rows_to_what_was_received(
    received: int, extra_ppm: int, instalments: int
) -> None:
    principal = received + received * extra_ppm // 1_000_000
    rows = amortize(principal=principal, annual_rate_ppm=0, instalments=instalments, start=START)
    rate = effective_annual_rate_ppm(received, rows)

    def worth(rate_in_half_ppm: int) -> Fraction:
        growth = 1 + Fraction(rate_in_half_ppm, 2 * 12 * 1_000_000)
        return sum((row.total / growth**row.number for row in rows), Fraction(0))

    assert worth(2 * rate + 1) < received <= worth(2 * rate - 1)


def test_a_price_exactly_at_the_cap_is_offered_and_one_rupiah_more_is_an_error() -> None:
    """0.3 % a day of 1,000,000 over 30 days is 90,000."""
    rows = amortize(principal=1_000_000, annual_rate_ppm=0, instalments=1, start=START)
    check_caps(POLICY, amount=1_000_000, tenor_months=1, benefit=90_000, rows=rows, start=START)
    with pytest.raises(PriceOverCap, match="policy 2026-01-01: interest and fees of 90001 on 1000000 over 1 months"):
        check_caps(POLICY, amount=1_000_000, tenor_months=1, benefit=90_001, rows=rows, start=START)


def test_a_cap_counts_actual_days_where_they_are_fewer() -> None:
    start = date(2026, 2, 1)
    rows = amortize(principal=1_000_000, annual_rate_ppm=0, instalments=1, start=start)
    check_caps(POLICY, amount=1_000_000, tenor_months=1, benefit=84_000, rows=rows, start=start)
    with pytest.raises(PriceOverCap, match="over 28 days"):
        check_caps(POLICY, amount=1_000_000, tenor_months=1, benefit=84_001, rows=rows, start=start)


def test_above_six_months_the_lower_cap_holds() -> None:
    """0.2 % a day of 1,000,000 over 210 days is 420,000."""
    rows = amortize(principal=1_000_000, annual_rate_ppm=0, instalments=7, start=START)
    check_caps(POLICY, amount=1_000_000, tenor_months=7, benefit=420_000, rows=rows, start=START)
    with pytest.raises(PriceOverCap, match="2000 ppm a day"):
        check_caps(POLICY, amount=1_000_000, tenor_months=7, benefit=420_001, rows=rows, start=START)


def test_interest_and_fees_alone_never_exceed_the_total_cap() -> None:
    generous = replace(POLICY, product=replace(POLICY.product, total_cap_ppm=50_000))
    with pytest.raises(PriceOverCap, match="total cap of 50000 ppm"):
        quote(generous, amount=1_000_000, tenor_months=6, start=START)


def test_no_start_counts_fewer_days_than_the_one_that_policies_are_checked_with() -> None:
    for months in range(1, 13):
        hardest = min(30 * months, (months_later(HARDEST_START, months) - HARDEST_START).days)
        for offset in range(4 * 366):
            start = date(2025, 1, 1) + timedelta(offset)
            assert min(30 * months, (months_later(start, months) - start).days) >= hardest


@pytest.mark.parametrize(
    ("amount", "tenor_months", "purpose", "expected"),
    [
        (500_000, 1, "education", []),
        (12_000_000, 12, "other", []),
        (499_900, 6, None, [("amount", "amount-too-low", {"minimum": 500_000})]),
        (12_100_000, 6, None, [("amount", "amount-too-high", {"maximum": 12_000_000})]),
        (1_050_000, 6, None, [("amount", "amount-not-a-step", {"step": 100_000})]),
        (1_000_000, 0, None, [("tenor_months", "tenor-too-short", {"minimum": 1})]),
        (1_000_000, 13, None, [("tenor_months", "tenor-too-long", {"maximum": 12})]),
    ],
)
def test_a_request_outside_the_policy_names_field_and_limit(
    amount: int, tenor_months: int, purpose: str | None, expected: list[tuple[str, str, dict[str, int]]]
) -> None:
    problems = check_request(POLICY, amount=amount, tenor_months=tenor_months, purpose=purpose)
    assert [(problem.field, problem.code, problem.params) for problem in problems] == expected


def test_a_request_is_told_all_its_problems_at_once() -> None:
    problems = check_request(POLICY, amount=1, tenor_months=99, purpose="gambling")
    assert [problem.field for problem in problems] == ["amount", "tenor_months", "purpose"]
    assert problems[2].params == {"allowed": "education, health, home, business, travel, family, other"}
