"""One event, one notification in the list, one delivery on each channel that its kind calls for."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from pinjam.domain.notification import Channel, Delivery, Notification
from pinjam.domain.trail import Event
from pinjam.domain.user import User
from pinjam.services.borrowers import known
from pinjam.services.contracts import Contracts
from pinjam.services.ports import Attachment, Clock, Message, Messenger, Refused, Unavailable
from pinjam.services.recording import consume
from pinjam.services.store import Conflict, Find, Page, Reader, Store, Transaction
from pinjam.services.telling import Tale, tale_of

log = logging.getLogger(__name__)

CONSUMER = "notify"
LEASE = timedelta(minutes=2)
"""A worker that has not reported by then has died; longer than any provider's timeout."""
MOST_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Notifying:
    """Tells borrowers what happened."""

    store: Store
    messengers: Mapping[Channel, Messenger]
    contracts: Contracts
    clock: Clock

    def notify(self, event: Event) -> None:
        """Make the notification that an event calls for, once, and send what has not been sent of it.

        Unavailable (so that the event comes again) while a channel's provider gives no answer; a channel
        that refuses, or fails `MOST_ATTEMPTS` times, has failed and is not tried again.
        """
        notification_id = f"ntf_{event.id.partition('_')[2]}"
        user, tale, standing = self.store.read(lambda tx: self._gather(tx, event, notification_id))
        if user is None or tale is None:
            return
        notification = standing or self._create(event, notification_id, user, tale)
        unanswered = [
            delivery.channel
            for delivery in notification.deliveries
            if delivery.status in ("pending", "sending")
            and not self._deliver(notification, delivery.channel, user, tale)
        ]
        if unanswered:
            raise Unavailable(", ".join(unanswered), f"{notification.id} not delivered yet")

    def list(self, user_id: str, *, unread: bool, limit: int, after: str | None) -> tuple[Page[Notification], int]:
        """The borrower's notifications, newest first, and how many are unread."""
        where: dict[str, str | None] = {"user_id": user_id}
        mine_unread: dict[str, str | None] = {"user_id": user_id, "read_at": None}
        query = Find(
            kind=Notification,
            where=mine_unread if unread else where,
            descending=True,
            limit=limit,
            after=after,
        )
        return self.store.read(lambda tx: (tx.find(query), tx.count(Notification, mine_unread)))

    def _gather(
        self, tx: Reader, event: Event, notification_id: str
    ) -> tuple[User | None, Tale | None, Notification | None]:
        standing = tx.get(Notification, notification_id)
        user_id = event.data.get("user_id", event.subject)
        user = known(tx, str(user_id))
        return user, tale_of(tx, event, user, today=self.clock.today()), standing

    def _create(self, event: Event, notification_id: str, user: User, tale: Tale) -> Notification:
        notification = Notification(
            id=notification_id,
            user_id=user.id,
            kind=tale.kind,
            title=tale.title,
            body=tale.body,
            data=tale.data,
            created_at=self.clock.now(),
            deliveries=tuple(Delivery(channel=channel) for channel in tale.channels if channel in self.messengers),
        )

        def work(tx: Transaction) -> None:
            tx.insert(notification)
            consume(tx, CONSUMER, event, self.clock.now())

        try:
            self.store.transact(work)
        except Conflict:
            standing = self.store.read(lambda tx: tx.get(Notification, notification_id))
            if standing is None:
                raise
            return standing
        return notification

    def _deliver(self, notification: Notification, channel: Channel, user: User, tale: Tale) -> bool:
        """Send on one channel unless somebody else is; whether the channel needs no further try."""
        lease = self._lease(notification.id, channel)
        if lease is None:
            return False
        if lease.status in ("sent", "failed"):
            return True
        try:
            message = _message(notification, channel, user, tale, self._attachments(channel, user, tale))
            provider_id = self.messengers[channel].send(message)
        except Unavailable as fault:
            given_up = lease.attempts >= MOST_ATTEMPTS
            outcome = replace(lease, status="failed" if given_up else "pending", error=str(fault), leased_until=None)
            log.warning("delivery-failed", extra={"notification": notification.id, "channel": channel})
        except Refused as refusal:
            given_up = True
            outcome = replace(lease, status="failed", error=f"{refusal.service}: {refusal.code}", leased_until=None)
            log.error("delivery-refused", extra={"notification": notification.id, "channel": channel})
        else:
            given_up = True
            outcome = replace(
                lease,
                status="sent",
                sent_at=self.clock.now(),
                provider_id=provider_id,
                error=None,
                leased_until=None,
            )
        self._report(notification.id, outcome)
        return given_up

    def _attachments(self, channel: Channel, user: User, tale: Tale) -> tuple[Attachment, ...]:
        """What goes along: made only now, so that a message which is not sent costs no paper."""
        if channel != "email" or not tale.with_contract:
            return ()
        return (self.contracts.accepted(user.id, tale.data["loan_id"]),)

    def _lease(self, notification_id: str, channel: Channel) -> Delivery | None:
        """The delivery, marked as being sent by us; as it is when it is over; None while another sends."""

        def work(tx: Transaction) -> Delivery | None:
            notification, delivery = _found(tx, notification_id, channel)
            now = self.clock.now()
            if delivery.status in ("sent", "failed"):
                return delivery
            if delivery.leased_until is not None and delivery.leased_until > now:
                return None
            leased = replace(delivery, status="sending", attempts=delivery.attempts + 1, leased_until=now + LEASE)
            tx.update(_with(notification, leased))
            return leased

        return self.store.transact(work)

    def _report(self, notification_id: str, outcome: Delivery) -> None:
        def work(tx: Transaction) -> None:
            notification, _ = _found(tx, notification_id, outcome.channel)
            tx.update(_with(notification, outcome))

        self.store.transact(work)


def _found(tx: Reader, notification_id: str, channel: Channel) -> tuple[Notification, Delivery]:
    notification = tx.get(Notification, notification_id)
    if notification is None:
        raise LookupError(notification_id)
    return notification, next(one for one in notification.deliveries if one.channel == channel)


def _with(notification: Notification, delivery: Delivery) -> Notification:
    deliveries = tuple(delivery if one.channel == delivery.channel else one for one in notification.deliveries)
    return replace(notification, deliveries=deliveries)


def _message(
    notification: Notification, channel: Channel, user: User, tale: Tale, attachments: tuple[Attachment, ...]
) -> Message:
    return Message(
        id=f"{notification.id}-{channel}",
        to=user.email if channel == "email" else user.phone,
        kind=notification.kind,
        locale=user.locale,
        subject=tale.title,
        body=tale.sms if channel == "sms" else tale.body,
        parameters=tale.parameters,
        data=tale.data,
        attachments=attachments,
    )
