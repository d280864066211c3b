"""The one table of legal moves of a loan, and the only way to make one."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pinjam.domain.loan import OPEN_APPLICATION, Loan, LoanStatus

MOVES: Mapping[LoanStatus, frozenset[LoanStatus]] = {
    LoanStatus.SUBMITTED: frozenset({LoanStatus.APPROVED, LoanStatus.REFERRED, LoanStatus.DECLINED}),
    LoanStatus.REFERRED: frozenset({LoanStatus.APPROVED, LoanStatus.DECLINED}),
    LoanStatus.APPROVED: frozenset({LoanStatus.ACCEPTED, LoanStatus.EXPIRED, LoanStatus.WITHDRAWN}),
    LoanStatus.ACCEPTED: frozenset({LoanStatus.DISBURSING}),
    # Back to accepted when the payout failed, to be tried again.
    LoanStatus.DISBURSING: frozenset({LoanStatus.ACTIVE, LoanStatus.ACCEPTED}),
    LoanStatus.ACTIVE: frozenset({LoanStatus.SETTLED, LoanStatus.WRITTEN_OFF}),
    LoanStatus.DECLINED: frozenset(),
    LoanStatus.EXPIRED: frozenset(),
    LoanStatus.WITHDRAWN: frozenset(),
    # The debt lives again when a payment that settled it was taken back.
    LoanStatus.SETTLED: frozenset({LoanStatus.ACTIVE}),
    LoanStatus.WRITTEN_OFF: frozenset(),
}
"""From each status, the statuses that a loan may go to; from declined, expired, withdrawn and written off, none."""

HELD_OPEN = OPEN_APPLICATION | {LoanStatus.ACTIVE}
"""States in which a loan keeps its borrower from opening another."""


class IllegalMove(Exception):
    """A loan cannot go from where it is (`came_from`) to where it was sent (`to`)."""

    def __init__(self, loan_id: str, came_from: LoanStatus, to: LoanStatus) -> None:
        super().__init__(f"{loan_id} cannot go from {came_from} to {to}")
        self.loan_id = loan_id
        self.came_from = came_from
        self.to = to


def move(loan: Loan, to: LoanStatus, *, updated_at: datetime, holds_borrower: bool = True, **changes: Any) -> Loan:
    """The loan in its next status, with other fields changed along.

    Keeps `open_for` right: the borrower while the loan is an open application or a live debt, else None.
    Only one loan can be open for a borrower: `holds_borrower` False is for a settled loan that lives again
    although another has been opened since, and lives on without being it. A loan that leaves `settled`
    loses its `settled_at`. IllegalMove if the table has no such move; ValueError if any other loan is to
    live without holding its borrower.
    """
    if to not in MOVES[loan.status]:
        raise IllegalMove(loan.id, loan.status, to)
    reopened = loan.status is LoanStatus.SETTLED
    if not (holds_borrower or reopened):
        raise ValueError(f"{loan.id} must hold its borrower when it goes from {loan.status} to {to}")
    if reopened:
        changes["settled_at"] = None
    open_for = loan.user_id if to in HELD_OPEN and holds_borrower else None
    return replace(loan, **changes, status=to, open_for=open_for, updated_at=updated_at)
