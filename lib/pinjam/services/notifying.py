"""One event, one notification in the list, one delivery on each channel that its kind calls for."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pinjam.domain.contact import COLLECTION, HORIZON_DAYS, local_instant, may_contact, next_window
from pinjam.domain.notification import Channel, Delivery, Notification
from pinjam.domain.preferences import Preferences, channels_for
from pinjam.domain.trail import Event
from pinjam.domain.user import User
from pinjam.services.borrowers import known
from pinjam.services.contracts import Contracts
from pinjam.services.devices import Devices, devices_of
from pinjam.services.errors import NotFound
from pinjam.services.ports import AddressGone, Attachment, Clock, Holidays, Message, Messenger, Refused, Unavailable
from pinjam.services.recording import Actor, consume
from pinjam.services.store import Conflict, Find, Page, Reader, Store, Transaction
from pinjam.services.telling import Tale, tale_of

log = logging.getLogger(__name__)

CONSUMER = "notify"
LEASE = timedelta(minutes=2)
"""A worker that has not reported by then has died; longer than any provider's timeout."""
MOST_ATTEMPTS = 8
BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Telling:
    """What one event comes to: the words, for whom and on whose behalf."""

    user: User
    tale: Tale
    channels: tuple[Channel, ...]
    actor: Actor


@dataclass(frozen=True, slots=True)
class Notifying:
    """Tells borrowers what happened."""

    store: Store
    messengers: Mapping[Channel, Messenger]
    contracts: Contracts
    clock: Clock
    devices: Devices
    holidays: Holidays

    def notify(self, event: Event) -> None:
        """Make the notification that an event calls for, once, and send what has not been sent of it.

        Unavailable (so that the event comes again) while a channel's provider gives no answer; a channel
        that refuses, or fails `MOST_ATTEMPTS` times, has failed and is not tried again. A message of
        collection waits for its hour: it is in the list at once, and `resume` sends it.
        """
        notification_id = f"ntf_{event.id.partition('_')[2]}"
        telling, standing = self.store.read(lambda tx: self._gather(tx, event, notification_id))
        if telling is None:
            if standing is not None:
                self._drop(standing.id)
            return
        notification = standing or self._create(event, notification_id, telling)
        unanswered = [
            delivery.channel
            for delivery in notification.deliveries
            if delivery.status in ("pending", "sending") and not self._deliver(notification, delivery.channel, telling)
        ]
        if unanswered:
            raise Unavailable(", ".join(unanswered), f"{notification.id} not delivered yet")

    def resume(self, notification_id: str) -> None:
        """Send what waits of a notification, in the words that are true by now. Unavailable as for `notify`."""
        event = self.store.read(lambda tx: tx.get(Event, f"evt_{notification_id.partition('_')[2]}"))
        if event is None:
            self._drop(notification_id)
        else:
            self.notify(event)

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

    def read(self, user_id: str, notification_id: str) -> None:
        """Mark one of the borrower's notifications as read; reading again keeps the first time."""

        def work(tx: Transaction) -> None:
            notification = tx.get(Notification, notification_id)
            if notification is None or notification.user_id != user_id:
                raise NotFound
            if notification.read_at is None:
                tx.update(replace(notification, read_at=self.clock.now()))

        self.store.transact(work)

    def read_all(self, user_id: str) -> None:
        """Mark all of the borrower's notifications as read, a batch at a time."""
        unread = Find(kind=Notification, where={"user_id": user_id, "read_at": None}, limit=BATCH)

        def work(tx: Transaction) -> bool:
            page = tx.find(unread)
            for notification in page.items:
                tx.update(replace(notification, read_at=self.clock.now()))
            return page.next_cursor is not None

        while self.store.transact(work):
            pass

    def _gather(self, tx: Reader, event: Event, notification_id: str) -> tuple[_Telling | None, Notification | None]:
        standing = tx.get(Notification, notification_id)
        user = known(tx, str(event.data.get("user_id", event.subject)))
        tale = tale_of(tx, event, user, today=self.clock.today())
        if tale is None:
            return None, standing
        chosen = channels_for(tale.channels, tx.get(Preferences, user.id), mandatory=tale.mandatory)
        reachable = tuple(
            channel
            for channel in chosen
            if channel in self.messengers and (channel != "push" or devices_of(tx, user.id))
        )
        actor = Actor(id=CONSUMER, request_id=event.request_id)
        return _Telling(user=user, tale=tale, channels=reachable, actor=actor), standing

    def _create(self, event: Event, notification_id: str, telling: _Telling) -> Notification:
        tale, now = telling.tale, self.clock.now()
        # The event that made it sends it at once, if it may go out now; the sweep looks after what then is left.
        not_before = now + LEASE if tale.kind in COLLECTION else None
        notification = Notification(
            id=notification_id,
            user_id=telling.user.id,
            kind=tale.kind,
            title=tale.title,
            body=tale.body,
            data=tale.data,
            created_at=now,
            deliveries=tuple(Delivery(channel=channel, not_before=not_before) for channel in telling.channels),
            waiting_until=not_before if telling.channels else None,
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

    def _deliver(self, notification: Notification, channel: Channel, telling: _Telling) -> bool:
        """Send on one channel unless somebody else is; whether the channel needs no further try."""
        lease = self._lease(notification.id, channel, telling.user)
        if lease is None:
            return False
        if lease.status != "sending":
            return True
        try:
            provider_id = self._send(notification, channel, telling)
        except Unavailable as fault:
            given_up = lease.attempts >= MOST_ATTEMPTS
            outcome = replace(lease, status="failed" if given_up else "pending", error=str(fault), leased_until=None)
            if lease.not_before is not None and not given_up:
                outcome = replace(outcome, not_before=self.clock.now())
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

    def _attachments(self, channel: Channel, telling: _Telling) -> tuple[Attachment, ...]:
        """What goes along: made only now, so that a message which is not sent costs no paper."""
        if channel != "email" or not telling.tale.with_contract:
            return ()
        return (self.contracts.accepted(telling.user.id, telling.tale.data["loan_id"]),)

    def _send(self, notification: Notification, channel: Channel, telling: _Telling) -> str:
        """The provider's id for the message; for push, those of all devices that took it."""
        message = _message(notification, channel, telling, self._attachments(channel, telling))
        if channel != "push":
            return self.messengers[channel].send(message)
        sent: list[str] = []
        refusal, fault = Refused("push", "no-device"), None
        for device in self.store.read(lambda tx: devices_of(tx, telling.user.id)):
            try:
                sent.append(self.messengers[channel].send(replace(message, to=device.token or "")))
            except AddressGone as gone:
                refusal = gone
                self.devices.drop(device, actor=telling.actor)
            except Refused as refused:
                refusal = refused
            except Unavailable as unanswered:
                fault = unanswered
        if fault is not None:
            raise fault  # All are tried again; a device shows a repeat in the place of the first.
        if not sent:
            raise refusal
        return " ".join(sent)

    def _lease(self, notification_id: str, channel: Channel, user: User) -> Delivery | None:
        """The delivery, marked as being sent by us; as it is when it is over or waits; None while another sends."""

        def work(tx: Transaction) -> Delivery | None:
            notification, delivery = _found(tx, notification_id, channel)
            now = self.clock.now()
            if delivery.status in ("sent", "failed"):
                return delivery
            if delivery.leased_until is not None and delivery.leased_until > now:
                return None
            lease_end = now + LEASE
            if notification.kind in COLLECTION:
                opens = self._opens(tx, notification, user, now)
                if opens > now:
                    waiting = replace(delivery, status="pending", leased_until=None, not_before=opens)
                    tx.update(_with(notification, waiting))
                    return waiting
                # Should we die while sending, the sweep comes by after the lease.
                delivery = replace(delivery, not_before=lease_end)
            leased = replace(delivery, status="sending", attempts=delivery.attempts + 1, leased_until=lease_end)
            tx.update(_with(notification, leased))
            return leased

        return self.store.transact(work)

    def _opens(self, tx: Reader, notification: Notification, user: User, now: datetime) -> datetime:
        """When one more message of collection may go out to this borrower: now, or later."""
        province = user.nik_masked[:2]
        today = local_instant(now, province).date()
        page = tx.find(Find(kind=Notification, where={"user_id": user.id}, descending=True, limit=BATCH))
        sent = sum(
            (delivery.status == "sending" and delivery.leased_until is not None and delivery.leased_until > now)
            or (delivery.sent_at is not None and local_instant(delivery.sent_at, province).date() == today)
            for one in {each.id: each for each in (*page.items, notification)}.values()
            if one.kind in COLLECTION
            for delivery in one.deliveries
        )
        holidays = self.holidays.between(today, today + timedelta(days=HORIZON_DAYS))
        if may_contact(now, province, holidays, sent):
            return now
        return next_window(now, province, holidays, sent)

    def _drop(self, notification_id: str) -> None:
        """Give up what waits of a notification that is no longer true, as when the debt was paid meanwhile."""

        def work(tx: Transaction) -> None:
            notification = tx.get(Notification, notification_id)
            if notification is None:
                return
            for delivery in notification.deliveries:
                idle = delivery.leased_until is None or delivery.leased_until <= self.clock.now()
                if delivery.not_before is not None and idle:
                    outcome = replace(delivery, status="failed", error="no longer true", leased_until=None)
                    notification = _with(notification, outcome)
            tx.update(notification)

        self.store.transact(work)

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
    if delivery.status in ("sent", "failed"):
        delivery = replace(delivery, not_before=None)
    deliveries = tuple(delivery if one.channel == delivery.channel else one for one in notification.deliveries)
    waiting = [one.not_before for one in deliveries if one.not_before is not None]
    return replace(notification, deliveries=deliveries, waiting_until=min(waiting, default=None))


def _message(
    notification: Notification, channel: Channel, telling: _Telling, attachments: tuple[Attachment, ...]
) -> Message:
    user, tale = telling.user, telling.tale
    return Message(
        id=f"{notification.id}-{channel}",
        to=user.email if channel == "email" else user.phone,
        kind=tale.kind,  # Where it waited for its hour, what is true now.
        locale=user.locale,
        subject=tale.title,
        body=tale.email.text if channel == "email" else tale.sms if channel == "sms" else tale.body,
        html=tale.email.html if channel == "email" else None,
        parameters=tale.parameters,
        data=tale.data,
        attachments=attachments,
    )
