"""Notifications."""

from typing import Annotated, Literal

from pydantic import Field

from pinjam.domain.notification import Notification
from pinjam.runtime.models.fields import Instant, Paging, Shown


class NotificationQuery(Paging):
    """Which notifications."""

    unread: Annotated[bool, Field(description="Only those that were not read.")] = False


class DeliveryShown(Shown):
    """One channel's copy."""

    channel: Literal["push", "email", "sms", "whatsapp"]
    status: Literal["pending", "sending", "sent", "failed"]
    attempts: int
    sent_at: Instant | None


class NotificationShown(Shown):
    """A message to the borrower."""

    id: str
    kind: str
    title: str
    body: str
    data: dict[str, str]
    read_at: Instant | None
    created_at: Instant
    deliveries: list[DeliveryShown]

    @classmethod
    def of(cls, notification: Notification) -> "NotificationShown":
        """The notification as the API shows it."""
        return cls(
            id=notification.id,
            kind=notification.kind,
            title=notification.title,
            body=notification.body,
            data=dict(notification.data),
            read_at=notification.read_at,
            created_at=notification.created_at,
            deliveries=[
                DeliveryShown(channel=one.channel, status=one.status, attempts=one.attempts, sent_at=one.sent_at)
                for one in notification.deliveries
            ],
        )


class NotificationList(Shown):
    """The borrower's notifications, newest first."""

    notifications: list[NotificationShown]
    unread_count: int
    next_cursor: str | None
