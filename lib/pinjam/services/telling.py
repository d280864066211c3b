"""What an event means to the borrower, in words: the kind of notification, its texts, its channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, cast

from pinjam.domain.calendar import JAKARTA
from pinjam.domain.history import RUNNING
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.money import format_rupiah
from pinjam.domain.payment import Payment
from pinjam.domain.payout import Payout, PayoutStatus
from pinjam.domain.reasons import reason_text
from pinjam.domain.repayment import bill
from pinjam.domain.user import UserStatus
from pinjam.services.borrowers import loans_of
from pinjam.wording import load
from pinjam.wording.letters import letter

if TYPE_CHECKING:
    from pinjam.domain.notification import Channel
    from pinjam.domain.trail import Event
    from pinjam.domain.user import Locale, User
    from pinjam.services.store import Reader
    from pinjam.wording.letters import Letter, Why

MONTHS: Mapping[Locale, tuple[str, ...]] = {
    "id": ("Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}

PLATFORMS: Mapping[Locale, Mapping[str, str]] = {
    "id": {"android": "ponsel Android", "ios": "iPhone atau iPad", "web": "peramban web"},
    "en": {"android": "Android phone", "ios": "iPhone or iPad", "web": "web browser"},
}

DECISION_KINDS = {
    "approved": "loan-approved",
    "counter_offer": "loan-counter-offer",
    "referred": "loan-referred",
    "declined": "loan-declined",
}
PAYOUT_KINDS = {"payout-held": "bank-account-check", "payout-failed": "disbursement-failed"}
PAYOUT_TOLD_WHILE = {"payout-held": PayoutStatus.HELD, "payout-failed": PayoutStatus.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """A notification before it has an id."""

    kind: str
    title: str
    body: str
    sms: str
    parameters: tuple[str, ...]
    channels: tuple[Channel, ...]
    mandatory: bool
    marketing: bool
    """Whether it is told only to those who consented."""
    email: Letter
    data: Mapping[str, str]
    with_contract: bool = False
    """Whether the contract goes along, where a channel can carry it."""


def tale_of(tx: Reader, event: Event, user: User, *, today: date) -> Tale | None:
    """What to tell the borrower of this event; None if its subject is gone, or no longer worth telling."""
    if event.topic in ("user-verified", "account-changed"):
        return None if _overtaken(event, user.status) else _of_account(event, user)
    loan = tx.get(Loan, str(event.data.get("loan_id", event.subject)))
    if loan is None or _overtaken(event, loan.status) or _is_past(tx, event, loan):
        return None
    facts, data = {"name": user.full_name}, {"loan_id": loan.id}
    facts |= _loan_facts(loan, user.locale, today)
    if loan.contract is not None:
        facts["number"] = loan.contract.number
    surplus = int(event.data.get("surplus") or 0)
    if event.topic == "loan-disbursed":
        facts["due_date"] = day(loan.instalments[0].due_date, user.locale)
    if event.topic in ("payment-settled", "payment-reversed"):
        payment = tx.get(Payment, event.subject)
        if payment is None:
            return None
        data["payment_id"] = payment.id
        facts |= {"paid": format_rupiah(payment.amount), "surplus": format_rupiah(surplus)}
    if event.topic in PAYOUT_KINDS:
        payout = tx.get(Payout, event.subject)
        if payout is None or payout.status is not PAYOUT_TOLD_WHILE[event.topic]:
            return None  # Released or overtaken since; or it had arrived, and what it came back for is not known yet.
        facts["payout"] = format_rupiah(payout.amount)
    kind = _kind(event, loan, today, surplus=surplus > 0)
    return _tell(kind, user.locale, facts, data)


def _of_account(event: Event, user: User) -> Tale:
    facts = {"name": user.full_name}
    if event.topic == "user-verified":
        facts["reasons"] = _reasons(user.kyc.reasons, user.locale)
        return _tell(f"identity-{event.data['status']}", user.locale, facts, {})
    facts |= {"device": _device(event, user.locale), "when": moment(event.occurred_at, user.locale)}
    return _tell(f"security-{event.data['change']}", user.locale, facts, {})


def _is_past(tx: Reader, event: Event, loan: Loan) -> bool:
    """Whether what was to be told has been overtaken."""
    if event.topic == "instalment-reminder":
        # A reminder that comes late must not ask for the next instalment, or for nothing.
        return event.data["due_date"] != _due_on(loan)
    # Who borrows again already needs no invitation.
    return event.topic == "loan-invitation" and any(one.status in RUNNING for one in loans_of(tx, loan.user_id))


def _overtaken(event: Event, status: UserStatus | LoanStatus) -> bool:
    """Whether the news is that a person will look, and the answer has come since: then that is told instead."""
    said = event.data.get("status") or event.data.get("outcome")
    return said in (UserStatus.REVIEW, LoanStatus.REFERRED) and said != status


def day(on: date, locale: Locale) -> str:
    """A date as people write it, e.g. 22 Nov 2026; in letters that a text message can carry."""
    return f"{on.day} {MONTHS[locale][on.month - 1]} {on.year}"


def moment(at: datetime, locale: Locale) -> str:
    """An instant as people in Jakarta write it, e.g. 22 Nov 2026 13.05 WIB."""
    local = at.astimezone(JAKARTA)
    return f"{day(local.date(), locale)} {local:%H.%M} WIB"


def _device(event: Event, locale: Locale) -> str:
    """The device as its owner named it, or its kind."""
    named = str(event.data.get("device") or "")
    return PLATFORMS[locale].get(named, named)


def _due_on(loan: Loan) -> str | None:
    return loan.next_due_on.isoformat() if loan.next_due_on else None


def _kind(event: Event, loan: Loan, today: date, *, surplus: bool) -> str:
    match event.topic:
        case "loan-submitted":
            return "application-received"
        case "loan-accepted":
            return "contract-accepted"
        case "loan-decided":
            return DECISION_KINDS[loan.decision.last_word.outcome] if loan.decision else "loan-referred"
        case "payment-settled":
            return "payment-surplus" if surplus else "payment-received"
        case "instalment-reminder":
            # By the day on which it is said, since it may have waited for its hour.
            due = loan.next_due_on or today
            return "instalment-due" if today == due else f"instalment-{'upcoming' if today < due else 'overdue'}"
        case _:
            return PAYOUT_KINDS.get(event.topic, event.topic)


def _loan_facts(loan: Loan, locale: Locale, today: date) -> dict[str, str]:
    facts = {
        "amount": format_rupiah(loan.amount),
        "requested": format_rupiah(loan.application.amount),
        "tenor": str(loan.tenor_months),
        "reasons": _reasons(loan.decision.last_word.reasons if loan.decision else (), locale),
    }
    offer = loan.contract.quote if loan.contract else loan.offer
    if offer is not None:
        facts |= {
            "amount": format_rupiah(offer.amount),
            "instalment": format_rupiah(offer.instalment),
            "received": format_rupiah(offer.disbursed_amount),
        }
    if loan.offer_expires_on is not None:
        facts["offer_until"] = day(loan.offer_expires_on, locale)
    owed = bill(loan, today)
    facts["outstanding"] = format_rupiah(owed.outstanding)
    if owed.next_due is not None:
        facts |= {"due_date": day(owed.next_due.due_date, locale), "due": format_rupiah(owed.next_due.owed)}
    return facts


def _reasons(codes: tuple[str, ...], locale: Locale) -> str:
    return " ".join(reason_text(code, locale) for code in codes)


def _tell(kind: str, locale: Locale, facts: Mapping[str, str], data: Mapping[str, str]) -> Tale:
    entry = load("notifications")[kind]
    texts = cast("Mapping[str, str]", entry[locale])
    title, mandatory = texts["title"].format_map(facts), bool(entry["mandatory"])
    body = " ".join(texts["body"].format_map(facts).split())
    block = {fact: facts[fact] for fact in cast("list[str]", entry["facts"])}
    why: Why = "mandatory" if mandatory else "chosen"
    return Tale(
        kind=kind,
        title=title,
        body=body,
        sms=texts["sms"].format_map(facts),
        parameters=tuple(facts[name] for name in cast("list[str]", entry["parameters"])),
        channels=tuple(cast("list[Channel]", entry["channels"])),
        mandatory=mandatory,
        marketing=bool(entry.get("marketing")),
        email=letter(locale, name=facts["name"], title=title, body=body, facts=block, why=why),
        data=data,
        with_contract=entry.get("attach") == "contract",
    )
