"""The way in for pushes of the Pub/Sub emulator, which cannot show who it is.

Pub/Sub signs in with an OIDC token of its subscription; the emulator sends none. So each of its push endpoints
carries a secret, and the door turns that into the token that the functions ask for. It also keeps count of what
was acknowledged, because nobody can ask Pub/Sub for that.
"""

import hmac
import json
import threading
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlencode
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream

PARAMETER = "push_token"

Push: TypeAlias = tuple[str, str]
"""One message on its way to one subscription: the subscription's name and the message's id."""


class PushDoor:
    """In front of `functions`, which ask for `Authorization: Bearer <token>`.

    A call with `push_token` in its query is let in with that header and without the query; every other call passes
    unchanged, to show the header by itself or to be refused.
    """

    def __init__(self, functions: WSGIApplication, *, push_token: str, token: str) -> None:
        self._functions = functions
        self._push_token = push_token
        self._token = token
        self.changed = threading.Condition()
        self.in_hand = 0
        self.version = 0
        """Grows with every push that ends. Both this and the others are read and changed with `changed` held."""
        self.acknowledged: set[Push] = set()

    def endpoint(self, functions_url: str, function: str) -> str:
        """Where Pub/Sub pushes what a function hears of."""
        return f"{functions_url}/{function}?{urlencode({PARAMETER: self._push_token})}"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One call, counted if it is a push."""
        sent = parse_qs(str(environ.get("QUERY_STRING", ""))).get(PARAMETER, [""])[0]
        if not hmac.compare_digest(sent.encode(), self._push_token.encode()):
            return self._functions(environ, start_response)
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return self._counted(content, environ, start_response)

    def _counted(self, content: bytes, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        let_in: WSGIEnvironment = {
            **environ,
            "QUERY_STRING": "",
            "HTTP_AUTHORIZATION": f"Bearer {self._token}",
            "wsgi.input": _stream(content),
        }
        taken = False

        def seen(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal taken
            taken = status.startswith("2")
            return start_response(status, headers, exc_info)

        with self.changed:
            self.in_hand += 1
        try:
            return self._whole(self._functions(let_in, seen))
        finally:
            push = _push(content)
            with self.changed:
                self.in_hand -= 1
                self.version += 1
                if taken and push is not None:
                    self.acknowledged.add(push)
                self.changed.notify_all()

    @staticmethod
    def _whole(answer: Iterable[bytes]) -> Iterable[bytes]:
        try:
            return [b"".join(answer)]
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()


def _stream(content: bytes) -> "InputStream":
    return BytesIO(content)


def _push(content: bytes) -> Push | None:
    try:
        body = json.loads(content)
        return str(body["subscription"]).rpartition("/")[2], str(body["message"]["messageId"])
    except (ValueError, KeyError, TypeError):
        return None
