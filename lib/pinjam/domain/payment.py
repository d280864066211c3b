"""A repayment, from the order at the gateway to its allocation."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

Bank = Literal["bca", "bni", "bri", "permata", "mandiri", "cimb"]
PaymentKind = Literal["instalment", "settlement", "partial"]


class PaymentStatus(StrEnum):
    """`pending -> settled | expired | failed`, and `settled -> reversed`."""

    PENDING = "pending"
    SETTLED = "settled"
    EXPIRED = "expired"
    FAILED = "failed"
    REVERSED = "reversed"


GATEWAY = "payment-gateway"
"""Who acts in the audit log when the gateway has news."""
CLOSED_AS = {"expired": PaymentStatus.EXPIRED, "failed": PaymentStatus.FAILED}
"""What a payment becomes when its order at the gateway ends without money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How the borrower pays; `bank` only for a bank transfer."""

    type: Literal["bank_transfer", "qris"]
    bank: Bank | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """What the borrower needs at the bank or the wallet; which fields are set depends on the method."""

    expires_at: datetime
    va_number: str | None = None
    biller_code: str | None = None
    bill_key: str | None = None
    qr_string: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """How much of a payment went to which part of one instalment, in rupiah."""

    number: int
    late_fee: int
    interest: int
    principal: int

    @property
    def total(self) -> int:
        """The whole sum allocated to this instalment, in rupiah."""
        return self.late_fee + self.interest + self.principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One repayment and its one gateway order (`order_id` is the payment's id).

    `instructions` is None until the gateway has answered. `surplus` is what exceeded the debt, in rupiah.
    Once settled, `posted_on` is the business date that counts for it, and `closes` says whether it was the
    quoted settlement sum, paid in time.
    """

    id: str
    loan_id: str
    user_id: str
    kind: PaymentKind
    amount: int
    status: PaymentStatus
    method: Method
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    instructions: Instructions | None = None
    transaction_id: str | None = None
    allocation: tuple[Allocation, ...] = ()
    surplus: int = 0
    settled_at: datetime | None = None
    posted_on: date | None = None
    closes: bool = False
    reversed_at: datetime | None = None

    def audit_facts(self) -> dict[str, object]:
        """What its audit records keep: its state and its money, and no personal data."""
        return {
            "status": self.status.value,
            "loan": self.loan_id,
            "kind": self.kind,
            "amount": self.amount,
            "allocated": sum(part.total for part in self.allocation),
            "surplus": self.surplus,
        }
