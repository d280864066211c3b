"""Sign-up, login and the profile."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pinjam.domain.password import MAX_LENGTH, MIN_LENGTH, normalise
from pinjam.domain.reasons import reason_text
from pinjam.domain.user import Locale
from pinjam.runtime.models.documents import DocumentShown
from pinjam.runtime.models.fields import Given, GivenRupiah, Instant, OneLine, PersonName, ReasonShown, Rupiah, Shown
from pinjam.services.credit import credit_limit_of

if TYPE_CHECKING:
    from pinjam.runtime.composition import App
    from pinjam.services.borrowers import Borrower
    from pinjam.services.ports import Tokens


def _email(text: str) -> str:
    # Its tables take time to load, and most functions share this module but read no address.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - as said above

    try:
        return validate_email(text, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        raise ValueError("email-invalid") from None


def _password(text: str) -> str:
    if "\x00" in text:
        raise ValueError("control-characters")
    return text


Email = Annotated[str, Field(max_length=254, examples=["budi@example.com"]), AfterValidator(_email)]


def _normalised(given: object) -> object:
    return normalise(given) if isinstance(given, str) else given


Password = Annotated[
    str, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH), AfterValidator(_password), BeforeValidator(_normalised)
]
"""One to be chosen, in its one spelling; the use case says whether it is good enough."""
GivenPassword = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH), BeforeValidator(_normalised)]
"""One that was chosen before, in the same spelling."""
Version = Annotated[str, Field(min_length=1, max_length=32, examples=["2026-01"]), OneLine]


class ConsentGiven(Given):
    """The versions of the texts that the borrower agreed to."""

    terms_version: Version
    privacy_version: Version


class RegisterRequest(Given):
    """A sign-up."""

    full_name: Annotated[PersonName, Field(examples=["Budi Santoso"])]
    email: Email
    phone: Annotated[str, Field(max_length=32, examples=["081234567890"], description="An Indonesian mobile number.")]
    nik: Annotated[str, Field(max_length=32, examples=["3171011508900001"], description="The KTP's 16 digits.")]
    password: Password
    consent: ConsentGiven
    locale: Locale = "id"


class LoginRequest(Given):
    """An e-mail address or a phone number, and the password."""

    identifier: Annotated[str, Field(min_length=1, max_length=254), OneLine]
    password: GivenPassword


class RefreshRequest(Given):
    """A refresh token."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=4096)]


class ForgotRequest(Given):
    """Whose password was forgotten: an e-mail address or a phone number."""

    identifier: Annotated[str, Field(min_length=1, max_length=254), OneLine]


class ResetRequest(Given):
    """The code from the e-mail, and the password that counts from now on."""

    identifier: Annotated[str, Field(min_length=1, max_length=254), OneLine]
    code: Annotated[str, Field(pattern=r"^[0-9]{8}$", examples=["01234567"])]
    new_password: Password


class BankAccountGiven(Given):
    """Where loans are to be paid out to."""

    bank_code: Annotated[str, Field(pattern=r"^[a-z0-9_]{2,20}$", examples=["bca"])]
    account_number: Annotated[str, Field(pattern=r"^[0-9]{6,20}$", examples=["1234567890"])]
    account_name: PersonName


class ProfileChanges(Given):
    """What to change; what is left out stays."""

    full_name: PersonName | None = None
    locale: Locale | None = None
    monthly_income: GivenRupiah | None = None
    other_instalments: GivenRupiah | None = None
    occupation: Annotated[str, Field(min_length=1, max_length=60), OneLine] | None = None
    address: Annotated[str, Field(min_length=1, max_length=300), OneLine] | None = None
    bank_account: BankAccountGiven | None = None


class TokensShown(Shown):
    """What to authenticate with."""

    id_token: str
    refresh_token: str
    expires_in: Annotated[int, Field(description="Seconds.")]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme

    @classmethod
    def of(cls, tokens: "Tokens") -> "TokensShown":
        """The tokens as the API shows them."""
        return cls(id_token=tokens.id_token, refresh_token=tokens.refresh_token, expires_in=tokens.expires_in)


class CheckShown(Shown):
    """One check of the identity verification."""

    name: str
    outcome: Literal["pass", "fail", "unknown"]
    score: int | None = None


class KycShown(Shown):
    """How the identity verification stands."""

    status: str
    checks: list[CheckShown]
    reasons: list[ReasonShown]


class BankAccountShown(Shown):
    """Where loans are paid out to."""

    bank_code: str
    account_number: str
    account_name: str


class UserShown(Shown):
    """A borrower, as they see themselves."""

    id: str
    full_name: str
    email: str
    phone: str
    nik_masked: Annotated[str, Field(examples=["3171********0001"])]
    birth_date: date
    gender: Literal["male", "female"]
    status: Literal["registered", "verifying", "verified", "rejected", "review"]
    kyc: KycShown
    documents: list[DocumentShown]
    monthly_income: Rupiah | None
    other_instalments: Rupiah | None
    occupation: str | None
    address: str | None
    bank_account: BankAccountShown | None
    credit_limit: Rupiah
    locale: Locale
    created_at: Instant

    @classmethod
    def of(cls, borrower: "Borrower", app: "App", locale: Locale) -> "UserShown":
        """The borrower as the API shows them, reasons in the caller's language."""
        user = borrower.user
        today = app.clock.today()
        account, private = user.bank_account, app.profiles.reveal(user)
        return cls(
            id=user.id,
            full_name=user.full_name,
            email=user.email,
            phone=user.phone,
            nik_masked=user.nik_masked,
            birth_date=private.birth_date,
            gender=user.gender,
            status=user.status.value,
            kyc=KycShown(
                status=user.status.value,
                checks=[CheckShown(name=one.name, outcome=one.outcome, score=one.score) for one in user.kyc.checks],
                reasons=[ReasonShown(code=code, message=reason_text(code, locale)) for code in user.kyc.reasons],
            ),
            documents=[DocumentShown.of(one) for one in borrower.documents],
            monthly_income=user.monthly_income,
            other_instalments=user.other_instalments,
            occupation=user.occupation,
            address=private.address,
            bank_account=BankAccountShown(
                bank_code=account.bank_code,
                account_number=private.account_number or "",
                account_name=account.account_name,
            )
            if account
            else None,
            credit_limit=credit_limit_of(borrower.loans, app.policies.on(today), today),
            locale=user.locale,
            created_at=user.created_at,
        )


class Authenticated(Shown):
    """A borrower who has just logged in."""

    user: UserShown
    tokens: TokensShown


class Refreshed(Shown):
    """New tokens."""

    tokens: TokensShown
