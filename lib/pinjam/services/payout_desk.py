"""What moves a payout from outside: events, the gateway's notifications, and people who decide on what is held."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.payout import Payout, PayoutStatus, sent
from pinjam.domain.refund import Refund
from pinjam.domain.task import MOST_TRIES, Task, pause_after
from pinjam.services.errors import Forbidden, Invalid, NotFound, StateForbids
from pinjam.services.owing import waiting
from pinjam.services.paying_out import told
from pinjam.services.ports import ForgedNotification, Unavailable
from pinjam.services.recording import Actor, last_record
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.domain.trail import Event
    from pinjam.services.paying_out import PayingOut
    from pinjam.services.ports import Tasks
    from pinjam.services.store import Page, Reader, Transaction

log = logging.getLogger(__name__)

CONSUMER = "disburse"
GATEWAY = "payout-gateway"
BATCH = 100


@dataclass(frozen=True, slots=True)
class PayoutDesk:
    """Takes in whatever may start, end or release a payout; every repetition is harmless."""

    paying_out: PayingOut
    tasks: Tasks
    chance: Callable[[], float]

    def take_up(self, event: Event) -> None:
        """Pay what an event says may be paid now; a repetition of the event pays nothing more.

        While the gateway gives no answer a task brings the event again, `MOST_TRIES` times in all over a day; the
        sweep goes on asking after that. A payout that the gateway has taken and not ended yet is left to its
        notification, and to the sweep. Unavailable (so that the event comes again) when the task is not safely kept.
        """
        try:
            self._pay(event)
        except Unavailable as fault:
            self._later(event, fault)

    def _later(self, event: Event, fault: Unavailable) -> None:
        tries = int(event.data.get("tries") or 0) + 1
        seen = {"event": event.id, "subject": event.subject, "tries": tries, "fault": str(fault)}
        if tries >= MOST_TRIES:
            log.error("payout-left-to-the-sweep", extra=seen)
            return
        log.warning("payout-unanswered", extra=seen)
        pause = max(pause_after(tries, self.chance()), timedelta(seconds=fault.retry_after_s or 0))
        self.tasks.schedule(
            Task(
                id=f"payout-{event.id}-{tries}",
                queue="payout",
                function=CONSUMER,
                due_at=self.paying_out.clock.now() + pause,
                event=replace(event, data={**event.data, "tries": tries}),
            )
        )

    def _pay(self, event: Event) -> None:
        actor = Actor(id=CONSUMER, request_id=event.request_id)
        match event.topic:
            case "payout-released":
                self.paying_out.check(event.subject, actor=actor)
            case "payment-settled":
                query = Find(kind=Refund, where={"payment_id": event.subject}, limit=BATCH)
                for refund in self.paying_out.store.find(query).items:
                    self.paying_out.pay("refund", refund.id, actor=actor)
            case "bank-account-changed":
                for purpose, subject_id in self.paying_out.store.read(lambda tx: waiting(tx, event.subject)):
                    self.paying_out.pay(purpose, subject_id, actor=actor)
            case _:
                self.paying_out.pay("loan", event.subject, actor=actor)

    def hear(self, raw: bytes, signature: str, *, request_id: str) -> None:
        """Take in the gateway's notification. It only says where to look: what counts is what the gateway answers.

        Forbidden if it is not genuine, NotFound for a payout that is not ours, Unavailable when the gateway
        cannot confirm it now.
        """
        paying_out = self.paying_out
        try:
            reference = paying_out.gateway.read_notification(raw, signature)
        except ForgedNotification:
            raise Forbidden("bad-signature") from None
        except ValueError as wrong:
            raise Invalid(FieldProblem(field=str(wrong), code="required", params={})) from None
        query = Find(kind=Payout, where={"reference": reference}, limit=1)
        found = paying_out.store.find(query).items
        if not found:
            raise NotFound("payout-not-found")
        paying_out.ask(found[0], actor=Actor(id=GATEWAY, request_id=request_id))

    def held(self, limit: int = 20, after: str | None = None) -> Page[Payout]:
        """Payouts that wait for a person, oldest first."""
        query = Find(kind=Payout, where={"status": PayoutStatus.HELD}, limit=limit, after=after)
        return self.paying_out.store.find(query)

    def holder_of(self, payout: Payout) -> str | None:
        """Whom the bank names as the holder of a payout's account now, None if it knows none. Unavailable."""
        return self.paying_out.holder(payout.user_id, payout.account)

    def release(self, payout_id: str, *, reason: str, actor: Actor) -> Payout:
        """Send a held payout to the account that it holds, for a reason that goes into the audit log.

        The sending follows by event. NotFound; StateForbids `payout-not-held`, or `payout-outdated` when what
        is owed has changed since.
        """
        desk = self.paying_out

        def work(tx: Transaction) -> tuple[Payout, tuple[Event, ...]]:
            held = _held(tx, payout_id)
            previous = last_record(tx, payout_id)
            subject = desk.causes[held.purpose].read(tx, held.subject_id)
            owed = subject.owed if subject else None
            if subject is None or owed is None or owed.amount != held.amount:
                raise StateForbids("payout-outdated")
            now = desk.clock.now()
            released = replace(sent(held, now), released_at=now)
            tx.update(released)
            desk.recorder.change(tx, previous, held, released, "payout-released", actor, reason=reason)
            subject.sending(tx, released, actor)
            return released, (told(desk.recorder, tx, "payout-released", released, actor),)

        payout, events = desk.store.transact(work)
        desk.outbox.publish(*events)
        return payout

    def refuse(self, payout_id: str, *, reason: str, actor: Actor) -> Payout:
        """Leave a payout held, for a reason that goes into the audit log; the borrower is asked again for an account.

        NotFound; StateForbids `payout-not-held`.
        """
        desk = self.paying_out

        def work(tx: Transaction) -> tuple[Payout, tuple[Event, ...]]:
            held = _held(tx, payout_id)
            previous = last_record(tx, payout_id)
            kept = replace(held, updated_at=desk.clock.now())
            tx.update(kept)
            desk.recorder.change(tx, previous, held, kept, "payout-refused", actor, reason=reason)
            return kept, (told(desk.recorder, tx, "payout-held", kept, actor),)

        payout, events = desk.store.transact(work)
        desk.outbox.publish(*events)
        return payout


def _held(tx: Reader, payout_id: str) -> Payout:
    payout = tx.get(Payout, payout_id)
    if payout is None:
        raise NotFound("payout-not-found")
    if payout.status is not PayoutStatus.HELD:
        raise StateForbids("payout-not-held", {"status": payout.status.value})
    return payout
