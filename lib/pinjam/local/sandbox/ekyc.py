"""Verihubs's identity verification: everybody is who they say, except three kinds of NIK."""

import base64
import binascii
import hmac
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response, jsonify, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pinjam.local.sandbox.faults import Faults, guard, unavailable

MISMATCH, DOUBTFUL, DOWN = "9001", "9002", "9003"
"""Last digits of a NIK: the selfie is another person's; it is so-so; the provider is down until cleared."""
_SIMILARITY = {MISMATCH: 41, DOUBTFUL: 75}
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def _picture(value: str) -> str:
    try:
        content = base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error
    if not content.startswith(_PICTURES):
        raise ValueError("is not a JPEG or PNG image")
    return value


def _day(value: str) -> str:
    datetime.strptime(value, "%d-%m-%Y")  # noqa: DTZ007 - a birth date has no time zone
    return value


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    nik: Annotated[str, Field(pattern=r"^\d{16}$")]
    name: Annotated[str, Field(min_length=1)]
    birth_date: Annotated[str, Field(pattern=r"^\d\d-\d\d-\d{4}$"), AfterValidator(_day)]
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    phone: Annotated[str, Field(pattern=r"^628\d{7,12}$")]
    # The real one refuses pictures under 100 kB too; here a test picture of one pixel will do.
    selfie_photo: Annotated[str, Field(max_length=4_000_000), AfterValidator(_picture)]
    ktp_photo: Annotated[str, Field(max_length=2_000_000), AfterValidator(_picture)]
    reference_id: Annotated[str, Field(min_length=1)]


def ekyc(faults: Faults, *, app_id: str, api_key: str, pause: Callable[[], None]) -> Blueprint:
    """The API under the blueprint's prefix."""
    api = Blueprint("ekyc", __name__)

    def authorise() -> Response | None:
        sent = f"{request.headers.get('App-ID', '')}\n{request.headers.get('API-Key', '')}"
        if not hmac.compare_digest(sent.encode(), f"{app_id}\n{api_key}".encode()):
            return _refusal(401, "UNAUTHORIZED", "Invalid App-ID or API-Key")
        return None

    def verify() -> Response:
        try:
            wanted = _Request.model_validate_json(request.get_data())
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            fields = [{"field": ".".join(map(str, p["loc"])), "message": p["msg"]} for p in problems]
            return _refusal(400, "BAD_REQUEST", "Invalid request", error_fields=fields)
        kind = wanted.nik[-4:]
        if kind == DOWN and not faults.cleared("ekyc"):
            return unavailable()
        return jsonify(
            {
                "status": "not_verified" if kind == MISMATCH else "verified",
                "reject_field": ["selfie_photo"] if kind == MISMATCH else [],
                "reference_id": wanted.reference_id,
                "selfie_similarity": _SIMILARITY.get(kind, 97),
                "request_id": str(uuid.uuid4()),
            }
        )

    api.before_request(authorise)
    guard(
        api,
        faults,
        "ekyc",
        pause=pause,
        refuse=lambda: _refusal(400, "IMAGE_QUALITY_INSUFFICIENT", "The image cannot be processed"),
    )
    api.add_url_rule("/data-verification/certificate-electronic/verify", view_func=verify, methods=["POST"])
    return api


def _refusal(status: int, code: str, message: str, **more: object) -> Response:
    answer = jsonify({"message": message, "error_code": code, **more})
    answer.status_code = status
    return answer
