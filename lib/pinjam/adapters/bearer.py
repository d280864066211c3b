"""Access tokens on requests to Google's services."""

from collections.abc import Callable, Generator
from http import HTTPStatus
from typing import Protocol, runtime_checkable

import httpx


@runtime_checkable
class RenewableToken(Protocol):
    """Gives an OAuth access token, and another one in the place of a token that was refused."""

    def __call__(self) -> str:
        """A token that is good by all that is known here. Unavailable if there is none to be had."""
        ...

    def forget(self, token: str) -> None:
        """Do not give this token again: it was refused. Harmless if another one is kept by now."""
        ...


class Bearer(httpx.Auth):
    """Puts the token on each request. One that is refused (401) is renewed, and the request made again, once.

    A token that cannot be renewed, such as a fixed one, is sent once.
    """

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with its token, and again with a new one after a 401."""
        sent = self._token()
        request.headers["Authorization"] = f"Bearer {sent}"
        answer = yield request
        if answer.status_code == HTTPStatus.UNAUTHORIZED and isinstance(self._token, RenewableToken):
            self._token.forget(sent)
            request.headers["Authorization"] = f"Bearer {self._token()}"
            yield request


def bearer(token: Callable[[], str] | None) -> httpx.Auth:
    """The token on each request; nothing where there is none, as an emulator asks for none."""
    return httpx.Auth() if token is None else Bearer(token)
