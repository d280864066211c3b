"""The API reference: one page made from the OpenAPI 3.1 document, with nothing loaded from elsewhere."""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from http import HTTPStatus
from typing import TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from pinjam.local.reference_style import STYLE

Json: TypeAlias = Mapping[str, object]
_METHODS = ("get", "post", "put", "patch", "delete")
_DEPTH = 6
_FACTS = (
    ("minimum", "≥ {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMinimum", "> {}"),
    ("exclusiveMaximum", "< {}"),
    ("multipleOf", "in steps of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("pattern", "like {}"),
    ("const", "always {}"),
    ("default", "default {}"),
)


def create_reference(document: Json, *, server: str) -> WSGIApplication:
    """Serves the page, and the document itself at a path that ends in `.json`; `server` is the API's address."""
    shown = {**document, "servers": [{"url": server}]}
    page = render(shown).encode()
    text = json.dumps(shown, indent=2, ensure_ascii=False).encode()

    def reference(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return [b""]
        is_text = str(environ.get("PATH_INFO", "")).endswith(".json")
        body, kind = (text, "application/json") if is_text else (page, "text/html; charset=utf-8")
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-cache"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if is_text:
            headers.append(("Access-Control-Allow-Origin", "*"))
        start_response("200 OK", headers)
        return [body]

    return reference


def render(document: Json) -> str:
    """The page for an OpenAPI 3.1 document."""
    return "".join(_Page(document).parts())


class _Page:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._info = _map(document.get("info"))

    def parts(self) -> Iterator[str]:
        title = escape(str(self._info.get("title", "API")))
        groups = self._groups()
        yield (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{STYLE}</style></head><body>"
        )
        yield f"<header><h1>{title} <small>{escape(str(self._info.get('version', '')))}</small></h1>"
        yield _paragraph(self._info.get("description"))
        for server in _list(self._document.get("servers")):
            yield f"<p>Address: <code>{escape(str(_map(server).get('url', '')))}</code></p>"
        yield '<p>The document itself: <a href="/openapi.json">openapi.json</a></p></header><nav>'
        for tag, operations in groups.items():
            yield f"<h2>{escape(tag)}</h2><ul>"
            for method, path, _ in operations:
                yield f'<li><a href="#{_anchor(method, path)}">{_label(method)} {escape(path)}</a></li>'
            yield "</ul>"
        yield "</nav><main>"
        for tag, operations in groups.items():
            yield f"<section><h2>{escape(tag)}</h2>"
            for method, path, operation in operations:
                yield from self._operation(method, path, operation)
            yield "</section>"
        yield "</main></body></html>"

    def _groups(self) -> dict[str, list[tuple[str, str, Json]]]:
        """The operations by tag, in the order of the document's tags."""
        names = [str(_map(tag).get("name")) for tag in _list(self._document.get("tags"))]
        groups: dict[str, list[tuple[str, str, Json]]] = {name: [] for name in names}
        for path, item in _map(self._document.get("paths")).items():
            for method in _METHODS:
                if method in _map(item):
                    operation = _map(_map(item)[method])
                    tag = str(next(iter(_list(operation.get("tags"))), "Other"))
                    groups.setdefault(tag, []).append((method, str(path), operation))
        return {tag: operations for tag, operations in groups.items() if operations}

    def _operation(self, method: str, path: str, operation: Json) -> Iterator[str]:
        access = "needs an ID token" if operation.get("security") else "public"
        yield f"<details><summary>{_label(method)} <code>{escape(path)}</code>"
        yield f" <span>{escape(str(operation.get('summary', '')))}</span></summary>"
        # Inside, because a browser opens the closed element that a link's target is in.
        yield f'<p id="{_anchor(method, path)}"><em>{access}</em></p>'
        yield _paragraph(operation.get("description"))
        parameters = [self._resolved(one) for one in _list(operation.get("parameters"))]
        if parameters:
            yield "<h3>Parameters</h3><table>"
            for parameter in parameters:
                yield self._row(
                    str(parameter.get("name")),
                    _map(parameter.get("schema")),
                    required=parameter.get("required") is True,
                    note=f"in {parameter.get('in')}",
                    description=parameter.get("description"),
                    depth=0,
                )
            yield "</table>"
        body = self._resolved(operation.get("requestBody"))
        if body:
            yield "<h3>Body</h3>"
            yield from self._content(body)
        yield "<h3>Answers</h3>"
        for status, answer in _map(operation.get("responses")).items():
            yield from self._answer(str(status), self._resolved(answer))
        yield "</details>"

    def _answer(self, status: str, answer: Json) -> Iterator[str]:
        phrase = HTTPStatus(int(status)).phrase if status.isdecimal() else ""
        kind = "good" if status.startswith("2") else "bad"
        description = escape(str(answer.get("description", "")))
        yield f'<details class="answer"><summary><b class="{kind}">{escape(status)}</b> {phrase}'
        yield f" <span>{description}</span></summary>"
        headers = _map(answer.get("headers"))
        if headers:
            yield "<table>"
            for name, header in headers.items():
                resolved = self._resolved(header)
                yield self._row(
                    name,
                    _map(resolved.get("schema")),
                    required=False,
                    note="header",
                    description=resolved.get("description"),
                    depth=0,
                )
            yield "</table>"
        yield from self._content(answer)
        yield "</details>"

    def _content(self, holder: Json) -> Iterator[str]:
        for kind, media in _map(holder.get("content")).items():
            schema = _map(_map(media).get("schema"))
            yield f"<p><code>{escape(kind)}</code> {escape(self._type(schema))}</p>"
            yield self._fields(schema, 0)
            for example in _examples(_map(media), self._resolved(schema)):
                yield f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"

    def _fields(self, schema: Json, depth: int) -> str:
        """A table of an object's fields, or of the objects inside a list or a choice; nothing for the rest."""
        if depth > _DEPTH:
            return ""
        schema = self._resolved(schema)
        properties = _map(schema.get("properties"))
        if properties:
            required = _list(schema.get("required"))
            rows = (
                self._row(name, _map(part), required=name in required, note="", description=None, depth=depth + 1)
                for name, part in properties.items()
            )
            return f"<table>{''.join(rows)}</table>"
        inner = [schema["items"]] if "items" in schema else self._choices(schema)
        return "".join(self._fields(_map(one), depth + 1) for one in inner)

    def _row(self, name: str, schema: Json, *, required: bool, note: str, description: object, depth: int) -> str:
        resolved = {**self._resolved(schema), **schema}
        facts = [self._type(schema), "required" if required else "", note, *_limits(resolved)]
        told = _paragraph(description or schema.get("description"))
        return (
            f"<tr><th><code>{escape(name)}</code></th><td>{escape(', '.join(fact for fact in facts if fact))}"
            f"{told}{self._fields(schema, depth)}</td></tr>"
        )

    def _type(self, schema: Json) -> str:
        """What a value is, in a few words."""
        resolved = self._resolved(schema)
        if "enum" in resolved:
            return "one of " + ", ".join(json.dumps(value, ensure_ascii=False) for value in _list(resolved["enum"]))
        choices = self._choices(resolved)
        if choices:
            return " or ".join(dict.fromkeys(self._type(_map(choice)) for choice in choices))
        if "items" in resolved:
            return f"list of {self._type(_map(resolved['items']))}"
        if "prefixItems" in resolved:
            return f"list of {len(_list(resolved['prefixItems']))}"
        kind = resolved.get("type", "any")
        words = " or ".join(str(one) for one in kind) if isinstance(kind, list) else str(kind)
        shape = resolved.get("format")
        return f"{words} ({shape})" if shape else words

    def _choices(self, schema: Json) -> list[object]:
        return [one for key in ("anyOf", "oneOf", "allOf") for one in _list(schema.get(key))]

    def _resolved(self, value: object) -> Json:
        """A part of the document, looked up where it is a reference."""
        part = _map(value)
        for _ in range(_DEPTH):
            if "$ref" not in part:
                break
            found: object = self._document
            for step in str(part["$ref"]).removeprefix("#/").split("/"):
                found = _map(found).get(step.replace("~1", "/").replace("~0", "~"))
            part = _map(found)
        return part


def _limits(schema: Json) -> Iterator[str]:
    for name, words in _FACTS:
        value = schema.get(name)
        if value is not None:
            yield words.format(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _examples(media: Json, schema: Json) -> Iterator[object]:
    if "example" in media:
        yield media["example"]
    for example in _map(media.get("examples")).values():
        yield _map(example).get("value")
    yield from _list(schema.get("examples"))


def _paragraph(text: object) -> str:
    return f"<p>{escape(text)}</p>" if isinstance(text, str) and text else ""


def _label(method: str) -> str:
    return f'<b class="{method}">{method.upper()}</b>'


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}{path}".replace("/", "-").replace("{", "").replace("}", ""))


def _map(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
