"""What strict servers of Google's wire formats share: calls as they came, access tokens, errors of Google's shape."""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from pinjam.local.servers import WsgiServer

Answer = tuple[int, Mapping[str, Any]]


class GoogleError(Exception):
    """An answer that is an error: the HTTP status, and Google's own word for it."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.answer: Answer = (code, {"error": {"code": code, "message": message, "status": status}})


def invalid(message: str) -> GoogleError:
    """A request that the service does not take."""
    return GoogleError(400, "INVALID_ARGUMENT", message)


@dataclass(frozen=True)
class Call:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body; refused unless it says that it is JSON, and is an object."""
        if self.headers.get("content-type") != "application/json":
            raise invalid("Content-Type is not application/json.")
        body = json.loads(self.content)
        if not isinstance(body, dict):
            raise invalid("Invalid JSON payload received.")
        return body

    def fields(self, *, required: set[str], optional: set[str] | None = None) -> dict[str, Any]:
        """The body, which has these fields and no others."""
        body = self.json
        if unknown := set(body) - required - (optional or set()):
            raise invalid(f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.')
        if missing := required - set(body):
            raise invalid(f"Missing field {min(missing)}.")
        return body


@dataclass
class GoogleServer:
    """Runs `answer` for each call with a good token. `before` may answer in its place, once for each entry."""

    token: str | None = "good-token"
    calls: list[Call] = field(default_factory=list)
    before: list[Answer] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, call: Call) -> Answer:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._server = WsgiServer(self, threads=8).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def paths(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.calls]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = {name[5:].lower().replace("_", "-"): str(value) for name, value in environ.items() if "HTTP_" in name}
        call = Call(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True, strict_parsing=False)),
            headers={**headers, "content-type": environ.get("CONTENT_TYPE", "")},
            content=environ["wsgi.input"].read(),
        )
        with self.lock:
            self.calls.append(call)
            code, body = self.before.pop(0) if self.before else self._answer(call)
        content = json.dumps(body).encode()
        start_response(f"{code} Told", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        return [content]

    def _answer(self, call: Call) -> Answer:
        if self.token is not None and call.headers.get("authorization") != f"Bearer {self.token}":
            return GoogleError(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.").answer
        try:
            return self.answer(call)
        except GoogleError as error:
            return error.answer


class Renewable:
    """A token that is renewed to the next one when it is forgotten; `asked` counts."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return self.tokens[0]

    def forget(self, token: str) -> None:
        if token == self.tokens[0] and len(self.tokens) > 1:
            self.tokens.pop(0)
