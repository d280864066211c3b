"""The shape of a function's HTTP interface: its routes, what a call brings, what an answer says.

A `main.py` declares its routes on an `Api` and hands `api.entry()` to functions-framework; the same
declarations make the OpenAPI document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar, cast

from pydantic import BaseModel

from pinjam.services.once import Keyed
from pinjam.services.recording import Actor

if TYPE_CHECKING:
    from flask import Request, Response

    from pinjam.domain.user import Locale
    from pinjam.runtime.composition import App
    from pinjam.runtime.models.fields import Shown
    from pinjam.services.limits import LimitName
    from pinjam.services.messaging import Attachment
    from pinjam.services.once import Answered

B = TypeVar("B")
Q = TypeVar("Q")
A = TypeVar("A")
Method: TypeAlias = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]

JSON_LIMIT_BYTES = 64 * 1024
JSON = "application/json"
PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart form: its plain fields, and the one file in it."""

    fields: Mapping[str, str]
    file: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[B, Q]):
    """What a request brings, parsed and checked. `user_id` is empty on a public route."""

    app: App
    body: B
    query: Q
    path: Mapping[str, str]
    user_id: str
    locale: Locale
    request_id: str
    route: str
    key: str = ""
    upload: Upload | None = None
    media: str = JSON
    """Which of the route's media types the caller likes best."""
    raw: bytes = b""
    """On a signed route, the body as it came: what the signature covers."""
    signature: str = ""
    """On a signed route, what the header of the signature says; empty without one."""
    address: str = ""
    """On a public or limited route, the caller's IP address as our own proxies saw it; empty if they did not say."""

    token_issued_at: datetime | None = None
    """When the caller's ID token was issued; None on a public route."""

    @property
    def actor(self) -> Actor:
        """Who asks, for the audit log and where it counts how old the token is."""
        return Actor(id=self.user_id or "anonymous", request_id=self.request_id, token_issued_at=self.token_issued_at)

    def keyed(self, status: int, render: Callable[[A], Shown]) -> Keyed[A]:
        """This request under its idempotency key, which counts for this borrower and this route."""
        body = self.body.model_dump(mode="json") if isinstance(self.body, BaseModel) else None
        request = json.dumps([dict(self.path), body], sort_keys=True, separators=(",", ":"))
        return Keyed(
            id=f"{self.user_id}:{self.route}:{self.key}",
            fingerprint=hashlib.sha256(request.encode()).hexdigest(),
            status=status,
            render=lambda result: json.loads(render(result).as_json()),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status, a model (or nothing, or bytes of `media`), and further headers."""

    status: int
    body: Shown | BaseModel | Mapping[str, object] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = JSON

    @classmethod
    def of(cls, answered: Answered) -> Answer:
        """A kept answer, marked when it was given before."""
        return cls(answered.status, answered.body, {"Idempotent-Replayed": "true"} if answered.replayed else {})

    @classmethod
    def file(cls, attachment: Attachment, *, disposition: Literal["inline", "attachment"] = "inline") -> Answer:
        """A file to be looked at, or only to be saved, with the name to save it under."""
        named = f'{disposition}; filename="{attachment.filename}"'
        return cls(200, attachment.content, {"Content-Disposition": named}, attachment.content_type)


Handler: TypeAlias = Callable[[Call[B, Q]], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of the API, as it is served and as it is documented."""

    method: Method
    path: str
    handler: Callable[..., Answer]
    summary: str
    status: int
    answer: type[Shown | BaseModel] | None
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    public: bool
    keyed: bool
    upload: bool
    problems: tuple[int, ...]
    media: tuple[str, ...]
    """What it answers with; `Accept` chooses where there are several, and the first one serves everybody else."""
    signed: str | None
    """The header with the signature of the body's bytes, where somebody else's system signs what it sends."""
    limit: LimitName | None
    """How often it may be called by one borrower and from one address, before the body is even read."""


class Api:
    """The routes of one function. An `internal` one is no part of the public API."""

    def __init__(self, name: str, *, tag: str, internal: bool = False) -> None:
        self.name = name
        self.tag = tag
        self.internal = internal
        self.routes: list[Route] = []

    def route(
        self,
        method: Method,
        path: str,
        *,
        answer: type[Shown | BaseModel] | None = None,
        status: int = 200,
        body: type[B] | None = None,
        query: type[Q] | None = None,
        public: bool = False,
        keyed: bool = False,
        upload: bool = False,
        problems: Sequence[int] = (),
        media: Sequence[str] = (JSON,),
        signed: str | None = None,
        limit: LimitName | None = None,
    ) -> Callable[[Handler[B, Q]], Handler[B, Q]]:
        """Declare an operation. The handler's docstring is its summary, and `problems` the statuses of its own."""

        def declare(handler: Handler[B, Q]) -> Handler[B, Q]:
            self.routes.append(
                Route(
                    method=method,
                    path=path,
                    handler=handler,
                    summary=(handler.__doc__ or "").strip().split("\n", maxsplit=1)[0],
                    status=status,
                    answer=answer,
                    body=cast("type[BaseModel] | None", body),
                    query=cast("type[BaseModel] | None", query),
                    public=public,
                    keyed=keyed,
                    upload=upload,
                    problems=tuple(problems),
                    media=tuple(media),
                    signed=signed,
                    limit=limit,
                )
            )
            return handler

        return declare

    def entry(self) -> Callable[[Request], Response]:
        """The function that functions-framework serves, under the name of this Api."""
        from pinjam.runtime.http import entry  # noqa: PLC0415 - the edge imports this module

        return entry(self)
