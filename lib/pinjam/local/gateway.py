"""A local stand-in for Google API Gateway, driven by the same OpenAPI 2.0 document.

It answers in the gateway's own words before a function is asked, and hands over what the gateway hands
over. Known differences: a function that outlives its deadline is answered for with 504 only once it has
ended, because it runs in this process.
"""

import hmac
import json
import logging
import secrets
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import TypeAlias
from urllib.parse import quote, unquote_to_bytes
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from pinjam.local.gateway_jwt import JwtCheck, JwtRefused
from pinjam.local.gateway_routes import BadPath, MethodNotAllowed, NotDefined, Route, Routes, normalise

MAX_BODY_BYTES = 32 * 1024 * 1024
_NOT_DEFINED = "The current request is not defined by this API."
_NO_METHOD = 'The current request is matched to the defined url template "{}" but its http method is not allowed'
_BROKEN = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
_PASSED = (
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
)
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding"}
)
_NOT_PASSED = frozenset({f"HTTP_{name.upper().replace('-', '_')}" for name in _HOP_BY_HOP}) | {
    "HTTP_EXPECT",
    "HTTP_UPGRADE",
    "HTTP_PROXY",  # Read by CGI programs as a proxy's address (httpoxy).
}
_log = logging.getLogger(__name__)

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None


@dataclass(slots=True)
class _Answer:
    """A whole answer, gathered before any of it is sent: the gateway does not stream."""

    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def own(cls, status: int, message: str) -> "_Answer":
        body = json.dumps({"message": message, "code": status}).encode()
        line = f"{status} {HTTPStatus(status).phrase}"
        return cls(line, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)

    @classmethod
    def of(cls, app: WSGIApplication, environ: WSGIEnvironment) -> "_Answer":
        """What an application answers to this; whatever it raises comes through."""
        answer = cls()
        pieces: list[bytes] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _exc_info: ExcInfo = None, /
        ) -> Callable[[bytes], object]:
            answer.status, answer.headers = status, list(headers)
            return pieces.append

        result = app(environ, start_response)
        try:
            pieces.extend(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        answer.body = b"".join(pieces)
        if not answer.status:
            raise RuntimeError("the application answered without a status")
        return answer

    def send(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = [pair for pair in self.headers if pair[0].lower() not in _HOP_BY_HOP | {"server"}]
        if not any(name.lower() == "x-request-id" for name, _ in headers):
            headers.append(("X-Request-Id", secrets.token_hex(16)))
        start_response(self.status, headers)
        return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


class _Refused(Exception):
    """The gateway answers by itself."""

    def __init__(self, status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.answer = _Answer.own(status, message)
        self.answer.headers += headers


class _Gateway:
    def __init__(
        self,
        document: Mapping[str, object],
        *,
        backends: Mapping[str, WSGIApplication],
        verifier: JwtCheck,
        gateway_token: str,
        extra: Mapping[str, WSGIApplication],
        clock: Callable[[], float],
    ) -> None:
        self._routes = Routes(document)
        missing = sorted(self._routes.functions - set(backends))
        if missing:
            raise ValueError(f"the document names functions that are not served: {', '.join(missing)}")
        self._backends = backends
        self._verifier = verifier
        self._token = gateway_token
        self._extra = extra
        self._clock = clock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except _Refused as refusal:
            answer = refusal.answer
        return answer.send(environ, start_response)

    def _answer(self, environ: WSGIEnvironment) -> _Answer:
        _check_length(environ)
        try:
            path = normalise(_raw_path(environ))
        except BadPath as error:
            raise _Refused(400, "Bad Request") from error
        for prefix, app in self._extra.items():
            if path == prefix or path.startswith(prefix + "/"):
                return self._call(app, _forwarded(environ, path, environ.get("QUERY_STRING", "")), prefix)
        try:
            route = self._routes.match(environ["REQUEST_METHOD"], path)
        except NotDefined as error:
            raise _Refused(404, _NOT_DEFINED) from error
        except MethodNotAllowed as error:
            raise _Refused(405, _NO_METHOD.format(error.template)) from error
        forwarded = _forwarded(environ, *route.backend_target(path, environ.get("QUERY_STRING", "")))
        self._authorize(route, environ, forwarded)
        started = self._clock()
        answer = self._call(self._backends[route.function], forwarded, route.function)
        if self._clock() - started > route.deadline_s:
            raise _Refused(504, "upstream request timeout")
        return answer

    def _authorize(self, route: Route, environ: WSGIEnvironment, forwarded: WSGIEnvironment) -> None:
        """Check the caller's token where the route asks for one, and put the gateway's own in its place.

        Where the route asks for none, X-Apigateway-Api-Userinfo and X-Forwarded-Authorization reach the
        function as the client sent them, as through the real gateway: functions must not believe them there.
        """
        authorization = environ.get("HTTP_AUTHORIZATION")
        if route.needs_jwt:
            try:
                payload = self._verifier.payload(authorization)
            except JwtRefused as refusal:
                realm = f'Bearer realm="{_own_url(environ)}"'
                hint = realm if authorization is None else realm + ', error="invalid_token"'
                raise _Refused(refusal.status, refusal.message, [("WWW-Authenticate", hint)]) from refusal
            forwarded["HTTP_X_APIGATEWAY_API_USERINFO"] = payload
        if authorization is not None:
            forwarded["HTTP_X_FORWARDED_AUTHORIZATION"] = authorization
        forwarded["HTTP_AUTHORIZATION"] = f"Bearer {self._token}"

    def _call(self, app: WSGIApplication, environ: WSGIEnvironment, name: str) -> _Answer:
        try:
            return _Answer.of(app, environ)
        except Exception as error:  # The edge: nothing that a function raises may reach a client.
            _log.exception("gateway.backend_failed", extra={"backend": name})
            raise _Refused(503, _BROKEN) from error


def create_gateway(
    document: Mapping[str, object],
    *,
    backends: Mapping[str, WSGIApplication],
    verifier: JwtCheck,
    gateway_token: str,
    extra: Mapping[str, WSGIApplication],
    clock: Callable[[], float] = time.monotonic,
) -> WSGIApplication:
    """The gateway for an OpenAPI 2.0 document.

    `backends` holds a WSGI application by function name, the first segment of `x-google-backend`'s address;
    each is called with the rest of the address and the request's path, as the functions' front end does.
    `extra` holds local applications by path prefix, outside the document; they get the whole path.
    ValueError if the document names a function that is not there.
    """
    return _Gateway(
        document, backends=backends, verifier=verifier, gateway_token=gateway_token, extra=extra, clock=clock
    )


def mount(apps: Mapping[str, WSGIApplication], *, token: str, open_to_all: Collection[str] = ()) -> WSGIApplication:
    """The functions together, each under `/<name>`, for callers that show the token, as Google IAM has it.

    Those in `open_to_all` ask for none.
    """
    expected = f"Bearer {token}".encode()

    def mounted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        name, _, rest = str(environ.get("PATH_INFO", "")).lstrip("/").partition("/")
        sent = str(environ.get("HTTP_AUTHORIZATION", "")).encode("latin-1", "replace")
        if name not in open_to_all and not hmac.compare_digest(sent, expected):
            return _Answer.own(401, "The request was not authenticated.").send(environ, start_response)
        app = apps.get(name)
        if app is None:
            return _Answer.own(404, "There is no such function.").send(environ, start_response)
        return app({**environ, "SCRIPT_NAME": "", "PATH_INFO": "/" + rest}, start_response)

    return mounted


def _check_length(environ: WSGIEnvironment) -> None:
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not (length.isascii() and length.isdigit()):
        raise _Refused(400, "Bad Request")
    if int(length) > MAX_BODY_BYTES:
        raise _Refused(413, "Payload Too Large")


def _raw_path(environ: WSGIEnvironment) -> str:
    """The path as it was sent, escapes and all, from the server's REQUEST_URI if it has one."""
    sent = str(environ.get("REQUEST_URI", ""))
    if sent.startswith("/"):
        return sent.partition("?")[0].partition("#")[0]
    return quote(str(environ.get("PATH_INFO", "")).encode("latin-1"))


def _forwarded(environ: WSGIEnvironment, path: str, query: str) -> WSGIEnvironment:
    """A fresh environment with what a second HTTP request would carry; `path` is percent-encoded."""
    fresh: WSGIEnvironment = {name: environ[name] for name in _PASSED if name in environ}
    for name, value in environ.items():
        if name.startswith(("HTTP_", "wsgi.")) and name not in _NOT_PASSED:
            fresh[name] = value
    caller = str(environ.get("REMOTE_ADDR", ""))
    before = environ.get("HTTP_X_FORWARDED_FOR")
    fresh["HTTP_X_FORWARDED_FOR"] = f"{before},{caller}" if before else caller
    fresh["HTTP_X_FORWARDED_PROTO"] = environ.get("wsgi.url_scheme", "http")
    fresh["SCRIPT_NAME"] = ""
    fresh["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
    fresh["QUERY_STRING"] = query
    fresh["REQUEST_URI"] = f"{path}?{query}" if query else path
    fresh["wsgi.errors"] = sys.stderr
    return fresh


def _own_url(environ: WSGIEnvironment) -> str:
    host = str(environ.get("HTTP_HOST", environ.get("SERVER_NAME", ""))).replace('"', "")
    return f"{environ.get('wsgi.url_scheme', 'http')}://{host}{quote(str(environ.get('PATH_INFO', '/')))}"
