"""Repayments."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field

from pinjam.domain.payment import Bank, PaymentKind
from pinjam.domain.payment import Method as PaymentMethod
from pinjam.domain.payoff import rule
from pinjam.runtime.models.fields import MAX_RUPIAH, Given, Instant, Paging, ResourceId, Rupiah, Shown, Taken

if TYPE_CHECKING:
    from pinjam.domain.payment import Payment
    from pinjam.domain.user import Locale
    from pinjam.services.repaying import Simulation


class BankTransfer(Given):
    """By virtual account at a bank; Mandiri gives a biller code and a bill key instead."""

    type: Literal["bank_transfer"]
    bank: Bank

    def method(self) -> PaymentMethod:
        """The method in the domain's words."""
        return PaymentMethod(type="bank_transfer", bank=self.bank)


class Qris(Given):
    """By QR code, with any wallet; at most Rp 10,000,000."""

    type: Literal["qris"]

    def method(self) -> PaymentMethod:
        """The method in the domain's words."""
        return PaymentMethod(type="qris")


INSTALMENT_RULE: Mapping["Locale", str] = {
    "id": "Cicilan tertua yang belum lunas: denda sampai hari itu, bunga, dan pokok yang belum dibayar.",
    "en": "The oldest instalment that is not paid: its late fee to that day, and its unpaid interest and principal.",
}

Kind = Annotated[
    PaymentKind,
    Field(
        description="`instalment`: the oldest unpaid one, with its late fee. `settlement`: all that is owed, by the"
        " payoff rule. `partial`: the given amount."
    ),
]


class PaymentRequest(Given):
    """A repayment to be started."""

    loan_id: ResourceId
    kind: Kind
    amount: Annotated[int | None, Field(ge=1, le=MAX_RUPIAH, description="For a partial payment only.")] = None
    method: Annotated[BankTransfer | Qris, Field(discriminator="type")]


class BillQuery(Given):
    """Which bill, as of which day."""

    loan_id: ResourceId
    kind: Literal["instalment", "settlement"]
    as_of: Annotated[date | None, Field(description="A business date; today if left out.")] = None


class BreakdownShown(Shown):
    """The parts of a bill."""

    principal: Rupiah
    interest: Rupiah
    late_fee: Rupiah


class BillShown(Shown):
    """What a payment on a day would be."""

    loan_id: str
    kind: Literal["instalment", "settlement"]
    as_of: date
    amount: Rupiah
    breakdown: BreakdownShown
    interest_saved: Annotated[Rupiah, Field(description="Interest of the schedule that paying off spares.")]
    rule: Annotated[str, Field(description="How the sum was reckoned.")]
    expires_at: Annotated[Instant, Field(description="The end of that business date.")]

    @classmethod
    def of(cls, bill: "Simulation", locale: "Locale") -> "BillShown":
        """The bill as the API shows it."""
        settlement = bill.kind == "settlement"
        return cls(
            loan_id=bill.loan_id,
            kind="settlement" if settlement else "instalment",
            as_of=bill.as_of,
            amount=bill.amount,
            breakdown=BreakdownShown(principal=bill.principal, interest=bill.interest, late_fee=bill.late_fee),
            interest_saved=bill.interest_saved,
            rule=rule(locale) if settlement else INSTALMENT_RULE[locale],
            expires_at=bill.expires_at,
        )


class PaymentQuery(Paging):
    """Which payments."""

    loan_id: ResourceId | None = None


class MethodShown(Shown):
    """How it is paid."""

    type: Literal["bank_transfer", "qris"]
    bank: Bank | None = None


class InstructionsShown(Shown):
    """What the borrower needs at the bank or in the wallet; only what the method has."""

    va_number: str | None = None
    biller_code: str | None = None
    bill_key: str | None = None
    qr_string: str | None = None
    expires_at: Instant


class AllocationShown(Shown):
    """Where the money went."""

    number: int
    late_fee: Rupiah
    interest: Rupiah
    principal: Rupiah


class PaymentShown(Shown):
    """A repayment."""

    id: str
    loan_id: str
    kind: Literal["instalment", "settlement", "partial"]
    amount: Rupiah
    status: Literal["pending", "settled", "expired", "failed", "reversed"]
    method: MethodShown
    instructions: InstructionsShown | None
    allocation: list[AllocationShown]
    surplus: Annotated[Rupiah, Field(description="What exceeded the debt, and is owed back to the borrower.")]
    created_at: Instant
    settled_at: Instant | None

    @classmethod
    def of(cls, payment: "Payment") -> "PaymentShown":
        """The payment as the API shows it."""
        given = payment.instructions
        return cls(
            id=payment.id,
            loan_id=payment.loan_id,
            kind=payment.kind,
            amount=payment.amount,
            status=payment.status.value,
            method=MethodShown(type=payment.method.type, bank=payment.method.bank),
            instructions=InstructionsShown(
                va_number=given.va_number,
                biller_code=given.biller_code,
                bill_key=given.bill_key,
                qr_string=given.qr_string,
                expires_at=given.expires_at,
            )
            if given
            else None,
            allocation=[
                AllocationShown(
                    number=part.number, late_fee=part.late_fee, interest=part.interest, principal=part.principal
                )
                for part in payment.allocation
            ],
            surplus=payment.surplus,
            created_at=payment.created_at,
            settled_at=payment.settled_at,
        )


class PaymentList(Shown):
    """The borrower's payments, newest first."""

    payments: list[PaymentShown]
    next_cursor: str | None


class MidtransNotification(Taken):
    """Midtrans's notification. Its signature covers these fields; the others are theirs to change."""

    model_config = ConfigDict(extra="allow")

    order_id: ResourceId
    status_code: Annotated[str, Field(max_length=8)]
    gross_amount: Annotated[str, Field(max_length=32)]
    signature_key: Annotated[str, Field(max_length=256)]
    transaction_status: Annotated[str | None, Field(max_length=32)] = None


class IrisNotification(Taken):
    """Iris's notification of a payout. Its signature covers the body as it came; the fields are theirs to change."""

    model_config = ConfigDict(extra="allow")

    reference_no: Annotated[str, Field(min_length=1, max_length=64)]
    status: Annotated[str | None, Field(max_length=32)] = None


class Heard(Shown):
    """The notification was taken in."""

    status: Literal["ok"] = "ok"
