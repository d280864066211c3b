"""Which operation of an OpenAPI document a request means, decided as API Gateway decides it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode, urlsplit

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
DEFAULT_DEADLINE_S = 15.0
_VARIABLE = re.compile(r"\{([^{}/]+)\}")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class NotDefined(Exception):
    """404: no path of the document is like this."""


class MethodNotAllowed(Exception):
    """405: the path is there, the method is not. `template` is the path as the document writes it."""

    def __init__(self, template: str) -> None:
        super().__init__(template)
        self.template = template


class BadPath(Exception):
    """400: a path that no server should have to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation: where it goes, and whether it needs a JWT. `prefix` is the address's path after the function."""

    template: str
    method: str
    function: str
    prefix: str
    constant: bool
    needs_jwt: bool
    deadline_s: float

    def backend_target(self, path: str, query: str) -> tuple[str, str]:
        """The path (still percent-encoded) and query that the function is called with."""
        if not self.constant:
            return self.prefix + path, query
        values = dict(zip(_VARIABLE.findall(self.template), _values(self.template, path), strict=True))
        extra = urlencode({name: unquote(value) for name, value in values.items()})
        return self.prefix or "/", "&".join(part for part in (query, extra) if part)


class Routes:
    """The operations of an OpenAPI 2.0 document with `x-google-backend`. ValueError if one says not where it goes."""

    def __init__(self, document: Mapping[str, object]) -> None:
        base = str(document.get("basePath", "")).rstrip("/")
        routes = [
            _route(document, base + str(template), method, _mapping(item), _mapping(operation))
            for template, item in _mapping(document.get("paths")).items()
            for method, operation in _mapping(item).items()
            if method in METHODS
        ]
        # A literal segment goes before a variable one, as in `/loans/quote` and `/loans/{id}`.
        self._routes = sorted(routes, key=lambda route: [part.startswith("{") for part in _parts(route.template)])

    @property
    def functions(self) -> frozenset[str]:
        """The names of all functions that operations go to."""
        return frozenset(route.function for route in self._routes)

    def match(self, method: str, path: str) -> Route:
        """The operation for a normalised path; one slash at its end makes no difference."""
        parts = _parts(path)
        alike = [route for route in self._routes if _matches(_parts(route.template), parts)]
        for route in alike:
            if route.method == method:
                return route
        if alike:
            raise MethodNotAllowed(alike[0].template)
        raise NotDefined


def normalise(path: str) -> str:
    """A percent-encoded path without dot segments, doubled slashes and needless escapes (RFC 3986, 6.2.2).

    An escaped slash stays escaped, so it is part of its segment.
    """
    path = quote(path, safe="/%:@!$&'()*+,;=~-._")
    if "%00" in path:
        raise BadPath
    path = _ESCAPE.sub(_plain_if_unreserved, path)
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    slash = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(kept) + slash


def _plain_if_unreserved(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _route(
    document: Mapping[str, object],
    template: str,
    method: str,
    item: Mapping[str, object],
    operation: Mapping[str, object],
) -> Route:
    levels = (operation, item, document)
    backend = next((_mapping(level["x-google-backend"]) for level in levels if "x-google-backend" in level), None)
    if backend is None:
        raise ValueError(f"{method.upper()} {template} has no x-google-backend")
    function, slash, prefix = urlsplit(str(backend.get("address", ""))).path.strip("/").partition("/")
    if not function:
        raise ValueError(f"{method.upper()} {template}: its backend's address names no function")
    security = operation.get("security", document.get("security", []))
    own = "x-google-backend" in operation
    translation = backend.get("path_translation", "CONSTANT_ADDRESS" if own else "APPEND_PATH_TO_ADDRESS")
    return Route(
        template=template,
        method=method.upper(),
        function=function,
        prefix=slash + prefix,
        constant=translation == "CONSTANT_ADDRESS",
        needs_jwt=isinstance(security, list) and any(_mapping(choice) for choice in security),
        deadline_s=float(str(backend.get("deadline", DEFAULT_DEADLINE_S))),
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/")


def _matches(template: list[str], path: list[str]) -> bool:
    return len(template) == len(path) and all(
        bool(actual) if _VARIABLE.fullmatch(wanted) else wanted == actual
        for wanted, actual in zip(template, path, strict=True)
    )


def _values(template: str, path: str) -> list[str]:
    pairs = zip(_parts(template), _parts(path), strict=True)
    return [actual for wanted, actual in pairs if _VARIABLE.fullmatch(wanted)]
