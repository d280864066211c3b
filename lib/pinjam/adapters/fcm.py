"""Push messages through Firebase Cloud Messaging (HTTP v1).

Bodies after firebase.google.com/docs/reference/fcm/rest/v1/projects.messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from pinjam.adapters.http_client import HttpClient
from pinjam.services.messaging import AddressGone
from pinjam.services.ports import Refused

if TYPE_CHECKING:
    from pinjam.adapters.http_client import Reply
    from pinjam.domain.notification import Channel
    from pinjam.services.messaging import Message

SERVICE = "fcm"

UNREGISTERED = "UNREGISTERED"
"""FCM's own code for a device token that is no longer good."""


_LIFE = "86400s"
"""A day. What a device that was off for longer has missed is in the list of notifications."""


class _Answer(BaseModel):
    name: str = Field(min_length=1)


class _Detail(BaseModel):
    errorCode: str | None = None  # noqa: N815 - Google's spelling


class _Error(BaseModel):
    status: str
    details: tuple[_Detail, ...] = ()


class _Refusal(BaseModel):
    error: _Error


class FcmMessenger:
    """Messenger for push.

    `url` is the host (`https://fcm.googleapis.com`); `token` gives an OAuth access token for each call.
    """

    channel: Channel = "push"

    def __init__(self, *, url: str, project: str, token: Callable[[], str], timeout_s: float = 10) -> None:
        self._url = f"{url.rstrip('/')}/v1/projects/{project}/messages:send"
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s, token=token)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, message: Message) -> str:
        """Hand the message over and answer its resource name.

        AddressGone when the app is no longer on the device.
        A repeat carries the same tag and collapse id: the device shows it in the first one's place.
        """
        reply = self._http.send("POST", self._url, json={"message": _body(message)})
        if not reply.accepted:
            code = _code(reply)
            raise (AddressGone if code == UNREGISTERED else Refused)(SERVICE, code)
        return reply.read(_Answer).name


def _body(message: Message) -> dict[str, object]:
    return {
        "token": message.to,
        "notification": {"title": message.subject, "body": message.body},
        "data": dict(message.data or {}),
        "android": {
            "priority": "high",
            "collapse_key": message.id,
            "ttl": _LIFE,
            "notification": {"tag": message.id},
        },
        "apns": {
            "headers": {"apns-priority": "10", "apns-collapse-id": message.id},
            # Android's channels have a sound of their own; iOS is silent without this.
            "payload": {"aps": {"sound": "default"}},
        },
        # Google's delivery reports count by it.
        "fcm_options": {"analytics_label": message.kind},
    }


def _code(reply: Reply) -> str:
    refusal = reply.read_if_shaped(_Refusal)
    if refusal is None:
        return str(reply.status)
    # The status says NOT_FOUND for a wrong project too; only FCM's own code means the token.
    return next((detail.errorCode for detail in refusal.error.details if detail.errorCode), refusal.error.status)
