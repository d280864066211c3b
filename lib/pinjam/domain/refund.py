"""Money that came in beyond the debt, on its way back to the borrower."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pinjam.domain.payment import Payment


class RefundStatus(StrEnum):
    """`owed -> sending -> paid`; back to `owed` when a payout fails; `void` when the money is needed after all."""

    OWED = "owed"
    SENDING = "sending"
    PAID = "paid"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """What is owed back of one payment, in rupiah, and the payout that carries it.

    A payment has one that is owed or void; beside it those that have left, where its surplus grew afterwards.
    """

    id: str
    user_id: str
    loan_id: str
    payment_id: str
    amount: int
    status: RefundStatus
    created_at: datetime
    updated_at: datetime
    payout_id: str | None = None
    paid_at: datetime | None = None

    def audit_facts(self) -> dict[str, object]:
        """What its audit records keep: its state and its money, and no personal data."""
        return {
            "status": self.status.value,
            "payment": self.payment_id,
            "amount": self.amount,
            "payout_id": self.payout_id,
        }


def owed_back(payment: Payment, refund_id: str, at: datetime) -> Refund:
    """The refund of a payment's surplus, owed from `at` on."""
    return Refund(
        id=refund_id,
        user_id=payment.user_id,
        loan_id=payment.loan_id,
        payment_id=payment.id,
        amount=payment.surplus,
        status=RefundStatus.OWED,
        created_at=at,
        updated_at=at,
    )
