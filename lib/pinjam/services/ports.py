"""What use cases need from outside, named by the need. Adapters are in `pinjam.adapters`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, Protocol

from pinjam.domain.keys import UserKey
from pinjam.domain.notification import Channel
from pinjam.domain.payment import Instructions, Method
from pinjam.domain.task import Task
from pinjam.domain.trail import Event
from pinjam.domain.user import KycCheck, Locale, Sealed
from pinjam.services.sheet import Sheet


class Unavailable(Exception):
    """An outside service did not answer, or said that it cannot now. Trying again later may help.

    `retry_after_s` is what the service itself said of when, None if it said nothing.
    """

    def __init__(self, service: str, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.retry_after_s = retry_after_s


class Refused(Exception):
    """An outside service understood the request and refused it for good. `code` is the service's own."""

    def __init__(self, service: str, code: str, detail: str = "") -> None:
        super().__init__(f"{service}: {code} {detail}".rstrip())
        self.service = service
        self.code = code


class AddressGone(Refused):
    """The recipient's address (a device token) is no longer good: forget it."""


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
class WrappedKey:
    """A data key as it may be stored: `wrapped` is opaque text, `wrapping_key` the id of the key that wrapped it."""

    wrapped: str
    wrapping_key: str


class KeyWrapper(Protocol):
    """Wraps data keys under keys that never leave it. Every call raises Unavailable when it does not answer."""

    def current(self) -> str:
        """The id of the key that wraps now."""
        ...

    def wrap(self, data_key: bytes, *, owner: str) -> WrappedKey:
        """The data key, readable only through `unwrap` and for the same owner."""
        ...

    def unwrap(self, wrapped: str, *, owner: str) -> bytes:
        """The data key again, also where an earlier key wrapped it.

        ValueError if it was wrapped for another owner, changed, or wrapped by a key that is gone.
        """
        ...

    def renew(self) -> str:
        """Make a key that wraps from now on; its id. Earlier ones still unwrap."""
        ...


class KeyDestroyed(LookupError):
    """The owner's key was destroyed: what it sealed is gone for good."""


class Safe(Protocol):
    """Seals and opens one owner's values. Needs nothing from outside, so that a transaction may use it."""

    def seal(self, value: str, *, field: str) -> Sealed:
        """Encrypt a field; the same owner and field are needed to open it."""
        ...

    def open(self, sealed: Sealed, *, field: str) -> str:
        """The value again. ValueError if it was sealed for another owner or field, or changed."""
        ...

    def seal_bytes(self, content: bytes, *, field: str) -> bytes:
        """Encrypt a file, as `seal`."""
        ...

    def open_bytes(self, sealed: bytes, *, field: str) -> bytes:
        """The file again, as `open`."""
        ...


class Vault(Protocol):
    """Keeps personal values unreadable at rest, each owner's under a key of their own.

    To get at a key may ask the store and the key service (Unavailable): do it before a transaction, not inside.
    """

    def issue(self, owner: str, *, at: datetime) -> tuple[UserKey, Safe]:
        """A new key for an owner who has none; it counts once the caller has stored the record."""
        ...

    def safe(self, owner: str) -> Safe:
        """What the owner's key opens. LookupError if there is none, KeyDestroyed if there is none any more."""
        ...

    def forget(self, owner: str) -> None:
        """Hold the owner's key in this process no longer."""
        ...

    def fingerprint(self, value: str, *, field: str) -> str:
        """A keyed hash (hex) that finds an equal value and tells nothing else."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with an answer or a message."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message for one channel. `to` is an address, an E.164 number or a device token.

    `id` is ours, for providers that can drop a repeat. `kind` and `parameters` serve providers that send
    registered templates; `subject` serves e-mail and push. Only e-mail carries `attachments`, and `html`, the
    same message as a page beside the plain `body`.
    """

    id: str
    to: str
    kind: str
    locale: Locale
    subject: str
    body: str
    html: str | None = None
    parameters: tuple[str, ...] = ()
    data: Mapping[str, str] | None = None
    attachments: tuple[Attachment, ...] = ()


class Messenger(Protocol):
    """Sends on one channel."""

    channel: Channel

    def send(self, message: Message) -> str:
        """The provider's id for it. Unavailable when trying again may help, Refused when it will not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStatus:
    """What became of a message after its provider had taken it, as the provider tells.

    `provider_id` is what `Messenger.send` answered; `message_id` is the message's own id, None where the provider
    does not give it back. `error` is the provider's own code, of a failed message only.
    """

    provider_id: str
    status: Literal["sent", "delivered", "read", "failed"]
    at: datetime
    message_id: str | None = None
    error: str | None = None


class MessageReceipts(Protocol):
    """Reads what a messaging provider calls back with. Statuses may come twice, late, and in any order."""

    def read_statuses(self, raw: bytes, signature: str) -> tuple[MessageStatus, ...]:
        """The statuses in a genuine callback, none if it speaks of other things. ForgedNotification for any other;

        ValueError when the body is not the provider's. `raw` is the body as it came, `signature` the header's value.
        """
        ...

    def answer_challenge(self, *, mode: str, verify_token: str, challenge: str) -> str:
        """What proves to the provider that the address is ours. ForgedNotification if it does not know the token."""
        ...


class ObjectStore(Protocol):
    """Keeps documents' bytes. Every call raises Unavailable when the service does not answer."""

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Store bytes; the same key again replaces them."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes. LookupError if there are none."""
        ...

    def delete(self, key: str) -> None:
        """Remove the bytes; harmless if there are none."""
        ...


class Publisher(Protocol):
    """Hands events to their consumers."""

    def publish(self, events: Sequence[Event]) -> None:
        """All of them are safely kept when this returns, some perhaps twice; Unavailable otherwise."""
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
