"""Live loans of any product, as a contract and a payout make them."""

from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import strategies as st

from pinjam.domain.contract import freeze
from pinjam.domain.loan import Application, InterestMethod, Loan, LoanStatus
from pinjam.domain.pricing import quote
from pinjam.domain.repayment import open_instalments
from pinjam.policy import load_policies

POLICY = load_policies().get("2026-01-01")
SIGNED = datetime(2026, 1, 1, 3, tzinfo=UTC)

DAYS_OF_A_MONTH = (date(2026, 1, 29), date(2024, 1, 30), date(2026, 1, 31), date(2026, 3, 16))
"""Payouts whose due dates February clamps, in a common and a leap year, and one that none does."""

PAYOUT_DAYS = st.one_of(st.sampled_from(DAYS_OF_A_MONTH), st.dates(date(2023, 12, 1), date(2025, 3, 31)))
METHODS = st.sampled_from(["declining", "flat"])
AMOUNTS = st.one_of(st.integers(500_000, 12_000_000), st.integers(5, 120).map(lambda steps: steps * 100_000))
TENORS = st.integers(1, 12)


def accepted(
    amount: int, tenor_months: int, on: date, *, method: InterestMethod = "declining", total_cap_ppm: int = 1_000_000
) -> Loan:
    """A loan that waits for its payout, quoted as if it came on `on`."""
    policy = replace(POLICY, product=replace(POLICY.product, interest_method=method))
    offer = quote(policy, amount=amount, tenor_months=tenor_months, start=on)
    signed = Loan(
        id="loan_1",
        user_id="usr_1",
        status=LoanStatus.ACCEPTED,
        amount=amount,
        tenor_months=tenor_months,
        purpose="home",
        application=Application(
            amount=amount,
            tenor_months=tenor_months,
            purpose="home",
            monthly_income=9_000_000,
            other_instalments=0,
            consented_at=SIGNED,
        ),
        open_for="usr_1",
        created_at=SIGNED,
        updated_at=SIGNED,
        offer=offer,
    )
    contract = freeze(signed, policy, borrower=None, accepted_at=SIGNED, locale="id")
    return replace(signed, contract=replace(contract, total_cap_ppm=total_cap_ppm))


def lent(
    amount: int, tenor_months: int, on: date, *, method: InterestMethod = "declining", total_cap_ppm: int = 1_000_000
) -> Loan:
    """A loan that was paid out on `on`, of which nothing has been paid back."""
    loan = accepted(amount, tenor_months, on, method=method, total_cap_ppm=total_cap_ppm)
    assert loan.contract is not None
    instalments = open_instalments(loan.contract.quote, on)
    return replace(
        loan,
        status=LoanStatus.ACTIVE,
        disbursed_on=on,
        disbursed_at=SIGNED,
        instalments=instalments,
        next_due_on=instalments[0].due_date,
    )


LIVE = st.builds(
    lent,
    AMOUNTS,
    TENORS,
    PAYOUT_DAYS,
    method=METHODS,
    # From a cap that interest and fee alone use up to the real one.
    total_cap_ppm=st.sampled_from([200_000, 300_000, 1_000_000, 1_000_000]),
)
