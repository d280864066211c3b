"""A message to a borrower: one entry in the list, one delivery for each channel."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

Channel = Literal["push", "email", "sms", "whatsapp"]
DeliveryStatus = Literal["pending", "sending", "sent", "failed"]

FALL_BACK: Mapping[Channel, Channel] = {"whatsapp": "sms"}
"""Where a message goes instead when its channel has failed for good: the same number, without the app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One channel's copy of a notification.

    `leased_until` keeps a second worker away while a first one is sending. `not_before` is when it is to be sent,
    or looked after again; None once it is sent or given up. `delivered_at` is when the channel told that it
    arrived, where it tells. `error` is the last failure, and of a given up one the reason.
    """

    channel: Channel
    status: DeliveryStatus = "pending"
    attempts: int = 0
    sent_at: datetime | None = None
    provider_id: str | None = None
    error: str | None = None
    leased_until: datetime | None = None
    not_before: datetime | None = None
    delivered_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is sent or given up."""
        return self.status in ("sent", "failed")

    def is_leased(self, now: datetime) -> bool:
        """Whether somebody is sending it."""
        return self.leased_until is not None and self.leased_until > now

    def waiting(self, until: datetime) -> "Delivery":
        """To be sent later."""
        return replace(self, status="pending", leased_until=None, not_before=until)

    def begun(self, lease_end: datetime) -> "Delivery":
        """Being sent; should the sender die, it is looked after again when the lease has ended."""
        return replace(self, status="sending", attempts=self.attempts + 1, leased_until=lease_end, not_before=lease_end)

    def sent(self, provider_id: str, at: datetime) -> "Delivery":
        """Taken by the provider."""
        return replace(
            self, status="sent", sent_at=at, provider_id=provider_id, error=None, leased_until=None, not_before=None
        )

    def failed(self, error: str) -> "Delivery":
        """Given up."""
        return replace(self, status="failed", error=error, leased_until=None, not_before=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a borrower is told, in their language. `data` holds ids that the app can open.

    `waiting_until` is the earliest `not_before` of its deliveries. `undelivered_at` is when one of them was given
    up last, until a person has it tried again.
    """

    id: str
    user_id: str
    kind: str
    title: str
    body: str
    data: Mapping[str, str]
    created_at: datetime
    read_at: datetime | None = None
    deliveries: tuple[Delivery, ...] = ()
    waiting_until: datetime | None = None
    undelivered_at: datetime | None = None

    def delivery(self, channel: Channel) -> Delivery | None:
        """The copy for this channel, None if there is none."""
        return next((one for one in self.deliveries if one.channel == channel), None)

    @property
    def open_deliveries(self) -> tuple[Delivery, ...]:
        """Those that are neither sent nor given up."""
        return tuple(one for one in self.deliveries if not one.is_over)

    def with_deliveries(self, *changed: Delivery) -> "Notification":
        """With these in the place of those of their channels, or added."""
        news = {one.channel: one for one in changed}
        deliveries = tuple(news.pop(one.channel, one) for one in self.deliveries) + tuple(news.values())
        waiting = [one.not_before for one in deliveries if one.not_before is not None]
        return replace(self, deliveries=deliveries, waiting_until=min(waiting, default=None))

    def given_up(self, delivery: Delivery, error: str, at: datetime, *, fall_back: bool) -> "Notification":
        """With one delivery failed for good and, if `fall_back`, the one of the channel that stands in for it."""
        after = replace(self.with_deliveries(delivery.failed(error)), undelivered_at=at)
        instead = FALL_BACK.get(delivery.channel)
        if not fall_back or instead is None or self.delivery(instead) is not None:
            return after
        return after.with_deliveries(Delivery(channel=instead, not_before=at))


def notification_of(event_id: str) -> str:
    """The id of the one notification that an event comes to."""
    return f"ntf_{event_id.partition('_')[2]}"


def event_of(notification_id: str) -> str:
    """The id of the event that a notification tells of."""
    return f"evt_{notification_id.partition('_')[2]}"
