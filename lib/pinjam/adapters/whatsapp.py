"""WhatsApp Cloud API: messages from templates that Meta has approved.

Bodies after developers.facebook.com/docs/whatsapp/cloud-api (messages, error codes, webhooks: status messages).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import BaseModel, Field

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.services.messaging import MessageStatus
from pinjam.services.ports import ForgedNotification, Refused

if TYPE_CHECKING:
    from pinjam.domain.notification import Channel
    from pinjam.services.messaging import Message

SERVICE = "whatsapp"

_TRY_LATER = frozenset({1, 2, 4, 80007, 130429, 131000, 131016, 131048, 131056, 131057, 133004, 133016})
"""Error codes that mean "not now": limits and outages, which the API may send as a plain 400."""


class _Sent(BaseModel):
    id: str = Field(min_length=1)


class _Answer(BaseModel):
    messages: tuple[_Sent, ...] = Field(min_length=1)


class _Error(BaseModel):
    code: int


class _Refusal(BaseModel):
    error: _Error


_Outcome = Literal["sent", "delivered", "read", "failed"]
_OUTCOMES: tuple[_Outcome, ...] = get_args(_Outcome)


class _Status(BaseModel):
    """One status. A kind that is not known here (`played`, of voice messages) is not about our messages."""

    id: str = Field(min_length=1)
    status: str
    # Seconds since 1970, up to the year 9999.
    timestamp: Annotated[str, Field(pattern=r"^[0-9]{1,11}$")]
    biz_opaque_callback_data: str | None = None
    errors: tuple[_Error, ...] = ()


class _Value(BaseModel):
    statuses: tuple[_Status, ...] = ()


class _Change(BaseModel):
    value: _Value


class _Entry(BaseModel):
    changes: tuple[_Change, ...]


class _Callback(BaseModel):
    object: Literal["whatsapp_business_account"]
    entry: tuple[_Entry, ...]


class WhatsAppMessenger:
    """Messenger for WhatsApp.

    `url` is the host (`https://graph.facebook.com`). The template's name is the message's kind, with the
    underscores that Meta's names have for hyphens; its parameters are the message's, in order.
    """

    channel: Channel = "whatsapp"

    def __init__(
        self, *, url: str, phone_number_id: str, token: str, version: str = "v23.0", timeout_s: float = 10
    ) -> None:
        self._url = f"{url.rstrip('/')}/{version}/{phone_number_id}/messages"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, message: Message) -> str:
        """Hand the message over and answer its `wamid`. WhatsApp does not recognise a repeat."""
        reply = self._http.send("POST", self._url, json=_body(message), headers=self._headers)
        if reply.accepted:
            return reply.read(_Answer).messages[0].id
        refusal = reply.read_if_shaped(_Refusal)
        if refusal is None:
            raise Refused(SERVICE, str(reply.status))
        if refusal.error.code in _TRY_LATER:
            raise unavailable(SERVICE, f"error {refusal.error.code}", retry_after_s=60)
        raise Refused(SERVICE, str(refusal.error.code))


class WhatsAppReceipts:
    """MessageReceipts on the callbacks that Meta signs with `X-Hub-Signature-256`.

    `app_secret` is the app's, the key of the signature; `verify_token` is what was entered at Meta beside our address.
    """

    def __init__(self, *, app_secret: str, verify_token: str) -> None:
        self._app_secret = app_secret.encode()
        self._verify_token = verify_token.encode()

    def read_statuses(self, raw: bytes, signature: str) -> tuple[MessageStatus, ...]:
        """The statuses in a genuine callback, in its order; those of incoming messages and other news are none."""
        genuine = "sha256=" + hmac.new(self._app_secret, raw, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(genuine.encode(), signature.encode()):
            raise ForgedNotification
        callback = _Callback.model_validate_json(raw)
        statuses = (one for entry in callback.entry for change in entry.changes for one in change.value.statuses)
        return tuple(_message_status(one, outcome) for one in statuses if (outcome := _outcome(one)) is not None)

    def answer_challenge(self, *, mode: str, verify_token: str, challenge: str) -> str:
        """The challenge of `GET ?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…`, if Meta knows the token."""
        known = hmac.compare_digest(self._verify_token, verify_token.encode())
        if mode != "subscribe" or not known:
            raise ForgedNotification
        return challenge


def _outcome(status: _Status) -> _Outcome | None:
    return next((outcome for outcome in _OUTCOMES if outcome == status.status), None)


def _message_status(status: _Status, outcome: _Outcome) -> MessageStatus:
    return MessageStatus(
        provider_id=status.id,
        status=outcome,
        at=datetime.fromtimestamp(int(status.timestamp), UTC),
        message_id=status.biz_opaque_callback_data,
        error=str(status.errors[0].code) if outcome == "failed" and status.errors else None,
    )


def _body(message: Message) -> dict[str, object]:
    template: dict[str, object] = {"name": message.kind.replace("-", "_"), "language": {"code": message.locale}}
    if message.parameters:
        parameters = [{"type": "text", "text": text} for text in message.parameters]
        template["components"] = [{"type": "BODY", "parameters": parameters}]
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.to.removeprefix("+"),
        "type": "template",
        "template": template,
        # Comes back in the delivery callbacks, which tells whose they are.
        "biz_opaque_callback_data": message.id,
    }
