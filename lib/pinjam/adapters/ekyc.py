"""Verihubs: confirms a borrower's identity card data and selfie against the population register.

Request and answer after docs.verihubs.com (Sertel request and response); `selfie_similarity` (0-100) is
an extension that the provider may leave out.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.domain.user import KycCheck
from pinjam.services.ports import Refused

if TYPE_CHECKING:
    from pinjam.domain.user import CheckName, CheckOutcome
    from pinjam.services.ports import IdentityClaim

SERVICE = "verihubs"

_MOST_SELFIE_BYTES = 3_000_000
_MOST_KTP_BYTES = 1_500_000
"""Verihubs takes 4 MB and 2 MB, in base64, which makes four characters of three bytes."""
_LONGEST_SIDES = (2400, 1800, 1200, 900)
_JPEG_QUALITY = 85

_PATH = "/data-verification/certificate-electronic/verify"
_CHECK_OF_FIELD: Mapping[str, CheckName] = {
    "nik": "nik",
    "name": "name",
    "birth_date": "birth_date",
    "selfie_photo": "selfie",
    "liveness": "liveness",
}
_CHECKS: tuple[CheckName, ...] = ("nik", "name", "birth_date", "selfie", "liveness")


class _Verdict(BaseModel):
    status: Literal["verified", "not_verified"]
    reference_id: str
    reject_field: tuple[str, ...] = ()
    selfie_similarity: Annotated[float, Field(ge=0, le=100)] | None = None


class _Refusal(BaseModel):
    error_code: str


class VerihubsCheck:
    """IdentityCheck on Verihubs. The answer can take a minute."""

    def __init__(self, *, url: str, app_id: str, api_key: str, timeout_s: float = 60) -> None:
        self._url = url.rstrip("/") + _PATH
        self._headers = {"App-ID": app_id, "API-Key": api_key}
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check(self, claim: IdentityClaim) -> tuple[KycCheck, ...]:
        """The five checks, in a fixed order."""
        reply = self._http.send(
            "POST",
            self._url,
            json={
                "nik": claim.nik,
                "name": claim.full_name,
                "birth_date": claim.birth_date.strftime("%d-%m-%Y"),
                "email": claim.email,
                "phone": claim.phone.removeprefix("+"),
                "selfie_photo": _photo(claim.selfie_image, _MOST_SELFIE_BYTES),
                "ktp_photo": _photo(claim.ktp_image, _MOST_KTP_BYTES),
                "reference_id": claim.reference,
            },
            headers=self._headers,
        )
        if not reply.accepted:
            refusal = reply.read_if_shaped(_Refusal)
            raise Refused(SERVICE, refusal.error_code if refusal else str(reply.status))
        verdict = reply.read(_Verdict)
        if verdict.reference_id != claim.reference:
            raise unavailable(SERVICE, "the answer is about another request")
        return _checks(verdict)


def _photo(picture: bytes, most_bytes: int) -> str:
    """A picture in base64, made smaller where it is larger than the provider takes."""
    return base64.b64encode(picture if len(picture) <= most_bytes else _smaller(picture, most_bytes)).decode()


def _smaller(picture: bytes, most_bytes: int) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as opened:
            # Lets the decoder of a JPEG leave out what goes anyway.
            opened.draft("RGB", (_LONGEST_SIDES[0], _LONGEST_SIDES[0]))
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise Refused(SERVICE, "picture-unreadable") from error
    for side in _LONGEST_SIDES:
        image.thumbnail((side, side))
        made = io.BytesIO()
        image.save(made, "JPEG", quality=_JPEG_QUALITY)
        if made.tell() <= most_bytes:
            return made.getvalue()
    raise Refused(SERVICE, "picture-too-large")


def _checks(verdict: _Verdict) -> tuple[KycCheck, ...]:
    failed = {_CHECK_OF_FIELD[name] for name in verdict.reject_field if name in _CHECK_OF_FIELD}
    # A refusal for a field that is none of ours (the card's picture, say) proves nothing of the others.
    otherwise: CheckOutcome = "pass" if verdict.status == "verified" or failed else "unknown"
    # A fraction is cut off: 79.9 has not reached 80.
    score = None if verdict.selfie_similarity is None else int(verdict.selfie_similarity)
    return tuple(
        KycCheck(
            name=name,
            outcome="fail" if name in failed else otherwise,
            score=score if name == "selfie" else None,
        )
        for name in _CHECKS
    )
