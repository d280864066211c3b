"""Adapters of ports that are other people's services, in memory: small, honest, and without waiting.

`tests/test_doubles.py` holds them to the ports' contracts. `down` makes a service give no answer.
"""

import heapq
import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from typing import Literal

from pinjam.adapters.object_rules import checked_key, checked_type, sha256_of, unchanged
from pinjam.adapters.pdf import ReportlabPress
from pinjam.domain.notification import Channel
from pinjam.domain.payment import Instructions, Method
from pinjam.domain.task import Task
from pinjam.domain.trail import Event
from pinjam.domain.user import CheckName, KycCheck
from pinjam.services.messaging import AddressGone, Message
from pinjam.services.ports import (
    AccountExists,
    ForgedNotification,
    IdentityClaim,
    ObjectExists,
    Order,
    OrderStatus,
    PayoutAnswer,
    Refused,
    Tokens,
    TooManyAttempts,
    Unavailable,
    WrongCredentials,
)
from pinjam.services.sealing import WrappedKey
from pinjam.services.sheet import Sheet

MOST_FAILURES = 100
"""More than our own limits let through, as at the local identity server."""
QRIS_MAX = 10_000_000
CHECKS: tuple[CheckName, ...] = ("nik", "name", "birth_date", "selfie", "liveness")


class OncePress:
    """The real `ports.PaperPress`, used once for each sheet in a run: worlds are alike, and it takes its time."""

    def press(self, sheet: Sheet) -> bytes:
        return _pressed(sheet)


@cache
def _pressed(sheet: Sheet) -> bytes:
    return ReportlabPress().press(sheet)


class NumberedIds:
    """`ports.Ids` that count, so that a test can tell which came first."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):026}"


class Service:
    """What all of these can be: down, at once or from a certain call on."""

    def __init__(self) -> None:
        self.down = False
        self.down_from: int | None = None
        self.calls = 0

    def _reach(self) -> None:
        self.calls += 1
        if self.down or (self.down_from is not None and self.calls >= self.down_from):
            raise Unavailable("a service", "down")


class MemoryAccounts(Service):
    """`ports.Accounts` and `ports.TokenVerifier`: an ID token is `id:<uid>`, with `:<claims>` if there are any.

    `refusing` takes no new password.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uids: dict[str, str] = {}
        self.passwords: dict[str, str] = {}
        self.asked: list[str] = []
        self.refusing = False
        self._failures: dict[str, int] = {}
        self._sessions: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def create(self, *, uid: str, email: str, password: str) -> None:
        self._reach()
        if len(password) < 6:
            raise Refused("identity", "WEAK_PASSWORD")
        if uid in self.uids.values() or email.lower() in self.uids:
            raise AccountExists
        self.uids[email.lower()] = uid
        self.passwords[uid] = password

    def sign_in(self, *, email: str, password: str) -> Tokens:
        self._reach()
        address = email.lower()
        self.asked.append(address)
        if self._failures.get(address, 0) >= MOST_FAILURES:
            raise TooManyAttempts(60)
        uid = self.uids.get(address)
        if uid is None or not password or self.passwords[uid] != password:
            self._failures[address] = self._failures.get(address, 0) + 1
            raise WrongCredentials
        return self._session(uid)

    def sign_in_as(self, uid: str, *, claims: Mapping[str, str]) -> Tokens:
        self._reach()
        if uid not in self.passwords:
            raise WrongCredentials
        return self._session(f"{uid}:{json.dumps(dict(claims))}")

    def refresh(self, refresh_token: str) -> Tokens:
        self._reach()
        subject = self._sessions.get(refresh_token)
        if subject is None:
            raise WrongCredentials
        return self._session(subject)

    def revoke(self, uid: str) -> None:
        self._reach()
        self._sessions = {token: owner for token, owner in self._sessions.items() if owner.partition(":")[0] != uid}

    def delete(self, uid: str) -> None:
        self.revoke(uid)
        self.uids = {email: owner for email, owner in self.uids.items() if owner != uid}
        self.passwords.pop(uid, None)

    def set_password(self, uid: str, *, password: str) -> None:
        self._reach()
        if uid not in self.passwords:
            raise WrongCredentials
        if self.refusing or len(password) < 6:
            raise Refused("identity", "WEAK_PASSWORD")
        self.passwords[uid] = password
        self.revoke(uid)

    def verify(self, id_token: str) -> Mapping[str, object]:
        self._reach()
        scheme, uid, claims = (*id_token.split(":", 2), "", "")[:3]
        if scheme != "id" or uid not in self.passwords:
            raise WrongCredentials
        email = next(address for address, owner in self.uids.items() if owner == uid)
        return {**json.loads(claims or "{}"), "sub": uid, "user_id": uid, "email": email}

    def _session(self, subject: str) -> Tokens:
        refresh_token = f"refresh-{next(self._numbers)}"
        self._sessions[refresh_token] = subject
        return Tokens(id_token=f"id:{subject}", refresh_token=refresh_token, expires_in=3600)


class MemoryPayments(Service):
    """`ports.PaymentGateway`. A genuine notification is `{"order_id": …, "signature_key": "genuine"}`."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, Order] = {}
        self.refusing = False
        self._opened: dict[str, tuple[int, Method, Instructions]] = {}
        self._numbers = itertools.count(1)

    def charge(
        self, *, order_id: str, amount: int, method: Method, expires_at: datetime, now: datetime
    ) -> tuple[Order, Instructions]:
        self._reach()
        assert expires_at > now
        if self.refusing or (method.type == "qris" and amount > QRIS_MAX):
            raise Refused("payments", "400")
        if method.type == "bank_transfer" and method.bank is None:
            raise Refused("payments", "bank-missing")
        opened = self._opened.setdefault(order_id, (amount, method, _instructions(order_id, method, expires_at)))
        if opened[:2] != (amount, method):
            raise Refused("payments", "406")
        order = Order(order_id=order_id, transaction_id=f"tx-{order_id}", status="pending", amount=amount)
        return self.orders.setdefault(order_id, order), opened[2]

    def status(self, order_id: str) -> Order | None:
        self._reach()
        if self.refusing:
            raise Refused("payments", "401")
        return self.orders.get(order_id)

    def cancel(self, order_id: str) -> None:
        self._reach()
        order = self.orders.get(order_id)
        if order is not None and order.status == "pending":
            self.move(order_id, "expired")

    def read_notification(self, body: Mapping[str, object]) -> str:
        if body.get("signature_key") != "genuine":
            raise ForgedNotification
        order_id = body.get("order_id")
        if not isinstance(order_id, str):
            raise ValueError("order_id")  # noqa: TRY004 - as the port says
        return order_id

    def move(
        self, order_id: str, status: OrderStatus, *, amount: int | None = None, paid_at: datetime | None = None
    ) -> None:
        """What happened at the bank, and when it was paid; without `paid_at` the gateway does not say."""
        order = self.orders[order_id]
        self.orders[order_id] = replace(
            order,
            status=status,
            amount=order.amount if amount is None else amount,
            paid_at=paid_at or order.paid_at,
        )


def _instructions(order_id: str, method: Method, expires_at: datetime) -> Instructions:
    if method.type == "qris":
        return Instructions(expires_at=expires_at, qr_string=f"qr-{order_id}")
    if method.bank == "mandiri":
        return Instructions(expires_at=expires_at, biller_code="70012", bill_key="1")
    return Instructions(expires_at=expires_at, va_number="8808")


class MemoryPayouts(Service):
    """`ports.PayoutGateway`. `outcome` is what becomes of payouts that are new.

    An account is that of `everybody`, unless `accounts` has its number. While `lost`, what it did with a payout
    reaches nobody. A genuine notification is signed `genuine`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outcome: PayoutAnswer = PayoutAnswer(reference="", status="completed")
        self.refusing = False
        self.refusing_to_look = False
        self.lost = False
        self.everybody = "SITI RAHMAWATI"
        self.payouts: dict[str, PayoutAnswer] = {}
        self.sent: dict[str, dict[str, object]] = {}
        self.accounts: dict[str, str | None] = {}
        self.holders_asked: list[str] = []

    def holder(self, *, bank_code: str, account_number: str) -> str | None:
        self._reach()
        if self.refusing_to_look:
            raise Refused("payouts", "401")
        self.holders_asked.append(account_number)
        assert bank_code
        return self.accounts.get(account_number, self.everybody)

    def read_notification(self, raw: bytes, signature: str) -> str:
        if signature != "genuine":
            raise ForgedNotification
        reference = json.loads(raw).get("reference_no")
        if not isinstance(reference, str):
            raise ValueError("reference_no")  # noqa: TRY004 - as the port says
        return reference

    def pay_out(
        self, *, payout_id: str, amount: int, bank_code: str, account_number: str, account_name: str, notes: str
    ) -> PayoutAnswer:
        self._reach()
        if self.refusing or amount < 1:
            raise Refused("payouts", "400")
        asked: dict[str, object] = {
            "amount": amount,
            "bank_code": bank_code,
            "account_number": account_number,
            "account_name": account_name,
            "notes": notes,
        }
        if self.sent.setdefault(payout_id, asked) != asked:
            raise Unavailable("payouts", "the id was used for another request")
        if payout_id not in self.payouts:
            self.payouts[payout_id] = replace(self.outcome, reference=f"ref-{payout_id}")
        if self.lost:
            raise Unavailable("payouts", "no answer")
        return self.payouts[payout_id]

    def status(self, reference: str) -> PayoutAnswer:
        self._reach()
        for payout in self.payouts.values():
            if payout.reference == reference:
                return payout
        raise Refused("payouts", "404")

    def end(self, payout_id: str, status: Literal["completed", "failed"], failure: str | None = None) -> None:
        """What became of a payout at the bank."""
        self.payouts[payout_id] = replace(self.payouts[payout_id], status=status, failure=failure)

    @property
    def paid(self) -> list[object]:
        """The amounts that left for good."""
        return [
            self.sent[payout_id]["amount"] for payout_id, payout in self.payouts.items() if payout.status == "completed"
        ]


class MemoryIdentityCheck(Service):
    """`ports.IdentityCheck` that passes everybody unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.selfie_score = 95
        self.refusing = False
        self.claims: list[IdentityClaim] = []

    def check(self, claim: IdentityClaim) -> tuple[KycCheck, ...]:
        self._reach()
        if self.refusing:
            raise Refused("ekyc", "400")
        self.claims.append(claim)
        return tuple(
            KycCheck(name=name, outcome="pass", score=self.selfie_score if name == "selfie" else None)
            for name in CHECKS
        )


class MemoryMessenger(Service):
    """`messaging.Messenger` of one channel. While `gate` is closed a message is on its way; `gone` are addresses."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel: Channel = channel
        self.refusing = False
        self.gone: set[str] = set()
        self.sent: list[Message] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()

    def send(self, message: Message) -> str:
        self._reach()
        self.reached.set()
        assert self.gate.wait(10)
        if self.refusing:
            raise Refused(self.channel, "rejected")
        if message.to in self.gone:
            raise AddressGone(self.channel, "gone")
        self.sent.append(message)
        return f"{self.channel}-{len(self.sent)}"


class FixedHolidays:
    """`ports.Holidays` on the days that a test says; none to begin with."""

    def __init__(self) -> None:
        self.days: set[date] = set()

    def between(self, first: date, last: date) -> frozenset[date]:
        return frozenset(day for day in self.days if first <= day <= last)


class MemoryObjects(Service):
    """`ports.ObjectStore`."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.sha256s: dict[str, str] = {}

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        checked_key(key)
        checked_type(content_type)
        self._reach()
        if self.objects.setdefault(key, content) != content:
            raise ObjectExists(key)
        self.sha256s[key] = sha256_of(content)

    def get(self, key: str) -> bytes:
        checked_key(key)
        self._reach()
        return unchanged(key, self.objects[key], sha256=self.sha256s[key])

    def delete(self, key: str) -> None:
        checked_key(key)
        self._reach()
        self.objects.pop(key, None)


class MemoryKeys(Service):
    """`sealing.KeyWrapper`: keeps the data keys, and hands out where they are. `calls` counts."""

    def __init__(self) -> None:
        super().__init__()
        self.names = ["memory-1"]
        self.unwrapped: list[str] = []
        self._kept: dict[str, tuple[str, bytes]] = {}

    def current(self) -> str:
        self._reach()
        return self.names[-1]

    def wrap(self, data_key: bytes, *, owner: str) -> WrappedKey:
        self._reach()
        wrapped = f"{self.names[-1]}.{len(self._kept)}"
        self._kept[wrapped] = (owner, data_key)
        return WrappedKey(wrapped=wrapped, wrapping_key=self.names[-1])

    def unwrap(self, wrapped: str, *, owner: str) -> bytes:
        self._reach()
        self.unwrapped.append(owner)
        whose, data_key = self._kept.get(wrapped, ("", b""))
        if whose != owner:
            raise ValueError("wrapped for another owner, or changed")
        return data_key

    def renew(self) -> str:
        self._reach()
        self.names.append(f"memory-{len(self.names) + 1}")
        return self.names[-1]


@dataclass
class MemoryPublisher:
    """`ports.Publisher` that keeps what it is handed, in order."""

    down: bool = False
    events: list[Event] = field(default_factory=list)

    def publish(self, events: Sequence[Event]) -> None:
        if self.down:
            raise Unavailable("events", "down")
        self.events.extend(events)


class MemoryTasks(Service):
    """`ports.Tasks`: keeps each task once; the test brings them about."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[str, Task] = {}
        self.done: set[str] = set()
        self.order: list[tuple[datetime, str]] = []

    def schedule(self, *tasks: Task) -> None:
        self._reach()
        for task in tasks:
            if task.id not in self.done and task.id not in self.waiting:
                self.waiting[task.id] = task
                heapq.heappush(self.order, (task.due_at, task.id))

    def take_due(self, now: datetime) -> Task | None:
        """The task that is due longest, no longer waiting; None if none is due."""
        if not self.order or self.order[0][0] > now:
            return None
        _, id_ = heapq.heappop(self.order)
        self.done.add(id_)
        return self.waiting.pop(id_)
