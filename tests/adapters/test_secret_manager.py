"""Secrets: read by their whole name, proved by a checksum, and refused in words that show nothing of them."""

import base64
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import google_crc32c
import pytest
from tests.google_server import Answer, Call, GoogleError, GoogleServer, invalid

from pinjam.adapters.secret_manager import SecretManager
from pinjam.services.ports import Refused, Unavailable

NAME = "projects/pinjam-test/secrets/midtrans-server-key/versions/3"


class SecretServer(GoogleServer):
    """Secret Manager's `:access` for one secret of a few versions, by the REST reference (v1)."""

    def __init__(self) -> None:
        super().__init__()
        self.content = b"SB-Mid-server-TESTONLY"
        self.changes: dict[str, Any] = {}

    def answer(self, call: Call) -> Answer:
        named = re.fullmatch(r"/v1/(projects/([^/]+)/secrets/([^/]+)/versions/([^/:]+)):access", call.path)
        if named is None or call.method != "GET":
            raise GoogleError(404, "NOT_FOUND", "Method not found.")
        if call.query or call.content:
            raise invalid("Invalid JSON payload received.")
        name, project, secret, version = named.groups()
        if project != "pinjam-test":
            message = f"Permission 'secretmanager.versions.access' denied for resource '{name}' (or it may not exist)."
            raise GoogleError(403, "PERMISSION_DENIED", message)
        if secret != "midtrans-server-key" or version not in ("1", "2", "3", "latest"):
            raise GoogleError(404, "NOT_FOUND", f"Secret Version [{name}] not found.")
        if version == "2":
            raise GoogleError(400, "FAILED_PRECONDITION", f"Secret Version [{name}] is in DISABLED state.")
        payload = {
            "data": base64.b64encode(self.content).decode(),
            "dataCrc32c": str(google_crc32c.value(self.content)),
        }
        # The answer names the project by its number.
        return 200, {"name": f"projects/123/secrets/{secret}/versions/3", "payload": payload | self.changes}


@pytest.fixture
def server() -> Iterator[SecretServer]:
    with SecretServer() as running:
        yield running


@pytest.fixture
def secrets(server: SecretServer) -> Iterator[SecretManager]:
    with closing(SecretManager(url=server.url, token=lambda: "good-token")) as made:
        yield made


@pytest.mark.parametrize("version", ["3", "1", "latest"])
def test_a_version_of_a_secret_is_read(secrets: SecretManager, version: str) -> None:
    assert secrets.get(NAME[:-1] + version) == "SB-Mid-server-TESTONLY"


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"with-echo\n", "with-echo"), (b"two\nlines\r\n", "two\nlines"), ("kata sandi é".encode(), "kata sandi é")],
)
def test_a_line_break_at_the_end_is_no_part_of_it(
    server: SecretServer, secrets: SecretManager, content: bytes, text: str
) -> None:
    server.content = content
    assert secrets.get(NAME) == text


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (NAME[:-1] + "9", "NOT_FOUND"),
        (NAME[:-1] + "2", "FAILED_PRECONDITION"),
        (NAME.replace("pinjam-test", "another"), "PERMISSION_DENIED"),
        ("midtrans-server-key", "INVALID_ARGUMENT"),
        (NAME + ":destroy", "INVALID_ARGUMENT"),
        (NAME + "\n", "INVALID_ARGUMENT"),
        ("projects/../secrets/x", "INVALID_ARGUMENT"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(secrets: SecretManager, name: str, code: str) -> None:
    with pytest.raises(Refused, match=code) as refused:
        secrets.get(name)
    assert refused.value.code == code


def test_what_is_no_text_is_refused_and_not_shown(server: SecretServer, secrets: SecretManager) -> None:
    server.content = b"topsecret\xff"
    with pytest.raises(Refused) as refused:
        secrets.get(NAME)
    assert "topsecret" not in f"{refused.value!r}{refused.value.__cause__!r}"


@pytest.mark.parametrize(
    "changes", [{"data": "AAAA"}, {"data": "topsecret!"}, {"dataCrc32c": "1"}, {"dataCrc32c": None}]
)
def test_an_answer_that_was_changed_on_its_way_counts_for_nothing(
    server: SecretServer, secrets: SecretManager, changes: dict[str, Any]
) -> None:
    server.changes = changes
    with pytest.raises(Unavailable, match="secret-manager"):
        secrets.get(NAME)


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_service_that_cannot_answer_is_unavailable(server: SecretServer, secrets: SecretManager, code: int) -> None:
    server.before = [(code, {})]
    with pytest.raises(Unavailable, match=f"secret-manager: answered {code}"):
        secrets.get(NAME)
