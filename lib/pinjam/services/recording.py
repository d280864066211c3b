"""What every change leaves behind: an audit record and, where others must hear of it, an event."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from pinjam.domain.trail import AuditRecord, Consumption, Event
from pinjam.services.ports import NoSuchTopic, Unavailable
from pinjam.services.store import Contention, Find, StoreUnavailable

if TYPE_CHECKING:
    from pinjam.domain.trail import Topic
    from pinjam.services.ports import Clock, Ids, Publisher
    from pinjam.services.store import Reader, Store, Transaction

log = logging.getLogger(__name__)

SYSTEM = "system"
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks, and on which request. `id` is a borrower's id, or the name of a function.

    `token_issued_at` is when the borrower's ID token was issued; None for whoever has none.
    """

    id: str
    request_id: str
    token_issued_at: datetime | None = None


class Audited(Protocol):
    """What has a chain of audit records of its own, beside the borrower: a loan, payment, refund or payout."""

    @property
    def id(self) -> str:
        """Whose chain it is."""
        ...

    def audit_facts(self) -> dict[str, object]:
        """What an audit record keeps of it: its state and its money, and no personal data."""
        ...


A = TypeVar("A", bound=Audited)


def trail_of(subject: str) -> Find[AuditRecord]:
    """What finds the newest audit record of a subject."""
    return Find(kind=AuditRecord, where={"subject": subject}, order="number", descending=True, limit=1)


def last_record(tx: Reader, subject: str) -> AuditRecord | None:
    """The newest audit record of a subject; read it before the writes of a transaction."""
    page = tx.find(trail_of(subject))
    return page.items[0] if page.items else None


def audit_text(record: AuditRecord) -> str:
    """Every field but the hash itself, in the canonical form that is hashed."""
    facts = [
        record.id,
        record.subject,
        record.number,
        record.action,
        record.actor,
        record.request_id,
        record.at.isoformat(),
        record.before,
        record.after,
        record.previous,
    ]
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def audit_hash(record: AuditRecord) -> str:
    """SHA-256 (hex) over every field but the hash itself, in a canonical form."""
    return hashlib.sha256(audit_text(record).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes audit records and events into a running transaction."""

    clock: Clock
    ids: Ids

    def audit(
        self,
        tx: Transaction,
        previous: AuditRecord | None,
        *,
        subject: str,
        action: str,
        actor: Actor,
        before: Mapping[str, object] | None,
        after: Mapping[str, object],
    ) -> AuditRecord:
        """Add the next record to the subject's chain and return it. No personal data belongs in it."""
        record = AuditRecord(
            id=self.ids.new("aud"),
            subject=subject,
            number=previous.number + 1 if previous else 1,
            action=action,
            actor=actor.id,
            request_id=actor.request_id,
            at=self.clock.now(),
            before=before,
            after=after,
            previous=previous.hash if previous else GENESIS,
            hash="",
        )
        record = replace(record, hash=audit_hash(record))
        tx.insert(record)
        return record

    def change(
        self,
        tx: Transaction,
        previous: AuditRecord | None,
        before: A | None,
        after: A,
        action: str,
        actor: Actor,
        *,
        reason: str | None = None,
    ) -> AuditRecord:
        """Add the next record to the chain of a loan, payment, refund or payout; `reason` is why a person did it."""
        return self.audit(
            tx,
            previous,
            subject=after.id,
            action=action,
            actor=actor,
            before=before.audit_facts() if before else None,
            after=after.audit_facts() if reason is None else {**after.audit_facts(), "reason": reason},
        )

    def event(self, tx: Transaction, topic: Topic, *, subject: str, actor: Actor, **data: str | int | None) -> Event:
        """Put an event into the outbox and return it, to be published after the commit."""
        event = Event(
            id=self.ids.new("evt"),
            topic=topic,
            subject=subject,
            data=data,
            request_id=actor.request_id,
            occurred_at=self.clock.now(),
        )
        tx.insert(event)
        return event


def _figures(event: Event) -> dict[str, object]:
    """What an event may say of itself in a log, to be counted and summed there: no ids, and nothing personal."""
    return {name: event.data[name] for name in ("amount", "outcome") if name in event.data}


@dataclass(frozen=True, slots=True)
class Outbox:
    """Publishes events once their transaction is committed."""

    store: Store
    publisher: Publisher
    clock: Clock

    def publish(self, *events: Event) -> None:
        """Hand events over now. When that fails they stay in the outbox, and `relay` takes them up."""
        if not events:
            return
        fault: Exception | None
        try:
            _, fault = self._hand_over(events)
        except (Unavailable, Contention, StoreUnavailable) as all_left:
            fault = all_left
        if fault is not None:
            log.warning("event-left-in-outbox", extra={"topics": [e.topic for e in events], "fault": str(fault)})

    def relay(self, *, older_than: datetime, batch: int = 100) -> int:
        """Publish what was left behind before `older_than`; how many. Unavailable if it still cannot be.

        An event whose topic is not there stays, is told as NoSuchTopic in the end, and holds up no other.
        """
        published, cursor, missing = 0, None, None
        while True:
            query = Find(kind=Event, where={"published_at": None}, limit=batch, after=cursor)
            page = self.store.find(query)
            events = [event for event in page.items if event.occurred_at < older_than]
            if events:
                handed_over, fault = self._hand_over(events)
                published += handed_over
                missing = fault or missing
            cursor = page.next_cursor
            if cursor is None:
                break
        if missing is not None:
            raise missing
        return published

    def _hand_over(self, events: Sequence[Event]) -> tuple[int, NoSuchTopic | None]:
        """Publish and mark; how many, and the fault of those that had to stay."""
        missing = None
        try:
            self.publisher.publish(events)
        except NoSuchTopic as fault:
            missing = fault
        kept = tuple(event for event in events if missing is None or event.topic not in missing.topics)
        if kept:
            self._mark(kept)
        for event in kept:
            log.info("event-published", extra={"topic": event.topic, "event": event.id, **_figures(event)})
        return len(kept), missing

    def _mark(self, events: tuple[Event, ...]) -> None:
        at = self.clock.now()

        def work(tx: Transaction) -> None:
            for event in events:
                tx.update(replace(event, published_at=at))

        self.store.transact(work)


def consumed(tx: Reader, consumer: str, event: Event) -> bool:
    """Whether this consumer has had the effect of this event."""
    return tx.get(Consumption, f"{consumer}:{event.id}") is not None


def consume(tx: Transaction, consumer: str, event: Event, at: datetime) -> None:
    """Record, in the transaction of the effect, that the event had it."""
    tx.insert(Consumption(id=f"{consumer}:{event.id}", consumed_at=at))
