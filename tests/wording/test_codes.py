"""Every code that is raised has its words: a new one without them fails here."""

import ast
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from pinjam.domain.erasure import Obstacle
from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.nik import NikProblem
from pinjam.domain.password import Weakness
from pinjam.runtime.problems import Problem, document
from pinjam.runtime.validation import CODES
from pinjam.services.errors import Denied, Forbidden, Invalid, NotFound, StateForbids, TooMany, Unauthenticated
from pinjam.wording import load

ROOT = Path(__file__).parents[2]
PROBLEMS: Mapping[str, Any] = load("problems")
FIELDS: Mapping[str, Any] = load("fields")

PROBLEM_ARGUMENT = {
    "Problem": 1,
    "NotFound": 0,
    "Unauthenticated": 0,
    "Forbidden": 0,
    "StateForbids": 0,
    "TooMany": 1,
    "Denied": 0,
    "CeremonyRefused": 0,
}
"""At which place each of these takes the code."""


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call of a plain name in the code that answers requests."""
    for folder in (ROOT / "lib" / "pinjam", ROOT / "functions"):
        for source in sorted(folder.rglob("*.py")):
            if "local" in source.relative_to(folder).parts:
                continue
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield source, node, node.func.id


def argument(call: ast.Call, at: int | None, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[at] if at is not None and len(call.args) > at else None


def literals(node: ast.expr) -> list[str]:
    """The texts that an expression can be: one, or one of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*literals(node.body), *literals(node.orelse)]
    return []


def raised_problems() -> dict[str, str]:
    """Each problem code that is written in the code, and where."""
    found = {kind.default_code: kind.__name__ for kind in (NotFound, Unauthenticated, Forbidden, StateForbids, Invalid)}
    found |= {TooMany.default_code: "TooMany"}
    for source, call, name in calls():
        if name in PROBLEM_ARGUMENT:
            code = argument(call, PROBLEM_ARGUMENT[name], "code")
        elif name == "Invalid":
            code = argument(call, None, "code")
        else:
            continue
        if code is not None:
            found |= dict.fromkeys(literals(code), f"{source.name}:{call.lineno}")
    return found


def raised_fields() -> dict[str, str]:
    """Each field code that is written in the code, and where; derived ones are added by hand below."""
    found = dict.fromkeys({*CODES.values(), "wrong-type", "invalid"}, "pydantic's errors")
    found |= {f"nik-{code}": "signup" for code in get_args(NikProblem)}
    found |= dict.fromkeys(get_args(Weakness), "password")
    for source, call, name in calls():
        where = f"{source.name}:{call.lineno}"
        if name == "FieldProblem":
            code = argument(call, None, "code")
        elif name == "UnreadablePaper" or (name == "ValueError" and "models" in source.parts):
            code = argument(call, 0, "code")
        elif name == "refuse" and source.name == "pricing.py":
            code = argument(call, 1, "code")
        else:
            continue
        assert code is not None, where
        found |= dict.fromkeys(literals(code), where)
    return found


def test_the_search_finds_what_is_there() -> None:
    problems, fields = raised_problems(), raised_fields()
    assert len(problems) > 35
    assert {"token-invalid", "loan-not-active", "idempotency-key-reused", "too-many-verifications"} <= set(problems)
    assert {"qris-limit", "file-broken", "email-invalid", "one-file", "purpose-unknown", "cursor"} <= set(fields)


def test_every_problem_has_its_words_and_all_words_are_used() -> None:
    raised = raised_problems()
    # Codes that are looked up: why a name is held, and what stands against erasure.
    raised |= {"name-fixed": "profiles.py", "verification-running": "profiles.py"}
    raised |= dict.fromkeys(get_args(Obstacle), "erasing.py")
    assert {code: where for code, where in raised.items() if code not in PROBLEMS} == {}
    assert set(PROBLEMS) - set(raised) == {"unknown"}


def test_every_field_code_has_its_words_and_all_words_are_used() -> None:
    raised = raised_fields()
    assert {code: where for code, where in raised.items() if code not in FIELDS} == {}
    assert set(FIELDS) - set(raised) == set()


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_a_problem_has_a_title_and_a_detail_in_both_languages(code: str) -> None:
    assert set(PROBLEMS[code]) == {"id", "en"}
    places = []
    for title, detail in (PROBLEMS[code]["id"], PROBLEMS[code]["en"]):
        assert title
        assert detail.endswith(".")
        places.append({name for _, name, _, _ in string.Formatter().parse(title + detail) if name})
    assert places[0] == places[1]


@pytest.mark.parametrize("code", sorted(FIELDS))
def test_a_field_code_has_a_message_in_both_languages(code: str) -> None:
    places = [
        {name for _, name, _, _ in string.Formatter().parse(FIELDS[code][locale]) if name} for locale in FIELDS[code]
    ]
    assert set(FIELDS[code]) == {"id", "en"}
    assert places[0] == places[1]


def test_places_are_filled_as_people_here_write_numbers() -> None:
    one = FieldProblem(field="method.type", code="qris-limit", params={"max": 10_000_000, "amount": 12_345_678})
    problem = Problem(429, "too-many-attempts", {"seconds": 1_800}, fields=(one,))
    shown = document(problem, locale="en", instance="req_1")
    assert shown["detail"] == "Too many login attempts. Try again in 1.800 seconds."
    assert shown["errors"] == [
        {
            "field": "method.type",
            "code": "qris-limit",
            "message": "QRIS takes at most Rp10.000.000; this payment is Rp12.345.678",
        }
    ]


def test_a_code_without_words_is_still_answered() -> None:
    one = FieldProblem(field="x", code="of-tomorrow", params={})
    shown = document(Problem(409, "of-tomorrow", fields=(one,)), locale="en", instance="req_1")
    assert (shown["code"], shown["title"]) == ("of-tomorrow", "The request cannot be met")
    assert shown["errors"] == [{"field": "x", "code": "of-tomorrow", "message": "is not valid"}]
    assert (
        document(Problem(429, "too-many-requests"), locale="id", instance="r")["detail"] == "Coba lagi dalam ? detik."
    )


def test_every_denial_has_a_status() -> None:
    from pinjam.runtime.problems import STATUS, problem_of  # noqa: PLC0415 - used here only

    assert set(STATUS) == set(Denied.__subclasses__())
    for kind, status in STATUS.items():
        fault = TooMany(5) if kind is TooMany else kind()
        problem = problem_of(fault)
        assert problem is not None
        assert problem.status == status
        assert problem.code in PROBLEMS
