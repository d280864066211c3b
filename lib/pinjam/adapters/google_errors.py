"""The errors of Google's REST APIs: one shape for all of them (google.aip.dev/193)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from pinjam.adapters.http_client import Reply

_LONGEST = 300


class _Error(BaseModel):
    status: str = ""
    message: str = ""


class _Body(BaseModel):
    error: _Error


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleError:
    """What a refusal says: `status` is Google's word for the kind (`PERMISSION_DENIED`), `message` is for people."""

    status: str
    message: str

    def __str__(self) -> str:
        return f"{self.status} {self.message}".rstrip()


def google_error(reply: Reply) -> GoogleError:
    """The error of a reply that was not accepted; the HTTP status if it has another shape."""
    body = reply.read_if_shaped(_Body)
    if body is None or not body.error.status:
        return GoogleError(status=f"HTTP {reply.status}", message="")
    return GoogleError(status=body.error.status, message=body.error.message[:_LONGEST])
