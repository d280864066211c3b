"""Documents' bytes in Cloud Storage, over its JSON API."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.adapters.object_rules import MAX_OBJECT_BYTES, SERVICE, checked_key, checked_type, sha256_of, unchanged
from pinjam.services.ports import ObjectExists

if TYPE_CHECKING:
    from pinjam.adapters.http_client import Reply


class _Kept(BaseModel):
    """What Cloud Storage knows of an object."""

    generation: str
    metadata: Mapping[str, str] = {}


class _Fault(BaseModel):
    message: str


class _Refusal(BaseModel):
    error: _Fault


class CloudStorageObjects:
    """ObjectStore in one bucket, at `url` (without `/storage`).

    `token` gives an OAuth access token, where one is needed, of somebody who may create, read, delete and list objects:
    who may not list is told 403 of an object that is not there.
    """

    def __init__(
        self,
        *,
        bucket: str,
        url: str = "https://storage.googleapis.com",
        token: Callable[[], str] | None = None,
        timeout_s: float = 20,
    ) -> None:
        self._bucket = bucket
        self._objects_url = f"{url}/storage/v1/b/{quote(bucket, safe='')}/o"
        self._upload_url = f"{url}/upload/storage/v1/b/{quote(bucket, safe='')}/o"
        self._http = HttpClient(
            service=SERVICE, timeout_s=timeout_s, token=token, longest_answer_bytes=MAX_OBJECT_BYTES
        )

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Store the bytes if the key is free; Cloud Storage refuses what does not arrive whole, by its MD5."""
        sha256 = sha256_of(content)
        resource = {
            "name": checked_key(key),
            "contentType": checked_type(content_type),
            "md5Hash": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
            "metadata": {"sha256": sha256},
        }
        # No bytes hold their own hash.
        boundary = f"pinjam-{sha256}"
        reply = self._http.send(
            "POST",
            f"{self._upload_url}?uploadType=multipart&ifGenerationMatch=0",
            content=_multipart(boundary, resource, content),
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
        )
        if reply.accepted:
            return
        if reply.status == HTTPStatus.NOT_FOUND:
            self._no_bucket()
        if reply.status != HTTPStatus.PRECONDITION_FAILED:
            _refused(reply)
        try:
            kept = self._kept(key)
        except LookupError as gone:
            raise unavailable(SERVICE, "the object was there, and is gone") from gone
        if kept.metadata.get("sha256") != sha256:
            raise ObjectExists(key)

    def get(self, key: str) -> bytes:
        """The bytes; LookupError if there are none, ObjectCorrupted if they are not those that were put."""
        kept = self._kept(key)
        # The hash is asked for first, and the bytes of that very generation: a download brings no such metadata.
        reply = self._http.send("GET", self._address(key, alt="media", generation=kept.generation))
        if reply.status == HTTPStatus.NOT_FOUND:
            raise LookupError(key)
        if not reply.accepted:
            _refused(reply)
        return unchanged(key, reply.content, sha256=kept.metadata.get("sha256"))

    def delete(self, key: str) -> None:
        """Remove the bytes, if any."""
        reply = self._http.send("DELETE", self._address(key))
        if reply.status == HTTPStatus.NOT_FOUND:
            self._need_bucket(key)
        elif not reply.accepted:
            _refused(reply)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _kept(self, key: str) -> _Kept:
        reply = self._http.send("GET", self._address(key, fields="generation,metadata"))
        if reply.status == HTTPStatus.NOT_FOUND:
            self._need_bucket(key)
            raise LookupError(key)
        if not reply.accepted:
            _refused(reply)
        return reply.read(_Kept)

    def _need_bucket(self, key: str) -> None:
        """What is not found may be the object or its bucket; a list, unlike an object, is only missing with it."""
        query = urlencode({"prefix": key, "maxResults": 1, "fields": "items(name)"})
        reply = self._http.send("GET", f"{self._objects_url}?{query}")
        if reply.status == HTTPStatus.NOT_FOUND:
            self._no_bucket()
        if not reply.accepted:
            _refused(reply)

    def _no_bucket(self) -> NoReturn:
        raise unavailable(SERVICE, f"there is no bucket {self._bucket}")

    def _address(self, key: str, **query: str) -> str:
        address = f"{self._objects_url}/{quote(checked_key(key), safe='')}"
        return f"{address}?{urlencode(query)}" if query else address


def _multipart(boundary: str, resource: Mapping[str, object], content: bytes) -> bytes:
    """The resource and the bytes as `multipart/related`. The bytes' own type is the resource's."""
    head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(resource)}\r\n"
    part = f"--{boundary}\r\nContent-Type: {resource['contentType']}\r\n\r\n"
    return b"".join((head.encode(), part.encode(), content, f"\r\n--{boundary}--\r\n".encode()))


def _refused(reply: Reply) -> NoReturn:
    refusal = reply.read_if_shaped(_Refusal)
    said = refusal.error.message if refusal is not None else "in a shape that is not its own"
    raise unavailable(SERVICE, f"answered {reply.status}: {said}")
