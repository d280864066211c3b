"""A route whose caller signs the bytes of its body sees those bytes, and the signature, as they came."""

from collections.abc import Callable, Mapping

import pytest
from flask import Flask, Request, Response
from pydantic import BaseModel

from pinjam.runtime.api import JSON_LIMIT_BYTES, Answer, Api, Call
from pinjam.runtime.openapi import reference

pytestmark = pytest.mark.usefixtures("functions")  # An App is installed.

BODY = b'{ "b": 1.0,\n  "a": "\\u00e9"}'


class Anything(BaseModel):
    """A body of somebody else's."""

    a: str


def made(seen: list[tuple[bytes, str]], *, signed: str | None) -> Api:
    api = Api("hook", tag="Hooks")

    @api.route("POST", "/hook", body=Anything, public=True, status=204, signed=signed)
    def hear(call: Call[Anything, None]) -> Answer:
        """Hear."""
        seen.append((call.raw, call.signature))
        return Answer(204)

    return api


def post(serve: Callable[[Request], Response], data: bytes, headers: Mapping[str, str] | None = None) -> int:
    with Flask("test").test_request_context(
        "/hook", method="POST", data=data, content_type="application/json", headers=dict(headers or {})
    ) as context:
        return serve(context.request).status_code


@pytest.mark.parametrize(("headers", "signature"), [({"X-Signature": "abc"}, "abc"), ({}, "")], ids=["with", "without"])
def test_the_bytes_and_the_signature_arrive_as_they_were_sent(headers: dict[str, str], signature: str) -> None:
    seen: list[tuple[bytes, str]] = []
    assert post(made(seen, signed="X-Signature").entry(), BODY, headers) == 204
    assert seen == [(BODY, signature)]


def test_other_routes_carry_neither() -> None:
    seen: list[tuple[bytes, str]] = []
    assert post(made(seen, signed=None).entry(), BODY, {"X-Signature": "abc"}) == 204
    assert seen == [(b"", "")]


def test_a_signed_body_has_the_limit_of_all_bodies() -> None:
    seen: list[tuple[bytes, str]] = []
    long = b'{"a": "' + b"x" * JSON_LIMIT_BYTES + b'"}'
    assert post(made(seen, signed="X-Signature").entry(), long, {"X-Signature": "abc"}) == 413
    assert seen == []


def test_the_document_names_the_header() -> None:
    operation = reference([made([], signed="X-Signature")])["paths"]["/hook"]["post"]
    assert [(one["name"], one["in"], one["required"]) for one in operation["parameters"]] == [
        ("X-Signature", "header", True)
    ]
    assert reference([made([], signed=None)])["paths"]["/hook"]["post"]["parameters"] == []
