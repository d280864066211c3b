"""A borrower's wish to be forgotten: what stands against it, when it may be granted, and what is left then."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Literal

from pinjam.domain.calendar import MONTHS_A_YEAR, local_date, months_later
from pinjam.domain.history import LENT
from pinjam.domain.loan import OPEN_APPLICATION, Loan, LoanStatus
from pinjam.domain.passkey import Passkey
from pinjam.domain.payout import Payout
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.repayment import bill
from pinjam.domain.user import Kyc, User, UserStatus

Obstacle = Literal["erasure-application-open", "erasure-debt-open", "erasure-refund-open"]

RETENTION_YEARS = 5
"""How long a lender keeps what a loan was about, from the loan's end on."""
GRACE_DAYS = 30
"""Where there never was a loan there is nothing to keep: only time to take the wish back through our staff."""
NOBODY = "-"
"""Stands where a name was."""


def obstacle(loans: Iterable[Loan], refunds: Iterable[Refund], on: date) -> Obstacle | None:
    """Why a borrower cannot be forgotten now; None if nothing is owed either way and nothing is applied for.

    A loan that was written off is still owed.
    """
    for loan in loans:
        if loan.status in OPEN_APPLICATION:
            return "erasure-application-open"
        if loan.status in LENT and (loan.status is LoanStatus.ACTIVE or bill(loan, on).outstanding):
            return "erasure-debt-open"
    if any(one.amount and one.status in (RefundStatus.OWED, RefundStatus.SENDING) for one in refunds):
        return "erasure-refund-open"
    return None


def erase_after(loans: Iterable[Loan], on: date) -> date:
    """The last day on which the personal values are kept, of a borrower who asks on the day `on`.

    Applications that never became a loan ask for no more than the grace.
    """
    ends = [_ended_on(loan) for loan in loans if loan.status in LENT]
    kept = [months_later(end, RETENTION_YEARS * MONTHS_A_YEAR) for end in ends]
    return max([on + timedelta(days=GRACE_DAYS), *kept])


def _ended_on(loan: Loan) -> date:
    """When a loan was repaid; of one written off, when the last of it came in."""
    return local_date(loan.settled_at or loan.updated_at)


def erased(user: User, at: datetime) -> User:
    """The borrower without anything that tells who it was; what must be unique still is.

    What is sealed stays where a record needs it: without its key it says nothing. Consents stay, as the proof of
    what was agreed to.
    """
    return replace(
        user,
        full_name=NOBODY,
        email=f"{user.id.lower()}@erased.invalid",
        phone=f"erased:{user.id}",
        nik_hash=hashlib.sha256(f"erased {user.id}".encode()).hexdigest(),
        nik_masked=f"0000{'*' * 8}0000",
        status=UserStatus.REGISTERED,  # Nothing is proven of nobody, and nobody need look into it.
        kyc=Kyc(),
        monthly_income=None,
        other_instalments=None,
        occupation=None,
        address=None,
        bank_account=None,
        updated_at=at,
        erase_after=None,
        erased_at=at,
    )


def erased_from_contract(loan: Loan) -> Loan:
    """The loan, its contract no longer naming the borrower."""
    contract = loan.contract
    if contract is None or contract.borrower is None:
        return loan
    party = replace(
        contract.borrower,
        full_name=NOBODY,
        nik_masked=f"0000{'*' * 8}0000",
        address=None,
        account_name=NOBODY,
    )
    return replace(loan, contract=replace(contract, borrower=party))


def erased_from_payout(payout: Payout) -> Payout:
    """The payout without the name that its account was given under."""
    return replace(payout, account=replace(payout.account, account_name=NOBODY))


def erased_passkey(passkey: Passkey, at: datetime) -> Passkey:
    """The passkey as one that was removed, without the name that its owner gave the device."""
    return replace(passkey, device_name=NOBODY, removed_at=passkey.removed_at or at)
