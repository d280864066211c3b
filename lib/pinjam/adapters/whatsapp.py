"""WhatsApp Cloud API: messages from templates that Meta has approved.

Bodies after developers.facebook.com/docs/whatsapp/cloud-api (messages, error codes).
"""

from pydantic import BaseModel, Field

from pinjam.adapters.http_client import HttpClient
from pinjam.domain.notification import Channel
from pinjam.services.ports import Message, Refused, Unavailable

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
            raise Unavailable(SERVICE, f"error {refusal.error.code}", retry_after_s=60)
        raise Refused(SERVICE, str(refusal.error.code))


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
