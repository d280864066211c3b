"""When a borrower may be forgotten."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from tests.domain.loans import accepted, lent

from pinjam.domain.erasure import erase_after, obstacle
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.refund import Refund, RefundStatus

TODAY = date(2026, 11, 24)
LOAN = lent(3_000_000, 6, date(2026, 3, 16))
APPLICATION = accepted(3_000_000, 6, date(2026, 3, 16))
OPEN = ("submitted", "referred", "approved", "accepted", "disbursing")


def settled(at: datetime) -> Loan:
    paid = tuple(replace(one, paid_principal=one.principal, paid_interest=one.interest) for one in LOAN.instalments)
    return replace(LOAN, status=LoanStatus.SETTLED, open_for=None, settled_at=at, instalments=paid, next_due_on=None)


def refund(status: RefundStatus, amount: int = 1) -> Refund:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Refund(
        id="rfd_1",
        user_id="usr_1",
        loan_id="loan_1",
        payment_id="pay_1",
        amount=amount,
        status=status,
        created_at=at,
        updated_at=at,
    )


@pytest.mark.parametrize("status", LoanStatus)
def test_an_open_application_and_a_debt_stand_against_it(status: LoanStatus) -> None:
    expected = {"active": "erasure-debt-open", "written_off": "erasure-debt-open", "settled": "erasure-debt-open"}
    expected |= dict.fromkeys(OPEN, "erasure-application-open")
    assert obstacle([replace(LOAN, status=status)], [], TODAY) == expected.get(status.value)


def test_a_debt_that_was_given_up_is_still_owed_until_it_is_paid() -> None:
    done = settled(datetime(2026, 9, 1, tzinfo=UTC))
    assert obstacle([done], [], TODAY) is None
    assert obstacle([replace(done, status=LoanStatus.WRITTEN_OFF, settled_at=None)], [], TODAY) is None
    assert obstacle([done, LOAN], [], TODAY) == "erasure-debt-open"


@pytest.mark.parametrize("status", RefundStatus)
def test_money_that_is_owed_to_the_borrower_stands_against_it(status: RefundStatus) -> None:
    expected = "erasure-refund-open" if status.value in ("owed", "sending") else None
    assert obstacle([], [refund(status)], TODAY) == expected
    assert obstacle([], [refund(status, amount=0)], TODAY) is None


def test_a_loans_values_are_kept_for_five_years_after_its_end() -> None:
    # 23:30 in Jakarta is still that day.
    first, last = settled(datetime(2025, 1, 2, tzinfo=UTC)), settled(datetime(2026, 2, 28, 16, 30, tzinfo=UTC))
    assert erase_after([first, last], TODAY) == date(2031, 2, 28)
    assert erase_after([last, first], TODAY) == date(2031, 2, 28)
    recovered = replace(
        last, status=LoanStatus.WRITTEN_OFF, settled_at=None, updated_at=datetime(2026, 5, 1, tzinfo=UTC)
    )
    assert erase_after([first, recovered], TODAY) == date(2031, 5, 1)


def test_where_there_never_was_a_loan_thirty_days_are_enough() -> None:
    declined = replace(APPLICATION, status=LoanStatus.DECLINED)
    assert erase_after([], TODAY) == erase_after([declined], TODAY) == date(2026, 12, 24)


def test_a_loan_of_long_ago_gives_the_grace_all_the_same() -> None:
    assert erase_after([settled(datetime(2020, 1, 1, tzinfo=UTC))], TODAY) == date(2026, 12, 24)
