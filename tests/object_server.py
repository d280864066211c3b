"""What strict servers of object stores share: requests as they came on the wire, and answers that fail once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from pinjam.local.servers import WsgiServer


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came; the path is as it was encoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Told:
    """An answer. `promised` is a Content-Length of more bytes than come."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None


@dataclass
class ObjectServer:
    """Runs `answer` for each request. `first` answers in its place, once for each entry."""

    first: list[Told] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Told:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._server = WsgiServer(self, threads=2).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def lines(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.requests]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        target = urlsplit(environ["REQUEST_URI"])
        headers = {name[5:].lower().replace("_", "-"): str(value) for name, value in environ.items() if "HTTP_" in name}
        request = Request(
            method=environ["REQUEST_METHOD"],
            path=target.path,
            query=dict(parse_qsl(target.query, keep_blank_values=True, strict_parsing=bool(target.query))),
            headers={**headers, "content-type": environ.get("CONTENT_TYPE", "")},
            content=environ["wsgi.input"].read(),
        )
        self.requests.append(request)
        told = self.first.pop(0) if self.first else self.answer(request)
        length = len(told.content) if told.promised is None else told.promised
        no_content = told.status == 204
        start_response(
            f"{told.status} Told", [*told.headers.items(), *([] if no_content else [("Content-Length", str(length))])]
        )
        return [b"" if request.method == "HEAD" else told.content]
