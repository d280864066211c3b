"""WhatsApp Cloud API: takes template messages and puts them in the inbox."""

import hmac
import secrets
from collections.abc import Callable
from typing import Annotated, Literal

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinjam.local.sandbox.faults import Faults, guard
from pinjam.local.sandbox.inbox import Inbox


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Parameter(_Strict):
    type: Literal["text"]
    # Meta refuses parameters with line breaks, tabs or more than four spaces in a row.
    text: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^(?:[^\n\t ]| {1,4}(?:[^\n\t ]|$))+$")]


class _Component(_Strict):
    type: Literal["BODY", "body"]
    parameters: list[_Parameter]


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
    biz_opaque_callback_data: Annotated[str, Field(max_length=512)] | None = None


def whatsapp(inbox: Inbox, faults: Faults, *, phone_number_id: str, token: str, pause: Callable[[], None]) -> Blueprint:
    """The API under the blueprint's prefix."""
    api = Blueprint("whatsapp", __name__)

    def authorise() -> Response | None:
        sent = request.headers.get("Authorization", "")
        if not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
            return _refusal(401, 190, "Invalid OAuth access token")
        return None

    def send(version: str, sender: str) -> Response:
        if not version.startswith("v") or sender != phone_number_id:
            return _refusal(400, 100, "Unsupported post request. Object does not exist")
        try:
            message = _Message.model_validate_json(request.get_data())
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            return _refusal(400, 100, f"(#100) Invalid parameter {place}")
        texts = [parameter.text for part in message.template.components for parameter in part.parameters]
        inbox.deliver(
            channel="whatsapp",
            to=f"+{message.to}",
            subject=f"{message.template.name} ({message.template.language.code})",
            # The template's words are kept at Meta; what we send is its name and what fills its gaps.
            body="\n".join(texts),
        )
        return jsonify(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": message.to, "wa_id": message.to}],
                "messages": [{"id": f"wamid.{secrets.token_urlsafe(24)}", "message_status": "accepted"}],
            }
        )

    api.before_request(authorise)
    guard(api, faults, "whatsapp", pause=pause, refuse=lambda: _refusal(400, 131026, "(#131026) Message undeliverable"))
    api.add_url_rule("/<version>/<sender>/messages", view_func=send, methods=["POST"])
    return api


def _refusal(status: int, code: int, message: str) -> Response:
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": secrets.token_urlsafe(8)}
    answer = jsonify({"error": error})
    answer.status_code = status
    return answer
