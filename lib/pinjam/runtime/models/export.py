"""All data held about a borrower, and the wish to have it erased."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from pinjam.domain.user import Locale
from pinjam.runtime.models.documents import DocumentShown
from pinjam.runtime.models.fields import Instant, Rupiah, Shown
from pinjam.runtime.models.identity import UserShown
from pinjam.runtime.models.loans import LoanShown
from pinjam.runtime.models.notifications import NotificationShown, PreferencesShown
from pinjam.runtime.models.payments import PaymentShown
from pinjam.services.borrowers import Borrower

if TYPE_CHECKING:
    from pinjam.domain.loan import Contract, Decision, Signatory
    from pinjam.domain.user import Consent
    from pinjam.runtime.composition import App
    from pinjam.services.exporting import Held


class ConsentHeld(Shown):
    """What the borrower agreed to, in which words, and until when."""

    purpose: str
    version: str
    locale: Locale
    given_at: Instant
    withdrawn_at: Instant | None

    @classmethod
    def of(cls, consent: "Consent") -> "ConsentHeld":
        """The consent as it is kept."""
        return cls(
            purpose=consent.purpose,
            version=consent.version,
            locale=consent.locale,
            given_at=consent.given_at,
            withdrawn_at=consent.withdrawn_at,
        )


class RuleHeld(Shown):
    """One rule of a decision."""

    code: str
    passed: bool
    observed: str
    limit: str


class DecisionHeld(Shown):
    """A decision with all that went into it."""

    outcome: str
    score: int
    credit_limit: Rupiah
    offered_amount: Rupiah | None
    policy_id: str
    decided_at: Instant
    rules: list[RuleHeld]
    input: Annotated[dict[str, Any], Field(description="What the decision was made from.")]

    @classmethod
    def of(cls, decision: "Decision") -> "DecisionHeld":
        """The decision as it is kept."""
        return cls(
            outcome=decision.outcome,
            score=decision.score,
            credit_limit=decision.limit,
            offered_amount=decision.offered_amount,
            policy_id=decision.policy_id,
            decided_at=decision.decided_at,
            rules=[
                RuleHeld(code=rule.code, passed=rule.passed, observed=rule.observed, limit=rule.limit)
                for rule in decision.rules
            ],
            input=dict(decision.snapshot),
        )


class PartyHeld(Shown):
    """The borrower as the contract names them."""

    full_name: str
    nik_masked: str
    bank_code: str
    account_name: str

    @classmethod
    def of(cls, party: "Signatory") -> "PartyHeld":
        """The party as it was frozen; address and account number are printed in the contract itself."""
        return cls(
            full_name=party.full_name,
            nik_masked=party.nik_masked,
            bank_code=party.bank_code,
            account_name=party.account_name,
        )


class ContractHeld(Shown):
    """What was agreed to. The contract as PDF is at `/api/loans/{id}/contract`."""

    number: str
    accepted_at: Instant
    locale: str
    statements: list[str]
    borrower: PartyHeld | None

    @classmethod
    def of(cls, contract: "Contract") -> "ContractHeld":
        """The contract's facts beside its price, which the loan has."""
        return cls(
            number=contract.number,
            accepted_at=contract.accepted_at,
            locale=contract.locale,
            statements=list(contract.statements),
            borrower=PartyHeld.of(contract.borrower) if contract.borrower else None,
        )


class ApplicationHeld(Shown):
    """What was declared with the application."""

    amount: Rupiah
    monthly_income: Rupiah
    other_instalments: Rupiah
    consented_at: Instant


class LoanHeld(LoanShown):
    """A loan with what else is kept of it."""

    application: ApplicationHeld
    decided: DecisionHeld | None
    contract: ContractHeld | None


class RefundHeld(Shown):
    """What was owed back of a payment."""

    id: str
    payment_id: str
    amount: Rupiah
    status: str
    created_at: Instant
    paid_at: Instant | None


class PayoutHeld(Shown):
    """Money that was sent to the borrower, or was to be."""

    id: str
    purpose: str
    amount: Rupiah
    bank_code: str
    account_number: str
    account_name: str
    status: str
    created_at: Instant
    ended_at: Instant | None


class DeviceHeld(Shown):
    """A device that push messages go to; its token is the app's own."""

    id: str
    platform: str
    registered_at: Instant
    in_use: bool


class PasskeyHeld(Shown):
    """A passkey; the key itself never leaves its device."""

    id: str
    device_name: str
    created_at: Instant
    last_used_at: Instant | None
    removed_at: Instant | None


class AuditHeld(Shown):
    """Who did what about the borrower, or what is theirs."""

    subject: str
    number: int
    action: str
    actor: str
    request_id: str
    at: Instant
    before: dict[str, Any] | None
    after: dict[str, Any]


class Export(Shown):
    """All data held about the caller, nothing masked."""

    user: UserShown
    nik: str
    account_created: bool
    restricted_at: Instant | None
    erased_after: date | None
    consents: list[ConsentHeld]
    preferences: PreferencesShown | None
    documents: list[DocumentShown]
    loans: list[LoanHeld]
    payments: list[PaymentShown]
    refunds: list[RefundHeld]
    payouts: list[PayoutHeld]
    notifications: list[NotificationShown]
    devices: list[DeviceHeld]
    passkeys: list[PasskeyHeld]
    audit: list[AuditHeld]

    @classmethod
    def of(cls, held: "Held", app: "App", locale: Locale) -> "Export":
        """The data as the API shows them, loans as of today and words in the caller's language."""
        user = held.user
        borrower = Borrower(user=user, documents=held.documents[::-1], loans=held.loans[::-1])
        return cls(
            user=UserShown.of(borrower, app, locale),
            nik=held.private.nik,
            account_created=user.account_created,
            restricted_at=user.restricted_at,
            erased_after=user.erase_after,
            consents=[ConsentHeld.of(one) for one in user.consents],
            preferences=PreferencesShown.of(held.preferences) if held.preferences else None,
            documents=[DocumentShown.of(one) for one in held.documents],
            loans=_loans(held, app.clock.today(), locale),
            payments=[PaymentShown.of(one) for one in held.payments],
            refunds=_refunds(held),
            payouts=_payouts(held),
            notifications=[NotificationShown.of(one) for one in held.notifications],
            devices=_devices(held),
            passkeys=_passkeys(held),
            audit=_audit(held),
        )


def _loans(held: "Held", today: date, locale: Locale) -> list[LoanHeld]:
    return [
        LoanHeld(
            **vars(LoanShown.of(loan, today, locale)),
            application=ApplicationHeld(
                amount=loan.application.amount,
                monthly_income=loan.application.monthly_income,
                other_instalments=loan.application.other_instalments,
                consented_at=loan.application.consented_at,
            ),
            decided=DecisionHeld.of(loan.decision) if loan.decision else None,
            contract=ContractHeld.of(loan.contract) if loan.contract else None,
        )
        for loan in held.loans
    ]


def _refunds(held: "Held") -> list[RefundHeld]:
    return [
        RefundHeld(
            id=one.id,
            payment_id=one.payment_id,
            amount=one.amount,
            status=one.status.value,
            created_at=one.created_at,
            paid_at=one.paid_at,
        )
        for one in held.refunds
    ]


def _payouts(held: "Held") -> list[PayoutHeld]:
    return [
        PayoutHeld(
            id=one.id,
            purpose=one.purpose,
            amount=one.amount,
            bank_code=one.account.bank_code,
            account_number=account_number,
            account_name=one.account.account_name,
            status=one.status.value,
            created_at=one.created_at,
            ended_at=one.ended_at,
        )
        for one, account_number in held.payouts
    ]


def _devices(held: "Held") -> list[DeviceHeld]:
    return [
        DeviceHeld(id=one.id, platform=one.platform, registered_at=one.registered_at, in_use=one.token is not None)
        for one in held.devices
    ]


def _passkeys(held: "Held") -> list[PasskeyHeld]:
    return [
        PasskeyHeld(
            id=one.id,
            device_name=one.device_name,
            created_at=one.created_at,
            last_used_at=one.last_used_at,
            removed_at=one.removed_at,
        )
        for one in held.passkeys
    ]


def _audit(held: "Held") -> list[AuditHeld]:
    return [
        AuditHeld(
            subject=one.subject,
            number=one.number,
            action=one.action,
            actor=one.actor,
            request_id=one.request_id,
            at=one.at,
            before=None if one.before is None else dict(one.before),
            after=dict(one.after),
        )
        for one in held.audit
    ]


class Restricted(Shown):
    """The account can be read and no longer used; what tells who it was is destroyed after a day."""

    status: Literal["restricted"] = "restricted"
    erased_after: Annotated[
        date, Field(description="Five years after the last loan ended; thirty days from now where there was none.")
    ]
