"""Errors as RFC 9457 problem details, in the caller's language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from pinjam.domain.field_problem import FieldProblem
from pinjam.services.errors import (
    Denied,
    Forbidden,
    Invalid,
    NotFound,
    StateForbids,
    TooMany,
    Unauthenticated,
)
from pinjam.services.ports import Unavailable
from pinjam.services.store import BadCursor, Contention, StoreUnavailable
from pinjam.wording import load

if TYPE_CHECKING:
    from pinjam.domain.user import Locale

STATUS: Final[Mapping[type[Denied], int]] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    StateForbids: 409,
    Invalid: 422,
    TooMany: 429,
}

RETRY_AFTER_S = 5
"""For callers, where a service did not say itself when it is back."""


@dataclass(frozen=True, slots=True)
class Problem(Exception):
    """What an answer says when it is not what was asked for. `params` fill the text of `code`."""

    status: int
    code: str
    params: Mapping[str, int | str] = field(default_factory=dict)
    fields: tuple[FieldProblem, ...] = ()
    retry_after_s: int | None = None
    allow: tuple[str, ...] = ()


def problem_of(fault: Exception) -> Problem | None:  # noqa: PLR0911 - a table, one row a return
    """The problem that an exception of a use case or an adapter means; None for one nobody foresaw."""
    match fault:
        case Problem():
            return fault
        case Invalid():
            return Problem(422, fault.code, fault.params, fields=fault.fields)
        case TooMany():
            return Problem(429, fault.code, fault.params, retry_after_s=fault.retry_after_s)
        case Denied():
            status = next(status for kind, status in STATUS.items() if isinstance(fault, kind))
            return Problem(status, fault.code, fault.params)
        case BadCursor():
            return Problem(422, "invalid-fields", fields=(FieldProblem(field="cursor", code="cursor", params={}),))
        case Unavailable() | StoreUnavailable():
            return Problem(503, "service-unavailable", retry_after_s=fault.retry_after_s or RETRY_AFTER_S)
        case Contention():
            return Problem(503, "service-unavailable", retry_after_s=1)
        case _:
            return None


def document(problem: Problem, *, locale: Locale, instance: str) -> dict[str, object]:
    """The problem as JSON. `instance` is the request's id."""
    texts = cast("Mapping[str, list[str]]", load("problems").get(problem.code, load("problems")["unknown"]))
    title, detail = texts[locale]
    body: dict[str, object] = {
        "type": f"urn:pinjam:problem:{problem.code}",
        "title": title,
        "status": problem.status,
        "detail": detail.format_map(_Known(problem.params)),
        "code": problem.code,
        "instance": instance,
    }
    if problem.fields:
        body["errors"] = [
            {"field": one.field, "code": one.code, "message": message(one, locale)} for one in problem.fields
        ]
    return body


def message(one: FieldProblem, locale: Locale) -> str:
    """Why a field is refused, in words that go after its name."""
    texts = cast("Mapping[str, str]", load("fields").get(one.code, load("fields")["invalid"]))
    return texts[locale].format_map(_Known(one.params))


class _Known(dict[str, int | str]):
    """Fills a text's places; numbers are written as people here write them."""

    def __init__(self, params: Mapping[str, int | str]) -> None:
        super().__init__({k: f"{v:,}".replace(",", ".") if isinstance(v, int) else v for k, v in params.items()})

    def __missing__(self, key: str) -> str:
        return "?"
