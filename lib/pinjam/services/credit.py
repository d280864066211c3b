"""How much a borrower may owe."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pinjam.domain.decision import credit_limit
from pinjam.domain.history import history_of

if TYPE_CHECKING:
    from pinjam.domain.loan import Loan
    from pinjam.domain.policy import Policy


def credit_limit_of(loans: tuple[Loan, ...], policy: Policy, on: date) -> int:
    """The most that the borrower may owe, in rupiah, by how earlier loans were repaid."""
    return credit_limit(history_of(loans, application_id="", on=on, window_days=1), policy)
