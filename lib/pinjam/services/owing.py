"""What is owed to borrowers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.domain.payout import PayoutPurpose
    from pinjam.services.store import Reader

MOST = 100
"""Refunds that are looked at together."""


def waiting(tx: Reader, user_id: str) -> tuple[tuple[PayoutPurpose, str], ...]:
    """What is owed to a borrower and not on its way: loans that were accepted, and refunds."""
    loans = tx.find(Find(kind=Loan, where={"open_for": user_id, "status": LoanStatus.ACCEPTED}, limit=1)).items
    refunds = tx.find(Find(kind=Refund, where={"user_id": user_id, "status": RefundStatus.OWED}, limit=MOST)).items
    return (*(("loan", one.id) for one in loans), *(("refund", one.id) for one in refunds))
