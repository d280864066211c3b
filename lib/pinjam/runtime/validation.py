"""pydantic's errors in the API's words. The value itself is never repeated: it may be personal."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pinjam.domain.field_problem import FieldProblem

CODES = {
    "missing": "required",
    "extra_forbidden": "unknown-field",
    "string_too_short": "too-short",
    "string_too_long": "too-long",
    "too_short": "too-few",
    "too_long": "too-many",
    "greater_than": "too-low",
    "greater_than_equal": "too-low",
    "less_than": "too-high",
    "less_than_equal": "too-high",
    "literal_error": "not-allowed",
    "enum": "not-allowed",
    "union_tag_invalid": "not-allowed",
    "union_tag_not_found": "required",
    "string_pattern_mismatch": "invalid",
    "value_error": "invalid",
}
LIMITS = ("min_length", "max_length", "gt", "ge", "lt", "le", "expected", "expected_tags")


def field_problems(wrong: ValidationError, given: Any = None) -> tuple[FieldProblem, ...]:
    """Each field at fault, its code, and the limit that it missed.

    `given` is the input where it is nested: pydantic puts the tag of a union's member into the path of a
    field, but the client sent no such field.
    """
    problems = []
    for one in wrong.errors(include_url=False, include_input=False):
        context = one.get("ctx", {})
        limits = {name: context[name] for name in LIMITS if isinstance(context.get(name), int | str)}
        limit = next(iter(limits.values()), "")
        code = CODES.get(one["type"], "wrong-type")
        if one["type"] == "value_error" and isinstance(context.get("error"), ValueError):
            code = _own_code(context["error"])
        problems.append(FieldProblem(field=_name(_path(one["loc"], given)), code=code, params={"limit": limit}))
    return tuple(problems)


def _own_code(error: ValueError) -> str:
    """A validator of ours raises ValueError with the code as its text; a library's text is not repeated."""
    text = str(error)
    return text if text.replace("-", "").isalpha() and text.islower() else "invalid"


def _path(location: tuple[int | str, ...], given: Any) -> tuple[int | str, ...]:
    """The location without the parts that are not in what was given; its last part may be missing there."""
    path: list[int | str] = []
    for part in location[:-1]:
        if isinstance(given, Mapping) and part not in given:
            continue
        if given is not None:
            given = given[part]
        path.append(part)
    return (*path, *location[-1:])


def _name(location: tuple[int | str, ...]) -> str:
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or "body"
