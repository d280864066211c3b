"""Payments in their order, and a loan rebuilt without the one that was taken back."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.loans import LIVE, lent

from pinjam.domain.loan import Instalment, Loan, LoanStatus
from pinjam.domain.payment import Allocation
from pinjam.domain.payoff import close, payoff
from pinjam.domain.receipts import Receipt, changed, comes_before_others, receive, replay
from pinjam.domain.repayment import allocate, bill, outstanding

PAID_OUT = date(2026, 3, 16)
LOAN = lent(3_000_000, 6, PAID_OUT)
"""544,650 a month, 544,649 at last; interest 75,000, then 63,259."""
FIRST_DUE, SECOND_DUE = date(2026, 4, 16), date(2026, 5, 16)
PAYOFF_DAY = date(2026, 5, 1)
PAYOFF = 3_113_165


def paid(number: int, amount: int, on: date, *, closes: bool = False, refunded: int = 0) -> Receipt:
    return Receipt(payment_id=f"pay_{number}", amount=amount, on=on, closes=closes, refunded=refunded)


def one_instalment(principal: int) -> Loan:
    """A loan without interest, in one instalment due on the 1st of the second month."""
    due = Instalment(number=1, due_date=date(2023, 2, 1), principal=principal, interest=0)
    return replace(LOAN, disbursed_on=date(2023, 1, 1), instalments=(due,), next_due_on=due.due_date)


def test_a_quoted_payoff_that_was_paid_in_time_closes_the_loan() -> None:
    assert receive(LOAN, paid(1, PAYOFF, PAYOFF_DAY, closes=True)) == close(LOAN, PAYOFF, PAYOFF_DAY)


def test_the_same_sum_paid_without_a_quote_closes_nothing() -> None:
    received = receive(LOAN, paid(1, PAYOFF, PAYOFF_DAY))
    assert received == allocate(LOAN, PAYOFF, PAYOFF_DAY)
    assert outstanding(received.loan, PAYOFF_DAY) > 0


def test_a_payoff_that_no_longer_suffices_is_a_payment_like_any_other() -> None:
    assert receive(LOAN, paid(1, PAYOFF - 1, PAYOFF_DAY, closes=True)) == allocate(LOAN, PAYOFF - 1, PAYOFF_DAY)


def test_a_payoff_after_another_payment_closes_and_returns_what_is_too_much() -> None:
    after = receive(LOAN, paid(1, 100_000, PAYOFF_DAY)).loan
    closed, _, surplus = receive(after, paid(2, PAYOFF, PAYOFF_DAY, closes=True))
    assert (outstanding(closed, PAYOFF_DAY), surplus) == (0, 100_000)


@pytest.mark.parametrize("closes", [True, False])
def test_where_nothing_is_owed_all_of_it_is_surplus(closes: bool) -> None:  # noqa: FBT001 - one case of each.
    settled = replace(close(LOAN, PAYOFF, PAYOFF_DAY).loan, status=LoanStatus.SETTLED)
    assert receive(settled, paid(2, 544_650, SECOND_DUE, closes=closes)) == (settled, (), 544_650)
    waiting = replace(LOAN, status=LoanStatus.ACCEPTED, instalments=())
    assert receive(waiting, paid(2, 1, SECOND_DUE, closes=closes)) == (waiting, (), 1)


def test_a_second_settlement_for_the_same_debt_goes_to_the_next_instalment() -> None:
    once = receive(LOAN, paid(1, 544_650, FIRST_DUE)).loan
    _, allocations, surplus = receive(once, paid(2, 544_650, FIRST_DUE))
    assert (allocations, surplus) == ((Allocation(number=2, late_fee=0, interest=63_259, principal=481_391),), 0)


def test_a_payment_that_is_taken_back_moves_the_later_ones() -> None:
    """Without the first payment, the second pays the first instalment and its 27 days of late fee."""
    first, second = paid(1, 544_650, FIRST_DUE), paid(2, 544_650, SECOND_DUE)
    before = replay(LOAN, [first, second])
    after = replay(before.loan, [second])
    fee = 14_706
    assert after.postings == {
        "pay_2": ((Allocation(number=1, late_fee=fee, interest=75_000, principal=469_650 - fee),), 0)
    }
    assert after.loan.next_due_on == FIRST_DUE
    assert bill(after.loan, SECOND_DUE).due_now == fee + 544_650
    assert changed(before.postings, after.postings) == ("pay_2",)


def test_a_payment_that_is_taken_back_leaves_those_before_it_alone() -> None:
    first, second = paid(1, 544_650, FIRST_DUE), paid(2, 544_650, SECOND_DUE)
    before, after = replay(LOAN, [first, second]), replay(LOAN, [first])
    assert changed(before.postings, after.postings) == ()
    assert after.loan == receive(LOAN, first).loan


def test_a_payoff_whose_earlier_payment_was_taken_back_leaves_a_debt() -> None:
    first = paid(1, 544_650, FIRST_DUE)
    quoted = payoff(receive(LOAN, first).loan, PAYOFF_DAY).total
    closing = paid(2, quoted, PAYOFF_DAY, closes=True)
    assert outstanding(replay(LOAN, [first, closing]).loan, PAYOFF_DAY) == 0
    reopened = replay(LOAN, [closing]).loan
    assert outstanding(reopened, PAYOFF_DAY) == outstanding(LOAN, PAYOFF_DAY) - quoted
    assert reopened.next_due_on is not None
    assert {each.waived_interest for each in reopened.instalments} == {0}


def test_replaying_nothing_leads_back_to_the_payout() -> None:
    closed = close(LOAN, PAYOFF, PAYOFF_DAY).loan
    assert replay(closed, []) == (LOAN, {})


def test_surplus_that_was_refunded_pays_nothing_when_an_earlier_payment_is_taken_back() -> None:
    """The loan was paid twice, the second time in full as surplus, of which 100,000 went back."""
    everything = outstanding(LOAN, FIRST_DUE)
    second = paid(2, everything, FIRST_DUE, refunded=100_000)
    assert replay(LOAN, [paid(1, everything, FIRST_DUE), second]).postings["pay_2"] == ((), everything)
    alone = replay(LOAN, [second])
    assert alone.postings["pay_2"][1] == 100_000
    assert outstanding(alone.loan, FIRST_DUE) == 100_000


def test_a_payment_that_was_refunded_altogether_pays_nothing() -> None:
    assert receive(LOAN, paid(1, 500, FIRST_DUE, refunded=500)) == (LOAN, (), 500)


def test_money_of_an_earlier_day_than_is_posted_is_not_received_on_top_of_it() -> None:
    paid_up = receive(LOAN, paid(1, 544_650, FIRST_DUE)).loan
    day_before = FIRST_DUE - timedelta(days=1)
    assert comes_before_others(paid_up, day_before)
    assert not comes_before_others(paid_up, FIRST_DUE)
    assert not comes_before_others(LOAN, PAID_OUT)
    with pytest.raises(ValueError, match="pay_2 of 2026-04-15 comes after money of a later day"):
        receive(paid_up, paid(2, 1, day_before))


def test_what_is_replayed_counts_in_business_order_and_within_a_day_as_it_was_heard_of() -> None:
    first, second, third = paid(1, 1_000, FIRST_DUE), paid(2, 2_000, FIRST_DUE), paid(3, 3_000, SECOND_DUE)
    in_order = replay(LOAN, [first, second, third])
    assert replay(LOAN, [third, first, second]) == in_order
    assert list(in_order.postings) == ["pay_1", "pay_2", "pay_3"]
    assert list(replay(LOAN, [third, second, first]).postings) == ["pay_2", "pay_1", "pay_3"]


def test_a_payoff_that_is_heard_late_still_closes_what_a_later_payment_has_touched_since() -> None:
    """The later payment fixed late fees of days after the quote, which the quoted sum lacks."""
    on = SECOND_DUE + timedelta(days=10)
    closing = paid(1, payoff(LOAN, on).total, on, closes=True)
    later = paid(2, 20_000, on + timedelta(days=5))
    assert outstanding(receive(LOAN, later).loan, later.on) > closing.amount
    closed = replay(LOAN, [later, closing])
    assert (closed.loan.next_due_on, closed.postings["pay_1"][1], closed.postings["pay_2"]) == (None, 0, ((), 20_000))


@pytest.mark.parametrize(("amount", "refunded"), [(0, 0), (-1, 0), (10, 11), (10, -1)])
def test_a_receipt_of_nothing_or_with_more_refunded_than_arrived_is_refused(amount: int, refunded: int) -> None:
    with pytest.raises(ValueError, match=f"pay_1: amount {amount} of which {refunded} refunded"):
        paid(1, amount, FIRST_DUE, refunded=refunded)


def test_a_payment_cannot_come_twice_in_one_replay() -> None:
    with pytest.raises(ValueError, match="pay_1 comes twice"):
        replay(LOAN, [paid(1, 500, FIRST_DUE), paid(1, 500, FIRST_DUE)])


@pytest.mark.parametrize("gone", ["contract", "disbursed_on"])
def test_a_loan_that_was_not_paid_out_cannot_be_rebuilt(gone: str) -> None:
    with pytest.raises(ValueError, match="loan_1 was not paid out"):
        replay(replace(LOAN, **{gone: None}), [])  # type: ignore[arg-type]  # The field's name is data here.


def test_a_debt_that_is_paid_on_its_day_takes_all_of_it() -> None:
    """apache/fineract LoanRepayment-Part2.feature, C2694: 1,000 due and paid on 1 February."""
    settled, allocations, surplus = receive(one_instalment(1_000), paid(1, 1_000, date(2023, 2, 1)))
    assert allocations == (Allocation(number=1, late_fee=0, interest=0, principal=1_000),)
    assert (surplus, outstanding(settled, date(2023, 2, 1)), settled.next_due_on) == (0, 0, None)


def test_a_charge_on_the_instalment_is_paid_with_it() -> None:
    """apache/fineract LoanRepayment-Part2.feature, C2695: 1,000 and a charge of 20 paid with 1,020.

    The only charge that a loan here can get later is a late fee: 20 of it stand in for the charge.
    """
    loan = one_instalment(1_000)
    charged = replace(loan, instalments=(replace(loan.instalments[0], late_fee_fixed=20),))
    settled, allocations, surplus = receive(charged, paid(1, 1_020, date(2023, 2, 1)))
    assert allocations == (Allocation(number=1, late_fee=20, interest=0, principal=1_000),)
    assert (surplus, outstanding(settled, date(2023, 2, 1))) == (0, 0)


def test_the_surplus_is_the_same_money_in_whatever_order_it_came() -> None:
    """apache/fineract Loan-Part1.feature, C2503: 450, 250 and a backdated 400 on a debt of 1,000 leave 100.

    There, the 400 of 2 January are entered last and move the others; here they take their place in order.
    """
    loan = one_instalment(1_000)
    for order in ((450, 250, 400), (400, 450, 250)):
        surpluses = []
        current = loan
        for day, amount in enumerate(order, start=2):
            current, _, surplus = receive(current, paid(day, amount, date(2023, 1, day)))
            surpluses.append(surplus)
        assert surpluses == [0, 0, 100]
        assert outstanding(current, date(2023, 1, 5)) == 0


HISTORIES = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["part", "instalment", "payoff", "late payoff", "too much"])),
    max_size=7,
)


def history(loan: Loan, steps: list[tuple[int, str]], amounts: list[int]) -> list[Receipt]:
    """What a borrower who pays by the bill would send."""
    receipts: list[Receipt] = []
    on = loan.disbursed_on or PAID_OUT
    for at, (days, how) in enumerate(steps):
        quoted = payoff(loan, on).total
        on += timedelta(days=days)
        asked = {
            "part": amounts[at],
            "instalment": bill(loan, on).monthly_bill,
            "payoff": payoff(loan, on).total,
            "late payoff": quoted,
            "too much": outstanding(loan, on) + amounts[at],
        }[how]
        receipt = paid(at, max(1, asked), on, closes="payoff" in how)
        receipts.append(receipt)
        loan = receive(loan, receipt).loan
    return receipts


@settings(max_examples=100, deadline=None)
@given(loan=LIVE, steps=HISTORIES, amounts=st.lists(st.integers(1, 3_000_000), min_size=7, max_size=7), data=st.data())
def test_replaying_is_receiving_one_by_one_and_always_leads_to_the_same(
    loan: Loan, steps: list[tuple[int, str]], amounts: list[int], data: st.DataObject
) -> None:
    receipts = history(loan, steps, amounts)
    one_by_one, postings = loan, {}
    for receipt in receipts:
        one_by_one, allocations, surplus = receive(one_by_one, receipt)
        postings[receipt.payment_id] = (allocations, surplus)
        assert sum(each.total for each in allocations) + surplus == receipt.amount
    assert replay(loan, receipts) == (one_by_one, postings)
    assert replay(one_by_one, receipts) == (one_by_one, postings)
    if receipts:
        gone = data.draw(st.sampled_from(receipts))
        kept = [receipt for receipt in receipts if receipt != gone]
        without = replay(one_by_one, kept)
        assert list(without.postings) == [receipt.payment_id for receipt in kept]
        before_it = [receipt.payment_id for receipt in receipts[: receipts.index(gone)]]
        assert not set(changed(postings, without.postings)) & set(before_it)
        assert replay(without.loan, receipts) == (one_by_one, postings)


@settings(max_examples=150, deadline=None)
@given(
    loan=LIVE,
    steps=HISTORIES,
    amounts=st.lists(st.integers(1, 3_000_000), min_size=7, max_size=7),
    data=st.data(),
)
def test_a_payoff_that_was_paid_on_its_day_closes_the_loan_whatever_else_is_heard_of_whenever(
    loan: Loan, steps: list[tuple[int, str]], amounts: list[int], data: st.DataObject
) -> None:
    """Some of the payments are known when the payoff is quoted; others, of days before and after it, are not."""
    receipts = history(loan, steps, amounts)
    on = (loan.disbursed_on or PAID_OUT) + timedelta(days=data.draw(st.integers(0, 420)))
    known = [one for one in receipts if one.on <= on and data.draw(st.booleans())]
    quoted = payoff(replay(loan, known).loan, on).total
    if quoted == 0:
        return
    closing = Receipt(payment_id="closing", amount=quoted, on=on, closes=True)
    heard = data.draw(st.permutations([*receipts, closing]))
    closed = replay(loan, heard)
    assert closed.loan.next_due_on is None
    assert {outstanding(closed.loan, on + timedelta(days=days)) for days in (0, 1, 1_000)} == {0}
