import json
import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from pinjam.local.emulators.forgeable_tokens import ForgeableJwtCheck
from pinjam.local.gateway import MAX_BODY_BYTES, create_gateway, mount
from pinjam.local.gateway_jwt import SKEW_S, JwtCheck, JwtRefused
from pinjam.local.gateway_routes import BadPath, NotDefined, Routes, normalise
from pinjam.local.servers import WsgiServer
from pinjam.services.ports import Unavailable

NOW = 1_800_000_000
NO_METHOD = 'The current request is matched to the defined url template "{}" but its http method is not allowed'
NO_KEY = "Jwks doesn't have key to match kid or alg from Jwt"
ISSUER = "https://securetoken.google.com/pinjam-test"
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def operation(function: str, *, public: bool = False, **backend: object) -> dict[str, object]:
    address = {"address": f"https://functions.example/{function}", "path_translation": "APPEND_PATH_TO_ADDRESS"}
    return {"security": [] if public else [{"firebase": []}], "x-google-backend": address | backend}


DOCUMENT: Mapping[str, object] = {
    "swagger": "2.0",
    "paths": {
        "/api/auth/login": {"post": operation("login", public=True)},
        "/api/loans": {"get": operation("loans"), "options": operation("loans", public=True)},
        "/api/loans/{id}": {"get": operation("loans"), "delete": operation("loans")},
        "/api/loans/quote": {"get": operation("loans", public=True)},
        "/api/broken": {"get": operation("broken", public=True)},
        "/api/half": {"get": operation("half", public=True)},
        "/api/slow": {"get": operation("slow", public=True, deadline=2)},
        "/fixed/{id}": {"get": operation("loans/at", public=True, path_translation="CONSTANT_ADDRESS")},
        "/under": {"get": operation("loans/v1", public=True)},
    },
}


@dataclass
class Backend:
    """Answers with what it was asked."""

    seen: WSGIEnvironment = field(default_factory=dict)
    body: bytes = b""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.seen = environ
        length = int(environ.get("CONTENT_LENGTH") or 0)
        self.body = environ["wsgi.input"].read(length)
        answer = json.dumps({"path": environ["PATH_INFO"], "query": environ["QUERY_STRING"]}).encode()
        headers = [("Content-Type", "application/json"), ("X-Request-Id", "from-the-function"), ("Server", "secret")]
        start_response("200 OK", [*headers, ("Content-Length", str(len(answer)))])
        return [answer]


def broken(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("the database password is hunter2")


def half(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"half of it"
    raise RuntimeError("hunter2")


@dataclass
class KeySet:
    """The issuer's keys, or its absence."""

    keys: Mapping[str, jwt.PyJWK] | None

    def get(self, kid: str) -> jwt.PyJWK | None:
        if self.keys is None:
            raise Unavailable("identity", "away")
        return self.keys.get(kid)


@dataclass
class Gateway:
    backend: Backend = field(default_factory=Backend)
    sandbox: Backend = field(default_factory=Backend)
    keys: KeySet = field(
        default_factory=lambda: KeySet(
            {"k1": jwt.PyJWK(json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE.public_key())), "RS256")}
        )
    )
    elapsed_s: float = 0.0

    def __post_init__(self) -> None:
        ticks = iter(range(1_000_000))
        self.app = create_gateway(
            DOCUMENT,
            backends={
                "login": self.backend,
                "loans": self.backend,
                "slow": self.backend,
                "broken": broken,
                "half": half,
            },
            verifier=JwtCheck(issuer=ISSUER, audience="pinjam-test", keys=self.keys, clock=lambda: NOW),
            gateway_token="the-gateway",
            extra={"/sandbox": self.sandbox},
            clock=lambda: next(ticks) * self.elapsed_s,
        )

    def get(self, path: str, token: str | None = None, **headers: str) -> TestResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return Client(self.app).get(path, headers=sent)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def token(kid: str = "k1", key: rsa.RSAPrivateKey = PRIVATE, **changed: Any) -> str:
    claims = {"iss": ISSUER, "aud": "pinjam-test", "sub": "usr_1", "iat": NOW, "exp": NOW + 3600} | changed
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid})


def refusal(answer: TestResponse) -> tuple[int, str]:
    body = answer.get_json()
    assert answer.content_type == "application/json"
    assert body["code"] == answer.status_code
    assert answer.headers["X-Request-Id"]
    return body["code"], body["message"]


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/unknown", "/api/loans/a/b", "/api/loans/quote/x", "/sandboxed", "/api/loanS"]
)
def test_a_path_outside_the_document_does_not_exist(gateway: Gateway, path: str) -> None:
    assert refusal(gateway.get(path)) == (404, "The current request is not defined by this API.")


def test_a_variable_segment_is_never_empty() -> None:
    with pytest.raises(NotDefined):
        Routes({"paths": {"/{id}": {"get": operation("loans")}}}).match("GET", "/")


def test_a_method_outside_the_document_is_refused_before_the_token_is_asked_for(gateway: Gateway) -> None:
    assert refusal(Client(gateway.app).put("/api/loans/loan_1")) == (
        405,
        NO_METHOD.format("/api/loans/{id}"),
    )


def test_a_method_of_a_less_literal_path_is_found(gateway: Gateway) -> None:
    answer = Client(gateway.app).delete("/api/loans/quote", headers={"Authorization": f"Bearer {token()}"})
    assert answer.get_json()["path"] == "/api/loans/quote"


def test_options_goes_to_the_function_when_declared(gateway: Gateway) -> None:
    assert Client(gateway.app).options("/api/loans").status_code == 200
    assert Client(gateway.app).options("/api/loans/x").status_code == 405


def test_the_function_gets_claims_gateway_token_and_the_callers_own(gateway: Gateway) -> None:
    sent = token()
    answer = gateway.get("/api/loans?limit=5", sent, X_Apigateway_Api_Userinfo="forged", Accept_Language="en")
    assert answer.get_json() == {"path": "/api/loans", "query": "limit=5"}
    seen = gateway.backend.seen
    assert seen["HTTP_X_APIGATEWAY_API_USERINFO"] == sent.split(".")[1]
    assert "=" not in seen["HTTP_X_APIGATEWAY_API_USERINFO"]
    assert seen["HTTP_X_FORWARDED_AUTHORIZATION"] == f"Bearer {sent}"
    assert seen["HTTP_AUTHORIZATION"] == "Bearer the-gateway"
    assert seen["HTTP_ACCEPT_LANGUAGE"] == "en"
    assert seen["SCRIPT_NAME"] == ""


def test_on_a_public_route_a_client_can_send_the_gateways_headers_as_with_the_real_one(gateway: Gateway) -> None:
    gateway.get("/api/loans/quote", X_Apigateway_Api_Userinfo="forged", X_Forwarded_Authorization="Bearer forged")
    assert gateway.backend.seen["HTTP_X_APIGATEWAY_API_USERINFO"] == "forged"
    assert gateway.backend.seen["HTTP_X_FORWARDED_AUTHORIZATION"] == "Bearer forged"
    assert gateway.backend.seen["HTTP_AUTHORIZATION"] == "Bearer the-gateway"


def test_on_a_route_with_jwt_forged_headers_do_not_get_through(gateway: Gateway) -> None:
    forged = {"X_Apigateway_Api_Userinfo": "forged", "X_Forwarded_Authorization": "Bearer forged"}
    assert gateway.get("/api/loans", **forged).status_code == 401
    sent = token()
    gateway.get("/api/loans", sent, **forged)
    assert "forged" not in str(gateway.backend.seen)


def segment(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PAYLOAD = token().split(".")[1]


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (None, 401, "Jwt is missing"),
        ("", 401, "Jwt is missing"),
        ("a.b", 401, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"),
        ("é.b.c", 401, "Jwt header is an invalid Base64url encoded"),
        ("e30.bm9wZQ.c", 401, "Jwt payload is an invalid JSON"),
        ("e30.W10.c", 401, "Jwt payload is an invalid JSON"),
        (token(iss="https://evil.example"), 401, "Jwt issuer is not configured"),
        (token(exp=NOW - SKEW_S - 1), 401, "Jwt is expired"),
        (token(nbf=NOW + SKEW_S + 1), 401, "Jwt not yet valid"),
        (token(exp="tomorrow"), 401, "Jwt payload [exp] field is not a positive integer"),
        (token(aud="another"), 403, "Audiences in Jwt are not allowed"),
        (token(aud=["another"]), 403, "Audiences in Jwt are not allowed"),
        (token(key=OTHER), 401, "Jwt verification fails"),
        (token(kid="unknown"), 401, NO_KEY),
        (f"{segment({'alg': 'none', 'kid': 'k1'})}.{PAYLOAD}.", 401, NO_KEY),
        (f"{segment({'alg': 'HS256', 'kid': 'k1'})}.{PAYLOAD}.AA", 401, NO_KEY),
    ],
)
def test_a_token_that_is_not_right_is_refused_in_the_gateways_words(
    gateway: Gateway, sent: str | None, status: int, message: str
) -> None:
    answer = gateway.get("/api/loans", sent)
    assert refusal(answer) == (status, message)
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="http://localhost/api/loans"')
    assert gateway.backend.seen == {}


def test_another_scheme_is_no_jwt(gateway: Gateway) -> None:
    assert refusal(gateway.get("/api/loans", Authorization="Basic abc")) == (401, "Jwt is missing")


@pytest.mark.parametrize("changed", [{"exp": NOW - SKEW_S}, {"nbf": NOW + SKEW_S}, {"aud": ["other", "pinjam-test"]}])
def test_a_token_within_a_minute_of_skew_or_with_several_audiences_passes(
    gateway: Gateway, changed: dict[str, Any]
) -> None:
    assert gateway.get("/api/loans", token(**changed)).status_code == 200


def test_without_the_issuers_keys_no_token_passes(gateway: Gateway) -> None:
    gateway.keys.keys = None
    assert refusal(gateway.get("/api/loans", token())) == (401, "Jwks remote fetch is failed")


def test_the_check_for_the_emulators_tokens_checks_all_but_the_signature() -> None:
    check = ForgeableJwtCheck(issuer=ISSUER, audience="pinjam-test", clock=lambda: NOW)
    claims = {"iss": ISSUER, "aud": "pinjam-test", "sub": "usr_1", "iat": NOW, "exp": NOW + 3600}

    def unsigned(**changed: object) -> str:
        return "Bearer " + jwt.encode(claims | changed, "", algorithm="none")

    assert check.payload(unsigned()) == unsigned().split(".")[1]
    for sent, status in (
        (f"Bearer {token()}", 401),
        (f"{unsigned()}{token().rpartition('.')[2]}", 401),
        (unsigned(iss="https://securetoken.google.com/other"), 401),
        (unsigned(exp=NOW - SKEW_S - 1), 401),
        (unsigned(aud="other"), 403),
        (None, 401),
    ):
        with pytest.raises(JwtRefused) as refused:
            check.payload(sent)
        assert refused.value.status == status


@pytest.mark.parametrize("path", ["/api/broken", "/api/half"])
def test_a_function_that_breaks_is_answered_for_without_its_words(
    gateway: Gateway, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = gateway.get(path)
    assert refusal(answer)[0] == 503
    assert "hunter2" not in answer.text
    assert "hunter2" in caplog.text


def test_a_function_past_its_deadline_is_a_timeout(gateway: Gateway) -> None:
    gateway.elapsed_s = 2.0
    assert gateway.get("/api/slow").status_code == 200
    gateway.elapsed_s = 2.1
    assert refusal(gateway.get("/api/slow")) == (504, "upstream request timeout")
    assert gateway.get("/api/loans/quote").status_code == 200


def test_the_functions_request_id_is_kept_and_its_server_is_not_told(gateway: Gateway) -> None:
    answer = gateway.get("/api/loans/quote")
    assert answer.headers["X-Request-Id"] == "from-the-function"
    assert "Server" not in answer.headers


def test_an_address_may_be_constant_or_have_a_path_of_its_own(gateway: Gateway) -> None:
    assert gateway.get("/fixed/a%20b?c=d").get_json() == {"path": "/at", "query": "c=d&id=a+b"}
    assert gateway.get("/under").get_json()["path"] == "/v1/under"


def test_a_local_prefix_gets_the_whole_path(gateway: Gateway) -> None:
    assert gateway.get("/sandbox/inbox?to=a").get_json() == {"path": "/sandbox/inbox", "query": "to=a"}
    assert gateway.sandbox.seen


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"paths": {"/a": {"get": operation("nobody")}}}, "nobody"),
        ({"paths": {"/a": {"get": {}}}}, "x-google-backend"),
        ({"paths": {"/a": {"get": {"x-google-backend": {"address": "https://functions.example"}}}}}, "no function"),
    ],
)
def test_a_document_that_leads_nowhere_is_refused_at_once(document: dict[str, object], message: str) -> None:
    check = JwtCheck(issuer=ISSUER, audience="a", keys=KeySet(None))
    with pytest.raises(ValueError, match=message):
        create_gateway(document, backends={}, verifier=check, gateway_token="t", extra={})


@pytest.mark.parametrize(
    ("sent", "normal"),
    [
        ("/api/loans/", "/api/loans/"),
        ("//api///loans", "/api/loans"),
        ("/api/x/../loans", "/api/loans"),
        ("/api/%2e%2e/%2E%2e/../etc", "/etc"),
        ("/api/./loans/.", "/api/loans/"),
        ("/api/%6Coans", "/api/loans"),
        ("/api/loans/a%2fb", "/api/loans/a%2Fb"),
        ("/api/loans/é", "/api/loans/%C3%A9"),
        ("/..", "/"),
        ("", "/"),
        ("/a%zz", "/a%zz"),
    ],
)
def test_paths_are_put_in_their_normal_form(sent: str, normal: str) -> None:
    assert normalise(sent) == normal


def test_a_nul_in_a_path_is_refused(gateway: Gateway) -> None:
    with pytest.raises(BadPath):
        normalise("/api/loans/a%00")
    assert refusal(gateway.get("/api/loans/a%00")) == (400, "Bad Request")


@given(st.text(alphabet="/.%2eEfFa0\\ é?", max_size=20))
def test_a_normal_path_climbs_nowhere_and_is_stable(sent: str) -> None:
    try:
        normal = normalise("/" + sent)
    except BadPath:
        return
    assert normal.startswith("/")
    assert "//" not in normal
    assert not {".", ".."} & set(normal.split("/"))


def wire(port: int, *lines: str, body: bytes = b"") -> tuple[bytes, bytes]:
    head = "\r\n".join([*lines, "Host: localhost", "Connection: close", "", ""]).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    first, _, rest = answer.partition(b"\r\n\r\n")
    return first, rest


@pytest.fixture
def port(gateway: Gateway) -> Iterator[int]:
    with WsgiServer(gateway.app) as server:
        yield server.port


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/api/loans/quote/", "/api/loans/quote/"),
        ("//api//loans//quote", "/api/loans/quote"),
        ("/api/x/../loans/quote?a=b", "/api/loans/quote"),
        ("http://localhost/api/loans/quote", "/api/loans/quote"),
    ],
)
def test_odd_spellings_of_a_path_reach_the_function_in_normal_form(port: int, target: str, path: str) -> None:
    head, body = wire(port, f"GET {target} HTTP/1.1")
    assert head.startswith(b"HTTP/1.1 200")
    assert json.loads(body)["path"] == path


def test_an_escaped_slash_stays_within_its_segment(gateway: Gateway, port: int) -> None:
    head, _ = wire(port, "GET /api/loans/a%2Fb HTTP/1.1", f"Authorization: Bearer {token()}")
    assert head.startswith(b"HTTP/1.1 200")
    assert gateway.backend.seen["PATH_INFO"] == "/api/loans/a/b"


@pytest.mark.parametrize("target", ["*", "/%", "/%zz", "/" + "a" * 5000, "/\xff", "http://[/"])
def test_no_request_line_is_a_server_error(port: int, target: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n".encode("latin-1"))
        assert connection.recv(65536).split(b" ")[1] in {b"400", b"404"}


def test_head_is_refused_without_a_body_unless_declared(port: int) -> None:
    head, body = wire(port, "HEAD /api/loans HTTP/1.1")
    assert head.startswith(b"HTTP/1.1 405")
    assert body == b""


def test_a_client_that_waits_for_a_continue_gets_one(gateway: Gateway, port: int) -> None:
    lines = ("POST /api/auth/login HTTP/1.1", "Expect: 100-continue", "Content-Length: 2")
    head, rest = wire(port, *lines, body=b"{}")
    assert head.startswith(b"HTTP/1.1 100")
    assert b"HTTP/1.1 200" in rest
    assert gateway.backend.body == b"{}"
    assert "HTTP_EXPECT" not in gateway.backend.seen


def test_a_chunked_body_arrives_whole(gateway: Gateway, port: int) -> None:
    lines = ("POST /api/auth/login HTTP/1.1", "Transfer-Encoding: chunked")
    wire(port, *lines, body=b"2\r\n{}\r\n0\r\n\r\n")
    assert gateway.backend.body == b"{}"


def test_a_header_spelt_with_underscores_is_dropped(gateway: Gateway, port: int) -> None:
    wire(port, "GET /api/loans/quote HTTP/1.1", "X_Apigateway_Api_Userinfo: forged")
    assert "HTTP_X_APIGATEWAY_API_USERINFO" not in gateway.backend.seen


@pytest.mark.parametrize(("length", "status"), [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)])
def test_a_body_may_have_32_megabytes(gateway: Gateway, length: int, status: int) -> None:
    answer = Client(gateway.app).open(
        "/api/auth/login", method="POST", environ_overrides={"CONTENT_LENGTH": str(length)}
    )
    assert answer.status_code == status


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "²"])  # a digit that is none in HTTP
def test_a_bad_content_length_is_a_bad_request(gateway: Gateway, length: str) -> None:
    answer = Client(gateway.app).open("/api/auth/login", method="POST", environ_overrides={"CONTENT_LENGTH": length})
    assert refusal(answer) == (400, "Bad Request")


def test_mounted_functions_answer_only_who_shows_the_token() -> None:
    backend = Backend()
    client = Client(mount({"notify": backend}, token="t"))
    allowed = {"Authorization": "Bearer t"}
    assert client.post("/notify").status_code == 401
    assert client.post("/notify", headers={"Authorization": "Bearer é"}).status_code == 401
    assert client.post("/unknown", headers=allowed).status_code == 404
    assert client.post("/notify/deep", headers=allowed).get_json()["path"] == "/deep"
    assert client.post("/notify", headers=allowed).get_json()["path"] == "/"
