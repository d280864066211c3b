"""The store that use cases need: typed records, serializable transactions, unique values.

An adapter stores every record type in `KINDS` and passes the contract suite in `tests/contracts`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from pinjam.domain.device import Device
    from pinjam.domain.document import Document
    from pinjam.domain.keys import UserKey
    from pinjam.domain.ledger import JournalEntry
    from pinjam.domain.loan import Loan
    from pinjam.domain.notification import Notification
    from pinjam.domain.passkey import Challenge, Passkey
    from pinjam.domain.payment import Payment
    from pinjam.domain.payout import Payout
    from pinjam.domain.preferences import Preferences
    from pinjam.domain.recovery import ResetCode
    from pinjam.domain.refund import Refund
    from pinjam.domain.session import Session
    from pinjam.domain.trail import AuditRecord, Consumption, Event, KeptAnswer
    from pinjam.domain.user import User

    Record: TypeAlias = (
        User
        | UserKey
        | Document
        | Loan
        | Payment
        | JournalEntry
        | Refund
        | Payout
        | Notification
        | Device
        | Preferences
        | Passkey
        | Challenge
        | Session
        | ResetCode
        | Event
        | Consumption
        | KeptAnswer
        | AuditRecord
    )
else:
    # To make all these classes takes a good part of a function's start, and each function needs a few.
    Record = object

R = TypeVar("R", bound=Record)
A = TypeVar("A")
Scalar: TypeAlias = str | int | bool | date | datetime | Enum | None


@dataclass(frozen=True, slots=True)
class Kind:
    """How a record type is kept: its collection, and the sets of fields whose values no two records share.

    A set with a None among its values is not compared. Only records of a `passing` kind can be deleted: they serve
    for a while, and what they were about is told by others.
    """

    collection: str
    unique: tuple[tuple[str, ...], ...] = ()
    passing: bool = False


_DOMAIN = "pinjam.domain"
_KEPT: Mapping[tuple[str, str], Kind] = {
    ("user", "User"): Kind("users", (("email",), ("phone",), ("nik_hash",))),
    ("keys", "UserKey"): Kind("user_keys"),
    ("document", "Document"): Kind("documents", (("user_id", "kind", "source_sha256"),)),
    ("loan", "Loan"): Kind("loans", (("open_for",), ("payout_id",))),
    ("payment", "Payment"): Kind("payments"),
    ("ledger", "JournalEntry"): Kind("journal", (("key",), ("reverses",))),
    ("refund", "Refund"): Kind("refunds", (("payout_id",),)),
    ("payout", "Payout"): Kind("payouts", (("open_for",), ("reference",))),
    ("notification", "Notification"): Kind("notifications"),
    ("device", "Device"): Kind("devices", (("token_hash",),)),
    ("preferences", "Preferences"): Kind("preferences"),
    ("passkey", "Passkey"): Kind("passkeys", (("credential_id",),)),
    ("passkey", "Challenge"): Kind("challenges", passing=True),
    ("session", "Session"): Kind("sessions", passing=True),
    ("recovery", "ResetCode"): Kind("reset_codes", passing=True),
    ("trail", "Event"): Kind("outbox", passing=True),
    ("trail", "Consumption"): Kind("consumptions", passing=True),
    ("trail", "KeptAnswer"): Kind("kept_answers", passing=True),
    ("trail", "AuditRecord"): Kind("audit_log", (("subject", "number"),)),
}
"""By module of the domain and name in it."""


class Kinds(Mapping[type, Kind]):
    """How each record type is kept. To look one up loads no other; to go through them loads all."""

    def __getitem__(self, kind: type) -> Kind:
        package, _, module = kind.__module__.rpartition(".")
        if package != _DOMAIN or (module, kind.__name__) not in _KEPT:
            raise KeyError(kind)
        return _KEPT[module, kind.__name__]

    def __iter__(self) -> Iterator[type]:
        for module, name in _KEPT:
            yield getattr(import_module(f"{_DOMAIN}.{module}"), name)

    def __len__(self) -> int:
        return len(_KEPT)


KINDS = Kinds()
"""Every kind of record, in an order in which each comes after those that its records refer to."""


class Conflict(Exception):
    """A record with this id or this unique value is there already; `fields` names the unique set."""

    def __init__(self, kind: type, fields: tuple[str, ...]) -> None:
        super().__init__(f"{kind.__name__}: {', '.join(fields)} taken")
        self.kind = kind
        self.fields = fields


class Contention(Exception):
    """Other transactions kept winning; nothing was written, and the caller may try again later."""


class StoreUnavailable(Exception):
    """The store does not answer; nothing is known to be written. `retry_after_s` is a hint."""

    def __init__(self, message: str, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Find(Generic[R]):
    """Which records, in which order.

    `where`: equality, a value of None meaning that the field has none. `at_least` and `below` bound the
    field in `order` (so one range at most). Records come ordered by (`order`, `id`), both reversed when
    `descending`; those that have no value in `order` are left out. `after` is the cursor of an earlier page
    of the same query. ValueError or TypeError for a limit below 1, a field that is nested or not there, or a
    value that is not of its field.
    """

    kind: type[R]
    where: Mapping[str, Scalar] = field(default_factory=dict)
    order: str = "id"
    at_least: Scalar = None
    below: Scalar = None
    descending: bool = False
    limit: int = 20
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[A]):
    """A page of records and the cursor of the next one, None at the end."""

    items: tuple[A, ...]
    next_cursor: str | None


class BadCursor(ValueError):
    """A cursor that this query did not give out."""


Asked: TypeAlias = "tuple[type[Record], str] | Find[Any]"
"""What a reader will be asked for: a record by its kind and id, or a page."""


class Reader(Protocol):
    """What can be asked, all of it as of one moment."""

    def prefetch(self, *asked: Asked) -> None:
        """Ask for all of this in as few round trips as the store can; the same `get` or `find` is then answered by it.

        It changes nothing but speed: what is not announced is asked for by itself, and what is announced and not
        asked for is wasted. Errors as for `get` and `find`.
        """
        ...

    def get(self, kind: type[R], id: str) -> R | None:
        """The record with this id, or None."""
        ...

    def find(self, query: Find[R]) -> Page[R]:
        """One page of records. BadCursor if `after` is not this query's."""
        ...

    def count(self, kind: type[R], where: Mapping[str, Scalar]) -> int:
        """How many records have all these values."""
        ...


class Transaction(Reader, Protocol):
    """Reads, then writes: a read after a write is a programming error (RuntimeError).

    Writes happen at the commit, so Conflict and LookupError are raised by `transact`, where `work` cannot
    catch them. ValueError or TypeError at once for a value that is not of its field, or holds a NUL.
    """

    def insert(self, record: Record) -> None:
        """Add a record. Conflict if its id or a unique value is taken."""
        ...

    def update(self, record: Record) -> None:
        """Replace the record with this id. Conflict as for insert; LookupError if there is none."""
        ...

    def delete(self, kind: type[Record], id: str) -> None:
        """Remove the record with this id and free its unique values; harmless if there is none.

        TypeError at once for a kind that is not `passing`: its records stay, whoever asks.
        """
        ...


class Store(Protocol):
    """Records with serializable transactions."""

    def transact(self, work: Callable[[Transaction], A]) -> A:
        """Run `work` in a serializable transaction and commit.

        `work` is run again when another transaction got in between, so it must have no effect but on
        the transaction; what it raises rolls back. Contention when that happens too often;
        StoreUnavailable when the store cannot be reached.
        """
        ...

    def read(self, work: Callable[[Reader], A]) -> A:
        """Run `work` on one consistent view, without being able to write."""
        ...

    def get(self, kind: type[R], id: str) -> R | None:
        """One record as it is now, None if there is none: for who needs to know nothing else of the same moment."""
        ...

    def find(self, query: Find[R]) -> Page[R]:
        """One page as it is now, as `get`. BadCursor if `after` is not this query's."""
        ...


def each(store: Store, query: Find[R]) -> Iterator[R]:
    """Every record of a query, a page at a time; the cursor goes on even where records change meanwhile."""
    after: str | None = query.after
    while True:
        turn = replace(query, after=after)
        page = store.find(turn)
        yield from page.items
        after = page.next_cursor
        if after is None:
            return
