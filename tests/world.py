"""A whole system in memory, and the short ways to get a borrower somewhere in it."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from tests.doubles import (
    FixedHolidays,
    MemoryAccounts,
    MemoryIdentityCheck,
    MemoryKeys,
    MemoryMessenger,
    MemoryObjects,
    MemoryPayments,
    MemoryPayouts,
    MemoryPublisher,
    MemoryTasks,
    NumberedIds,
    OncePress,
)

from pinjam.adapters.clock import FixedClock
from pinjam.adapters.memory import MemoryStore
from pinjam.adapters.vault import EnvelopeVault
from pinjam.domain.calendar import JAKARTA
from pinjam.domain.document import Document, DocumentKind
from pinjam.domain.ledger import Account, JournalEntry, balances
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.notification import Channel, Notification
from pinjam.domain.payment import Method, Payment, PaymentKind
from pinjam.domain.refund import Refund
from pinjam.domain.repayment import bill
from pinjam.domain.trail import AuditRecord, Event, KeptAnswer
from pinjam.domain.user import User, UserStatus
from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings
from pinjam.services.lending import ApplicationForm
from pinjam.services.links import Links
from pinjam.services.once import Answered, Keyed
from pinjam.services.ports import OrderStatus
from pinjam.services.profiles import NewBankAccount
from pinjam.services.recording import Actor
from pinjam.services.repaying import PaymentForm
from pinjam.services.servicing import Swept
from pinjam.services.signup import SignUp
from pinjam.services.store import Find, R, Record, Store, each
from pinjam.services.subscriptions import SUBSCRIPTIONS

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
"""A Tuesday, 09:00 in Jakarta."""
PASSWORD = "correct horse battery"
BCA = Method(type="bank_transfer", bank="bca")
OPERATIONS = "operations@example.com"
NOWHERE = Path("/nonexistent/pinjam-tests")
KEY = bytes(range(32))
SETTINGS = {
    "PINJAM_STATE": str(NOWHERE),
    "PINJAM_PROJECT": "pinjam-test",
    "PINJAM_OPERATIONS_EMAIL": OPERATIONS,
    "PINJAM_WEBAUTHN_RP_ID": "pinjam.example",
    "PINJAM_WEBAUTHN_ORIGINS": f"https://app.example,android:apk-key-hash:{'a' * 43}",
    "PINJAM_ANDROID_PACKAGE": "example.app",
    "PINJAM_ANDROID_FINGERPRINTS": ",".join([":".join(["AB"] * 32)] * 2),
    "PINJAM_APPLE_TEAM_ID": "TEAM000000",
    "PINJAM_APPLE_BUNDLE_ID": "example.app.ios",
}


def form(number: int = 1, **changes: Any) -> SignUp:
    """The sign-up of the borrower with this number; every number is another person, a woman born in 1990."""
    given = SignUp(
        full_name="Siti Rahmawati",
        email=f"siti{number}@example.com",
        phone=f"0812345{number:05}",
        nik=f"317101550890{number:04}",
        password=PASSWORD,
        terms_version="2026-01",
        privacy_version="2026-01",
        locale="id",
    )
    return replace(given, **changes)


def application(**changes: Any) -> ApplicationForm:
    """Rp 3,000,000 over 6 months with an income of 9,000,000, which the default policy approves at once."""
    given = ApplicationForm(
        amount=3_000_000, tenor_months=6, purpose="education", monthly_income=9_000_000, other_instalments=0
    )
    return replace(given, **changes)


@cache
def picture(colour: int = 0, kind: str = "JPEG") -> bytes:
    """A small picture; each colour is another file."""
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (colour % 256, colour // 256, 90)).save(target, kind)
    return target.getvalue()


@dataclass
class World:
    """An `App` over a store and in-memory services, with its clock standing at `START`."""

    app: App
    store: Store
    clock: FixedClock
    accounts: MemoryAccounts
    payments: MemoryPayments
    payouts: MemoryPayouts
    identity: MemoryIdentityCheck
    objects: MemoryObjects
    wrapper: MemoryKeys
    publisher: MemoryPublisher
    tasks: MemoryTasks
    messengers: Mapping[Channel, MemoryMessenger]
    holidays: FixedHolidays
    delivered: int = 0
    chance: float = 0.5
    """What every draw of the system's randomness gives."""
    keys: int = 0

    # Seeing

    @property
    def memory(self) -> MemoryStore:
        """The store, for who looks behind its port."""
        assert isinstance(self.store, MemoryStore)
        return self.store

    def get(self, kind: type[R], id: str) -> R:
        found = self.store.read(lambda tx: tx.get(kind, id))
        assert found is not None
        return found

    def all(self, kind: type[R]) -> list[R]:
        """Every record of a kind, in the order of their ids."""
        if not isinstance(self.store, MemoryStore):
            return list(each(self.store, Find(kind=kind)))
        # Suites of many thousand histories look often.
        return [record for _, record in sorted(self.store._rows[kind].items()) if isinstance(record, kind)]

    def user(self, user_id: str) -> User:
        return self.get(User, user_id)

    def loan(self, loan_id: str) -> Loan:
        return self.get(Loan, loan_id)

    def payment(self, payment_id: str) -> Payment:
        return self.get(Payment, payment_id)

    def events(self, topic: str) -> list[Event]:
        """The events of a topic in the outbox, oldest first."""
        return [event for event in self.all(Event) if event.topic == topic]

    def trail(self, subject: str) -> list[AuditRecord]:
        """The audit records of a subject, in the order of their numbers."""
        records = [record for record in self.all(AuditRecord) if record.subject == subject]
        return sorted(records, key=lambda record: record.number)

    def actions(self, subject: str) -> list[str]:
        return [record.action for record in self.trail(subject)]

    def notifications(self, kind: str) -> list[Notification]:
        return [one for one in self.all(Notification) if one.kind == kind]

    def refund_of(self, payment_id: str) -> Refund:
        """What is, or was, owed back of a payment."""
        (refund,) = [one for one in self.all(Refund) if one.payment_id == payment_id]
        return refund

    def entries(self, loan_id: str) -> list[JournalEntry]:
        """The journal of a loan, oldest first."""
        return [entry for entry in self.all(JournalEntry) if entry.loan_id == loan_id]

    def balances(self) -> Mapping[Account, int]:
        """Each account's debits less its credits."""
        return balances(self.all(JournalEntry))

    def owed(self, loan_id: str) -> int:
        """All that a loan owes today."""
        return bill(self.loan(loan_id), self.clock.today()).outstanding

    # Changing

    def put(self, *records: Record) -> None:
        """Write records as they are: what was there before is replaced."""

        def work_of(record: Record) -> None:
            there = self.store.read(lambda tx: tx.get(type(record), record.id))
            self.store.transact(lambda tx: tx.update(record) if there else tx.insert(record))

        for record in records:
            work_of(record)

    def go_to(self, day: date, hour: int = 9) -> None:
        """Move the clock to a business day."""
        self.clock.instant = datetime(day.year, day.month, day.day, hour, tzinfo=JAKARTA).astimezone(UTC)

    def pass_days(self, days: int) -> None:
        self.clock.instant += timedelta(days=days)

    def pass_minutes(self, minutes: int) -> None:
        self.clock.instant += timedelta(minutes=minutes)

    # Getting somewhere

    def keyed(self, user_id: str, route: str = "route", key: str | None = None, request: str = "") -> Keyed[Any]:
        """A keyed request that answers with the result's id; without a key, with one of its own."""
        self.keys += 1
        return Keyed(
            id=f"{user_id}:{route}:{key or self.keys}",
            fingerprint=request,
            status=200,
            render=lambda result: {"id": result.id, "status": result.status.value},
        )

    def actor(self, user_id: str) -> Actor:
        return Actor(id=user_id, request_id="req_12345678")

    def register(self, number: int = 1, **changes: Any) -> User:
        borrower, _ = self.app.registration.register(form(number, **changes), request_id="req_12345678")
        return borrower.user

    def verified(self, number: int = 1, **changes: Any) -> str:
        """The id of a borrower whose identity is proven and who has a bank account."""
        user = self.register(number, **changes)
        self.app.profiles.change(
            user.id,
            actor=self.actor(user.id),
            bank_account=NewBankAccount(bank_code="bca", account_number="1234567890", account_name="SITI RAHMAWATI"),
        )
        self.put(replace(self.user(user.id), status=UserStatus.VERIFIED))
        return user.id

    def upload(self, user_id: str, kind: str, content: bytes) -> Document:
        return self.app.documents.upload(user_id, kind=DocumentKind(kind), content=content, actor=self.actor(user_id))

    def apply(self, user_id: str, **changes: Any) -> str:
        answered = self.app.lending.apply(
            user_id, application(**changes), keyed=self.keyed(user_id), actor=self.actor(user_id)
        )
        return str(answered.body["id"])

    def decide(self, loan_id: str) -> Loan:
        (event,) = [one for one in self.events("loan-submitted") if one.subject == loan_id]
        self.app.deciding.decide(event)
        return self.loan(loan_id)

    def accept(self, user_id: str, loan_id: str) -> Loan:
        self.app.lending.accept(
            user_id,
            loan_id,
            understood=(True,) * 6,
            locale="id",
            keyed=self.keyed(user_id),
            actor=self.actor(user_id),
        )
        return self.loan(loan_id)

    def accepted_event(self, loan_id: str) -> Event:
        (event,) = [one for one in self.events("loan-accepted") if one.subject == loan_id]
        return event

    def accepted(self, user_id: str, **changes: Any) -> str:
        """The id of a loan whose offer was accepted."""
        loan_id = self.apply(user_id, **changes)
        assert self.decide(loan_id).status is LoanStatus.APPROVED
        self.accept(user_id, loan_id)
        return loan_id

    def active(self, user_id: str, **changes: Any) -> str:
        """The id of a loan that was paid out today."""
        loan_id = self.accepted(user_id, **changes)
        self.app.payout_desk.take_up(self.accepted_event(loan_id))
        assert self.loan(loan_id).status is LoanStatus.ACTIVE
        return loan_id

    def start_payment(
        self,
        user_id: str,
        loan_id: str,
        *,
        kind: PaymentKind = "instalment",
        amount: int | None = None,
        method: Method = BCA,
        key: str | None = None,
        request: str = "",
    ) -> Answered:
        return self.app.repaying.start(
            user_id,
            PaymentForm(loan_id=loan_id, kind=kind, amount=amount, method=method),
            keyed=self.keyed(user_id, "pay", key, request),
            actor=self.actor(user_id),
        )

    def order(self, user_id: str, loan_id: str, *, kind: PaymentKind = "instalment", amount: int | None = None) -> str:
        """The id of a payment whose order is open at the gateway."""
        return str(self.start_payment(user_id, loan_id, kind=kind, amount=amount).body["id"])

    def hear(self, payment_id: str) -> None:
        """The gateway's notification of an order arrives."""
        self.app.collecting.hear({"order_id": payment_id, "signature_key": "genuine"}, request_id="req_gateway")

    def settle(self, payment_id: str, *, paid_at: datetime | None = None) -> None:
        """An order is paid at the bank, by default now, and the gateway tells of it now."""
        self.payments.move(payment_id, "settled", paid_at=paid_at or self.clock.now())
        self.hear(payment_id)
        # No two moments are alike outside of tests.
        self.clock.advance(seconds=1)

    def take_back(self, payment_id: str, how: OrderStatus = "reversed") -> None:
        """The bank takes the money back, and the gateway tells of it."""
        self.payments.move(payment_id, how)
        self.hear(payment_id)
        self.clock.advance(seconds=1)

    def pay(self, user_id: str, loan_id: str, *, kind: PaymentKind = "instalment", amount: int | None = None) -> str:
        """The id of a payment that arrived, by default of the next instalment."""
        payment_id = self.order(user_id, loan_id, kind=kind, amount=amount)
        self.settle(payment_id)
        return payment_id

    def repaid(self, user_id: str, **changes: Any) -> str:
        """The id of a loan that was paid out and settled early, today."""
        loan_id = self.active(user_id, **changes)
        self.pay(user_id, loan_id, kind="settlement")
        assert self.loan(loan_id).status is LoanStatus.SETTLED
        return loan_id

    def sweep(self) -> Swept:
        return self.app.servicing.sweep(request_id="req_sweep")

    def deliver(self, *, repeat: int = 1) -> None:
        """Bring every event to its consumers, `repeat` times, and every task that is due, until no more come."""
        while self.delivered < len(self.publisher.events) or self.run_tasks():
            for event in self.publisher.events[self.delivered :]:
                self.delivered += 1
                for _ in range(repeat):
                    for name in SUBSCRIPTIONS[event.topic]:
                        self.consume(name, event)

    def notify(self, event: Event) -> None:
        """Have a borrower told of an event, and what can be sent by now sent."""
        self.app.notifying.hear(event)
        self.run_tasks()

    def run_tasks(self) -> int:
        """Bring about every task that is due by now, and what follows from it; how many there were."""
        count = 0
        while (task := self.tasks.take_due(self.clock.now())) is not None:
            count += 1
            self.consume(task.function, task.event)
        return count

    def consume(self, name: str, event: Event) -> None:
        use = {
            "verify_identity": lambda: self.app.verification.verify(event),
            "decide_loan": lambda: self.app.deciding.decide(event),
            "disburse": lambda: self.app.payout_desk.take_up(event),
            "notify": lambda: self.tell(event),
        }
        use[name]()

    def tell(self, event: Event) -> None:
        try:
            self.app.notifying.hear(event)
        finally:
            if event.topic == "payout-failed":
                self.app.alerting.payout_failed(event)

    def kept(self) -> list[KeptAnswer]:
        return self.all(KeptAnswer)


def waits_for_the_gateway(world: World) -> bool:
    """Whether a task will ask the payout gateway again."""
    return any(task.queue == "payout" for task in world.tasks.waiting.values())


def make_world(
    settings: Mapping[str, str] | None = None,
    channels: Iterable[Channel] = ("email", "sms", "whatsapp"),
    store: Store | None = None,
) -> World:
    """A world in which nothing has happened, in memory unless another store is given."""
    app = App(Settings.read(SETTINGS | dict(settings or {})))
    accounts = MemoryAccounts()
    world = World(
        app=app,
        store=store or MemoryStore(),
        clock=FixedClock(START),
        accounts=accounts,
        payments=MemoryPayments(),
        payouts=MemoryPayouts(),
        identity=MemoryIdentityCheck(),
        objects=MemoryObjects(),
        wrapper=MemoryKeys(),
        publisher=MemoryPublisher(),
        tasks=MemoryTasks(),
        messengers={channel: MemoryMessenger(channel) for channel in channels},
        holidays=FixedHolidays(),
    )
    app.store, app.clock, app.ids = world.store, world.clock, NumberedIds()
    app.key_wrapper = world.wrapper
    app.vault = EnvelopeVault(store=world.store, keys=world.wrapper, hash_key=KEY)
    app.links = Links("https://api.invalid", KEY, world.clock)
    app.real_clock = world.clock
    app.accounts, app.token_verifier = accounts, accounts
    app.payment_gateway, app.payout_gateway = world.payments, world.payouts
    app.identity_check, app.objects, app.publisher = world.identity, world.objects, world.publisher
    app.tasks, app.paper_press = world.tasks, OncePress()
    app.messengers, app.holidays = world.messengers, world.holidays
    app.chance = lambda: world.chance
    # What is limited comes back as the world's clock goes on.
    app.limits = replace(app.limits, now=lambda: world.clock.now().timestamp())
    return world
