"""Firebase Cloud Messaging (HTTP v1): takes push messages and puts them in the inbox."""

import hmac
import re
import secrets
from collections.abc import Callable
from typing import Annotated, Literal

from flask import Blueprint, Response, jsonify, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pinjam.local.sandbox.faults import Faults, guard
from pinjam.local.sandbox.inbox import Inbox

GONE = "unregistered"
"""A device token that begins so belongs to an app that was removed."""
_ERROR_TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_RESERVED = re.compile(r"from|message_type|google\..*|gcm\..*")
"""Keys of `data` that FCM keeps for itself."""


def _free(data: dict[str, str]) -> dict[str, str]:
    if taken := sorted(filter(_RESERVED.fullmatch, data)):
        raise ValueError(f"{taken[0]} is reserved")
    return data


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Notification(_Strict):
    title: str
    body: str


class _AndroidNotification(_Strict):
    tag: str | None = None
    channel_id: str | None = None


class _Android(_Strict):
    collapse_key: str | None = None
    priority: Literal["high", "normal", "HIGH", "NORMAL"] = "normal"
    ttl: Annotated[str, Field(pattern=r"^\d{1,7}(?:\.\d{1,9})?s$")] | None = None
    notification: _AndroidNotification = _AndroidNotification()


class _ApnsHeaders(_Strict):
    priority: Annotated[Literal["1", "5", "10"] | None, Field(alias="apns-priority")] = None
    collapse_id: Annotated[str | None, Field(alias="apns-collapse-id", max_length=64)] = None
    expiration: Annotated[str | None, Field(alias="apns-expiration", pattern=r"^\d+$")] = None


class _Aps(_Strict):
    sound: str | None = None
    badge: int | None = None


class _ApnsPayload(_Strict):
    aps: _Aps


class _Apns(_Strict):
    headers: _ApnsHeaders = _ApnsHeaders()
    payload: _ApnsPayload | None = None


class _Options(_Strict):
    analytics_label: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-_.~%]{1,50}$")]


class _Message(_Strict):
    token: Annotated[str, Field(min_length=1)]
    notification: _Notification
    data: Annotated[dict[str, str], AfterValidator(_free)] = {}
    android: _Android = _Android()
    apns: _Apns = _Apns()
    fcm_options: _Options | None = None


class _Send(_Strict):
    message: _Message
    validate_only: bool = False


def fcm(inbox: Inbox, faults: Faults, *, project: str, token: str, pause: Callable[[], None]) -> Blueprint:
    """The API under the blueprint's prefix."""
    api = Blueprint("fcm", __name__)

    def authorise() -> Response | None:
        sent = request.headers.get("Authorization", "")
        if not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
            return _refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        return None

    def send(named: str) -> Response:
        if named != project:
            return _refusal(403, "PERMISSION_DENIED", "The project is another one.", "SENDER_ID_MISMATCH")
        try:
            wanted = _Send.model_validate_json(request.get_data())
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            return _refusal(
                400, "INVALID_ARGUMENT", f"Invalid value at '{place}': {problem['msg']}", "INVALID_ARGUMENT"
            )
        message = wanted.message
        if message.token.startswith(GONE):
            return _gone()
        if not wanted.validate_only:
            inbox.deliver(
                channel="push",
                to=message.token,
                subject=message.notification.title,
                body=message.notification.body,
                repeat_key=message.android.notification.tag,
            )
        return jsonify({"name": f"projects/{project}/messages/{secrets.token_hex(12)}"})

    api.before_request(authorise)
    guard(api, faults, "push", pause=pause, refuse=_gone)
    api.add_url_rule("/v1/projects/<named>/messages:send", view_func=send, methods=["POST"])
    return api


def _gone() -> Response:
    return _refusal(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")


def _refusal(status: int, name: str, message: str, error_code: str | None = None) -> Response:
    error: dict[str, object] = {"code": status, "message": message, "status": name}
    if error_code is not None:
        error["details"] = [{"@type": _ERROR_TYPE, "errorCode": error_code}]
    answer = jsonify({"error": error})
    answer.status_code = status
    return answer
