"""HTTP to providers: one way of waiting, failing and reading for all of them.

A provider that cannot answer now is `Unavailable`; what a refusal means is each adapter's own matter. httpx is imported
by the first call: many a function has an adapter of some provider, and calls it seldom.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from pinjam.adapters.authorities import trusted_authorities
from pinjam.adapters.faults import unavailable

if TYPE_CHECKING:
    import httpx

Shape = TypeVar("Shape", bound=BaseModel)

MAX_ANSWER_BYTES = 1_000_000
"""Far above the answer of any provider that keeps no files; what is longer is not one."""

_TRY_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a provider answered: 2xx, or a refusal (4xx)."""

    service: str
    status: int
    content: bytes

    @property
    def accepted(self) -> bool:
        """Whether the status is 2xx."""
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    def read(self, shape: type[Shape]) -> Shape:
        """The body in its shape. Unavailable if it has another: then nothing is known of the outcome."""
        body = self.read_if_shaped(shape)
        if body is None:
            raise unavailable(self.service, f"answered {self.status} in a shape that is not its own")
        return body

    def read_if_shaped(self, shape: type[Shape]) -> Shape | None:
        """The body in its shape, or None if it has another."""
        try:
            return shape.model_validate_json(self.content)
        except ValidationError:
            return None


class HttpClient:
    """Calls one provider. The connection pool is made on first use.

    `timeout_s` bounds each wait on the network and the whole exchange. Redirects are not followed, and
    proxies of the environment are not used: a provider is where its address says. `token` gives the OAuth access
    token of Google's services; it is renewed once when one is refused.
    """

    def __init__(
        self,
        *,
        service: str,
        timeout_s: float,
        token: Callable[[], str] | None = None,
        longest_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._service = service
        self._timeout_s = timeout_s
        self._longest_answer_bytes = longest_answer_bytes
        self._token = token

    @cached_property
    def _bearer(self) -> httpx.Auth:
        from pinjam.adapters.bearer import bearer

        return bearer(self._token)

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        return httpx.Client(
            timeout=self._timeout_s, verify=trusted_authorities(), trust_env=False, follow_redirects=False
        )

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        json: object = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Reply:
        """One exchange.

        Raises:
            Unavailable: No answer in time, no whole answer, or one that says to come back (5xx, 429).
        """
        import httpx

        try:
            request = self._client.build_request(method, url, json=json, content=content, data=form, headers=headers)
            response = self._client.send(request, auth=auth or self._bearer, stream=True)
            try:
                answer = self._content(response)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The class name says enough; the message may hold the address, which for some is a secret.
            raise unavailable(self._service, type(error).__name__) from error
        status = response.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRY_LATER:
            hint = response.headers.get("Retry-After", "")
            raise unavailable(self._service, f"answered {status}", retry_after_s=retry_after_s(hint))
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and status < HTTPStatus.BAD_REQUEST:
            raise unavailable(self._service, f"answered {status}")
        return Reply(service=self._service, status=status, content=answer)

    def _content(self, response: httpx.Response) -> bytes:
        # httpx bounds each read; a server that sends a byte now and then would hold a worker for ever.
        deadline = time.monotonic() + self._timeout_s
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > self._longest_answer_bytes:
                raise unavailable(self._service, "answered more than any answer of its own")
            if time.monotonic() > deadline:
                raise unavailable(self._service, "did not finish its answer in time")
        return bytes(content)


def retry_after_s(hint: str) -> int | None:
    """The seconds that a `Retry-After` header asks for, an hour at most; None if it names none."""
    return min(max(int(hint), 1), 3600) if hint.isascii() and hint.isdigit() else None
