"""What paying off early costs and saves, to the rupiah, and that it closes the loan on every day."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.loans import DAYS_OF_A_MONTH, LIVE, lent

from pinjam.domain.calendar import days_30_360
from pinjam.domain.loan import InterestMethod, Loan
from pinjam.domain.payment import Allocation
from pinjam.domain.payoff import Payoff, close, interest_of_days, payoff, rule
from pinjam.domain.repayment import allocate, bill, open_instalments, outstanding
from pinjam.domain.schedule import amortize

PAID_OUT = date(2026, 3, 16)
LOAN = lent(3_000_000, 6, PAID_OUT)
"""544,650 a month, 544,649 at last; interest 75,000, then 63,259 on 2,530,350."""
FLAT = lent(3_000_000, 6, PAID_OUT, method="flat")
"""500,000 and 75,000 a month."""
DAYS = st.integers(0, 500).map(timedelta)
WEEKS = st.integers(0, 120).map(timedelta)


def paid_out_on(loan: Loan) -> date:
    assert loan.disbursed_on is not None
    return loan.disbursed_on


def minor_units() -> Loan:
    """apache/fineract EMICalculation-Part1.feature, C3211 (UC1): 100.00 at 7 % a year over 6 months, in cents."""
    rows = amortize(principal=10_000, annual_rate_ppm=70_000, instalments=6, start=date(2024, 1, 1))
    loan = lent(500_000, 6, date(2024, 1, 1))
    assert loan.contract is not None
    # A twelfth of 7 % in whole ppm: 4 ppm a year less, which no rounding here sees.
    price = replace(
        loan.contract.quote, amount=10_000, monthly_rate_ppm=5_833, total_interest=205, admin_fee=0, schedule=rows
    )
    return replace(
        loan,
        contract=replace(loan.contract, quote=price),
        instalments=open_instalments(price, date(2024, 1, 1)),
    )


def test_a_payoff_in_the_running_period_costs_the_interest_of_the_days_elapsed() -> None:
    """From 16 April to 1 May are 15 days of 30/360: half of 2,530,350 x 2.5 %, 31,629.4."""
    paid = allocate(LOAN, 544_650, date(2026, 4, 16)).loan
    assert payoff(paid, date(2026, 5, 1)) == Payoff(
        on=date(2026, 5, 1),
        principal=2_530_350,
        interest=31_629,
        late_fee=0,
        total=2_561_979,
        interest_saved=192_899 - 31_629,
    )


def test_a_flat_payoff_costs_the_period_s_share_by_thirtieths() -> None:
    """7 of 30 days of 75,000."""
    paid = allocate(FLAT, 575_000, date(2026, 4, 16)).loan
    quoted = payoff(paid, date(2026, 4, 23))
    assert (quoted.principal, quoted.interest, quoted.interest_saved) == (2_500_000, 17_500, 375_000 - 17_500)


def test_a_payoff_takes_past_due_interest_and_late_fees_in_full() -> None:
    """15 days late: 12 days of fee on the first instalment's 544,650, and 15 days of the second's interest."""
    quoted = payoff(LOAN, date(2026, 5, 1))
    assert (quoted.principal, quoted.interest, quoted.late_fee) == (3_000_000, 75_000 + 31_629, 6_536)
    assert quoted.total == 3_113_165


@pytest.mark.parametrize(
    ("on", "interest"),
    [
        (date(2026, 3, 15), 0),
        (date(2026, 3, 16), 0),
        (date(2026, 3, 17), 2_500),
        (date(2026, 3, 30), 35_000),
        (date(2026, 3, 31), 35_000),
        (date(2026, 4, 1), 37_500),
        (date(2026, 4, 15), 72_500),
        (date(2026, 4, 16), 75_000),
        (date(2026, 4, 17), 75_000 + 2_109),
    ],
)
def test_interest_runs_from_the_payout_by_days_of_30_360(on: date, interest: int) -> None:
    assert payoff(LOAN, on).interest == interest


@pytest.mark.parametrize(
    ("on", "days"),
    [(date(2026, 2, 27), 27), (date(2026, 2, 28), 30), (date(2026, 3, 1), 31), (date(2026, 3, 30), 60)],
)
def test_a_clamped_month_has_30_days_too(on: date, days: int) -> None:
    """Paid out on 31 January: 28 February is the first due date, and the second is 31 March.

    On 30 March, a day of 30/360 early, the whole second period is asked, never more.
    """
    loan = lent(12_000_000, 12, date(2026, 1, 31), method="flat")
    assert payoff(loan, on).interest == 10_000 * days


def test_interest_that_was_paid_ahead_counts_and_is_not_given_back() -> None:
    """600,000 on 17 March pay the first instalment and 55,350 of the second's interest, then begun by nobody."""
    ahead = allocate(LOAN, 600_000, date(2026, 3, 17)).loan
    assert payoff(ahead, date(2026, 3, 17)).total == 2_530_350
    assert payoff(ahead, date(2026, 5, 11)).interest == 0
    # 26 days of the second period have earned 54,824, and 27 days 56,933.
    assert payoff(ahead, date(2026, 5, 13)).interest == 56_933 - 55_350
    assert payoff(ahead, date(2026, 5, 16)).interest == 63_259 - 55_350


def test_closing_pays_the_oldest_first_waives_the_rest_of_the_interest_and_returns_the_surplus() -> None:
    on = date(2026, 5, 1)
    closed, allocations, surplus = close(LOAN, 3_113_165 + 100, on)
    assert surplus == 100
    assert allocations[:3] == (
        Allocation(number=1, late_fee=6_536, interest=75_000, principal=469_650),
        Allocation(number=2, late_fee=0, interest=31_629, principal=481_391),
        Allocation(number=3, late_fee=0, interest=0, principal=493_426),
    )
    assert [each.waived_interest for each in closed.instalments[:3]] == [0, 63_259 - 31_629, 544_650 - 493_426]
    assert {each.paid_on for each in closed.instalments} == {on}
    assert closed.next_due_on is None
    assert {line.status for line in bill(closed, on).lines} == {"paid"}
    assert outstanding(closed, on + timedelta(days=900)) == 0
    assert [each.interest for each in closed.instalments] == [each.interest for each in LOAN.instalments]


def test_closing_leaves_instalments_that_were_paid_before_as_they_are() -> None:
    paid = allocate(LOAN, 544_650, date(2026, 4, 10)).loan
    closed, allocations, _ = close(paid, payoff(paid, date(2026, 5, 1)).total, date(2026, 5, 1))
    assert closed.instalments[0] == paid.instalments[0]
    assert [each.number for each in allocations] == [2, 3, 4, 5, 6]


def test_a_rupiah_short_does_not_close() -> None:
    with pytest.raises(ValueError, match="amount must be at least the payoff of 3113165, not 3113164"):
        close(LOAN, 3_113_164, date(2026, 5, 1))


def test_a_closed_loan_costs_nothing_and_keeps_nothing() -> None:
    on = date(2026, 5, 1)
    closed = close(LOAN, 3_113_165, on).loan
    assert payoff(closed, on + timedelta(days=40)) == Payoff(
        on=on + timedelta(days=40), principal=0, interest=0, late_fee=0, total=0, interest_saved=0
    )
    assert close(closed, 5_000, on) == (closed, (), 5_000)
    assert allocate(closed, 5_000, on) == (closed, (), 5_000)


def test_a_loan_that_is_not_paid_out_costs_nothing() -> None:
    assert payoff(replace(LOAN, instalments=()), PAID_OUT).total == 0


@pytest.mark.parametrize("gone", ["contract", "disbursed_on"])
def test_instalments_without_a_contract_or_a_payout_are_a_fault(gone: str) -> None:
    with pytest.raises(ValueError, match="loan_1 has instalments but was not paid out under a contract"):
        payoff(replace(LOAN, **{gone: None}), PAID_OUT)  # type: ignore[arg-type]  # The field's name is data here.


def test_the_rule_is_one_sentence_in_the_borrower_s_language() -> None:
    assert rule("id").startswith("Pelunasan = sisa pokok")
    assert rule("en").startswith("Payoff = unpaid principal")
    for text in (rule("id"), rule("en")):
        assert text.endswith(".")
        assert ". " not in text
        assert "30/360" in text


def test_a_payoff_in_the_second_period_matches_a_published_schedule() -> None:
    """apache/fineract, C3211: 83.57 is left after the first instalment of 17.01; 14 days at 7 % are 22.7 cents."""
    loan = minor_units()
    assert [(each.principal, each.interest) for each in loan.instalments][:2] == [(1_643, 58), (1_652, 49)]
    paid = allocate(loan, 1_701, date(2024, 2, 1)).loan
    quoted = payoff(paid, date(2024, 2, 15))
    assert (quoted.principal, quoted.interest, quoted.total) == (8_357, 23, 8_380)
    assert interest_of_days(balance=8_357, annual_rate_ppm=70_000, days=14) == 23
    assert outstanding(close(paid, 8_380, date(2024, 2, 15)).loan, date(2024, 2, 15)) == 0


@pytest.mark.parametrize("method", ["declining", "flat"])
@pytest.mark.parametrize("paid_out", DAYS_OF_A_MONTH)
@pytest.mark.parametrize(
    ("tenor", "amounts"), [(1, (500_000, 3_333_333)), (3, (700_001,)), (6, (3_000_000,)), (12, (12_000_000,))]
)
def test_paying_the_payoff_on_any_day_closes_the_loan_exactly(
    tenor: int, amounts: tuple[int, ...], paid_out: date, method: InterestMethod
) -> None:
    for amount in amounts:
        loan = lent(amount, tenor, paid_out, method=method)
        last = loan.instalments[-1].due_date
        before = 0
        for day in range((last - paid_out).days + 121):
            on = paid_out + timedelta(days=day)
            quoted = payoff(loan, on)
            closed, allocations, surplus = close(loan, quoted.total, on)
            assert surplus == 0
            assert sum(each.total for each in allocations) == quoted.total
            assert outstanding(closed, on) == 0
            assert quoted.principal == amount
            assert quoted.interest_saved >= 0
            assert quoted.total >= before
            before = quoted.total


@settings(max_examples=80, deadline=None)
@given(loan=LIVE, payments=st.lists(st.tuples(WEEKS, st.integers(1, 4_000_000)), max_size=4), after=DAYS)
def test_after_any_payments_the_payoff_closes_exactly_and_never_exceeds_what_the_schedule_asks(
    loan: Loan, payments: list[tuple[timedelta, int]], after: timedelta
) -> None:
    on = paid_out_on(loan)
    for wait, amount in payments:
        on += wait
        loan = allocate(loan, amount, on).loan
    on += after
    quoted, shown = payoff(loan, on), bill(loan, on)
    assert quoted.total == quoted.principal + quoted.interest + quoted.late_fee
    assert quoted.total + quoted.interest_saved == shown.outstanding
    assert min(quoted.principal, quoted.interest, quoted.late_fee, quoted.interest_saved) >= 0
    assert quoted.total >= shown.due_now
    if on >= loan.instalments[-1].due_date:
        assert quoted.total == shown.outstanding
    closed, allocations, surplus = close(loan, quoted.total, on)
    assert (surplus, sum(each.total for each in allocations)) == (0, quoted.total)
    assert {line.status for line in bill(closed, on + timedelta(days=700)).lines} == {"paid"}
    assert closed.next_due_on is None
    for instalment in closed.instalments:
        assert instalment.paid_interest + instalment.waived_interest == instalment.interest
        assert instalment.paid_principal == instalment.principal
        assert instalment.paid_late_fee == instalment.late_fee_fixed


@settings(max_examples=80, deadline=None)
@given(loan=LIVE, amount=st.integers(1, 4_000_000), days=st.tuples(DAYS, DAYS, DAYS))
def test_waiting_never_makes_a_payoff_cheaper(
    loan: Loan, amount: int, days: tuple[timedelta, timedelta, timedelta]
) -> None:
    """Interest only accrues and late fees only grow, so it holds within a period and across due dates."""
    paid, early, late = (paid_out_on(loan) + wait for wait in sorted(days))
    loan = allocate(loan, amount, paid).loan
    assert payoff(loan, early).total <= payoff(loan, late).total


@settings(max_examples=80, deadline=None)
@given(loan=LIVE, amount=st.integers(1, 4_000_000), wait=DAYS)
def test_a_payment_lowers_the_payoff_by_itself_less_what_it_paid_of_interest_not_yet_earned(
    loan: Loan, amount: int, wait: timedelta
) -> None:
    on = paid_out_on(loan) + wait
    before = payoff(loan, on)
    paid, allocations, surplus = allocate(loan, amount, on)
    after = payoff(paid, on)
    ahead = sum(each.interest for each in allocations) - (before.interest - after.interest)
    assert ahead >= 0
    assert after.total == before.total - (amount - surplus) + ahead
    if amount <= bill(loan, on).due_now:
        assert ahead == 0


@settings(max_examples=80, deadline=None)
@given(loan=LIVE, wait=DAYS)
def test_the_interest_of_a_payoff_is_that_of_exact_fractions(loan: Loan, wait: timedelta) -> None:
    """2.5 % a month, a thirtieth of it a day; the schedule's own figure once a period has ended."""
    start = paid_out_on(loan)
    on = start + wait
    assert loan.contract is not None
    price = loan.contract.quote
    dues = [start, *(each.due_date for each in loan.instalments)]
    expected, balance = 0, Fraction(price.amount)
    for instalment, began, due in zip(loan.instalments, dues, dues[1:], strict=False):
        elapsed = days_30_360(began, max(began, min(on, due)), anchor_day=start.day)
        monthly = Fraction(instalment.interest) if price.interest_method == "flat" else balance / 40
        rounded = floor(monthly * elapsed / 30 + Fraction(1, 2))
        expected += instalment.interest if on >= due else min(rounded, instalment.interest)
        balance -= instalment.principal
    assert payoff(loan, on).interest == expected
