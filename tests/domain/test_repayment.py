"""What a loan owes on a day, what being late costs, and where payments go."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pinjam.domain.contract import freeze
from pinjam.domain.loan import Application, Contract, Instalment, Loan, LoanStatus, Purpose
from pinjam.domain.payment import Allocation
from pinjam.domain.pricing import quote
from pinjam.domain.repayment import (
    allocate,
    bill,
    bucket,
    bucket_of,
    days_past_due,
    instalment_amount,
    late_fee,
    late_fee_room,
    late_fees,
    next_due,
    open_instalments,
    outstanding,
)
from pinjam.policy import load_policies

POLICY = load_policies().get("2026-01-01")
NOW = datetime(2026, 3, 16, 2, 30, tzinfo=UTC)
PAID_OUT = date(2026, 3, 16)
FIRST_DUE = date(2026, 4, 16)


def live_loan(amount: int = 3_000_000, tenor_months: int = 6, *, total_cap_ppm: int = 1_000_000) -> Loan:
    """A loan paid out on 16 March 2026. 3,000,000 over 6 months: 544,650 a month, 544,649 at last."""
    purpose: Purpose = "home"
    offer = quote(POLICY, amount=amount, tenor_months=tenor_months, start=PAID_OUT)
    application = Application(
        amount=amount,
        tenor_months=tenor_months,
        purpose=purpose,
        monthly_income=9_000_000,
        other_instalments=0,
        consented_at=NOW,
    )
    accepted = Loan(
        id="loan_1",
        user_id="usr_1",
        status=LoanStatus.ACCEPTED,
        amount=amount,
        tenor_months=tenor_months,
        purpose=purpose,
        application=application,
        open_for="usr_1",
        created_at=NOW,
        updated_at=NOW,
        offer=offer,
    )
    contract = replace(
        freeze(accepted, POLICY, borrower=None, accepted_at=NOW, locale="id"), total_cap_ppm=total_cap_ppm
    )
    return replace(
        accepted,
        status=LoanStatus.ACTIVE,
        contract=contract,
        disbursed_on=PAID_OUT,
        instalments=open_instalments(offer, PAID_OUT),
        next_due_on=FIRST_DUE,
    )


def contract_of(loan: Loan) -> Contract:
    assert loan.contract is not None
    return loan.contract


LOAN = live_loan()
TERMS = contract_of(LOAN)


def past_due(days: int) -> date:
    return FIRST_DUE + timedelta(days=days)


def test_instalments_take_the_accepted_amounts_and_the_dates_of_the_payout() -> None:
    offer = quote(POLICY, amount=3_000_000, tenor_months=6, start=PAID_OUT)
    later = open_instalments(offer, date(2026, 3, 31))
    assert [each.due_date.isoformat() for each in later[:3]] == ["2026-04-30", "2026-05-31", "2026-06-30"]
    assert [(each.principal, each.interest) for each in later] == [
        (row.principal, row.interest) for row in offer.schedule
    ]


@pytest.mark.parametrize(
    ("days", "fee"),
    [(-1, 0), (0, 0), (1, 0), (3, 0), (4, 545), (5, 1_089), (13, 5_447), (33, 16_340)],
)
def test_being_late_costs_nothing_for_three_days_and_a_day_from_the_fourth(days: int, fee: int) -> None:
    """0.1 % a day of 544,650."""
    assert late_fee(LOAN.instalments[0], past_due(days), TERMS) == fee


def test_a_late_fee_counts_only_what_is_unpaid() -> None:
    half = replace(LOAN.instalments[0], paid_interest=75_000, paid_principal=269_650)
    assert late_fee(half, past_due(4), TERMS) == 200


def test_a_payment_fixes_the_late_fee_and_what_is_left_goes_on_accruing() -> None:
    """Ten days of fee, 5,446.5, are fixed; then 0.1 % a day of the remaining 450,097."""
    after = allocate(LOAN, 100_000, past_due(13)).loan.instalments[0]
    assert (after.late_fee_fixed, after.paid_late_fee, after.fee_from) == (5_447, 5_447, past_due(13))
    assert (after.paid_interest, after.paid_principal) == (75_000, 19_553)
    assert late_fee(after, past_due(13), TERMS) == 5_447
    assert late_fee(after, past_due(14), TERMS) == 5_447 + 450
    assert late_fee(after, past_due(23), TERMS) == 5_447 + 4_501


def test_a_payment_within_the_first_days_does_not_start_the_fee_early() -> None:
    after = allocate(LOAN, 100_000, past_due(1)).loan.instalments[0]
    assert late_fee(after, past_due(3), TERMS) == 0
    assert late_fee(after, past_due(4), TERMS) == 445


def test_a_bill_shows_each_instalment_and_what_is_due() -> None:
    on = date(2026, 5, 16)
    shown = bill(LOAN, on)
    assert [line.status for line in shown.lines] == ["overdue", "due", "upcoming", "upcoming", "upcoming", "upcoming"]
    first = shown.lines[0]
    assert (first.late_fee, first.owed_interest, first.owed_principal) == (14_706, 75_000, 469_650)
    assert first.owed == 559_356
    assert shown.due_now == shown.monthly_bill == 559_356 + 544_650
    assert shown.outstanding == outstanding(LOAN, on) == 3_267_899 + 14_706
    assert shown.outstanding_principal == 3_000_000
    assert (shown.days_past_due, shown.bucket) == (30, "1-30")
    assert shown.next_due == first
    assert instalment_amount(LOAN, on) == 559_356


def test_before_anything_is_due_the_bill_is_the_next_instalment() -> None:
    shown = bill(LOAN, PAID_OUT)
    assert {line.status for line in shown.lines} == {"upcoming"}
    assert (shown.due_now, shown.monthly_bill, shown.days_past_due, shown.bucket) == (0, 544_650, 0, "current")


def test_a_loan_that_is_not_paid_out_owes_nothing() -> None:
    waiting = replace(LOAN, status=LoanStatus.ACCEPTED, instalments=())
    assert (outstanding(waiting, past_due(9)), instalment_amount(waiting, past_due(9))) == (0, 0)
    assert next_due(waiting, past_due(9)) is None
    assert bill(waiting, past_due(9)).monthly_bill == 0
    assert days_past_due(waiting, past_due(9)) == 0


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (0, "current"),
        (1, "1-30"),
        (30, "1-30"),
        (31, "31-60"),
        (60, "31-60"),
        (61, "61-90"),
        (90, "61-90"),
        (91, ">90"),
    ],
)
def test_buckets_are_of_30_days(days: int, name: str) -> None:
    assert bucket_of(days) == name
    assert bucket(LOAN, past_due(days)) == name
    assert days_past_due(LOAN, past_due(days)) == days


def test_money_goes_to_the_oldest_instalment_and_in_it_to_late_fee_interest_principal() -> None:
    on = date(2026, 5, 16)
    paid, allocations, surplus = allocate(LOAN, 600_000, on)
    assert allocations == (
        Allocation(number=1, late_fee=14_706, interest=75_000, principal=469_650),
        Allocation(number=2, late_fee=0, interest=40_644, principal=0),
    )
    assert surplus == 0
    assert (paid.instalments[0].paid_on, paid.instalments[1].paid_on) == (on, None)
    assert paid.next_due_on == date(2026, 5, 16)
    assert bill(paid, on).lines[0].status == "paid"
    assert days_past_due(paid, on) == 0


def test_waived_interest_is_not_owed_but_stays_in_what_the_schedule_asks() -> None:
    """Of 469,650 and 75,000, 50,000 waived: a day of late fee is 0.1 % of 494,650."""
    waived = replace(LOAN.instalments[0], waived_interest=50_000)
    line = bill(replace(LOAN, instalments=(waived, *LOAN.instalments[1:])), past_due(4)).lines[0]
    assert (line.interest, line.owed_interest, line.owed_principal, line.late_fee) == (75_000, 25_000, 469_650, 495)
    assert line.owed == 469_650 + 25_000 + 495


def test_an_instalment_whose_interest_is_partly_waived_can_be_paid_in_full() -> None:
    waived = replace(LOAN.instalments[0], waived_interest=50_000)
    paid, allocations, surplus = allocate(replace(LOAN, instalments=(waived,)), 500_000, FIRST_DUE)
    assert allocations == (Allocation(number=1, late_fee=0, interest=25_000, principal=469_650),)
    assert (surplus, paid.next_due_on, paid.instalments[0].paid_on) == (5_350, None, FIRST_DUE)
    assert bill(paid, past_due(900)).lines[0].status == "paid"


def test_the_last_rupiah_leaves_nothing_owed() -> None:
    on = date(2026, 5, 16)
    everything = outstanding(LOAN, on)
    almost = allocate(LOAN, everything - 1, on).loan
    assert (outstanding(almost, on), almost.next_due_on) == (1, date(2026, 9, 16))
    paid, _, surplus = allocate(almost, 1, on)
    assert (surplus, paid.next_due_on, outstanding(paid, on)) == (0, None, 0)
    assert outstanding(paid, on + timedelta(days=900)) == 0
    assert {line.status for line in bill(paid, on).lines} == {"paid"}
    assert {each.paid_on for each in paid.instalments} == {on}


def test_what_exceeds_the_debt_is_surplus() -> None:
    """apache/fineract Loan-Part1.feature, C2503: 450, 250 and 400 paid on a debt of 1,000 leave 100."""
    free = replace(LOAN, instalments=(Instalment(number=1, due_date=date(2026, 4, 15), principal=100_000, interest=0),))
    first, second = date(2026, 3, 18), date(2026, 3, 20)
    after = allocate(allocate(free, 45_000, first).loan, 25_000, second).loan
    assert outstanding(after, second) == 30_000
    paid, allocations, surplus = allocate(after, 40_000, second)
    assert (outstanding(paid, second), surplus) == (0, 10_000)
    assert allocations == (Allocation(number=1, late_fee=0, interest=0, principal=30_000),)


def test_a_payment_of_what_is_due_settles_a_loan_of_one_instalment() -> None:
    """apache/fineract LoanRepayment-Part2.feature, C2694: 1,000 due and paid on the due date."""
    one = replace(LOAN, instalments=(Instalment(number=1, due_date=FIRST_DUE, principal=100_000, interest=0),))
    paid, allocations, surplus = allocate(one, 100_000, FIRST_DUE)
    assert allocations == (Allocation(number=1, late_fee=0, interest=0, principal=100_000),)
    assert (surplus, paid.next_due_on) == (0, None)


def test_a_payment_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="amount must be at least 1, not 0"):
        allocate(LOAN, 0, FIRST_DUE)


def test_a_payment_entered_for_an_earlier_day_does_not_let_days_accrue_twice() -> None:
    late = allocate(LOAN, 100_000, past_due(13)).loan
    entered = allocate(late, 1_000, past_due(5)).loan.instalments[0]
    assert entered.fee_from == past_due(13)
    assert late_fee(entered, past_due(13), TERMS) == 5_447


def test_interest_fees_and_late_fees_stop_at_the_total_cap() -> None:
    """3,000,000 less interest 267,899 and fee 30,000 leaves 2,702,101 for late fees."""
    assert late_fee_room(LOAN) == 2_702_101
    years_later = date(2036, 1, 1)
    assert sum(late_fees(LOAN, years_later)) == 2_702_101
    assert late_fees(LOAN, years_later) == late_fees(LOAN, years_later + timedelta(days=1000))
    paid, _, surplus = allocate(LOAN, 6_000_000, years_later)
    assert (surplus, outstanding(paid, years_later)) == (30_000, 0)
    assert sum(each.paid_interest + each.paid_late_fee for each in paid.instalments) == 2_970_000


def test_the_day_that_reaches_the_cap_serves_the_oldest_instalment_first() -> None:
    """10.5967 % of 3,000,000 leaves 20,002; the second instalment begins to cost on 20 May.

    On 22 May 395 are left of it, and the first instalment alone would take 545 on the next day.
    """
    capped = live_loan(total_cap_ppm=105_967)
    assert late_fee_room(capped) == 20_002
    assert late_fees(capped, date(2026, 5, 19))[:2] == (16_340, 0)
    assert late_fees(capped, date(2026, 5, 22))[:2] == (17_973, 1_634)
    assert late_fees(capped, date(2026, 5, 23))[:2] == (17_973 + 395, 1_634)
    assert late_fees(capped, date(2026, 12, 31)) == (17_973 + 395, 1_634, 0, 0, 0, 0)


LOANS = st.builds(
    live_loan,
    st.integers(5, 120).map(lambda steps: steps * 100_000),
    st.integers(1, 12),
    # From a cap that interest and fee alone nearly use up to the real one.
    total_cap_ppm=st.sampled_from([200_000, 230_000, 300_000, 1_000_000]),
)
DAYS = st.integers(0, 1500).map(lambda days: PAID_OUT + timedelta(days=days))


@settings(max_examples=60, deadline=None)
@given(loan=LOANS, payments=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 4_000_000)), max_size=8))
def test_over_any_history_nothing_is_negative_nothing_is_lost_and_the_cap_holds(
    loan: Loan, payments: list[tuple[int, int]]
) -> None:
    on, kept = PAID_OUT, 0
    contract = contract_of(loan)
    price = contract.quote
    cap = max(price.amount * contract.total_cap_ppm // 1_000_000, price.total_interest + price.admin_fee)
    for days, amount in payments:
        on += timedelta(days=days)
        owed = outstanding(loan, on)
        loan, allocations, surplus = allocate(loan, amount, on)
        assert sum(part.total for part in allocations) + surplus == amount
        assert surplus == max(0, amount - owed)
        assert outstanding(loan, on) == max(0, owed - amount)
        kept += amount - surplus
        for line in bill(loan, on + timedelta(days=400)).lines:
            assert min(line.owed_principal, line.owed_interest, line.owed_late_fee, line.late_fee, line.paid) >= 0
        charged = price.total_interest + price.admin_fee + sum(late_fees(loan, on + timedelta(days=3000)))
        assert charged <= cap
    paid = [each.paid_principal + each.paid_interest + each.paid_late_fee for each in loan.instalments]
    assert sum(paid) == kept
    unpaid = [each.due_date for each, line in zip(loan.instalments, bill(loan, on).lines, strict=True) if line.owed]
    assert loan.next_due_on == (unpaid[0] if unpaid else None)


@settings(max_examples=60, deadline=None)
@given(
    loan=LOANS,
    before=st.integers(1, 2_000_000),
    days=st.tuples(DAYS, DAYS).map(sorted),
    parts=st.lists(st.integers(1, 3_000_000), min_size=1, max_size=6),
)
def test_a_payment_in_parts_on_one_day_leads_where_one_payment_does(
    loan: Loan, before: int, days: list[date], parts: list[int]
) -> None:
    loan = allocate(loan, before, days[0]).loan
    on = days[1]
    at_once = allocate(loan, sum(parts), on)
    in_parts, surplus = loan, 0
    for part in parts:
        in_parts, _, over = allocate(in_parts, part, on)
        surplus += over
    assert in_parts == at_once.loan
    assert surplus == at_once.surplus


@settings(max_examples=60, deadline=None)
@given(loan=LOANS, before=st.integers(1, 2_000_000), days=st.tuples(DAYS, DAYS, DAYS).map(sorted))
def test_what_is_owed_never_falls_by_waiting(loan: Loan, before: int, days: list[date]) -> None:
    first, second, third = days
    assume(second > first)
    loan = allocate(loan, before, first).loan
    for early, late in zip(late_fees(loan, second), late_fees(loan, third), strict=True):
        assert early <= late
