"""A borrower: who they are, what they agreed to, and how far their identity is proven."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, NewType

Sealed = NewType("Sealed", str)
"""A personal value as it is stored: encrypted, readable only through the vault."""

Locale = Literal["id", "en"]
Gender = Literal["male", "female"]
CheckName = Literal["nik", "name", "birth_date", "selfie", "liveness"]
CheckOutcome = Literal["pass", "fail", "unknown"]


class UserStatus(StrEnum):
    """Where a borrower stands on the way to a proven identity."""

    REGISTERED = "registered"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    REJECTED = "rejected"
    REVIEW = "review"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What a borrower agreed to, in which words, and until when."""

    purpose: str
    version: str
    locale: Locale
    given_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccount:
    """Where a loan is paid out to."""

    bank_code: str
    account_number: Sealed
    account_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KycCheck:
    """One named check of an e-KYC result; `score` (0-100) only where the check gives one."""

    name: CheckName
    outcome: CheckOutcome
    score: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kyc:
    """The latest verification: its checks and why it ended as it did.

    `attempts` counts attempts on `attempted_on` (business date) only. `faults` counts the times in the
    running attempt that the provider gave no answer. `concluded_at` is when it ended in what it says now.
    """

    checks: tuple[KycCheck, ...] = ()
    reasons: tuple[str, ...] = ()
    reference: str | None = None
    attempted_on: date | None = None
    attempts: int = 0
    faults: int = 0
    concluded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A borrower. `email` is lower case, `phone` E.164; `nik_hash` is a keyed hash that only finds.

    `account_created` is false between our row and the identity provider's account: a sign-up that
    crashed there is completed by its repetition. From `restricted_at` on the borrower has asked for erasure:
    nothing is changed or applied for any more, and after the day `erase_after` the personal values are
    destroyed, which `erased_at` records. Sessions opened until `sessions_ended_at`
    are over, and ID tokens issued until `tokens_valid_after` move no money; both are real time, whatever the business
    date.
    """

    id: str
    full_name: str
    email: str
    phone: str
    nik: Sealed
    nik_hash: str
    nik_masked: str
    birth_date: Sealed
    gender: Gender
    status: UserStatus
    locale: Locale
    consents: tuple[Consent, ...]
    account_created: bool
    created_at: datetime
    updated_at: datetime
    kyc: Kyc = Kyc()
    monthly_income: int | None = None
    other_instalments: int | None = None
    occupation: str | None = None
    address: Sealed | None = None
    bank_account: BankAccount | None = None
    restricted_at: datetime | None = None
    erase_after: date | None = None
    erased_at: datetime | None = None
    sessions_ended_at: datetime | None = None
    tokens_valid_after: datetime | None = None
