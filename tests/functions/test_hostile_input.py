"""Whatever is put where a caller may put anything, the answer is one of the contract's, and nothing of it is logged."""

import base64
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel
from tests.functions.conftest import FUNCTIONS, Functions, Reply
from tests.world import picture

from pinjam.adapters.whatsapp import WhatsAppReceipts
from pinjam.local.documents import load_apis
from pinjam.runtime.api import Route
from pinjam.services.limits import STRICT, Limit

MARK = "hostile9"
"""Stands in every hostile text, and must not turn up in a log."""
TEXTS = (
    f"{MARK}\0",
    f"{MARK}\r\nX-Injected: 1",
    f"{MARK}\x1b[2J\x07",
    f"{MARK}\u2028\u202e\ufeff",
    f"{MARK}' OR '1'='1'; DROP TABLE users; --",
    f"{{{{7*7}}}}{{% raise %}}{{0.__class__}}%s%n${{jndi:x}}{MARK}",
    f"../../../etc/passwd?{MARK}#%00%2e",
    f"<script>alert('{MARK}')</script>",
    f"{MARK}" + "\U0001f418" * 40,
    f"{MARK}" + "e\u0301" * 60,
)
NUMBERS = (-1, 0, 2**31, 2**63, 2**64, 10**30, 1.5, 1e308, -0.0)
STATUSES = {200, 201, 202, 204, 400, 401, 403, 404, 409, 413, 415, 422}


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, Route]]:
    """Every route that is called over HTTP by others, with its function's name."""
    return [(api.name, route) for api in load_apis(FUNCTIONS) for route in api.routes if not api.internal]


@pytest.fixture
def siti(functions: Functions) -> str:
    app = functions.world.app
    app.message_receipts = WhatsAppReceipts(app_secret="secret", verify_token="ours")
    # Nothing is refused for being too often: each value is to be looked at.
    app.limits = replace(app.limits, table=dict.fromkeys(STRICT, Limit()))
    return functions.world.verified()


def call(functions: Functions, name: str, route: Route, user: str, **how: Any) -> Reply:
    path = how.pop("path", route.path.replace("{id}", "loan_1"))
    headers = {"Accept-Language": "en", **how.pop("headers", {})}
    key = "key" if route.keyed else None
    answer = functions.call(name, route.method, path, user=user, key=key, headers=headers, **how)
    assert answer.status_code in STATUSES, (route.method, path, how, answer.text)
    assert "X-Injected" not in answer.headers
    return answer


def example(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Any:
    """A value that a schema takes, or nearly takes."""
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return example(schema[key][0], whole)
    if "$ref" in schema:
        return example(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if schema.get("type") == "object":
        return {name: example(one, whole) for name, one in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [example(schema["items"], whole)] * schema.get("minItems", 1)
    plain = {"integer": schema.get("minimum", 1), "boolean": True, "string": "text"}
    fallback = plain.get(schema.get("type", ""))
    return schema.get("const", next(iter([*schema.get("enum", []), *schema.get("examples", [])]), fallback))


def spoilt(value: Any) -> Iterator[Any]:
    """The value with each of its leaves in turn replaced by each hostile text and number."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from ({**value, name: bad} for bad in spoilt(one))
        yield {**value, f"{MARK}\n": 1}
    elif isinstance(value, list):
        yield from ([bad, *value[1:]] for bad in spoilt(value[0]))
        yield value * 1000
    else:
        yield from (*TEXTS, *NUMBERS, None, [], {}, [[[[]]]])


def logged(lines: pytest.LogCaptureFixture) -> str:
    return json.dumps([record.__dict__ for record in lines.records], default=str)


def test_no_field_of_a_body_breaks_anything(
    functions: Functions, routes: list[tuple[str, Route]], siti: str, lines: pytest.LogCaptureFixture
) -> None:
    tried = 0
    for name, route in routes:
        if route.body is None:
            continue
        schema = route.body.model_json_schema()
        for body in spoilt(example(schema, schema)):
            text = json.dumps(body)
            call(functions, name, route, siti, data=text, content_type="application/json")
            tried += 1
    assert tried > 300
    assert MARK not in logged(lines)


def test_no_query_breaks_anything(
    functions: Functions, routes: list[tuple[str, Route]], siti: str, lines: pytest.LogCaptureFixture
) -> None:
    tried = 0
    for name, route in routes:
        query: type[BaseModel] | None = route.query
        for field in query.model_fields if query else ():
            for bad in (*TEXTS, *map(str, NUMBERS), "9" * 5000, "", "\ud800".encode("utf-8", "surrogatepass")):
                call(functions, name, route, siti, query_string={field: bad})
                tried += 1
    assert tried > 100
    assert MARK not in logged(lines)


def test_no_path_breaks_anything(
    functions: Functions, routes: list[tuple[str, Route]], siti: str, lines: pytest.LogCaptureFixture
) -> None:
    for name, route in routes:
        if "{id}" not in route.path:
            continue
        for bad in (MARK, f"{MARK}%00", f"..%2f{MARK}", f"{MARK}%0d%0aX-Injected:1", f"{MARK}'--", f"{MARK}%ff", "%F0"):
            answer = call(functions, name, route, siti, path=route.path.replace("{id}", bad))
            assert answer.status_code in (404, 400, 415, 422)
    assert MARK not in logged(lines)


HEADERS = {
    "X-Request-Id": [f"{MARK}\x1b[2J", f"{MARK}{{}}", "é" * 20, f"{MARK}" * 500],
    "Accept-Language": [f"{MARK};q=x", "en;q=" + "9" * 400, ",".join(["en"] * 5000), "\xff\xfe"],
    "Accept": [f"{MARK}/*;q=x", "text/" + "x" * 5000, ";;;=", '"' * 999],
    "Origin": [f"https://{MARK}.example", "null", "\xff"],
    "Content-Type": [f"application/json;{MARK}", "application/json; charset=" + "x" * 500, "/", ";", "\xff"],
    "Idempotency-Key": [f"{MARK} x", "\xff", "x" * 5000],
    "X-Forwarded-For": [MARK, "," * 999, "1" * 5000, "::ffff:999.1.1.1, x", "fe80::1%25eth0", "\xff"],
    "X-Http-Method-Override": ["DELETE", MARK],
    "Content-Length": ["-1", "x"],
    "Cookie": [f"{MARK}=" * 99],
    "Forwarded": [f"for={MARK}"],
    "Host": [f"{MARK}:x", "[", "a" * 400],
}


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_breaks_anything(
    functions: Functions, routes: list[tuple[str, Route]], siti: str, lines: pytest.LogCaptureFixture, header: str
) -> None:
    for bad in HEADERS[header]:
        for name, route in routes:
            call(functions, name, route, siti, headers={header: bad}, data="{}", **_json(header))
    assert MARK not in logged(lines)


def _json(header: str) -> dict[str, str]:
    return {} if header == "Content-Type" else {"content_type": "application/json"}


@pytest.mark.parametrize(
    "claims",
    [
        b"[" * 20_000,
        b'{"sub": "usr_\\u0000"}',
        b'{"sub": "usr_\\ud800"}',
        b'{"sub": "a b"}',
        b'{"sub": "' + b"x" * 129 + b'"}',
        b'{"sub": 5}',
        b'{"sub": ["usr_1"]}',
        b'{"sub": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b"null",
    ],
    ids=lambda claims: str(claims[:24]),
)
def test_claims_that_name_nobody_are_a_token_that_is_not_good(functions: Functions, claims: bytes) -> None:
    header = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()
    answer = functions.call("profile", "GET", "/api/users/profile", headers={"X-Apigateway-Api-Userinfo": header})
    assert (answer.status_code, answer.json["code"]) == (401, "token-invalid")


def test_no_file_name_or_field_of_a_form_breaks_anything(
    functions: Functions, siti: str, lines: pytest.LogCaptureFixture
) -> None:
    for bad in TEXTS:
        name = bad.replace("\0", "").replace("\r\n", "")
        for form in (
            {"kind": bad, "file": (io.BytesIO(picture()), "x.jpg")},
            {"kind": "income", "file": (io.BytesIO(picture()), name)},
            {"kind": "income", name: "x", "file": (io.BytesIO(picture()), "x.jpg", name)},
        ):
            answer = functions.call("upload_doc", "POST", "/api/documents/upload", user=siti, data=form)
            assert answer.status_code in (201, 400, 422)
    assert MARK not in logged(lines)


@pytest.mark.parametrize("fields", [[(f"field{number}", "x") for number in range(1001)], [("kind", "x" * 600_000)]])
def test_a_form_of_too_many_or_too_large_fields_is_413(
    functions: Functions, siti: str, fields: list[tuple[str, str]]
) -> None:
    parts = [f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields]
    how: dict[str, Any] = {"data": "".join(parts) + "--cut--", "content_type": "multipart/form-data; boundary=cut"}
    answer = functions.call("upload_doc", "POST", "/api/documents/upload", user=siti, **how)
    assert (answer.status_code, answer.json["code"]) == (413, "body-too-large")
