"""Calls to Firestore's REST API, version 1, and what its refusals mean to a transaction.

Plain HTTP and not Google's client: that one takes half a second to load (docs/adr).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.services.ports import Unavailable
from pinjam.services.store import StoreUnavailable

if TYPE_CHECKING:
    from pinjam.adapters.http_client import Reply

Json = dict[str, Any]

_SERVICE = "firestore"

_LONGEST_ANSWER_BYTES = 100_000_000
"""A page of a hundred documents of the greatest size that Firestore keeps, 1 MiB."""

_GONE = re.compile(r"(?i)transaction (has expired|is invalid or closed)|invalid (retry )?transaction")
"""How Firestore and its emulator say that a transaction is no more. Firestore has answered it both as
INVALID_ARGUMENT and as ABORTED."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Aborted(Exception):
    """Another transaction got in between, or this one is `gone`; nothing was written."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class Taken(Exception):
    """A document that was to be new is there already; nothing was written."""


class Missing(Exception):
    """A document that was to be replaced is not there; nothing was written."""


class CutOff(Exception):
    """No answer, or one that says to come back. `perhaps_done` unless the request cannot have arrived."""

    def __init__(self, message: str, *, perhaps_done: bool, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.perhaps_done = perhaps_done
        self.retry_after_s = retry_after_s

    def unavailable(self) -> StoreUnavailable:
        """What the caller of the store is told."""
        return StoreUnavailable(
            str(self), **({} if self.retry_after_s is None else {"retry_after_s": self.retry_after_s})
        )


class FirestoreWire:
    """One database's methods. `documents` is the name under which all documents are; `token` gives the access token."""

    def __init__(
        self, *, project: str, database: str, url: str, token: Callable[[], str] | None, timeout_s: float
    ) -> None:
        self.documents = f"projects/{project}/databases/{database}/documents"
        self._url = f"{url}/v1/{self.documents}"
        self._client = HttpClient(
            service=_SERVICE, timeout_s=timeout_s, token=token, longest_answer_bytes=_LONGEST_ANSWER_BYTES
        )

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        self._client.close()

    def call(self, method: str, body: Mapping[str, object]) -> list[Json]:
        """What `documents:<method>` answers: the parts of a stream, or the one part of what is none.

        Raises:
            Aborted: see there, as for Taken, Missing and CutOff.
            RuntimeError: Firestore refuses for a reason that trying again does not mend.
        """
        try:
            return _parts(self._client.send("POST", f"{self._url}:{method}", json=body))
        except Unavailable as error:
            # Without a token, which another service gives, nothing was sent either.
            arrived = error.service == _SERVICE and not isinstance(error.__cause__, _NOT_SENT)
            raise CutOff(str(error), perhaps_done=arrived, retry_after_s=error.retry_after_s) from error


def _parts(reply: Reply) -> list[Json]:
    try:
        content = json.loads(reply.content)
    except ValueError as error:
        raise unavailable(reply.service, f"answered {reply.status} without JSON") from error
    parts = content if isinstance(content, list) else [content]
    if not all(isinstance(part, dict) for part in parts):
        raise unavailable(reply.service, f"answered {reply.status} in a shape that is not its own")
    for part in parts:
        # A stream that has begun with 200 tells in its last part that it failed.
        if "error" in part:
            raise _fault(part["error"])
    if not reply.accepted:
        raise unavailable(reply.service, f"answered {reply.status} without its reason")
    return parts


def _fault(error: Any) -> Exception:
    status, message = str(error.get("status")), str(error.get("message"))
    if status == "ABORTED" or (status == "INVALID_ARGUMENT" and _GONE.search(message)):
        return Aborted(message, gone=bool(_GONE.search(message)))
    if status == "ALREADY_EXISTS":
        return Taken(message)
    if status == "NOT_FOUND":
        return Missing(message)
    if error.get("code", 0) in {HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)}:
        return unavailable(_SERVICE, f"answered {status}")
    return RuntimeError(f"Firestore refuses, {status}: {message}")
