"""SMS through Zenziva, an Indonesian provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.services.ports import Refused

if TYPE_CHECKING:
    from pinjam.domain.notification import Channel
    from pinjam.services.messaging import Message

SERVICE = "zenziva"

_SENT = "1"
_TRY_LATER = frozenset({"89", "99"})
"""Too many at once to one number; credit used up."""


class _Answer(BaseModel):
    # Numbers in some answers, strings in others.
    status: str | int
    messageId: str | int | None = None  # noqa: N815 - the provider's spelling


class ZenzivaMessenger:
    """Messenger for SMS on Zenziva. `url` is the provider's whole endpoint, which differs between its products."""

    channel: Channel = "sms"

    def __init__(self, *, url: str, userkey: str, passkey: str, timeout_s: float = 10) -> None:
        self._url = url
        self._userkey = userkey
        self._passkey = passkey
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, message: Message) -> str:
        """Hand the message over and answer the provider's id. It does not recognise a repeat."""
        reply = self._http.send(
            "POST",
            self._url,
            form={
                "userkey": self._userkey,
                "passkey": self._passkey,
                "to": message.to.removeprefix("+"),
                "message": message.body,
            },
        )
        answer = reply.read_if_shaped(_Answer)
        if not reply.accepted:
            raise Refused(SERVICE, str(answer.status if answer else reply.status))
        answer = reply.read(_Answer)
        status = str(answer.status)
        if status in _TRY_LATER:
            raise unavailable(SERVICE, f"status {status}", retry_after_s=60)
        if status != _SENT:
            raise Refused(SERVICE, status)
        if answer.messageId is None:
            raise unavailable(SERVICE, "the answer names no message")
        return str(answer.messageId)
