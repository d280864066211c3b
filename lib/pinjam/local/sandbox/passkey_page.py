"""A page that makes passkeys and logs in with them, as an app would; a browser needs it under `localhost`."""

from functools import cache
from importlib.resources import files

from flask import Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; form-action 'none';"
    " base-uri 'none'; frame-ancestors 'none'"
)
"""Its own script alone, talking to this system alone."""


def passkey_page() -> Response:
    """The page."""
    return _response("passkey.html", "text/html; charset=utf-8")


def passkey_script() -> Response:
    """What the page does."""
    return _response("passkey.js", "text/javascript; charset=utf-8")


def _response(name: str, content_type: str) -> Response:
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return Response(_text(name), 200, headers, content_type=content_type)


@cache
def _text(name: str) -> str:
    return files("pinjam.local.sandbox").joinpath(name).read_text(encoding="utf-8")
