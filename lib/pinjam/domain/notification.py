"""A message to a borrower: one entry in the list, one delivery for each channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Channel = Literal["push", "email", "sms", "whatsapp"]
DeliveryStatus = Literal["pending", "sending", "sent", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One channel's copy of a notification.

    `leased_until` keeps a second worker away while a first one is sending. `not_before` is set while a message
    that may not go out at every hour is not yet sent or given up; the sweep takes it up from then on.
    """

    channel: Channel
    status: DeliveryStatus = "pending"
    attempts: int = 0
    sent_at: datetime | None = None
    provider_id: str | None = None
    error: str | None = None
    leased_until: datetime | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a borrower is told, in their language. `data` holds ids that the app can open.

    `waiting_until` is the earliest `not_before` of its deliveries.
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
