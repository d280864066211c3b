"""WhatsApp Cloud API: takes template messages, puts them in the inbox, and tells what became of them."""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, cast

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinjam.local.sandbox.callbacks import Callbacks
from pinjam.local.sandbox.faults import Faults, guard
from pinjam.local.sandbox.inbox import Inbox
from pinjam.wording import load

UNDELIVERABLE = "131026"
"""Last digits of a number that is not on WhatsApp: a message to it is accepted, and then fails with this code."""

_BUSINESS_ACCOUNT_ID = "100000000000002"
_BUSINESS_NUMBER = "6281100000000"
_VERSION = re.compile(r"v\d{1,2}\.0")
_REFERENCE = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Parameter(_Strict):
    type: Literal["text"]
    # Meta refuses parameters with line breaks, tabs or more than four spaces in a row.
    text: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^(?:[^\n\t ]| {1,4}(?:[^\n\t ]|$))+$")]


class _Component(_Strict):
    type: Literal["BODY", "body"]
    parameters: Annotated[list[_Parameter], Field(min_length=1)]


class _Language(_Strict):
    code: Literal["id", "en"]


class _Template(_Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,512}$")]
    language: _Language
    components: Annotated[list[_Component], Field(max_length=1)] = []


class _Message(_Strict):
    messaging_product: Literal["whatsapp"]
    recipient_type: Literal["individual"] = "individual"
    to: Annotated[str, Field(pattern=r"^[1-9]\d{7,14}$")]
    type: Literal["template"]
    template: _Template
    biz_opaque_callback_data: Annotated[str, Field(min_length=1, max_length=512)] | None = None


class StatusCallbacks:
    """Tells of messages as Meta does: one signed callback for each step."""

    def __init__(
        self, callbacks: Callbacks, *, phone_number_id: str, app_secret: str, now: Callable[[], datetime]
    ) -> None:
        self._callbacks = callbacks
        self._phone_number_id = phone_number_id
        self._app_secret = app_secret.encode()
        self._now = now

    def tell(self, message_id: str, message: _Message) -> None:
        """That the message was sent, delivered and read; or, of a number that is not on WhatsApp, that it failed."""
        if message.to.endswith(UNDELIVERABLE):
            title = "Message undeliverable"
            details = "Message Undeliverable."
            error = {
                "code": int(UNDELIVERABLE),
                "title": title,
                "message": title,
                "error_data": {"details": details},
                "href": _REFERENCE,
            }
            self._post(message_id, message, {"status": "failed", "errors": [error]})
            return
        pricing = {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}
        for status in ("sent", "delivered"):
            self._post(message_id, message, {"status": status, "pricing": pricing})
        self._post(message_id, message, {"status": "read"})

    def _post(self, message_id: str, message: _Message, told: dict[str, object]) -> None:
        status = {
            "id": message_id,
            "timestamp": str(int(self._now().timestamp())),
            "recipient_id": message.to,
            **told,
        }
        if message.biz_opaque_callback_data is not None:
            status["biz_opaque_callback_data"] = message.biz_opaque_callback_data
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": _BUSINESS_NUMBER, "phone_number_id": self._phone_number_id},
            "statuses": [status],
        }
        change = {"value": value, "field": "messages"}
        body = {
            "object": "whatsapp_business_account",
            "entry": [{"id": _BUSINESS_ACCOUNT_ID, "changes": [change]}],
        }
        raw = json.dumps(body).encode()
        signature = hmac.new(self._app_secret, raw, hashlib.sha256).hexdigest()
        self._callbacks.post(raw, {"X-Hub-Signature-256": f"sha256={signature}"})


def whatsapp(
    inbox: Inbox,
    faults: Faults,
    statuses: StatusCallbacks | None,
    *,
    phone_number_id: str,
    token: str,
    pause: Callable[[], None],
) -> Blueprint:
    """The API under the blueprint's prefix; without `statuses` nobody is told what became of a message."""
    api = Blueprint("whatsapp", __name__)

    def authorise() -> Response | None:
        sent = request.headers.get("Authorization", "")
        if not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
            return _refusal(401, 190, "Invalid OAuth access token")
        return None

    def send(version: str, sender: str) -> Response:
        if not _VERSION.fullmatch(version) or sender != phone_number_id:
            return _refusal(400, 100, "Unsupported post request. Object does not exist")
        try:
            message = _Message.model_validate_json(request.get_data())
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            return _refusal(400, 100, "(#100) Invalid parameter", f"{place}: {problem['msg']}")
        try:
            text = _text(message.template)
        except _WrongCount as wrong:
            return _refusal(
                400, 132000, "(#132000) Number of parameters does not match the expected number of params", str(wrong)
            )
        if not message.to.endswith(UNDELIVERABLE):
            _deliver(inbox, message, text)
        message_id = f"wamid.{secrets.token_urlsafe(24)}"
        answer = jsonify(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": message.to, "wa_id": message.to}],
                "messages": [{"id": message_id, "message_status": "accepted"}],
            }
        )
        if statuses is not None:
            # Once the answer is on its way: the sender should know the message's id before it hears of it.
            answer.call_on_close(lambda: statuses.tell(message_id, message))
        return answer

    api.before_request(authorise)
    guard(api, faults, "whatsapp", pause=pause, refuse=lambda: _refusal(400, 131026, "(#131026) Message undeliverable"))
    api.add_url_rule("/<version>/<sender>/messages", view_func=send, methods=["POST"])
    return api


class _WrongCount(Exception):
    """A template of ours with more or fewer parameters than it was registered with."""


def _text(template: _Template) -> str:
    """What the recipient reads: our templates are registered with the body of their kind, its gaps in their order.

    Of a template that is none of ours only the parameters are known.
    """
    given = [parameter.text for part in template.components for parameter in part.parameters]
    kind = load("notifications").get(template.name.replace("_", "-"))
    if kind is None:
        return "\n".join(given)
    names = cast("Sequence[str]", kind["parameters"])
    if len(given) != len(names):
        raise _WrongCount(f"body: number of localizable_params ({len(given)}) does not match ({len(names)})")
    words = cast("Mapping[str, str]", kind[template.language.code])
    return words["body"].format(**dict(zip(names, given, strict=True)))


def _deliver(inbox: Inbox, message: _Message, text: str) -> None:
    inbox.deliver(
        channel="whatsapp",
        to=f"+{message.to}",
        subject=f"{message.template.name} ({message.template.language.code})",
        body=text,
    )


def _refusal(status: int, code: int, message: str, details: str | None = None) -> Response:
    error: dict[str, object] = {"message": message, "type": "OAuthException", "code": code}
    if details is not None:
        error["error_data"] = {"messaging_product": "whatsapp", "details": details}
    error["fbtrace_id"] = secrets.token_urlsafe(8)
    answer = jsonify({"error": error})
    answer.status_code = status
    return answer
