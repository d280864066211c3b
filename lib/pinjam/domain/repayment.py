"""What a loan owes on a day, and where a payment goes. All of it is a function of the loan and the date.

The price is that of the contract, frozen at acceptance: no policy is read here. Nothing accrues in the
background; a late fee becomes a stored fact only when a payment touches its instalment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal, NamedTuple, Protocol

from pinjam.domain.calendar import months_later
from pinjam.domain.loan import Instalment, Loan, Quote
from pinjam.domain.money import PPM, divide
from pinjam.domain.payment import Allocation

InstalmentStatus = Literal["upcoming", "due", "overdue", "paid"]
Bucket = Literal["current", "1-30", "31-60", "61-90", ">90"]

BUCKETS: tuple[tuple[int, Bucket], ...] = ((0, "current"), (30, "1-30"), (60, "31-60"), (90, "61-90"))


class LateFeeTerms(Protocol):
    """What a contract says of late fees; `pinjam.domain.loan.Contract` is one."""

    @property
    def late_fee_daily_ppm(self) -> int:
        """The share of the unpaid principal and interest, a day."""
        ...

    @property
    def late_fee_from_day(self) -> int:
        """The first day past due that costs anything."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """One instalment as it stands on a day, in rupiah.

    `principal` and `interest` are what the schedule asks in all, `late_fee` what it has cost so far, paid or
    not; `paid` is what has been paid of the three, and `owed_*` what is neither paid nor waived.
    """

    number: int
    due_date: date
    principal: int
    interest: int
    late_fee: int
    paid: int
    owed_principal: int
    owed_interest: int
    owed_late_fee: int
    status: InstalmentStatus

    @property
    def owed(self) -> int:
        """All that is unpaid of this instalment, in rupiah."""
        return self.owed_principal + self.owed_interest + self.owed_late_fee


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a loan owes on a day. `lines` has every instalment, paid ones too."""

    on: date
    lines: tuple[BillLine, ...]

    @property
    def unpaid(self) -> tuple[BillLine, ...]:
        """The instalments that are not paid, oldest first."""
        return tuple(line for line in self.lines if line.status != "paid")

    @property
    def due_now(self) -> int:
        """All that is due or overdue, in rupiah."""
        return sum(line.owed for line in self.lines if line.status in {"due", "overdue"})

    @property
    def outstanding(self) -> int:
        """All that is unpaid: principal, the interest of the whole schedule, and late fees so far."""
        return sum(line.owed for line in self.lines)

    @property
    def outstanding_principal(self) -> int:
        """The unpaid principal, in rupiah."""
        return sum(line.owed_principal for line in self.lines)

    @property
    def next_due(self) -> BillLine | None:
        """The oldest unpaid instalment, None when all is paid."""
        return next(iter(self.unpaid), None)

    @property
    def days_past_due(self) -> int:
        """Days since the oldest unpaid instalment was due; 0 when nothing is overdue."""
        return 0 if self.next_due is None else max(0, (self.on - self.next_due.due_date).days)

    @property
    def bucket(self) -> Bucket:
        """The class of `days_past_due`."""
        return bucket_of(self.days_past_due)

    @property
    def monthly_bill(self) -> int:
        """What the dashboard asks for: all that is due or overdue, or else the next instalment."""
        return self.due_now or (0 if self.next_due is None else self.next_due.owed)


class Allocated(NamedTuple):
    """A loan after a payment, where the money went, and what exceeded the debt."""

    loan: Loan
    allocations: tuple[Allocation, ...]
    surplus: int


def open_instalments(price: Quote, disbursed_on: date) -> tuple[Instalment, ...]:
    """The instalments of a loan that is paid out on a day: the accepted amounts, dated from that day."""
    return tuple(
        Instalment(
            number=row.number,
            due_date=months_later(disbursed_on, row.number),
            principal=row.principal,
            interest=row.interest,
        )
        for row in price.schedule
    )


def late_fee(instalment: Instalment, on: date, terms: LateFeeTerms) -> int:
    """What being late has cost an instalment by the end of a day, paid or not, before the total cap.

    Every day past due from `late_fee_from_day` on costs its share of the principal and interest that are
    unpaid: with 4, days 1 to 3 cost nothing and never will, and day 4 costs one day. A payment that
    touches the instalment fixes the fee up to its day, and what is unpaid then goes on accruing from the
    next. Each stretch is rounded half up.
    """
    return instalment.late_fee_fixed + _accrued(instalment, on, terms)


def _accrued(instalment: Instalment, on: date, terms: LateFeeTerms) -> int:
    """The late fee since the last payment that touched the instalment."""
    free_until = instalment.due_date + timedelta(days=terms.late_fee_from_day - 1)
    since = free_until if instalment.fee_from is None else max(free_until, instalment.fee_from)
    days = (on - since).days
    if days <= 0:
        return 0
    return divide(_unpaid(instalment) * terms.late_fee_daily_ppm * days, PPM, "half_up")


def _unpaid(instalment: Instalment) -> int:
    """Owed principal and interest."""
    return instalment.principal - instalment.paid_principal + _owed_interest(instalment)


def _owed_interest(instalment: Instalment) -> int:
    """Interest that is neither paid nor waived."""
    return instalment.interest - instalment.waived_interest - instalment.paid_interest


def late_fees(loan: Loan, on: date) -> tuple[int, ...]:
    """The late fee of each instalment by the end of a day, paid or not, under the total cap of the contract.

    Interest, admin fee and late fees together never exceed the cap: on the day that they reach it, accrual
    stops for good, and of that day's fees the oldest instalments take theirs first.
    """
    contract = loan.contract
    if contract is None or not loan.instalments:
        return tuple(instalment.late_fee_fixed for instalment in loan.instalments)
    accrued = _accrued_at(loan, on.toordinal(), contract)
    if any(accrued):
        room = late_fee_room(loan)
        if sum(accrued) > room:
            accrued = _stopped(loan, on, contract, room)
    return tuple(instalment.late_fee_fixed + since for instalment, since in zip(loan.instalments, accrued, strict=True))


def late_fee_room(loan: Loan) -> int:
    """How much may still accrue on top of the late fees already fixed, in rupiah; 0 without a contract."""
    if loan.contract is None:
        return 0
    price = loan.contract.quote
    cap = price.amount * loan.contract.total_cap_ppm // PPM
    fixed = sum(instalment.late_fee_fixed for instalment in loan.instalments)
    return max(0, cap - price.total_interest - price.admin_fee - fixed)


def _stopped(loan: Loan, on: date, terms: LateFeeTerms, room: int) -> list[int]:
    """Accruals up to `room`: all of the day before they reach it, and of that day's the oldest ones first."""
    before = min(instalment.due_date for instalment in loan.instalments).toordinal()
    reached = on.toordinal()
    while reached - before > 1:
        middle = (before + reached) // 2
        if sum(_accrued_at(loan, middle, terms)) >= room:
            reached = middle
        else:
            before = middle
    accrued = _accrued_at(loan, before, terms)
    left = room - sum(accrued)
    for at, day_later in enumerate(_accrued_at(loan, reached, terms)):
        taken = min(day_later - accrued[at], left)
        accrued[at] += taken
        left -= taken
    return accrued


def _accrued_at(loan: Loan, ordinal: int, terms: LateFeeTerms) -> list[int]:
    return [_accrued(instalment, date.fromordinal(ordinal), terms) for instalment in loan.instalments]


def bill(loan: Loan, on: date) -> Bill:
    """What the loan owes by the end of a day. A loan that is not paid out yet owes nothing."""
    fees = late_fees(loan, on)
    lines = tuple(_line(instalment, fee, on) for instalment, fee in zip(loan.instalments, fees, strict=True))
    return Bill(on=on, lines=lines)


def _line(instalment: Instalment, fee: int, on: date) -> BillLine:
    owed_principal = instalment.principal - instalment.paid_principal
    owed_interest = _owed_interest(instalment)
    owed_late_fee = fee - instalment.paid_late_fee
    status: InstalmentStatus = "upcoming"
    if owed_principal + owed_interest + owed_late_fee == 0:
        status = "paid"
    elif on > instalment.due_date:
        status = "overdue"
    elif on == instalment.due_date:
        status = "due"
    return BillLine(
        number=instalment.number,
        due_date=instalment.due_date,
        principal=instalment.principal,
        interest=instalment.interest,
        late_fee=fee,
        paid=instalment.paid_principal + instalment.paid_interest + instalment.paid_late_fee,
        owed_principal=owed_principal,
        owed_interest=owed_interest,
        owed_late_fee=owed_late_fee,
        status=status,
    )


def outstanding(loan: Loan, on: date) -> int:
    """All that the loan owes on a day, in rupiah; see `Bill.outstanding`."""
    return bill(loan, on).outstanding


def days_past_due(loan: Loan, on: date) -> int:
    """Days since the oldest unpaid instalment was due, 0 when nothing is overdue."""
    return bill(loan, on).days_past_due


def bucket(loan: Loan, on: date) -> Bucket:
    """How late the loan is, by classes of 30 days."""
    return bill(loan, on).bucket


def bucket_of(days: int) -> Bucket:
    """The class of a number of days past due."""
    return next((name for up_to, name in BUCKETS if days <= up_to), ">90")


def next_due(loan: Loan, on: date) -> BillLine | None:
    """The oldest unpaid instalment, None when all is paid."""
    return bill(loan, on).next_due


def instalment_amount(loan: Loan, on: date) -> int:
    """What a payment of kind `instalment` asks: the oldest unpaid instalment with its late fee, else 0."""
    line = next_due(loan, on)
    return 0 if line is None else line.owed


def allocate(loan: Loan, amount: int, on: date) -> Allocated:
    """Spend a payment that arrived on a day: the oldest instalment first, and in it late fee, interest, principal.

    Unpacks as (loan, allocations, surplus). Every instalment that gets money has its late fee fixed up to
    that day; the others keep accruing. A payment in parts on one day leads where one payment does. The
    status stays: `settled` is a move of the lifecycle, due when `next_due_on` is None. ValueError for an
    amount below 1.
    """
    if amount < 1:
        raise ValueError(f"amount must be at least 1, not {amount}")
    left = amount
    instalments, allocations = [], []
    for instalment, line in zip(loan.instalments, bill(loan, on).lines, strict=True):
        taken = _take(line, left)
        if taken is None:
            instalments.append(instalment)
            continue
        left -= taken.total
        instalments.append(credited(instalment, line, taken, on))
        allocations.append(taken)
    changed = replace(loan, instalments=tuple(instalments), next_due_on=_oldest_unpaid(instalments))
    return Allocated(changed, tuple(allocations), left)


def _take(line: BillLine, left: int) -> Allocation | None:
    """What an instalment gets of the money left, None for nothing."""
    if left == 0 or line.owed == 0:
        return None
    late_fee_part = min(left, line.owed_late_fee)
    interest_part = min(left - late_fee_part, line.owed_interest)
    principal_part = min(left - late_fee_part - interest_part, line.owed_principal)
    return Allocation(number=line.number, late_fee=late_fee_part, interest=interest_part, principal=principal_part)


def credited(instalment: Instalment, line: BillLine, taken: Allocation, on: date) -> Instalment:
    """An instalment after a payment of a day; `line` is how it stood then. Its late fee is fixed up to that day."""
    return replace(
        instalment,
        paid_late_fee=instalment.paid_late_fee + taken.late_fee,
        paid_interest=instalment.paid_interest + taken.interest,
        paid_principal=instalment.paid_principal + taken.principal,
        late_fee_fixed=line.late_fee,
        # A payment that is entered for an earlier day must not let the same days accrue twice.
        fee_from=on if instalment.fee_from is None else max(on, instalment.fee_from),
        paid_on=on if taken.total == line.owed else None,
    )


def _oldest_unpaid(instalments: Sequence[Instalment]) -> date | None:
    return next(
        (each.due_date for each in instalments if _unpaid(each) + each.late_fee_fixed - each.paid_late_fee > 0), None
    )
