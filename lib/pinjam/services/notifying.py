"""One event, one notification in the list, one delivery on each channel that its kind calls for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pinjam.domain.notification import Delivery, Notification, notification_of
from pinjam.domain.task import Task
from pinjam.domain.trail import Consumption
from pinjam.services.queueing import FUNCTION
from pinjam.services.recording import consume
from pinjam.services.store import Conflict

if TYPE_CHECKING:
    from pinjam.domain.trail import Event
    from pinjam.services.code_mail import CodeMail
    from pinjam.services.delivering import Delivering, Telling
    from pinjam.services.ports import Clock, Ids, Tasks
    from pinjam.services.queueing import Queueing
    from pinjam.services.store import Store, Transaction

INVITE_AFTER = timedelta(days=3)
"""So long after a loan was repaid who consented hears that they may apply again; once for each loan."""


@dataclass(frozen=True, slots=True)
class Notifying:
    """Tells borrowers what happened."""

    store: Store
    clock: Clock
    ids: Ids
    tasks: Tasks
    queueing: Queueing
    delivering: Delivering
    code_mail: CodeMail

    def hear(self, event: Event) -> None:
        """Make the notification that an event calls for, once, and have it sent; or send what a task brings.

        Unavailable (so that the event comes again) while the sending is not safely kept.
        """
        if event.topic == "delivery-due":
            self.delivering.deliver(event)
            return
        if event.topic == "reset-code-due":
            self.code_mail.send(event)
            return
        if event.topic == "loan-settled":
            self.tasks.schedule(self._invitation(event))
        notification_id = notification_of(event.id)
        telling, standing = self.store.read(
            lambda tx: (self.delivering.telling(tx, event), tx.get(Notification, notification_id))
        )
        if telling is not None:
            standing = standing or self._create(event, notification_id, telling)
        if standing is not None:
            self.queueing.schedule(standing, event.request_id)

    def _create(self, event: Event, notification_id: str, telling: Telling) -> Notification | None:
        tale, now = telling.tale, self.clock.now()
        notification = Notification(
            id=notification_id,
            user_id=telling.user.id,
            kind=tale.kind,
            title=tale.title,
            body=tale.body,
            data=tale.data,
            created_at=now,
        ).with_deliveries(*(Delivery(channel=channel, not_before=now) for channel in telling.channels))

        def work(tx: Transaction) -> None:
            tx.insert(notification)
            consume(tx, FUNCTION, event, now)
            if event.topic == "loan-invitation":
                # A task brought it, so it is not in the outbox, where what is told is looked up again.
                tx.insert(replace(event, published_at=now))
                tx.insert(Consumption(id=f"{FUNCTION}:invitation:{event.subject}", consumed_at=now))

        try:
            self.store.transact(work)
        except Conflict:
            standing = self.store.get(Notification, notification_id)
            if standing is None and event.topic != "loan-invitation":
                raise
            return standing
        return notification

    def _invitation(self, settled: Event) -> Task:
        """To say, some days after a loan was repaid, that the borrower may apply again."""
        due_at = settled.occurred_at + INVITE_AFTER
        event = replace(settled, id=self.ids.new("evt"), topic="loan-invitation", occurred_at=due_at)
        return Task(id=f"{settled.subject}-invitation", queue="email", function=FUNCTION, due_at=due_at, event=event)
