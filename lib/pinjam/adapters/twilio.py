"""SMS through Twilio.

Form and answer after twilio.com/docs/messaging/api/message-resource; error codes after twilio.com/docs/api/errors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import BaseModel, Field

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.services.ports import Refused

if TYPE_CHECKING:
    from pinjam.domain.notification import Channel
    from pinjam.services.messaging import Message

SERVICE = "twilio"

_MESSAGING_SERVICE = re.compile(r"MG[0-9a-f]{32}")
_LOST = frozenset({"failed", "undelivered", "canceled"})
_TRY_LATER = frozenset({14107, 20429, 21611, 30001})
"""Rates and queues that are full: too many messages, too many calls, the sender's queue, the account's queue."""


class _Answer(BaseModel):
    sid: str = Field(min_length=1)
    status: str
    error_code: int | None = None


class _Refusal(BaseModel):
    code: int


class TwilioMessenger:
    """Messenger for SMS on Twilio.

    `url` is the host (`https://api.twilio.com`). `sender` is a name, a number, or the id of a messaging service
    (`MG…`), which chooses among its own.
    """

    channel: Channel = "sms"

    def __init__(self, *, url: str, account_sid: str, auth_token: str, sender: str, timeout_s: float = 10) -> None:
        self._url = f"{url.rstrip('/')}/2010-04-01/Accounts/{quote(account_sid, safe='')}/Messages.json"
        self._auth = (account_sid, auth_token)
        self._from = {"MessagingServiceSid" if _MESSAGING_SERVICE.fullmatch(sender) else "From": sender}
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, message: Message) -> str:
        """Hand the message over and answer its `SM…` id. Twilio does not recognise a repeat."""
        form = {"To": message.to, **self._from, "Body": message.body}
        reply = self._http.send("POST", self._url, form=form, auth=self._auth)
        if not reply.accepted:
            refusal = reply.read_if_shaped(_Refusal)
            raise _failure(refusal.code) if refusal else Refused(SERVICE, str(reply.status))
        answer = reply.read(_Answer)
        if answer.error_code is not None:
            raise _failure(answer.error_code)
        if answer.status in _LOST:
            raise Refused(SERVICE, answer.status)
        return answer.sid


def _failure(code: int) -> Exception:
    if code in _TRY_LATER:
        return unavailable(SERVICE, f"error {code}", retry_after_s=60)
    return Refused(SERVICE, str(code))
