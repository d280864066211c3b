"""Cloud Storage's wire format, at a server that is strict where the emulator is not.

The format is that of Google's reference of the JSON API: objects.insert (multipart), get, delete, list.
"""

import base64
import email
import email.policy
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from tests.google_server import Renewable
from tests.object_server import ObjectServer, Request, Told

from pinjam.adapters.cloud_storage import CloudStorageObjects
from pinjam.services.ports import ObjectCorrupted, ObjectExists, Unavailable

KEY = "usr_1/doc_1"
OBJECTS = "/storage/v1/b/papers/o"
OBJECT = f"{OBJECTS}/usr_1%2Fdoc_1"


def error(status: int, message: str) -> Told:
    content = json.dumps({"error": {"code": status, "message": message, "errors": []}}).encode()
    return Told(status, content, {"Content-Type": "application/json; charset=UTF-8"})


def answered(value: object) -> Told:
    return Told(200, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"})


class StrictStorage(ObjectServer):
    """One bucket, `papers`. It wants the token, writes only to free names, and looks into what arrives."""

    token = "good-token"

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, tuple[dict[str, Any], bytes]] = {}

    def answer(self, request: Request) -> Told:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return error(401, "Invalid Credentials")
        if request.path == f"/upload{OBJECTS}" and request.method == "POST":
            return self._insert(request)
        if request.path == OBJECTS:
            assert (request.method, set(request.query)) == ("GET", {"prefix", "maxResults", "fields"})
            return answered({})
        return self._object(request)

    def _object(self, request: Request) -> Told:
        kept = self.kept.get(request.path)
        if kept is None:
            return error(404, "No such object: papers/usr_1/doc_1")
        if request.method == "DELETE":
            del self.kept[request.path]
            return Told(204)
        assert request.method == "GET"
        resource, content = kept
        if request.query.get("alt") == "media":
            assert request.query == {"alt": "media", "generation": resource["generation"]}
            return Told(200, content, {"Content-Type": resource["contentType"]})
        return answered({name: resource[name] for name in request.query["fields"].split(",")})

    def _insert(self, request: Request) -> Told:
        assert request.query == {"uploadType": "multipart", "ifGenerationMatch": "0"}
        assert request.headers["content-type"].startswith("multipart/related; boundary=")
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + request.content, policy=email.policy.HTTP)
        assert message.is_multipart()
        assert not message.defects
        described, body = message.iter_parts()
        assert described.get_content_type() == "application/json"
        resource = json.loads(described.get_content())
        assert set(resource) == {"name", "contentType", "md5Hash", "metadata"}
        assert body.get_content_type() == resource["contentType"]
        # The parser reads lines; the bytes are what lies between the second part's head and the closing boundary.
        content = request.content.split(b"\r\n\r\n", 2)[2].rpartition(b"\r\n--")[0]
        if base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode() != resource["md5Hash"]:
            return error(400, "Provided MD5 hash does not match calculated MD5 hash")
        name = f"{OBJECTS}/{resource['name'].replace('/', '%2F')}"
        if name in self.kept:
            return error(412, "At least one of the pre-conditions you specified did not hold.")
        self.kept[name] = ({**resource, "generation": str(1_700_000_000_000_000 + len(self.kept))}, content)
        return answered({"generation": self.kept[name][0]["generation"]})


@pytest.fixture
def server() -> Iterator[StrictStorage]:
    with StrictStorage() as running:
        yield running


@pytest.fixture
def store(server: StrictStorage) -> Iterator[CloudStorageObjects]:
    with closing(CloudStorageObjects(bucket="papers", url=server.url, token=lambda: "good-token", timeout_s=5)) as made:
        yield made


def test_an_object_is_written_read_and_deleted_as_the_reference_says(
    server: StrictStorage, store: CloudStorageObjects
) -> None:
    content = bytes(range(256)) + b"\r\n--"
    store.put(KEY, content, content_type="image/jpeg")
    resource, kept = server.kept[OBJECT]
    assert (resource["contentType"], kept) == ("image/jpeg", content)
    assert resource["metadata"] == {"sha256": hashlib.sha256(content).hexdigest()}
    assert store.get(KEY) == content
    store.delete(KEY)
    assert server.kept == {}
    assert server.lines == [f"POST /upload{OBJECTS}", f"GET {OBJECT}", f"GET {OBJECT}", f"DELETE {OBJECT}"]


def test_a_write_whose_answer_was_lost_is_harmless_to_repeat(server: StrictStorage, store: CloudStorageObjects) -> None:
    store.put(KEY, b"bytes", content_type="image/jpeg")
    server.first.append(error(412, "At least one of the pre-conditions you specified did not hold."))
    store.put(KEY, b"bytes", content_type="image/jpeg")
    with pytest.raises(ObjectExists):
        store.put(KEY, b"other", content_type="image/jpeg")


def test_an_object_that_went_between_the_refusal_and_the_look_is_worth_another_try(
    server: StrictStorage, store: CloudStorageObjects
) -> None:
    server.first.append(error(412, "At least one of the pre-conditions you specified did not hold."))
    with pytest.raises(Unavailable, match="gone"):
        store.put(KEY, b"bytes", content_type="image/jpeg")


def test_bytes_that_changed_on_their_way_are_not_kept(server: StrictStorage, store: CloudStorageObjects) -> None:
    answer = server.answer

    def flip(request: Request) -> Told:
        changed = request.content.replace(b"as it was sent", b"as it has come")
        return answer(replace(request, content=changed))

    server.answer = flip  # type: ignore[method-assign]  # the network between the two
    with pytest.raises(Unavailable, match="MD5"):
        store.put(KEY, b"as it was sent", content_type="image/jpeg")
    assert server.kept == {}


def test_an_object_that_nobody_put_a_hash_on_is_not_ours(server: StrictStorage, store: CloudStorageObjects) -> None:
    server.kept[OBJECT] = ({"generation": "1", "metadata": {}, "contentType": "image/jpeg"}, b"bytes")
    with pytest.raises(ObjectCorrupted):
        store.get(KEY)


def test_a_token_that_was_refused_is_renewed(server: StrictStorage) -> None:
    with closing(CloudStorageObjects(bucket="papers", url=server.url, token=Renewable("old", "good-token"))) as store:
        store.put(KEY, b"bytes", content_type="image/jpeg")
        assert store.get(KEY) == b"bytes"


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_asks_to_come_back_says_when(
    server: StrictStorage, store: CloudStorageObjects, status: int
) -> None:
    for call in (
        lambda: store.put(KEY, b"bytes", content_type="image/jpeg"),
        lambda: store.get(KEY),
        lambda: store.delete(KEY),
    ):
        server.first.append(Told(status, headers={"Retry-After": "7"}))
        with pytest.raises(Unavailable) as told:
            call()
        assert told.value.retry_after_s == 7


def test_a_download_that_ends_early_is_unavailable(server: StrictStorage, store: CloudStorageObjects) -> None:
    store.put(KEY, b"bytes", content_type="image/jpeg")
    described = answered({"generation": "1", "metadata": {}})
    server.first += [described, Told(200, b"byt", promised=5)]
    with pytest.raises(Unavailable):
        store.get(KEY)


def test_an_object_that_is_deleted_while_it_is_read_is_gone(server: StrictStorage, store: CloudStorageObjects) -> None:
    server.first += [answered({"generation": "1", "metadata": {}}), Told(404, b"No such object: papers/usr_1/doc_1")]
    with pytest.raises(LookupError):
        store.get(KEY)


def test_what_may_not_be_done_is_told_in_the_services_words(server: StrictStorage, store: CloudStorageObjects) -> None:
    for call in (
        lambda: store.put(KEY, b"bytes", content_type="image/jpeg"),
        lambda: store.get(KEY),
        lambda: store.delete(KEY),
    ):
        server.first.append(error(403, "Permission 'storage.objects.get' denied"))
        with pytest.raises(Unavailable, match=r"403: Permission 'storage\.objects\.get' denied"):
            call()


def test_a_bucket_of_which_nothing_may_be_known_is_not_taken_for_an_empty_one(
    server: StrictStorage, store: CloudStorageObjects
) -> None:
    for call in (lambda: store.get(KEY), lambda: store.delete(KEY)):
        server.first += [error(404, "Not Found"), error(403, "no storage.objects.list access")]
        with pytest.raises(Unavailable, match="list access"):
            call()


def test_nobody_at_the_address_is_unavailable() -> None:
    store = CloudStorageObjects(bucket="papers", url="http://127.0.0.1:9", timeout_s=2)
    with closing(store), pytest.raises(Unavailable):
        store.get(KEY)
