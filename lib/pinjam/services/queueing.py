"""Deliveries on their way: each is brought to the function that sends it by a task of its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from pinjam.domain.notification import FALL_BACK, Channel, Notification, event_of
from pinjam.domain.preferences import Preferences
from pinjam.domain.task import Task
from pinjam.domain.trail import Event
from pinjam.services.errors import NotFound
from pinjam.services.recording import last_record
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.domain.notification import Delivery
    from pinjam.services.ports import Clock, Tasks
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.store import Page, Store, Transaction

FUNCTION = "notify"
CHANNELS: tuple[Channel, ...] = get_args(Channel)
BATCH = 100
BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Queueing:
    """Has deliveries sent when it is time. It needs no provider, so whoever only hears of messages holds no secret."""

    store: Store
    clock: Clock
    tasks: Tasks
    recorder: Recorder

    def schedule(
        self,
        notification: Notification,
        request_id: str,
        *,
        channels: Collection[Channel] = CHANNELS,
        anew: bool = False,
    ) -> None:
        """Have each open delivery brought to `Delivering.deliver` when it is time; once, however often it is asked.

        With `anew`, even if a task for it was there: for what a lost task left behind. Unavailable if that is not
        safely kept.
        """
        now = self.clock.now()
        self.tasks.schedule(
            *(
                _task(notification, one, now if anew else one.not_before or now, request_id)
                for one in notification.open_deliveries
                if one.channel in channels
            )
        )

    def stands_in(self, channel: Channel, user_id: str) -> bool:
        """Whether another channel takes the message when this one has failed: there is one, and it is not unwanted."""
        instead = FALL_BACK.get(channel)
        if instead is None:
            return False
        preferences = self.store.get(Preferences, user_id)
        return preferences is None or preferences.wants(instead)

    def undelivered(self, *, after: str | None) -> Page[Notification]:
        """The messages that were given up on some channel, the oldest first, a batch at a time."""
        query = Find(kind=Notification, order="undelivered_at", at_least=BEGINNING, limit=BATCH, after=after)
        return self.store.find(query)

    def again(self, notification_id: str, *, actor: Actor) -> tuple[Channel, ...]:
        """Have a given up message tried anew on the channels that failed, which are answered.

        NotFound if none did, or if what it told of has been forgotten meanwhile.
        """

        def work(tx: Transaction) -> Notification:
            notification = tx.get(Notification, notification_id)
            if notification is None or notification.undelivered_at is None:
                raise NotFound
            if tx.get(Event, event_of(notification_id)) is None:
                raise NotFound
            previous = last_record(tx, notification.user_id)
            now = self.clock.now()
            failed = (one for one in notification.deliveries if one.status == "failed")
            anew = (replace(one, status="pending", attempts=0, not_before=now) for one in failed)
            after = replace(notification.with_deliveries(*anew), undelivered_at=None)
            tx.update(after)
            self.recorder.audit(
                tx,
                previous,
                subject=notification.user_id,
                action="message-tried-again",
                actor=actor,
                before=None,
                after={"notification": notification_id},
            )
            return after

        notification = self.store.transact(work)
        self.schedule(notification, actor.request_id)
        return tuple(one.channel for one in notification.open_deliveries)


def waiting_since(before: datetime) -> Find[Notification]:
    """The notifications of which something was due before then and is neither sent nor given up."""
    return Find(kind=Notification, order="waiting_until", below=before, limit=BATCH)


def _task(notification: Notification, delivery: Delivery, due_at: datetime, request_id: str) -> Task:
    """The task of one delivery's next try. Its id tells that try from all others."""
    event = Event(
        id=event_of(notification.id),
        topic="delivery-due",
        subject=notification.id,
        data={"user_id": notification.user_id, "channel": delivery.channel},
        request_id=request_id,
        occurred_at=notification.created_at,
    )
    return Task(
        id=f"{notification.id}-{delivery.channel}-{int(due_at.timestamp() * 1_000_000)}",
        queue=delivery.channel,
        function=FUNCTION,
        due_at=due_at,
        event=event,
    )
