"""What use cases need from outside, named by the need. Adapters are in `pinjam.adapters`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pinjam.domain.payment import Instructions, Method
    from pinjam.domain.task import Task
    from pinjam.domain.trail import Event
    from pinjam.domain.user import KycCheck
    from pinjam.services.sheet import Sheet


class Unavailable(Exception):
    """An outside service did not answer, or said that it cannot now. Trying again later may help.

    `retry_after_s` is what the service itself said of when, None if it said nothing.
    """

    def __init__(self, service: str, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.retry_after_s = retry_after_s


class NoSuchTopic(Unavailable):
    """Events of `topics` have nowhere to go yet; those of all others that came with them are safely kept."""

    def __init__(self, service: str, topics: Collection[str]) -> None:
        super().__init__(service, f"no topic {', '.join(sorted(topics))}")
        self.topics = frozenset(topics)


class Refused(Exception):
    """An outside service understood the request and refused it for good. `code` is the service's own."""

    def __init__(self, service: str, code: str, detail: str = "") -> None:
        super().__init__(f"{service}: {code} {detail}".rstrip())
        self.service = service
        self.code = code


class Clock(Protocol):
    """The time as the business sees it."""

    def now(self) -> datetime:
        """This instant, in UTC."""
        ...

    def today(self) -> date:
        """The business date, in Asia/Jakarta."""
        ...


class Holidays(Protocol):
    """The public holidays of the country."""

    def between(self, first: date, last: date) -> frozenset[date]:
        """Those from the first to the last day, both included."""
        ...


class Ids(Protocol):
    """New identifiers."""

    def new(self, prefix: str) -> str:
        """`<prefix>_<ULID>`, later ids sorting after earlier ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a client authenticates with; `expires_in` in seconds."""

    id_token: str
    refresh_token: str
    expires_in: int


class AccountExists(Exception):
    """The uid or the e-mail address has an account already."""


class WrongCredentials(Exception):
    """Unknown account, wrong password, or a token that is not (or no longer) good."""


class TooManyAttempts(Exception):
    """Too many failures; `retry_after_s` says when to come back."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Accounts(Protocol):
    """Who can log in: Firebase Auth, or the local server that speaks its protocol.

    Every call raises Unavailable when the service does not answer.
    """

    def create(self, *, uid: str, email: str, password: str) -> None:
        """Make an account with our uid. AccountExists if the uid or address is taken."""
        ...

    def sign_in(self, *, email: str, password: str) -> Tokens:
        """WrongCredentials for an unknown address and a wrong password alike, in the same time;

        TooManyAttempts when guessing goes on.
        """
        ...

    def sign_in_as(self, uid: str, *, claims: Mapping[str, str]) -> Tokens:
        """Sign in somebody who has proven to us who they are; the session's ID tokens carry the claims.

        WrongCredentials for an account that may not sign in.
        """
        ...

    def refresh(self, refresh_token: str) -> Tokens:
        """A new ID token. WrongCredentials if the token is unknown, used up or revoked."""
        ...

    def revoke(self, uid: str) -> None:
        """End every session: refresh tokens issued before now are no longer good."""
        ...

    def delete(self, uid: str) -> None:
        """Remove the account with all that it holds; harmless if there is none."""
        ...

    def set_password(self, uid: str, *, password: str) -> None:
        """Change the password and end every session, both at once; the same again is harmless.

        WrongCredentials if there is no such account; Refused if the password is too weak for the service.
        """
        ...


class TokenVerifier(Protocol):
    """Proves an ID token."""

    def verify(self, id_token: str) -> Mapping[str, object]:
        """The claims of a genuine, unexpired token for this project; WrongCredentials otherwise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityClaim:
    """What an e-KYC provider is asked to confirm. `reference` is ours and makes a repeat harmless."""

    reference: str
    nik: str
    full_name: str
    birth_date: date
    email: str
    phone: str
    ktp_image: bytes
    selfie_image: bytes


class IdentityCheck(Protocol):
    """An e-KYC provider."""

    def check(self, claim: IdentityClaim) -> tuple[KycCheck, ...]:
        """The named checks. Unavailable when there is no answer; Refused when the request is not accepted."""
        ...


OrderStatus = Literal["pending", "settled", "expired", "failed", "reversed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A payment order as the gateway knows it; `amount` in rupiah. `paid_at` is when the money was paid."""

    order_id: str
    transaction_id: str
    status: OrderStatus
    amount: int
    paid_at: datetime | None = None


class ForgedNotification(Exception):
    """A notification that does not come from the provider: it cannot show the secret shared with it."""


class PaymentGateway(Protocol):
    """Collects repayments. Every call raises Unavailable when the gateway does not answer."""

    def charge(
        self, *, order_id: str, amount: int, method: Method, expires_at: datetime, now: datetime
    ) -> tuple[Order, Instructions]:
        """Open an order for `amount` rupiah; asking again with the same id gives the same order.

        Refused when the gateway does not take it.
        """
        ...

    def status(self, order_id: str) -> Order | None:
        """The order as it stands now, None if the gateway does not know it."""
        ...

    def cancel(self, order_id: str) -> None:
        """Close a pending order so that it cannot be paid; harmless if it is closed or unknown."""
        ...

    def read_notification(self, body: Mapping[str, object]) -> str:
        """The order id that a genuine notification speaks of. ForgedNotification for any other;

        ValueError when fields that the signature covers are missing or not strings.
        """
        ...


RESEND_FOR = timedelta(hours=23)
"""How long a payout gateway must keep our ids; Iris drops them at the first midnight (UTC) after 24 hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutAnswer:
    """How a payout stands at the gateway; `failure` is the gateway's code or words for why it failed."""

    reference: str
    status: Literal["processing", "completed", "failed"]
    failure: str | None = None


class PayoutGateway(Protocol):
    """Pays loans and refunds out. Every call raises Unavailable when the gateway does not answer."""

    def holder(self, *, bank_code: str, account_number: str) -> str | None:
        """The name that the bank has for an account; None if it has no such account, or a closed one.

        Refused when the gateway will not say.
        """
        ...

    def pay_out(
        self, *, payout_id: str, amount: int, bank_code: str, account_number: str, account_name: str, notes: str
    ) -> PayoutAnswer:
        """Send `amount` rupiah; asking again with the same id and facts within `RESEND_FOR` sends nothing more.

        Refused when the gateway does not take it: then nothing is sent, now or later.
        """
        ...

    def status(self, reference: str) -> PayoutAnswer:
        """The payout as it stands now. Refused when the gateway does not know it, or will not say."""
        ...

    def read_notification(self, raw: bytes, signature: str) -> str:
        """The reference that a genuine notification speaks of. ForgedNotification for any other;

        ValueError when it is genuine and names none.
        """
        ...


class ObjectExists(Exception):
    """Other bytes are kept under the key."""


class ObjectCorrupted(Exception):
    """The bytes kept under the key are not those that were put: their SHA-256 is another."""


class ObjectStore(Protocol):
    """Keeps documents' bytes, which are written once.

    A key is made of segments of letters, digits and `._-`, joined by `/`; any other is a ValueError. Every call raises
    Unavailable when the service does not answer, or will not serve us: no bucket, no permission.
    """

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Store bytes, with their SHA-256; the same bytes again are harmless. ObjectExists if others are kept."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes. LookupError if there are none, ObjectCorrupted if they are not those that were put."""
        ...

    def delete(self, key: str) -> None:
        """Remove the bytes; harmless if there are none."""
        ...


class Publisher(Protocol):
    """Hands events to their consumers."""

    def publish(self, events: Sequence[Event]) -> None:
        """All of them are safely kept when this returns, some perhaps twice; Unavailable otherwise.

        NoSuchTopic, a kind of it, says which topics are not there: one of them keeps no other waiting.
        """
        ...


class Tasks(Protocol):
    """Brings events to functions later."""

    def schedule(self, *tasks: Task) -> None:
        """All of them are safely kept when this returns; Unavailable otherwise.

        One whose id is known already, waiting or done not long ago, is not kept again.
        """
        ...


class Cache(Protocol):
    """Keeps short texts for a while. All may be forgotten at any time: nothing but speed and limits hangs on it.

    Every call raises Unavailable when the service does not answer.
    """

    def get(self, key: str) -> str | None:
        """What is kept, None if nothing is."""
        ...

    def swap(self, key: str, old: str | None, new: str | None, *, keep_s: int) -> bool:
        """Keep `new`, which is not empty, for so long in place of `old`; None stands for nothing.

        False, and nothing changes, if it is not `old` that is kept: of several at once, one swaps.
        """
        ...


class CommonPasswords(Protocol):
    """The passwords that are tried first, because so many people have them."""

    def __contains__(self, password: object, /) -> bool:
        """Whether it is one of them, in small letters."""
        ...


class UnreadablePaper(Exception):
    """Bytes that are not what a paper must be; `code` says what is wrong, `params` the limit."""

    def __init__(self, code: str, params: Mapping[str, int | str] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.params = dict(params or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A paper fit to be kept: decoded once, and free of camera metadata."""

    content: bytes
    content_type: Literal["image/jpeg", "image/png", "application/pdf"]


class PaperReader(Protocol):
    """Looks into what a borrower sends."""

    def read(self, content: bytes, *, pdf_allowed: bool) -> Paper:
        """The paper, judged by its content alone. UnreadablePaper for anything else."""
        ...


class PaperPress(Protocol):
    """Makes papers that borrowers keep."""

    def press(self, sheet: Sheet) -> bytes:
        """The sheet as a PDF that a phone can show: the same bytes for the same sheet, whenever and wherever."""
        ...
