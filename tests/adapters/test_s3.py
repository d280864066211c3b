"""S3's wire format, at a server that is strict where moto is not.

The format is that of AWS's reference: PutObject, GetObject, HeadObject, DeleteObject, in the path style.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.object_server import ObjectServer, Request, Told

from pinjam.adapters.s3 import S3Objects
from pinjam.services.ports import ObjectCorrupted, ObjectExists, Unavailable

KEY = "usr_1/doc_1"
OBJECT = f"/papers/{KEY}"
SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=made-up-key/\d{8}/ap-southeast-3/s3/aws4_request, "
    r"SignedHeaders=(\S+), Signature=[0-9a-f]{64}"
)


def error(status: int, code: str, message: str, **headers: str) -> Told:
    content = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Told(status, content.encode(), {"Content-Type": "application/xml", **headers})


class StrictS3(ObjectServer):
    """One bucket, `papers`. It wants signatures of the right scope, and looks into what arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, tuple[dict[str, str], bytes]] = {}

    def answer(self, request: Request) -> Told:
        signed = SIGNED.fullmatch(request.headers.get("authorization", ""))
        if signed is None or not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed[1].split(";")):
            return error(403, "AccessDenied", "Access Denied.")
        if request.method == "PUT":
            assert set(signed[1].split(";")) >= {"content-md5", "content-type", "x-amz-meta-sha256"}
            return self._put(request)
        if request.method == "DELETE":
            self.kept.pop(request.path, None)
            return Told(204)
        assert request.method in {"GET", "HEAD"}
        if request.path not in self.kept:
            return error(404, "NoSuchKey", "The specified key does not exist.")
        # waitress gives the names of headers capitals, as MinIO does.
        headers, content = self.kept[request.path]
        return Told(200, content, headers)

    def _put(self, request: Request) -> Told:
        assert request.query == {}
        assert request.headers["if-none-match"] == "*"
        md5 = base64.b64encode(hashlib.md5(request.content, usedforsecurity=False).digest()).decode()
        if request.headers["content-md5"] != md5:
            return error(400, "BadDigest", "The Content-Md5 you specified did not match what we received.")
        if request.path in self.kept:
            return error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        told = {
            "Content-Type": request.headers["content-type"],
            "x-amz-meta-sha256": request.headers["x-amz-meta-sha256"],
        }
        self.kept[request.path] = (told, request.content)
        return Told(200, headers={"ETag": f'"{md5}"'})


@pytest.fixture(scope="module")
def running() -> Iterator[StrictS3]:
    with StrictS3() as server:
        yield server


@pytest.fixture(scope="module")
def client(running: StrictS3) -> Iterator[S3Objects]:
    """One for all tests: making it takes longer than any of them."""
    made = S3Objects(
        bucket="papers",
        url=running.url,
        region="ap-southeast-3",
        access_key="made-up-key",
        secret_key="made-up-secret",
        timeout_s=5,
    )
    yield made
    made.close()


@pytest.fixture
def server(running: StrictS3) -> StrictS3:
    for kept in (running.kept, running.first, running.requests):
        kept.clear()
    return running


@pytest.fixture
def store(server: StrictS3, client: S3Objects) -> S3Objects:
    assert not server.requests
    return client


def test_an_object_is_written_read_and_deleted_as_the_reference_says(server: StrictS3, store: S3Objects) -> None:
    content = bytes(range(256))
    store.put(KEY, content, content_type="image/jpeg")
    told, kept = server.kept[OBJECT]
    assert (told["Content-Type"], kept) == ("image/jpeg", content)
    assert told["x-amz-meta-sha256"] == hashlib.sha256(content).hexdigest()
    assert store.get(KEY) == content
    store.delete(KEY)
    assert server.kept == {}
    assert server.lines == [f"{method} {OBJECT}" for method in ("PUT", "GET", "DELETE")]


def test_a_write_whose_answer_was_lost_is_harmless_to_repeat(server: StrictS3, store: S3Objects) -> None:
    for _ in range(2):
        store.put(KEY, b"bytes", content_type="image/jpeg")
    with pytest.raises(ObjectExists):
        store.put(KEY, b"other", content_type="image/jpeg")
    assert server.lines.count(f"HEAD {OBJECT}") == 2


def test_an_object_that_went_between_the_refusal_and_the_look_is_worth_another_try(
    server: StrictS3, store: S3Objects
) -> None:
    server.first.append(error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold"))
    with pytest.raises(Unavailable, match="404"):
        store.put(KEY, b"bytes", content_type="image/jpeg")


def test_of_two_that_write_at_once_the_one_that_is_told_of_a_conflict_may_try_again(
    server: StrictS3, store: S3Objects
) -> None:
    server.first.append(error(409, "ConditionalRequestConflict", "A conflicting conditional operation is in progress"))
    with pytest.raises(Unavailable, match="ConditionalRequestConflict"):
        store.put(KEY, b"bytes", content_type="image/jpeg")


def test_bytes_that_changed_on_their_way_are_not_kept(
    server: StrictS3, store: S3Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = server._put

    def flip(request: Request) -> Told:
        changed = request.content.replace(b"as it was sent", b"as it has come")
        return put(replace(request, content=changed))

    monkeypatch.setattr(server, "_put", flip)  # the network between the two
    with pytest.raises(Unavailable, match="400: BadDigest"):
        store.put(KEY, b"as it was sent", content_type="image/jpeg")
    assert server.kept == {}


def test_an_object_that_nobody_put_a_hash_on_is_not_ours(server: StrictS3, store: S3Objects) -> None:
    server.kept[OBJECT] = ({"Content-Type": "image/jpeg"}, b"bytes")
    with pytest.raises(ObjectCorrupted):
        store.get(KEY)


@pytest.mark.parametrize(("status", "code"), [(429, "TooManyRequests"), (503, "SlowDown")])
def test_a_service_that_asks_to_come_back_says_when_and_is_asked_once(
    server: StrictS3, store: S3Objects, status: int, code: str
) -> None:
    for call in (
        lambda: store.put(KEY, b"bytes", content_type="image/jpeg"),
        lambda: store.get(KEY),
        lambda: store.delete(KEY),
    ):
        server.first.append(error(status, code, "Reduce your request rate", **{"Retry-After": "7"}))
        with pytest.raises(Unavailable, match=code) as told:
            call()
        assert told.value.retry_after_s == 7
    assert len(server.requests) == 3


def test_a_download_that_ends_early_is_unavailable(server: StrictS3, store: S3Objects) -> None:
    server.first.append(Told(200, b"byt", {"x-amz-meta-sha256": hashlib.sha256(b"byt").hexdigest()}, promised=5))
    with pytest.raises(Unavailable):
        store.get(KEY)


def test_an_object_larger_than_any_is_not_read(server: StrictS3, store: S3Objects) -> None:
    server.first.append(Told(200, b"byt", promised=100_000_000))
    with pytest.raises(Unavailable, match="more than any"):
        store.get(KEY)


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_what_may_not_be_done_is_told_in_the_services_words(server: StrictS3, store: S3Objects, code: str) -> None:
    for call in (
        lambda: store.put(KEY, b"bytes", content_type="image/jpeg"),
        lambda: store.get(KEY),
        lambda: store.delete(KEY),
    ):
        server.first.append(error(403, code, "Not with these keys."))
        with pytest.raises(Unavailable, match=f"403: {code} Not with these keys"):
            call()


def test_nobody_at_the_address_is_unavailable_whatever_the_environment_says(
    server: StrictS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Read when a client is made, so a new one is.
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    alone = S3Objects(
        bucket="papers", url="http://127.0.0.1:9", region="ap-southeast-3", access_key="k", secret_key="s", timeout_s=2
    )
    with pytest.raises(Unavailable):
        alone.get(KEY)
    alone.close()
    assert server.requests == []


def test_an_answer_that_is_no_xml_is_unavailable(server: StrictS3, store: S3Objects) -> None:
    server.first.append(Told(502, b"<html>Bad Gateway", {"Content-Type": "text/html"}))
    with pytest.raises(Unavailable):
        store.get(KEY)
