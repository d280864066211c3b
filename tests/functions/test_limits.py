"""Limits at the edge: whose address counts, what a refusal says, and that a borrower is never kept out by others."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.functions.conftest import Functions, Reply
from tests.functions.test_json_edge import APPLY, REGISTER
from tests.world import PASSWORD

from pinjam.domain.user import User
from pinjam.runtime.settings import Settings
from pinjam.services.limits import GUESSES, STRICT

Call = Callable[[], Reply]


def log_in(functions: Functions, address: str | None, identifier: str = "siti1@example.com", **how: Any) -> Reply:
    body = {"identifier": identifier, "password": how.pop("password", "wrong")}
    headers = {"X-Forwarded-For": address} if address is not None else {}
    return functions.call("login", "POST", "/api/auth/login", body, headers=headers, **how)


def until_refused(call: Call, *, most: int = 400) -> tuple[int, Reply]:
    """How many calls were let in, and the answer to the first one that was not."""
    for number in range(most):
        answer = call()
        if answer.status_code == 429:
            return number, answer
    raise AssertionError(f"{most} calls were let in")


@pytest.mark.parametrize(
    ("hops", "passed", "address"),
    [
        ("1", "203.0.113.7", "203.0.113.7"),
        ("1", "10.0.0.1, 203.0.113.7", "203.0.113.7"),
        ("1", "198.51.100.1,203.0.113.7", "203.0.113.7"),
        ("2", "198.51.100.1, 203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("1", "2001:DB8::1", "2001:db8::1"),
        ("1", "somebody", ""),
        ("1", "203.0.113.7\x0b, ", ""),
        ("1", None, "127.0.0.1"),
        ("2", "203.0.113.7", "127.0.0.1"),
        ("0", "203.0.113.7", "127.0.0.1"),
    ],
)
def test_the_callers_address_is_what_the_outermost_of_our_own_proxies_saw(
    functions: Functions, hops: str, passed: str | None, address: str
) -> None:
    app, seen = functions.world.app, list[str]()
    app.settings = Settings({**app.settings.values, "PINJAM_TRUSTED_HOPS": hops})
    login = app.sessions.login

    class Noting:
        def login(self, **given: Any) -> object:
            seen.append(given["address"])
            return login(**given)

    app.sessions = Noting()  # type: ignore[assignment]  # only this is asked of it
    log_in(functions, passed)
    assert seen == [address]


def test_a_stranger_cannot_keep_a_borrower_out(functions: Functions) -> None:
    functions.world.register()
    for number in range(30):
        until_refused(lambda: log_in(functions, f"198.51.100.{number}"))  # noqa: B023 - called at once
    assert log_in(functions, "192.0.2.1", password=PASSWORD).status_code == 429  # Slowed, for a minute at most,
    functions.world.clock.advance(seconds=60)
    assert log_in(functions, "192.0.2.1", password=PASSWORD).status_code == 200  # and then known for good.
    for number in range(30):
        until_refused(lambda: log_in(functions, f"203.0.113.{number}"))  # noqa: B023 - as above
    assert log_in(functions, "192.0.2.1", password=PASSWORD).status_code == 200


def test_claiming_another_address_helps_nobody(functions: Functions) -> None:
    numbers = iter(range(1000))
    let_in, _ = until_refused(lambda: log_in(functions, f"198.51.100.{next(numbers)}, 203.0.113.7"))
    assert let_in == GUESSES.free


def test_a_known_and_an_unknown_identifier_are_slowed_alike(functions: Functions) -> None:
    functions.world.register()
    told = []
    for identifier in ("siti1@example.com", "081234500001", "nobody@example.com"):
        answers = []
        for number in range(60):
            answer = log_in(functions, f"198.51.100.{number % 11}", identifier)
            answers.append((answer.status_code, answer.json["detail"], answer.headers.get("Retry-After")))
        told.append(answers)
        functions.world.clock.advance(days=2)
    assert {status for status, _, _ in told[0]} == {401, 429}
    assert all(one == told[0] for one in told)


def limited_calls(functions: Functions, user: User) -> dict[str, Call]:
    how: dict[str, Any] = {"user": user.id}
    return {
        "register": lambda: functions.call("register", "POST", "/api/auth/register", REGISTER),
        "upload": lambda: functions.call("upload_doc", "POST", "/api/documents/upload", data={"kind": "ktp"}, **how),
        "apply": lambda: functions.call("apply_loan", "POST", "/api/loans/apply", APPLY, key="k", **how),
    }


@pytest.mark.parametrize("name", ["register", "upload", "apply"])
def test_what_costs_work_is_limited_and_comes_back(functions: Functions, name: str) -> None:
    call = limited_calls(functions, functions.world.register(2))[name]
    rate = STRICT[name].account or STRICT[name].address  # type: ignore[index]  # one of the table's names
    assert rate is not None
    let_in, refused = until_refused(call)
    assert let_in == rate.burst
    assert refused.json["code"] == "too-many-requests"
    assert refused.headers["Retry-After"] == str(rate.every_s)
    assert str(rate.every_s) in refused.json["detail"]
    functions.world.clock.advance(seconds=rate.every_s)
    assert call().status_code != 429
    assert call().status_code == 429


@pytest.mark.parametrize(("language", "title"), [("id", "Terlalu banyak permintaan"), ("en", "Too many requests")])
def test_a_refusal_is_told_in_both_languages(functions: Functions, language: str, title: str) -> None:
    functions.headers["Accept-Language"] = language
    _, refused = until_refused(limited_calls(functions, functions.world.register(2))["apply"])
    assert refused.json["title"] == title


def test_one_borrowers_limit_is_not_anothers(functions: Functions) -> None:
    until_refused(limited_calls(functions, functions.world.register(2))["upload"])
    answer = limited_calls(functions, functions.world.register(3))["upload"]()
    assert answer.status_code == 415


def test_what_is_refused_is_not_even_read(functions: Functions) -> None:
    call = limited_calls(functions, functions.world.register(2))["register"]
    until_refused(call)
    answer = functions.call("register", "POST", "/api/auth/register", data=b"x" * 70_000, content_type="text/plain")
    assert answer.status_code == 429


def test_no_address_and_no_identifier_reaches_the_cache_or_a_log(
    functions: Functions, lines: pytest.LogCaptureFixture
) -> None:
    functions.world.register()
    until_refused(lambda: log_in(functions, "203.0.113.7", password="wrong-secret"))
    log_in(functions, "203.0.113.8", password=PASSWORD)
    kept = str(vars(functions.world.app.cache)["_kept"])
    assert "login:" in kept
    for text in (kept, json.dumps([record.__dict__ for record in lines.records], default=str)):
        for personal in ("203.0.113", "siti1", "wrong-secret"):
            assert personal not in text
