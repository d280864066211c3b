"""What every adapter of `ports.TokenVerifier` does: the one of signed tokens, and the one of the emulator's."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from wsgiref.types import StartResponse, WSGIEnvironment

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from pinjam.adapters.id_tokens import (
    JWKS_TTL_S,
    LEEWAY_S,
    MAX_ANSWER_BYTES,
    REFETCH_INTERVAL_S,
    FirebaseTokenVerifier,
    SigningKeys,
)
from pinjam.local.emulators.forgeable_tokens import BelievesForgeableTokens
from pinjam.local.identity_tokens import SigningKey
from pinjam.local.servers import WsgiServer
from pinjam.services.ports import TokenVerifier, Unavailable, WrongCredentials

PROJECT = "pinjam-test"
NOW = 1_800_000_000


@dataclass
class Issuer:
    """Who makes tokens, and who is to believe them."""

    sign: Callable[[Mapping[str, object]], str]
    verifier: TokenVerifier


def claims(**changed: object) -> dict[str, object]:
    """An ID token's claims; a change to None leaves the claim out."""
    usual: dict[str, object] = {
        "iss": f"https://securetoken.google.com/{PROJECT}",
        "aud": PROJECT,
        "sub": "usr_1",
        "iat": NOW,
        "exp": NOW + 3600,
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def unsigned(claims: Mapping[str, object]) -> str:
    """A token as the emulator makes it."""
    return jwt.encode(dict(claims), "", algorithm="none")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey(tmp_path_factory.mktemp("identity") / "key.pem")


@pytest.fixture(scope="module")
def signed(key: SigningKey) -> Iterator[Issuer]:
    with WsgiServer(KeyServer(key.jwks)) as server:
        yield Issuer(key.sign, FirebaseTokenVerifier(project=PROJECT, jwks_url=server.url, clock=lambda: NOW))


@pytest.fixture
def believed() -> Issuer:
    return Issuer(unsigned, BelievesForgeableTokens(project=PROJECT, clock=lambda: NOW))


@pytest.fixture(params=["signed", "believed"])
def issuer(request: pytest.FixtureRequest) -> Issuer:
    made: Issuer = request.getfixturevalue(request.param)
    return made


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://securetoken.google.com/another"},
        {"aud": "another"},
        {"aud": None},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": NOW + LEEWAY_S + 1},
        {"exp": NOW - LEEWAY_S},
    ],
)
def test_a_token_with_one_wrong_claim_is_refused(issuer: Issuer, changed: dict[str, object]) -> None:
    issuer.verifier.verify(issuer.sign(claims()))
    with pytest.raises(WrongCredentials):
        issuer.verifier.verify(issuer.sign(claims(**changed)))


@pytest.mark.parametrize("changed", [{"iat": NOW + LEEWAY_S}, {"exp": NOW - LEEWAY_S + 1}])
def test_clocks_may_differ_by_a_minute(issuer: Issuer, changed: dict[str, object]) -> None:
    assert issuer.verifier.verify(issuer.sign(claims(**changed)))


def test_the_claims_are_those_of_the_token(issuer: Issuer) -> None:
    assert issuer.verifier.verify(issuer.sign(claims(passkey="psk_1"))) == claims(passkey="psk_1")


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "..", "\udcff.é.x"])
def test_what_is_no_token_is_refused(issuer: Issuer, token: str) -> None:
    with pytest.raises(WrongCredentials):
        issuer.verifier.verify(token)


def test_a_token_without_its_last_part_is_refused(issuer: Issuer) -> None:
    with pytest.raises(WrongCredentials):
        issuer.verifier.verify(issuer.sign(claims()).rpartition(".")[0])


def test_a_forged_token_is_refused(signed: Issuer, key: SigningKey) -> None:
    genuine = key.sign(claims())
    head, payload, signature = genuine.split(".")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for forged in (
        f"{head}.{payload}.{signature[:-8]}AAAAAAAA",
        f"{head}.{payload}.",
        jwt.encode(claims(), "", algorithm="none", headers={"kid": key.kid}),
        unsigned(claims()),
        jwt.encode(claims(), other, algorithm="RS256", headers={"kid": key.kid}),
        jwt.encode(claims(), other, algorithm="RS256", headers={"kid": "unknown"}),
        jwt.encode(claims(), "s" * 64, algorithm="HS256", headers={"kid": key.kid}),
    ):
        with pytest.raises(WrongCredentials):
            signed.verifier.verify(forged)


def test_who_believes_forgeable_tokens_refuses_signed_ones(believed: Issuer, key: SigningKey) -> None:
    genuine, token = key.sign(claims()), unsigned(claims())
    head, payload, signature = genuine.split(".")
    for refused in (genuine, f"{head}.{payload}.", f"{token}{signature}"):
        with pytest.raises(WrongCredentials):
            believed.verifier.verify(refused)


@dataclass
class KeyServer:
    """A JWKS address that counts its visitors."""

    jwks: object
    visits: int = 0

    def __call__(self, _environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.visits += 1
        start_response("200 OK" if self.jwks else "503 Away", [("Content-Type", "application/json")])
        return [json.dumps(self.jwks).encode()]


def test_unknown_key_ids_cannot_make_it_hammer_the_key_server(key: SigningKey) -> None:
    now = 0.0
    served = KeyServer(key.jwks)
    with WsgiServer(served) as server:
        keys = SigningKeys(server.url, clock=lambda: now)
        assert all(keys.get(f"made-up-{n}") is None for n in range(50))
        assert served.visits == 1
        now = REFETCH_INTERVAL_S
        assert keys.get("made-up") is None
        assert served.visits == 2
        assert keys.get(key.kid) is not None
        assert served.visits == 2


def test_keys_are_fetched_again_after_five_minutes_and_serve_on_while_the_server_is_away(key: SigningKey) -> None:
    now = 0.0
    served = KeyServer(key.jwks)
    with WsgiServer(served) as server:
        keys = SigningKeys(server.url, clock=lambda: now)
        keys.get(key.kid)
        now = JWKS_TTL_S - 1
        keys.get(key.kid)
        assert served.visits == 1
        now, served.jwks = JWKS_TTL_S, None
        assert keys.get(key.kid) is not None
        assert served.visits == 2
        now, served.jwks = JWKS_TTL_S + REFETCH_INTERVAL_S, {"keys": []}
        keys.get(key.kid)
        assert served.visits == 3


Answering = Callable[[bytes, StartResponse], Iterable[bytes]]


def with_status(status: str, body: Callable[[bytes], bytes]) -> Answering:
    """Answers with what is made of good keys."""

    def answer(keys: bytes, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "application/json"), ("Location", "/keys")])
        return [body(keys)]

    return answer


@pytest.mark.parametrize(
    "answering",
    [
        with_status("503 Away", lambda keys: keys),
        with_status("302 Found", lambda keys: keys),
        with_status("200 OK", lambda _keys: b"<html>"),
        with_status("200 OK", lambda _keys: b"[]"),
        with_status("200 OK", lambda keys: keys + b" " * MAX_ANSWER_BYTES),
    ],
    ids=["away", "elsewhere", "no JSON", "no keys", "too long"],
)
def test_without_keys_nobody_is_believed_and_nobody_refused(key: SigningKey, answering: Answering) -> None:
    keys = json.dumps(key.jwks).encode()

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/keys":
            return KeyServer(key.jwks)(environ, start_response)
        return answering(keys, start_response)

    with WsgiServer(serve) as server, pytest.raises(Unavailable):
        SigningKeys(server.url).get(key.kid)


def test_without_a_key_server_nobody_is_believed_and_nobody_refused() -> None:
    with pytest.raises(Unavailable):
        SigningKeys("http://127.0.0.1:9/keys").get("any")


def test_the_whole_address_of_the_keys_is_asked_for(key: SigningKey) -> None:
    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = (environ["PATH_INFO"], environ["QUERY_STRING"])
        return KeyServer(key.jwks if asked == ("/keys/v1", "of=us") else None)(environ, start_response)

    with WsgiServer(serve) as server:
        assert SigningKeys(f"{server.url}/keys/v1?of=us").get(key.kid) is not None
