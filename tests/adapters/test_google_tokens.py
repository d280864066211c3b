"""Access tokens: from a metadata server, from credentials files, kept, renewed in time, and missed without a leak."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.google_server import Answer, Call, GoogleError, GoogleServer

from pinjam.adapters.google_tokens import CLOUD_PLATFORM, FAILURE_S, PAUSE_S, RENEW_BEFORE_S, GoogleTokens
from pinjam.services.ports import Unavailable

NOW = 1_800_000_000
TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCOUNT = "functions@pinjam-test.iam.gserviceaccount.com"


class TokenServer(GoogleServer):
    """A metadata server and a token endpoint, which give `token-1`, `token-2` and so on, each for an hour."""

    life_s = 3600
    given = 0

    def __init__(self) -> None:
        super().__init__(token=None)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def answer(self, call: Call) -> Answer:
        if call.path == TOKEN_PATH:
            self._check_metadata(call)
        elif call.path == "/token":
            self._check_grant(dict(_form(call)))
        else:
            raise GoogleError(404, "NOT_FOUND", "no such page")
        self.given += 1
        return 200, {"access_token": f"token-{self.given}", "expires_in": self.life_s, "token_type": "Bearer"}

    def account_file(self, folder: Path, **changes: str) -> Path:
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = {
            "type": "service_account",
            "project_id": "pinjam-test",
            "private_key_id": "key-1",
            "private_key": pem.decode(),
            "client_email": ACCOUNT,
            "token_uri": f"{self.url}/token",
        }
        return _written(folder, content | changes)

    def _check_metadata(self, call: Call) -> None:
        if call.method != "GET" or call.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in call.headers:
            raise GoogleError(403, "FORBIDDEN", "Missing Metadata-Flavor:Google header.")
        if call.query != {"scopes": CLOUD_PLATFORM}:
            raise GoogleError(400, "INVALID", "scopes")

    def _check_grant(self, form: Mapping[str, str]) -> None:
        if form == {
            "grant_type": "refresh_token",
            "client_id": "id",
            "client_secret": "secret",
            "refresh_token": "refresh",
        }:
            return
        if (
            set(form) != {"grant_type", "assertion"}
            or form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer"
        ):
            raise _OauthError("unsupported_grant_type")
        try:
            claims = jwt.decode(
                form["assertion"],
                self.key.public_key(),
                algorithms=["RS256"],
                audience=f"{self.url}/token",
                issuer=ACCOUNT,
                options={"require": ["iss", "scope", "aud", "iat", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            raise _OauthError("invalid_grant") from None
        right = claims["scope"] == CLOUD_PLATFORM and claims["iat"] == NOW and claims["exp"] == NOW + 3600
        if not right or jwt.get_unverified_header(form["assertion"])["kid"] != "key-1":
            raise _OauthError("invalid_grant")


class _OauthError(GoogleError):
    """Errors of OAuth have a shape of their own (RFC 6749, 5.2)."""

    def __init__(self, error: str) -> None:
        super().__init__(400, error, error)
        self.answer = (400, {"error": error, "error_description": "told in words, perhaps with what was sent"})


def _form(call: Call) -> list[tuple[str, str]]:
    if call.method != "POST" or call.headers["content-type"] != "application/x-www-form-urlencoded":
        raise _OauthError("invalid_request")
    return parse_qsl(call.content.decode(), strict_parsing=True)


def _written(folder: Path, content: Mapping[str, Any]) -> Path:
    path = folder / "credentials.json"
    path.write_text(json.dumps(content))
    return path


Make = Callable[..., GoogleTokens]


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with TokenServer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Iterator[Make]:
    """Tokens by an environment; closed after the test."""
    made: list[GoogleTokens] = []

    def tokens(**environment: str) -> GoogleTokens:
        made.append(GoogleTokens(environment=environment, clock=clock, now=lambda: NOW))
        return made[-1]

    yield tokens
    for one in made:
        one.close()


@pytest.fixture
def tokens(server: TokenServer, make: Make) -> GoogleTokens:
    """Of the metadata server."""
    return make(GCE_METADATA_HOST=server.url.removeprefix("http://"))


def at_once(callers: int, tokens: GoogleTokens) -> list[str]:
    """What so many threads get that ask together."""
    got: list[str] = []
    start = threading.Barrier(callers)

    def ask() -> None:
        start.wait(20)
        with suppress(Unavailable):
            got.append(tokens())

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def test_one_token_of_the_metadata_server_serves_many_callers(server: TokenServer, tokens: GoogleTokens) -> None:
    assert at_once(16, tokens) == ["token-1"] * 16
    assert server.paths == [f"GET {TOKEN_PATH}"]


def test_a_token_is_renewed_shortly_before_it_expires(server: TokenServer, tokens: GoogleTokens, clock: Clock) -> None:
    assert tokens() == "token-1"
    clock.seconds += 3600 - RENEW_BEFORE_S - 1
    assert tokens() == "token-1"
    clock.seconds += 1
    assert tokens() == "token-2"
    assert len(server.calls) == 2


def test_a_token_of_a_short_life_is_not_asked_for_anew_each_time(
    server: TokenServer, tokens: GoogleTokens, clock: Clock
) -> None:
    server.life_s = 100
    assert [tokens(), tokens()] == ["token-1"] * 2
    clock.seconds += 50
    assert tokens() == "token-2"


def test_a_token_that_was_refused_is_not_given_again(server: TokenServer, tokens: GoogleTokens) -> None:
    refused = tokens()
    tokens.forget(refused)
    assert tokens() == "token-2"
    tokens.forget(refused)  # By another thread, late: the new one stays.
    assert tokens() == "token-2"
    assert len(server.calls) == 2


def test_a_renewal_that_fails_leaves_the_token_that_still_stands(
    server: TokenServer, tokens: GoogleTokens, clock: Clock
) -> None:
    tokens()
    clock.seconds += 3600 - RENEW_BEFORE_S
    server.before = [(503, {})] * 2
    assert [tokens(), tokens()] == ["token-1"] * 2
    assert len(server.calls) == 3, "not asked again before a pause is over"
    clock.seconds += PAUSE_S
    assert tokens() == "token-2"


def test_while_one_thread_renews_the_others_go_on_with_the_token_that_stands(
    server: TokenServer, tokens: GoogleTokens, clock: Clock
) -> None:
    tokens()
    clock.seconds += 3600 - RENEW_BEFORE_S
    with server.lock:  # The server does not answer as long as we hold this.
        renewing = threading.Thread(target=tokens)
        renewing.start()
        while not tokens._lock.locked():
            assert renewing.is_alive()
        assert tokens() == "token-1"
    renewing.join()
    assert tokens() == "token-2"


def test_an_expired_token_is_not_given(server: TokenServer, tokens: GoogleTokens, clock: Clock) -> None:
    tokens()
    clock.seconds += 3600
    server.before = [(503, {})] * 2
    with pytest.raises(Unavailable, match="google-credentials: answered 503"):
        tokens()


def test_a_hiccup_of_the_metadata_server_is_tried_again(server: TokenServer, tokens: GoogleTokens) -> None:
    server.before = [(503, {})]
    assert tokens() == "token-1"


def test_an_outage_is_told_to_all_who_wait_after_one_failure(
    server: TokenServer, tokens: GoogleTokens, clock: Clock
) -> None:
    server.before = [(503, {})] * 100
    assert at_once(16, tokens) == []
    assert len(server.calls) == 2
    clock.seconds += FAILURE_S
    server.before = []
    assert tokens() == "token-1"


def test_a_machine_without_credentials_is_unavailable(make: Make) -> None:
    tokens = make(GCE_METADATA_HOST="127.0.0.1:9")
    with pytest.raises(Unavailable, match="google-credentials: ConnectError"):
        tokens()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "secret-token", "token_type": "Bearer"},
        {"access_token": "secret-token", "expires_in": 0, "token_type": "Bearer"},
        {"access_token": "", "expires_in": 3600, "token_type": "Bearer"},
        {"access_token": "secret-token\n", "expires_in": 3600, "token_type": "Bearer"},
        {"access_token": "secret-token", "expires_in": 3600, "token_type": "mac"},
    ],
)
def test_an_answer_that_is_none_is_unavailable_and_shows_no_token(
    server: TokenServer, tokens: GoogleTokens, answer: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    server.before = [(200, answer)] * 2
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as failed:
        tokens()
    assert "secret-token" not in f"{failed.value!r}{failed.value.__cause__!r}{caplog.text}"


def test_no_token_is_logged(tokens: GoogleTokens, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert tokens() == "token-1"
    assert "token-1" not in caplog.text + repr(tokens)


def test_a_service_accounts_key_signs_for_its_token(server: TokenServer, make: Make, tmp_path: Path) -> None:
    tokens = make(GOOGLE_APPLICATION_CREDENTIALS=str(server.account_file(tmp_path)))
    assert at_once(8, tokens) == ["token-1"] * 8
    assert server.paths == ["POST /token"]


def test_a_users_own_login_gives_a_token(server: TokenServer, make: Make, tmp_path: Path) -> None:
    login = {"type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": "refresh"}
    path = _written(tmp_path, login | {"token_uri": f"{server.url}/token"})
    path.rename(tmp_path / "application_default_credentials.json")
    tokens = make(CLOUDSDK_CONFIG=str(tmp_path))
    assert tokens() == "token-1"


def test_a_key_that_google_does_not_know_is_unavailable_by_its_code_only(
    server: TokenServer, make: Make, tmp_path: Path
) -> None:
    tokens = make(GOOGLE_APPLICATION_CREDENTIALS=str(server.account_file(tmp_path, private_key_id="key-2")))
    with pytest.raises(Unavailable, match=r"google-credentials: answered 400 invalid_grant$"):
        tokens()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"type": "external_account"}, "type"),
        ({"client_email": None}, "service_account.client_email"),
        ({"private_key": "topsecret"}, ACCOUNT),
    ],
)
def test_a_file_that_is_no_key_is_unavailable_and_shows_nothing_of_it(
    server: TokenServer, make: Make, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    path = server.account_file(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(Unavailable, match=named) as failed:
        make(GOOGLE_APPLICATION_CREDENTIALS=str(path))()
    assert "PRIVATE KEY" not in f"{failed.value!r}{failed.value.__cause__!r}"
    assert "topsecret" not in f"{failed.value!r}{failed.value.__cause__!r}"
    assert server.calls == []


def test_a_file_that_is_not_there_is_unavailable(make: Make, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="FileNotFoundError"):
        make(GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "nothing.json"))()
