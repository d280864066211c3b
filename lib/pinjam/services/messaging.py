"""Ports: messages to people, and what becomes of them. Adapters are in `pinjam.adapters`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pinjam.services.ports import Refused

if TYPE_CHECKING:
    from pinjam.domain.notification import Channel
    from pinjam.domain.user import Locale


class AddressGone(Refused):
    """The recipient's address (a device token) is no longer good: forget it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with an answer or a message."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message for one channel. `to` is an address, an E.164 number or a device token.

    `id` is ours, for providers that can drop a repeat. `kind` and `parameters` serve providers that send
    registered templates; `subject` serves e-mail and push. Only e-mail carries `attachments`, and `html`, the
    same message as a page beside the plain `body`.
    """

    id: str
    to: str
    kind: str
    locale: Locale
    subject: str
    body: str
    html: str | None = None
    parameters: tuple[str, ...] = ()
    data: Mapping[str, str] | None = None
    attachments: tuple[Attachment, ...] = ()


class Messenger(Protocol):
    """Sends on one channel."""

    channel: Channel

    def send(self, message: Message) -> str:
        """The provider's id for it. Unavailable when trying again may help, Refused when it will not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStatus:
    """What became of a message after its provider had taken it, as the provider tells.

    `provider_id` is what `Messenger.send` answered; `message_id` is the message's own id, None where the provider
    does not give it back. `error` is the provider's own code, of a failed message only.
    """

    provider_id: str
    status: Literal["sent", "delivered", "read", "failed"]
    at: datetime
    message_id: str | None = None
    error: str | None = None


class MessageReceipts(Protocol):
    """Reads what a messaging provider calls back with. Statuses may come twice, late, and in any order."""

    def read_statuses(self, raw: bytes, signature: str) -> tuple[MessageStatus, ...]:
        """The statuses in a genuine callback, none if it speaks of other things. ForgedNotification for any other;

        ValueError when the body is not the provider's. `raw` is the body as it came, `signature` the header's value.
        """
        ...

    def answer_challenge(self, *, mode: str, verify_token: str, challenge: str) -> str:
        """What proves to the provider that the address is ours. ForgedNotification if it does not know the token."""
        ...
