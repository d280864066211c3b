"""What a decision knows of a borrower: who they are, and how they have borrowed here."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from pinjam.domain.calendar import local_date
from pinjam.domain.loan import Instalment, Loan, LoanStatus
from pinjam.domain.user import User, UserStatus

LENT = frozenset({LoanStatus.ACTIVE, LoanStatus.SETTLED, LoanStatus.WRITTEN_OFF})
"""States of a loan that has been paid out."""

RUNNING = frozenset({LoanStatus.ACCEPTED, LoanStatus.DISBURSING, LoanStatus.ACTIVE})
"""States of a loan that is a debt or is about to become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowerSnapshot:
    """The borrower as of a decision; income and instalments are those of the application.

    `age` in whole years: a decision is kept to be replayed, and needs to know no birth date for that.
    """

    age: int
    status: UserStatus
    has_income_document: bool
    occupation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How the borrower has borrowed here, as of a decision.

    `applications_in_window` includes the application being decided. `settled_days_late` has, for each
    settled loan, the days that its latest instalment was late (0 if none was). `worst_days_past_due` is
    over all instalments that ever fell due, paid or not; None if none did.
    """

    applications_in_window: int
    active_loans: int
    settled_days_late: tuple[int, ...]
    worst_days_past_due: int | None


def snapshot_of(user: User, *, age: int, has_income_document: bool) -> BorrowerSnapshot:
    """What a decision needs of a borrower."""
    return BorrowerSnapshot(
        age=age,
        status=user.status,
        has_income_document=has_income_document,
        occupation=user.occupation,
    )


def history_of(loans: Iterable[Loan], *, application_id: str, on: date, window_days: int) -> History:
    """The history in all of a borrower's loans, `application_id` being the one to decide.

    The window is the business day `on` and the `window_days` - 1 days before it.
    """
    applications, active = 0, 0
    settled: list[tuple[date, str, int]] = []
    late: list[int] = []
    for loan in loans:
        age_days = (on - local_date(loan.created_at)).days
        applications += 0 <= age_days < window_days or loan.id == application_id
        active += loan.status in RUNNING and loan.id != application_id
        days = [days_late(instalment, on) for instalment in loan.instalments if _has_fallen_due(instalment, on)]
        if loan.status in LENT:
            late.extend(days)
        if loan.status == LoanStatus.SETTLED:
            settled.append((local_date(loan.created_at), loan.id, max(days, default=0)))
    return History(
        applications_in_window=applications,
        active_loans=active,
        settled_days_late=tuple(days for _, _, days in sorted(settled)),
        worst_days_past_due=max(late, default=None),
    )


def days_late(instalment: Instalment, on: date) -> int:
    """Days from the due date to the payment of the last rupiah, or to `on` while it is unpaid; 0 if in time."""
    return max(0, ((instalment.paid_on or on) - instalment.due_date).days)


def _has_fallen_due(instalment: Instalment, on: date) -> bool:
    """Paid or past its date: what is to come says nothing yet."""
    return instalment.paid_on is not None or instalment.due_date < on
