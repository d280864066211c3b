"""The OpenAPI documents, made from the routes and their models.

`reference` is 3.1, for people and for tools that test against the contract. `for_gateway` is 2.0, what API
Gateway and ESPv2 take: routes, who may call them, and where they lead; they check no bodies.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, TypeAdapter

from pinjam import __version__
from pinjam.runtime.api import JSON
from pinjam.runtime.models.fields import GatewayRefusal, ProblemShown, Shown

if TYPE_CHECKING:
    from pinjam.runtime.api import Api, Route

TITLE = "Pinjam"
DESCRIPTION = "Consumer loans in Indonesia: sign-up, identity, application, decision, disbursement, repayment."
SCHEMAS = "#/components/schemas/{model}"
KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The same key and body get the first answer again; kept for 24 hours or more.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]{1,64}$"},
}
TEXT = {"type": "string"}
ID = {"type": "string", "pattern": "^[!-~]{1,64}$"}
"""What may be an id in a path; anything else is answered as if nothing had it."""
REASONS = {
    400: "The request cannot be read, or lacks its Idempotency-Key.",
    401: "No ID token, or not a good one.",
    403: "Not allowed.",
    404: "There is none, or it belongs to somebody else.",
    409: "The present state forbids it.",
    413: "The body is too large.",
    415: "The content type is not taken.",
    422: "A field is invalid; `errors` says which and why.",
    429: "Too often; `Retry-After` says when to come back.",
    500: "An error on our side.",
    503: "Not available now; `Retry-After` says when to come back.",
    504: "The function took too long.",
}
RETRY_LATER = frozenset({429, 503})
GATEWAYS = frozenset({504})
"""The gateway's own answers on every route."""
GATEWAYS_OF_TOKENS = frozenset({401, 403})
"""The gateway's own answers where a token is needed: none or a bad one, and one that is meant for others."""
DEADLINE_S = 15.0
PROJECT = "pinjam-local"
BACKEND = "https://functions.invalid"
"""Placeholders that the deployment replaces; the local gateway looks only at the function's name."""

Json = dict[str, Any]
Model: TypeAlias = type[Shown | BaseModel]


def reference(apis: Iterable[Api]) -> Json:
    """The OpenAPI 3.1 document of all public operations."""
    public = [api for api in apis if not api.internal]
    models = {model for api in public for route in api.routes for model in _models(route)}
    models |= {ProblemShown, GatewayRefusal}
    names, definitions = _schemas(models)
    paths: dict[str, Json] = {}
    for api in public:
        for route in api.routes:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(api, route, names, definitions)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(api.tag for api in public)],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": definitions,
            "securitySchemes": {"firebase": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def for_gateway(apis: Iterable[Api], *, project: str = PROJECT, backend: str = BACKEND) -> Json:
    """The OpenAPI 2.0 document for API Gateway. `backend` is the functions' address before their names."""
    paths: dict[str, Json] = {}
    for api in apis:
        if api.internal:
            continue
        for route in api.routes:
            path = paths.setdefault(route.path, {})
            path[route.method.lower()] = _gateway_operation(api, route, backend)
            path.setdefault("options", _preflight(api, route, backend))
    return {
        "swagger": "2.0",
        "info": {"title": TITLE, "version": __version__, "description": DESCRIPTION},
        "schemes": ["https"],
        "produces": ["application/json", "application/problem+json"],
        "securityDefinitions": {
            "firebase": {
                "type": "oauth2",
                "authorizationUrl": "",
                "flow": "implicit",
                "x-google-issuer": f"https://securetoken.google.com/{project}",
                "x-google-jwks_uri": (
                    "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
                ),
                "x-google-audiences": project,
                # Nowhere else, such as in the query: only from there does the token reach the function, too, which then
                # need not believe what a header says of it.
                "x-google-jwt-locations": [{"header": "Authorization", "value_prefix": "Bearer "}],
            }
        },
        "paths": dict(sorted(paths.items())),
    }


def _models(route: Route) -> list[Model]:
    return [model for model in (route.body, route.answer, route.query) if model is not None]


def _schemas(models: Iterable[Model]) -> tuple[dict[Model, str], dict[str, Json]]:
    """Each model's name in the document, and all definitions."""
    ordered = sorted(models, key=lambda model: model.__name__)
    keys, schema = TypeAdapter.json_schemas(
        [(number, "serialization", TypeAdapter(model)) for number, model in enumerate(ordered)], ref_template=SCHEMAS
    )
    names = {
        model: str(keys[number, "serialization"]["$ref"]).rsplit("/", 1)[-1] for number, model in enumerate(ordered)
    }
    definitions: dict[str, Json] = dict(sorted(schema.get("$defs", {}).items()))
    for shown in _kinds(Shown):
        if shown.__name__ in definitions:  # pydantic takes no dataclass at its word.
            definitions[shown.__name__]["description"] = inspect.cleandoc(shown.__doc__ or "")
    return names, definitions


def _kinds(of: type[Shown]) -> Iterator[type[Shown]]:
    """All classes that are made from one."""
    for kind in of.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _operation(api: Api, route: Route, names: Mapping[Model, str], definitions: Mapping[str, Json]) -> Json:
    operation: Json = {
        "operationId": f"{api.name}.{route.handler.__name__}",
        "tags": [api.tag],
        "summary": route.summary,
        "parameters": _parameters(route, names, definitions),
        "responses": _responses(route, names),
    }
    if not route.public:
        operation["security"] = [{"firebase": []}]
    if route.body is not None:
        schema = {"$ref": SCHEMAS.format(model=names[route.body])}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.upload:
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _form()}}}
    return operation


def _parameters(route: Route, names: Mapping[Model, str], definitions: Mapping[str, Json]) -> Sequence[Json]:
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": ID} for name in _path_parameters(route)
    ]
    if route.query is not None:
        schema = definitions[names[route.query]]
        required = schema.get("required", ())
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": part}
            for name, part in schema["properties"].items()
        ]
    if route.keyed:
        parameters.append(KEY_HEADER)
    if route.signed is not None:
        signature = "What the sender's system signs the body's bytes with."
        parameters.append(
            {"name": route.signed, "in": "header", "required": True, "description": signature, "schema": TEXT}
        )
    return parameters


def _path_parameters(route: Route) -> list[str]:
    return [part[1:-1] for part in route.path.split("/") if part.startswith("{")]


def _responses(route: Route, names: Mapping[Model, str]) -> Json:
    headers: Json = {"X-Request-Id": {"required": True, "schema": TEXT}}
    good: Json = {"description": "Done.", "headers": dict(headers)}
    if route.keyed:
        good["headers"]["Idempotent-Replayed"] = {
            "description": "`true` when this is the first answer again.",
            "schema": {"type": "string"},
        }
    content = {media: {"schema": schema} for media in route.media if (schema := _answered(route, media, names))}
    if content:
        good["content"] = content
    if any(media != JSON for media in route.media):
        good["headers"]["Content-Disposition"] = {
            "description": "The name to save a file under.",
            "schema": {"type": "string"},
        }
    responses: Json = {str(route.status): good}
    problems = {*route.problems, 500, 503}
    problems |= set() if route.public else {401}
    problems |= {400, 413, 415} if route.body is not None or route.upload else set()
    gateways = GATEWAYS if route.public else GATEWAYS | GATEWAYS_OF_TOKENS
    for status in sorted(problems | gateways):
        bad: Json = {"description": REASONS[status], "headers": dict(headers)}
        if status in RETRY_LATER:
            bad["headers"]["Retry-After"] = {"required": True, "description": "Seconds.", "schema": {"type": "integer"}}
        bad["content"] = {}
        if status in problems:
            bad["content"]["application/problem+json"] = {"schema": {"$ref": SCHEMAS.format(model="ProblemShown")}}
        if status in gateways:
            bad["content"][JSON] = {"schema": {"$ref": SCHEMAS.format(model="GatewayRefusal")}}
        responses[str(status)] = bad
    return responses


def _answered(route: Route, media: str, names: Mapping[Model, str]) -> Json:
    """What an answer of this media type looks like; nothing where there is no body."""
    if media != JSON:
        return {"type": "string", "format": "binary"}
    return {"$ref": SCHEMAS.format(model=names[route.answer])} if route.answer is not None else {}


def _form() -> Json:
    return {
        "type": "object",
        "required": ["kind", "file"],
        "properties": {
            "kind": {"type": "string", "enum": ["ktp", "selfie", "income"]},
            "file": {
                "type": "string",
                "format": "binary",
                "description": "JPEG or PNG, or PDF for income; at most 10 MB.",
            },
        },
    }


def _gateway_operation(api: Api, route: Route, backend: str) -> Json:
    operation: Json = {
        "operationId": f"{api.name}_{route.handler.__name__}",
        "summary": route.summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "type": "string"} for name in _path_parameters(route)
        ],
        "responses": {str(route.status): {"description": "Done."}, "default": {"description": "A problem."}},
        "x-google-backend": _backend(api, backend),
    }
    if any(media != JSON for media in route.media):
        operation["produces"] = [*route.media, "application/problem+json"]
    if not route.public:
        operation["security"] = [{"firebase": []}]
    return operation


def _preflight(api: Api, route: Route, backend: str) -> Json:
    """API Gateway has no switch for CORS: a browser's preflight is an operation like any other."""
    slug = "_".join(part.strip("{}") for part in route.path.split("/") if part)
    return {
        "operationId": f"preflight_{slug}",
        "summary": "Answer a browser's preflight.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "type": "string"} for name in _path_parameters(route)
        ],
        "responses": {"204": {"description": "Done."}},
        "x-google-backend": _backend(api, backend),
    }


def _backend(api: Api, backend: str) -> Json:
    address = f"{backend}/{api.name}"
    return {
        "address": address,
        "path_translation": "APPEND_PATH_TO_ADDRESS",
        "jwt_audience": address,
        "deadline": DEADLINE_S,
    }
