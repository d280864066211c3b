"""Secrets from Google Secret Manager, over its REST API."""

import base64
import binascii
import re
from collections.abc import Callable

import google_crc32c
from pydantic import BaseModel

from pinjam.adapters.faults import unavailable
from pinjam.adapters.google_errors import google_error
from pinjam.adapters.http_client import HttpClient
from pinjam.services.ports import Refused

SERVICE = "secret-manager"

_NAME = re.compile(r"projects/[^/\s]+/secrets/[\w-]{1,255}/versions/[\w-]{1,63}", re.ASCII)


class _Payload(BaseModel):
    data: str
    dataCrc32c: int  # noqa: N815 - Google's name


class _Accessed(BaseModel):
    payload: _Payload


class SecretManager:
    """Reads versions of secrets. It keeps nothing: who asks does."""

    def __init__(
        self,
        *,
        url: str = "https://secretmanager.googleapis.com",
        token: Callable[[], str] | None = None,
        timeout_s: float = 10,
    ) -> None:
        self._url = f"{url.rstrip('/')}/v1/"
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s, token=token)

    def get(self, name: str) -> str:
        """The text of `projects/P/secrets/S/versions/V`, without a line break at its end (`echo` leaves one).

        Raises:
            Refused: The name is none, there is no such version, it is disabled, or this account may not read it.
            Unavailable: No answer, or one that was changed on its way.
        """
        if not _NAME.fullmatch(name):
            raise Refused(SERVICE, "INVALID_ARGUMENT", f"{name!r} is not projects/../secrets/../versions/..")
        reply = self._http.send("GET", f"{self._url}{name}:access")
        if not reply.accepted:
            error = google_error(reply)
            raise Refused(SERVICE, error.status, error.message)
        payload = reply.read(_Accessed).payload
        try:
            content = base64.b64decode(payload.data, validate=True)
        except binascii.Error:
            raise unavailable(SERVICE, "answered what is not base64") from None
        if google_crc32c.value(content) != payload.dataCrc32c:
            raise unavailable(SERVICE, "an answer was changed on its way")
        try:
            return content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Refused(SERVICE, "INVALID_ARGUMENT", f"{name} is not text") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
