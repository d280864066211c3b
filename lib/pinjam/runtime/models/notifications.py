"""Notifications."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from pinjam.domain.device import Platform
from pinjam.runtime.models.fields import Given, Instant, Paging, Shown, Taken

if TYPE_CHECKING:
    from pinjam.domain.notification import Notification
    from pinjam.domain.preferences import Preferences


class NotificationQuery(Paging):
    """Which notifications."""

    unread: Annotated[bool, Field(description="Only those that were not read.")] = False


DeviceToken = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[!-~]+$",
        description="What Firebase Cloud Messaging knows the app on this device by.",
    ),
]


class DeviceGiven(Given):
    """A device that push messages go to."""

    token: DeviceToken
    platform: Platform


class ChannelsGiven(Given):
    """Which channels to hear on; all four are named."""

    push: Annotated[bool, Field(strict=True)]
    email: Annotated[bool, Field(strict=True)]
    sms: Annotated[bool, Field(strict=True)]
    whatsapp: Annotated[bool, Field(strict=True)]


class PreferencesGiven(Given):
    """The whole choice. What the law or the contract needs is sent by e-mail whatever is chosen."""

    channels: ChannelsGiven
    marketing: Annotated[bool, Field(strict=True)]


class ChannelsShown(Shown):
    """Which channels the borrower hears on."""

    push: bool
    email: bool
    sms: bool
    whatsapp: bool


class PreferencesShown(Shown):
    """What the borrower chose to hear."""

    channels: ChannelsShown
    marketing: bool

    @classmethod
    def of(cls, chosen: "Preferences") -> "PreferencesShown":
        """The preferences as the API shows them."""
        return cls(
            channels=ChannelsShown(push=chosen.push, email=chosen.email, sms=chosen.sms, whatsapp=chosen.whatsapp),
            marketing=chosen.marketing,
        )


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
    def of(cls, notification: "Notification") -> "NotificationShown":
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


class ChallengeQuery(Taken):
    """Meta's question whether the address is ours."""

    mode: Annotated[str, Field(alias="hub.mode", max_length=32)]
    verify_token: Annotated[str, Field(alias="hub.verify_token", max_length=256)]
    challenge: Annotated[str, Field(alias="hub.challenge", max_length=256, pattern=r"^[!-~]+$")]


class WhatsAppCallback(Taken):
    """Meta's signed callback, in its own shape."""

    model_config = ConfigDict(extra="allow")

    object: Annotated[str, Field(max_length=64)]
    entry: list[JsonValue]
