"""Wrapping keys in Google Cloud KMS, over its REST API: data keys go there to be wrapped and unwrapped.

Bodies and errors after cloud.google.com/kms/docs/reference/rest and .../kms/docs/data-integrity-guidelines.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NoReturn

import google_crc32c
from pydantic import BaseModel

from pinjam.adapters.faults import unavailable
from pinjam.adapters.google_errors import google_error
from pinjam.adapters.http_client import HttpClient
from pinjam.services.sealing import WrappedKey

if TYPE_CHECKING:
    from pinjam.adapters.http_client import Reply

SERVICE = "kms"
KEPT_S = 60.0
"""So long the version that wraps is taken for the current one. Making another one primary takes as long to be known."""

_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[\w-]{1,63}/cryptoKeys/([\w-]{1,63})")
_STATE = re.compile(r"current state is: ([A-Z_]+)")
_CHECKSUM = re.compile(r"checksum in field \w+ did not match")


class _Encrypted(BaseModel):
    name: str
    ciphertext: str
    ciphertextCrc32c: int  # noqa: N815 - Google's name
    verifiedPlaintextCrc32c: Literal[True]  # noqa: N815 - Google's name
    verifiedAdditionalAuthenticatedDataCrc32c: Literal[True]  # noqa: N815 - Google's name


class _Decrypted(BaseModel):
    plaintext: str
    plaintextCrc32c: int  # noqa: N815 - Google's name


class _Version(BaseModel):
    name: str
    state: str


class _Key(BaseModel):
    primary: _Version


class CloudKms:
    """`sealing.KeyWrapper` under one symmetric key, `projects/P/locations/L/keyRings/R/cryptoKeys/K`.

    A wrapped key is `<id>.<base64url(ciphertext)>`, where the id is `K-<version>`; the owner is associated data. To
    wrap and to unwrap take one call each and the role `cloudkms.cryptoKeyEncrypterDecrypter`; `current` also
    `cloudkms.viewer`, `renew` `cloudkms.admin`. The key may rotate by itself. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        *,
        key: str,
        url: str = "https://cloudkms.googleapis.com",
        token: Callable[[], str] | None = None,
        timeout_s: float = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        named = _KEY.fullmatch(key)
        if named is None:
            raise ValueError(f"{key!r} is not projects/../locations/../keyRings/../cryptoKeys/..")
        self._short = named[1]
        self._key = key
        self._url = f"{url.rstrip('/')}/v1/"
        self._clock = clock
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s, token=token)
        self._current: tuple[float, str] = (0.0, "")

    def current(self) -> str:
        """The id of the primary version, as of a minute ago at most."""
        version = self._known() or self._remember(self._primary(self._http.send("GET", self._url + self._key)))
        return self._id(version)

    def wrap(self, data_key: bytes, *, owner: str) -> WrappedKey:
        """The data key under the primary version; under the one that `current` or `renew` told, if they were asked.

        It takes a while until KMS itself knows a new primary version everywhere.
        """
        version = self._known()
        bound = _binding(owner)
        reply = self._http.send(
            "POST",
            f"{self._url}{self._version_name(version) if version else self._key}:encrypt",
            json={
                "plaintext": _text(data_key),
                "plaintextCrc32c": _checksum(data_key),
                "additionalAuthenticatedData": _text(bound),
                "additionalAuthenticatedDataCrc32c": _checksum(bound),
            },
        )
        if not reply.accepted:
            self._current = (0.0, "")
            _fail(reply)
        answer = reply.read(_Encrypted)
        ciphertext = _bytes(answer.ciphertext, answer.ciphertextCrc32c)
        name = self._id(self._number(answer.name))
        return WrappedKey(wrapped=f"{name}.{base64.urlsafe_b64encode(ciphertext).decode()}", wrapping_key=name)

    def unwrap(self, wrapped: str, *, owner: str) -> bytes:
        """The data key again, whichever version wrapped it. A version that is disabled is Unavailable."""
        name, _, text = wrapped.partition(".")
        if not re.fullmatch(rf"{re.escape(self._short)}-[1-9][0-9]*", name):
            raise ValueError(f"{name!r} is no version of {self._short}")
        ciphertext = base64.urlsafe_b64decode(text)
        if not ciphertext or base64.urlsafe_b64encode(ciphertext).decode() != text:
            raise ValueError("not a wrapped key")
        bound = _binding(owner)
        reply = self._http.send(
            "POST",
            f"{self._url}{self._key}:decrypt",
            json={
                "ciphertext": _text(ciphertext),
                "ciphertextCrc32c": _checksum(ciphertext),
                "additionalAuthenticatedData": _text(bound),
                "additionalAuthenticatedDataCrc32c": _checksum(bound),
            },
        )
        if not reply.accepted:
            _fail_to_unwrap(reply)
        answer = reply.read(_Decrypted)
        return _bytes(answer.plaintext, answer.plaintextCrc32c)

    def renew(self) -> str:
        """Add a version and make it primary; its id. Versions from before stay enabled, for what they wrapped."""
        made = self._accepted(self._http.send("POST", f"{self._url}{self._key}/cryptoKeyVersions", json={}))
        created = made.read(_Version)
        version = self._number(created.name)
        if created.state != "ENABLED":
            raise unavailable(SERVICE, f"version {version} is {created.state}; make it primary when it is enabled")
        chosen = self._http.send(
            "POST", f"{self._url}{self._key}:updatePrimaryVersion", json={"cryptoKeyVersionId": version}
        )
        if self._primary(chosen) != version:
            raise unavailable(SERVICE, f"version {version} was made, but is not primary")
        return self._id(self._remember(version))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _known(self) -> str:
        until, version = self._current
        return version if self._clock() < until else ""

    def _remember(self, version: str) -> str:
        self._current = (self._clock() + KEPT_S, version)
        return version

    def _primary(self, reply: Reply) -> str:
        return self._number(self._accepted(reply).read(_Key).primary.name)

    def _accepted(self, reply: Reply) -> Reply:
        return reply if reply.accepted else _fail(reply)

    def _id(self, version: str) -> str:
        return f"{self._short}-{version}"

    def _version_name(self, version: str) -> str:
        return f"{self._key}/cryptoKeyVersions/{version}"

    def _number(self, name: str) -> str:
        """The version that a resource name means."""
        number = name.removeprefix(self._version_name(""))
        if not re.fullmatch("[1-9][0-9]*", number):
            raise unavailable(SERVICE, "answered with a version of another key")
        return number


def _fail(reply: Reply) -> NoReturn:
    raise unavailable(SERVICE, str(google_error(reply)))


def _fail_to_unwrap(reply: Reply) -> NoReturn:
    error = google_error(reply)
    if error.status == "INVALID_ARGUMENT" and not _CHECKSUM.search(error.message):
        raise ValueError("wrapped for another owner, or changed")
    state = _STATE.search(error.message)
    if error.status == "FAILED_PRECONDITION" and state is not None and state[1] == "DESTROYED":
        raise ValueError("wrapped by a key that is gone")
    # A version that is disabled, a role that was taken away: what is wrapped is as good as before.
    raise unavailable(SERVICE, str(error))


def _binding(owner: str) -> bytes:
    return f"pinjam user key\0{owner}".encode()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _checksum(content: bytes) -> str:
    """CRC32C. An int64 is a text in Google's JSON."""
    return str(google_crc32c.value(content))


def _bytes(text: str, checksum: int) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise unavailable(SERVICE, "answered what is not base64") from None
    if google_crc32c.value(content) != checksum:
        raise unavailable(SERVICE, "an answer was changed on its way")
    return content
