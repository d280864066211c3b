"""Each channel's copy of a notification, sent when its task brings it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from pinjam.domain.contact import HORIZON_DAYS, WINDOWS, local_instant, may_contact, next_window
from pinjam.domain.notification import FALL_BACK, Notification, event_of
from pinjam.domain.preferences import Preferences, channels_for
from pinjam.domain.task import MOST_TRIES, pause_after
from pinjam.domain.trail import Event
from pinjam.services.borrowers import known
from pinjam.services.devices import devices_of
from pinjam.services.messaging import AddressGone, Message
from pinjam.services.ports import Refused, Unavailable
from pinjam.services.queueing import BATCH, CHANNELS, FUNCTION
from pinjam.services.recording import Actor
from pinjam.services.store import Find
from pinjam.services.telling import tale_of

if TYPE_CHECKING:
    from pinjam.domain.contact import Window
    from pinjam.domain.notification import Channel, Delivery
    from pinjam.domain.user import User
    from pinjam.services.contracts import Contracts
    from pinjam.services.devices import Devices
    from pinjam.services.messaging import Attachment, Messenger
    from pinjam.services.ports import Clock, Holidays
    from pinjam.services.queueing import Queueing
    from pinjam.services.store import Reader, Store, Transaction
    from pinjam.services.telling import Tale

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)
"""A worker that has not reported by then has died; longer than any provider's timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What one event comes to: the words, for whom, where, and on whose behalf."""

    user: User
    tale: Tale
    channels: tuple[Channel, ...]
    actor: Actor


@dataclass(frozen=True, slots=True)
class Delivering:
    """Sends messages, one channel at a time. `chance` (0 to 1) spreads the tries of what failed together."""

    store: Store
    messengers: Mapping[Channel, Messenger]
    contracts: Contracts
    clock: Clock
    devices: Devices
    holidays: Holidays
    queueing: Queueing
    chance: Callable[[], float]

    def telling(self, tx: Reader, event: Event) -> Telling | None:
        """What an event comes to by now; None if it is not, or no longer, to be told."""
        user = known(tx, str(event.data.get("user_id", event.subject)))
        tale = tale_of(tx, event, user, today=self.clock.today())
        preferences = tx.get(Preferences, user.id)
        if tale is None or user.erased_at is not None:
            return None
        if tale.marketing and (user.restricted_at is not None or not (preferences and preferences.marketing)):
            return None
        chosen = channels_for(tale.channels, preferences, mandatory=tale.mandatory)
        reachable = tuple(
            channel
            for channel in chosen
            if channel in self.messengers and (channel != "push" or devices_of(tx, user.id))
        )
        return Telling(user=user, tale=tale, channels=reachable, actor=Actor(id=FUNCTION, request_id=event.request_id))

    def deliver(self, due: Event) -> None:
        """Send what a task brings: one notification on one channel.

        A provider that gives no answer is asked again after a pause that grows, `MOST_TRIES` times in all; one that
        refuses is not asked again. A message given up goes to the channel that stands in for its own, if there is
        one and the borrower hears on it. Messages with a window wait for it, and then say what is true by then.
        Unavailable while somebody else sends the same.
        """
        channel = _channel(due)
        telling = self.store.read(lambda tx: self._telling_of(tx, due.subject))
        if telling is None:
            self._drop(due.subject)
            return
        # Looked up before the transaction: the calendar takes a while to load.
        free = self._days_off(telling) if telling.tale.kind in WINDOWS else frozenset()
        leased = self.store.transact(lambda tx: self._lease(tx, due.subject, channel, telling.user, free))
        delivery = leased.delivery(channel)
        if delivery is not None and delivery.status == "sending":
            leased = self._try(leased, delivery, telling)
        self.queueing.schedule(leased, due.request_id, channels=(channel, FALL_BACK.get(channel, channel)))

    def _telling_of(self, tx: Reader, notification_id: str) -> Telling | None:
        event = tx.get(Event, event_of(notification_id))
        return self.telling(tx, event) if event else None

    def _days_off(self, telling: Telling) -> frozenset[date]:
        today = local_instant(self.clock.now(), telling.user.nik_masked[:2]).date()
        return self.holidays.between(today, today + timedelta(days=HORIZON_DAYS))

    def _lease(
        self, tx: Transaction, notification_id: str, channel: Channel, user: User, free: Container[date]
    ) -> Notification:
        """The notification, its delivery marked as being sent by us; as it is when that is over, or must wait."""
        notification, now = _found(tx, notification_id), self.clock.now()
        delivery = notification.delivery(channel)
        if delivery is None or delivery.is_over:
            return notification
        if delivery.is_leased(now):
            raise Unavailable(channel, f"{notification.id} is being sent")
        if delivery.status == "pending" and delivery.not_before is not None and delivery.not_before > now:
            return notification
        window = WINDOWS.get(notification.kind)
        opens = now if window is None else self._opens(tx, notification, window, user, now, free)
        after = notification.with_deliveries(delivery.waiting(opens) if opens > now else delivery.begun(now + LEASE))
        tx.update(after)
        return after

    def _try(self, notification: Notification, delivery: Delivery, telling: Telling) -> Notification:
        seen = {"notification": notification.id, "channel": delivery.channel, "attempts": delivery.attempts}
        try:
            provider_id = self._send(notification, delivery.channel, telling)
        except Unavailable as fault:
            log.warning("delivery-failed", extra={**seen, "fault": str(fault)})
            if delivery.attempts >= MOST_TRIES:
                return self._give_up(notification.id, delivery, str(fault), telling)
            pause = max(pause_after(delivery.attempts, self.chance()), timedelta(seconds=fault.retry_after_s or 0))
            again = replace(delivery, error=str(fault)).waiting(self.clock.now() + pause)
            return self._report(notification.id, delivery, lambda there: there.with_deliveries(again))
        except Refused as refusal:
            return self._give_up(notification.id, delivery, f"{refusal.service}: {refusal.code}", telling)
        done = delivery.sent(provider_id, self.clock.now())
        return self._report(notification.id, delivery, lambda there: there.with_deliveries(done))

    def _give_up(self, notification_id: str, delivery: Delivery, reason: str, telling: Telling) -> Notification:
        log.error(
            "delivery-given-up",
            extra={"notification": notification_id, "channel": delivery.channel, "reason": reason},
        )
        now = self.clock.now()
        falls_back = self.queueing.stands_in(delivery.channel, telling.user.id)
        return self._report(
            notification_id, delivery, lambda there: there.given_up(delivery, reason, now, fall_back=falls_back)
        )

    def _report(
        self, notification_id: str, leased: Delivery, outcome: Callable[[Notification], Notification]
    ) -> Notification:
        """Write down how it went, unless the channel has told more of it meanwhile."""

        def work(tx: Transaction) -> Notification:
            notification = _found(tx, notification_id)
            there = notification.delivery(leased.channel)
            if there is None or there.is_over or there.attempts != leased.attempts:
                return notification
            after = outcome(notification)
            tx.update(after)
            return after

        return self.store.transact(work)

    def _send(self, notification: Notification, channel: Channel, telling: Telling) -> str:
        """The provider's id for the message; for push, those of all devices that took it."""
        message = _message(notification, channel, telling, self._attachments(channel, telling))
        if channel != "push":
            return self.messengers[channel].send(message)
        sent: list[str] = []
        refusal, fault = Refused("push", "no-device"), None
        for device in self.store.read(lambda tx: devices_of(tx, telling.user.id)):
            try:
                sent.append(self.messengers[channel].send(replace(message, to=self.devices.token(device))))
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

    def _attachments(self, channel: Channel, telling: Telling) -> tuple[Attachment, ...]:
        """What goes along: made only now, so that a message which is not sent costs no paper."""
        if channel != "email" or not telling.tale.with_contract:
            return ()
        return (self.contracts.accepted(telling.user.id, telling.tale.data["loan_id"]),)

    def _opens(
        self,
        tx: Reader,
        notification: Notification,
        window: Window,
        user: User,
        now: datetime,
        free: Container[date],
    ) -> datetime:
        """When one more message under this window may go out to this borrower: now, or later."""
        province = user.nik_masked[:2]
        today = local_instant(now, province).date()
        page = tx.find(Find(kind=Notification, where={"user_id": user.id}, descending=True, limit=BATCH))
        sent = sum(
            (delivery.status == "sending" and delivery.is_leased(now))
            or (delivery.sent_at is not None and local_instant(delivery.sent_at, province).date() == today)
            for one in {each.id: each for each in (*page.items, notification)}.values()
            if WINDOWS.get(one.kind) is window
            for delivery in one.deliveries
        )
        if may_contact(now, province, free, sent, window=window):
            return now
        return next_window(now, province, free, sent, window=window)

    def _drop(self, notification_id: str) -> None:
        """Give up what waits of a notification that is no longer true, as when the debt was paid meanwhile."""

        def work(tx: Transaction) -> None:
            notification = tx.get(Notification, notification_id)
            if notification is None:
                return
            idle = (one for one in notification.open_deliveries if not one.is_leased(self.clock.now()))
            tx.update(notification.with_deliveries(*(one.failed("no longer true") for one in idle)))

        self.store.transact(work)


def _found(tx: Reader, notification_id: str) -> Notification:
    notification = tx.get(Notification, notification_id)
    if notification is None:
        raise LookupError(notification_id)
    return notification


def _channel(due: Event) -> Channel:
    return next(channel for channel in CHANNELS if channel == due.data["channel"])


def _message(
    notification: Notification, channel: Channel, telling: Telling, attachments: tuple[Attachment, ...]
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
