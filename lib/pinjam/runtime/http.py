"""The HTTP edge: parse, authenticate, call, answer. Nothing that goes wrong gets past it unshaped."""

from __future__ import annotations

import base64
import binascii
import gc
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import flask
import functions_framework
from flask import Request, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import ClientDisconnected, HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.exceptions import NotFound as NoSuchPath
from werkzeug.routing import Map, Rule

from pinjam.domain.field_problem import FieldProblem
from pinjam.runtime import logs, tracing
from pinjam.runtime.api import JSON_LIMIT_BYTES, Call, Upload
from pinjam.runtime.composition import current
from pinjam.runtime.models.fields import Shown
from pinjam.runtime.problems import Problem, document, problem_of
from pinjam.runtime.settings import SettingsError
from pinjam.runtime.validation import field_problems
from pinjam.services.ports import WrongCredentials

if TYPE_CHECKING:
    from pinjam.domain.user import Locale
    from pinjam.runtime.api import Answer, Api, Route
    from pinjam.runtime.composition import App

log = logging.getLogger("pinjam.request")

FILE_LIMIT_BYTES = 10 * 1024 * 1024
UPLOAD_LIMIT_BYTES = FILE_LIMIT_BYTES + 16 * 1024
"""A whole upload: the largest file, and its wrapping."""
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
KEY = re.compile(r"[\x21-\x7e]{1,64}")
PATH_VALUE = re.compile(r"[!-~]{1,64}")
"""Whatever may be an id; anything else in a path names nothing."""
SUBJECT = re.compile(r"[!-~]{1,128}")
"""Firebase's uids have at most 128 characters, and ours are such."""
LAST_SECOND = 253_402_300_800
"""The end of the year 9999, in seconds since 1970: no later time can be written."""
NO_REQUEST_ID = "not-configured"
"""Stands for the id of a request that met a function without its configuration."""
ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # Two years, for whoever came by HTTPS once; over plain HTTP a browser takes no notice of it.
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "Vary": "Accept-Language, Origin",
}
EXPOSED = "X-Request-Id, Idempotent-Replayed, Retry-After, Content-Disposition"
"""The headers that a web page's script may read."""


def entry(api: Api) -> Callable[[Request], Response]:
    """An `Api` as a function for functions-framework, registered under the Api's name."""
    rules = Map(
        [Rule(_rule(route), methods=[route.method], endpoint=route) for route in api.routes],
        strict_slashes=True,
        merge_slashes=False,
    )

    beginning = logs.Beginning(api.name)

    def serve(request: Request) -> Response:
        return _serve(api, rules, request, beginning)

    serve.__name__ = serve.__qualname__ = api.name
    functions_framework.http(serve)
    # The framework loads a function in the context of its application. What that would refuse by itself, as HTML,
    # is answered here too: a line feed in a path, /robots.txt.
    if flask.has_app_context():
        flask.current_app.register_error_handler(404, lambda _refused: serve(flask.request))
    gc.freeze()  # All of this function's code is loaded, and stays.
    return serve


def _rule(route: Route) -> str:
    return route.path.replace("{", "<").replace("}", ">")


def _serve(api: Api, rules: Map, request: Request, beginning: logs.Beginning) -> Response:
    """One request, from its first byte to its one line in the log."""
    logs.configure()
    started = time.perf_counter()
    try:
        app = current()
        trace = tracing.enter(lambda: app.settings.project, request.headers)
    except SettingsError as wrong:
        log.critical("not-configured", extra={"fault": str(wrong)})
        return _refuse(Problem(500, "internal-error"), _locale(request), NO_REQUEST_ID)
    request_id = _request_id(request, app)
    token = logs.request_id.set(request_id)
    beginning.tell()
    locale = _locale(request)
    route: Route | None = None
    problem: Problem | None = None
    try:
        try:
            route, path = _match(rules, request)
            if route is None:
                response = Response(status=204)
            else:
                response = _respond(_run(app, route, path, request, request_id, locale))
        except Exception as fault:  # noqa: BLE001 - this is the edge: everything becomes an answer here
            problem = _problem(fault)
            response = _refuse(problem, locale, request_id)
            _drain(request)
        if route is not None and len(route.media) > 1:
            response.headers["Vary"] = f"Accept, {ALWAYS['Vary']}"
        _finish(response, request, app, request_id)
        _write_line(api, route, request, response, problem, started)
        return response
    finally:
        tracing.working_in.reset(trace)
        logs.request_id.reset(token)


def _match(rules: Map, request: Request) -> tuple[Route | None, Mapping[str, str]]:
    """The route and its path parameters; no route for a preflight, which every path answers."""
    adapter = rules.bind(request.host or "localhost", path_info=request.path, default_method=request.method)
    try:
        if request.method == "OPTIONS" and adapter.allowed_methods():
            return None, {}
        route, path = adapter.match(method=request.method)
    except NoSuchPath:
        raise Problem(404, "path-not-found") from None
    except MethodNotAllowed as wrong:
        raise Problem(405, "method-not-allowed", allow=tuple(sorted(wrong.valid_methods or ()))) from None
    if not all(PATH_VALUE.fullmatch(value) for value in path.values()):
        raise Problem(404, "not-found")
    return route, path


def _run(app: App, route: Route, path: Mapping[str, str], request: Request, request_id: str, locale: Locale) -> Answer:
    user_id, token_issued_at = ("", None) if route.public else _authenticate(app, request)
    address = _address(app, request) if route.public or route.limit else ""
    if route.limit is not None:
        app.limits.check(route.limit, account=user_id, address=address)
    call: Call[BaseModel | None, BaseModel | None] = Call(
        app=app,
        user_id=user_id,
        token_issued_at=token_issued_at,
        key=_key(request) if route.keyed else "",
        query=_query(route, request),
        body=_body(route, request),
        upload=_upload(request) if route.upload else None,
        media=request.accept_mimetypes.best_match(route.media, default=route.media[0]),
        # `_body` has read it, within its limit.
        raw=request.get_data(cache=True) if route.signed else b"",
        signature=request.headers.get(route.signed, "") if route.signed else "",
        address=address,
        path=path,
        locale=locale,
        request_id=request_id,
        route=f"{route.method} {route.path}",
    )
    return route.handler(call)


def _authenticate(app: App, request: Request) -> tuple[str, datetime | None]:
    """The borrower's id and their ID token's time of issue, as the gateway says; proven again where the token is.

    Only the gateway can reach a deployed function, and on a route that requires a token it sets the
    userinfo header itself. In the local profile a function may be run alone, without a gateway: then the
    token comes straight from the caller.
    """
    userinfo = request.headers.get("X-Apigateway-Api-Userinfo", "")
    bearer = request.headers.get("X-Forwarded-Authorization", "")
    if not bearer and not userinfo and app.settings.profile == "local":
        bearer = request.headers.get("Authorization", "")
    claims = _claims(userinfo) if userinfo else {}
    claimed = _subject(claims) if userinfo else ""
    if not bearer:
        if not claimed:
            raise Problem(401, "token-required")
        return claimed, _issued_at(claims)
    scheme, _, id_token = bearer.partition(" ")
    if scheme.lower() != "bearer" or not id_token:
        raise Problem(401, "token-invalid")
    try:
        proven = app.token_verifier.verify(id_token.strip())
    except WrongCredentials:
        raise Problem(401, "token-invalid") from None
    if claimed not in ("", _subject(proven)):
        raise Problem(401, "token-invalid")
    return _subject(proven), _issued_at(proven)


def _claims(userinfo: str) -> Mapping[str, object]:
    try:
        claims = json.loads(base64.urlsafe_b64decode(userinfo + "=" * (-len(userinfo) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise Problem(401, "token-invalid") from None
    if not isinstance(claims, dict):
        raise Problem(401, "token-invalid")
    return claims


def _subject(claims: Mapping[str, object]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        raise Problem(401, "token-invalid")
    return subject


def _issued_at(claims: Mapping[str, object]) -> datetime | None:
    """The time of issue; None, which counts as long ago, if it is not said."""
    seconds = claims.get("iat")
    if not isinstance(seconds, int) or not 0 <= seconds < LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _address(app: App, request: Request) -> str:
    """The caller's IP address, as the outermost of our own proxies saw it; empty if it says none.

    Each proxy adds, at the end of X-Forwarded-For, whom it was called by. What stands before those is the
    caller's own claim. Called without a gateway, the address is the connection's.
    """
    passed = _forwarded(request)
    hops = app.settings.trusted_hops
    said = passed[-hops] if 0 < hops <= len(passed) else request.remote_addr or ""
    try:
        return str(ip_address(said.strip()))
    except ValueError:
        return ""


def _forwarded(request: Request) -> list[str]:
    """The addresses that a call says it came through, the nearest last."""
    said = request.headers.get("X-Forwarded-For", "")
    return said.split(",") if said else []


def _key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise Problem(400, "idempotency-key-required")
    if not KEY.fullmatch(key):
        raise Problem(400, "idempotency-key-invalid")
    return key


def _query(route: Route, request: Request) -> BaseModel | None:
    if route.query is None:
        return None
    names = {field.alias or name for name, field in route.query.model_fields.items()}
    given = {name: value for name, value in request.args.items() if name in names}
    try:
        return route.query.model_validate(given)
    except ValidationError as wrong:
        raise Problem(422, "invalid-fields", fields=field_problems(wrong)) from None


def _body(route: Route, request: Request) -> BaseModel | None:
    if route.body is None:
        return None
    # JSON is UTF-8 and nothing else; a charset that says otherwise is refused, not ignored.
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
        raise Problem(415, "json-required")
    _check_encoding(request)
    # A body that does not tell its length is cut off at this limit without a word: one byte more shows it.
    request.max_content_length = JSON_LIMIT_BYTES + 1
    text = request.get_data(cache=True)
    if len(text) > JSON_LIMIT_BYTES:
        raise Problem(413, "body-too-large", {"max": FILE_LIMIT_BYTES})
    try:
        return route.body.model_validate_json(text, strict=True)
    except ValidationError as wrong:
        if any(one["type"] == "json_invalid" for one in wrong.errors(include_url=False, include_input=False)):
            raise Problem(400, "malformed-json") from None
        raise Problem(422, "invalid-fields", fields=field_problems(wrong, from_json(text))) from None


def _check_encoding(request: Request) -> None:
    """Only what is sent as it is: a compressed body could grow beyond every limit."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "encoding-not-supported")


def _upload(request: Request) -> Upload:
    if request.mimetype != "multipart/form-data":
        raise Problem(415, "multipart-required")
    _check_encoding(request)
    request.max_content_length = UPLOAD_LIMIT_BYTES
    files = request.files.getlist("file")
    if len(files) > 1:
        raise Problem(422, "invalid-fields", fields=(FieldProblem(field="file", code="one-file", params={}),))
    content = files[0].read() if files else None
    if content is not None and len(content) > FILE_LIMIT_BYTES:
        raise Problem(413, "body-too-large", {"max": FILE_LIMIT_BYTES})
    return Upload(fields=dict(request.form.items()), file=content)


def _problem(fault: Exception) -> Problem:
    """Every exception as a problem; what nobody foresaw is logged in full and told to nobody."""
    if isinstance(fault, RequestEntityTooLarge):
        return Problem(413, "body-too-large", {"max": FILE_LIMIT_BYTES})
    if isinstance(fault, ClientDisconnected | HTTPException):
        return Problem(400, "malformed-request")
    problem = problem_of(fault)
    if problem is None:
        log.error("request-failed", exc_info=fault)
        return Problem(500, "internal-error")
    if problem.status >= 500:  # noqa: PLR2004 - HTTP's own boundary between their fault and ours
        log.warning("service-unavailable", extra={"cause": type(fault).__name__, "fault": str(fault)})
    return problem


def _respond(answer: Answer) -> Response:
    if answer.body is None:
        return Response(status=answer.status, headers=dict(answer.headers))
    if isinstance(answer.body, bytes):
        return Response(answer.body, status=answer.status, headers=dict(answer.headers), content_type=answer.media)
    if isinstance(answer.body, Shown):
        text = answer.body.as_json()
    elif isinstance(answer.body, BaseModel):
        text = answer.body.model_dump_json()
    else:
        text = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status=answer.status, headers=dict(answer.headers), content_type="application/json")


def _refuse(problem: Problem, locale: Locale, request_id: str) -> Response:
    body = json.dumps(document(problem, locale=locale, instance=request_id), ensure_ascii=False)
    response = Response(body, status=problem.status, content_type="application/problem+json")
    response.headers["Content-Language"] = locale
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    if problem.allow:
        response.headers["Allow"] = ", ".join(problem.allow)
    return response


def _drain(request: Request) -> None:
    """Read and drop what is left of a body, so that the caller gets the answer and not a broken connection.

    functions-framework reads the rest itself, but under the limit that was just exceeded.
    """
    request.max_content_length = None
    try:
        while request.stream.read(64 * 1024):
            pass
    except (OSError, HTTPException):
        log.info("client-gone")


def _finish(response: Response, request: Request, app: App, request_id: str) -> None:
    response.headers["X-Request-Id"] = request_id
    for name, value in ALWAYS.items():
        response.headers.setdefault(name, value)
    origin = request.headers.get("Origin", "")
    if origin and origin in app.settings.cors_origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PATCH, PUT, DELETE"
            response.headers["Access-Control-Allow-Headers"] = (
                "Authorization, Content-Type, Idempotency-Key, Accept-Language"
            )
            response.headers["Access-Control-Max-Age"] = "600"


def _write_line(
    api: Api, route: Route | None, request: Request, response: Response, problem: Problem | None, started: float
) -> None:
    """The request's one canonical line. The path is the route's, because a caller's may hold anything."""
    log.log(
        logging.ERROR if response.status_code == 500 else logging.INFO,  # noqa: PLR2004 - as above
        "request",
        extra={
            "function": api.name,
            "method": request.method,
            "route": route.path if route else None,
            "status": response.status_code,
            "problem": problem.code if problem else None,
            "duration_ms": round((time.perf_counter() - started) * 1000, 1),
            # By which PINJAM_TRUSTED_HOPS is measured: a call that names none has only what our proxies appended.
            "forwarded": len(_forwarded(request)),
        },
    )


def _request_id(request: Request, app: App) -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if REQUEST_ID.fullmatch(given) else app.ids.new("req")


def _locale(request: Request) -> Locale:
    return "en" if request.accept_languages.best_match(["id", "en"], default="id") == "en" else "id"
