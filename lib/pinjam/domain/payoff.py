"""What paying a loan off early costs on a day, and how such a payment closes it.

The borrower pays for the time that the money was used: the interest of the running period counts by days
of 30/360, and what the schedule asks for later periods is never owed. All of it is a function of the loan
and the date.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from pinjam.domain.calendar import DAYS_A_MONTH, MONTHS_A_YEAR, days_30_360
from pinjam.domain.loan import Instalment, Loan, Quote
from pinjam.domain.money import PPM, divide
from pinjam.domain.payment import Allocation
from pinjam.domain.repayment import Allocated, BillLine, bill, credited
from pinjam.domain.user import Locale

RULES: dict[Locale, str] = {
    "id": (
        "Pelunasan = sisa pokok + bunga yang belum dibayar dari periode yang sudah jatuh tempo + bunga periode berjalan"
        " menurut jumlah hari yang sudah lewat (30/360, dibulatkan ke rupiah terdekat; periode yang belum dimulai tidak"
        " dikenakan bunga) + denda sampai hari ini."
    ),
    "en": (
        "Payoff = unpaid principal + unpaid interest of periods that have fallen due + interest of the running period"
        " by the days elapsed (30/360, rounded to the nearest rupiah; none for periods not begun) + late fees to date."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoff:
    """What closes a loan on a day, in rupiah. `interest_saved` is what the schedule would still have asked."""

    on: date
    principal: int
    interest: int
    late_fee: int
    total: int
    interest_saved: int


class _Part(NamedTuple):
    """One instalment's share of a payoff: `interest` is what has been earned and not been paid."""

    instalment: Instalment
    line: BillLine
    interest: int


def payoff(loan: Loan, on: date) -> Payoff:
    """What paying off costs by the end of a day. A loan that is not paid out, or is closed, costs nothing.

    Unpaid principal, unpaid interest of periods whose due date has come, interest of the running period by
    days elapsed, and late fees so far. Interest that was paid ahead counts towards the running period's, and
    is not given back where it exceeds it.
    """
    parts = tuple(_parts(loan, on))
    principal = sum(part.line.owed_principal for part in parts)
    interest = sum(part.interest for part in parts)
    late_fee = sum(part.line.owed_late_fee for part in parts)
    return Payoff(
        on=on,
        principal=principal,
        interest=interest,
        late_fee=late_fee,
        total=principal + interest + late_fee,
        interest_saved=sum(part.line.owed_interest for part in parts) - interest,
    )


def rule(locale: Locale) -> str:
    """The rule of a payoff in one sentence, for the borrower."""
    return RULES[locale]


def close(loan: Loan, amount: int, on: date) -> Allocated:
    """Pay off a loan on a day: everything that the payoff asks is paid, the rest of the interest is waived.

    Allocates as any payment does: the oldest instalment first, and in it late fee, interest, principal.
    Afterwards nothing is owed and nothing accrues; what exceeds the payoff is surplus. The status stays, as
    with `allocate`. ValueError for an amount below the payoff.
    """
    parts = tuple(_parts(loan, on))
    left = amount
    instalments, allocations = [], []
    for part in parts:
        taken = Allocation(
            number=part.instalment.number,
            late_fee=part.line.owed_late_fee,
            interest=part.interest,
            principal=part.line.owed_principal,
        )
        left -= taken.total
        instalments.append(_closed(part, taken, on) if part.line.owed else part.instalment)
        if taken.total:
            allocations.append(taken)
    if left < 0:
        raise ValueError(f"amount must be at least the payoff of {amount - left}, not {amount}")
    return Allocated(replace(loan, instalments=tuple(instalments), next_due_on=None), tuple(allocations), left)


def interest_of_days(*, balance: int, annual_rate_ppm: int, days: int) -> int:
    """Interest on a balance for days of 30/360, rounded half up, in the balance's unit."""
    return divide(balance * annual_rate_ppm * days, MONTHS_A_YEAR * DAYS_A_MONTH * PPM, "half_up")


def _parts(loan: Loan, on: date) -> Iterator[_Part]:
    if not loan.instalments:
        return
    if loan.contract is None or loan.disbursed_on is None:
        raise ValueError(f"{loan.id} has instalments but was not paid out under a contract")
    began, balance = loan.disbursed_on, loan.contract.quote.amount
    for instalment, line in zip(loan.instalments, bill(loan, on).lines, strict=True):
        earned = instalment.interest
        if on < instalment.due_date:
            days = days_30_360(began, on, anchor_day=loan.disbursed_on.day) if on > began else 0
            earned = _earned(loan.contract.quote, instalment, balance, days)
        # Never below zero: interest can be paid ahead of being earned. Never above what the period owes.
        yield _Part(instalment, line, min(line.owed_interest, max(0, earned - instalment.paid_interest)))
        began, balance = instalment.due_date, balance - instalment.principal


def _earned(price: Quote, instalment: Instalment, balance: int, days: int) -> int:
    """Interest of the first days of a period, before its due date; `balance` is the schedule's at its start."""
    if price.interest_method == "flat":
        return divide(instalment.interest * days, DAYS_A_MONTH, "half_up")
    return interest_of_days(balance=balance, annual_rate_ppm=MONTHS_A_YEAR * price.monthly_rate_ppm, days=days)


def _closed(part: _Part, taken: Allocation, on: date) -> Instalment:
    forgiven = part.line.owed_interest - taken.interest
    return replace(
        credited(part.instalment, part.line, taken, on),
        waived_interest=part.instalment.waived_interest + forgiven,
        paid_on=on,
    )
