"""What every HTTP function does with a request, whatever it is about."""

import io
import json
import re

import pytest
from tests.functions.conftest import ORIGIN, Functions

from pinjam.domain.user import User
from pinjam.runtime import composition
from pinjam.services.ports import Unavailable
from pinjam.services.store import Contention, StoreUnavailable

PROFILE = ("profile", "GET", "/api/users/profile")
LOGIN = {"identifier": "siti1@example.com", "password": "wrong"}


class Broken:
    """A store in which every question fails in the same way."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault

    def read(self, _: object) -> object:
        raise self.fault

    transact = read


def broken(functions: Functions, fault: Exception) -> None:
    functions.world.app.store = Broken(fault)  # type: ignore[assignment]  # it answers nothing at all


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("profile", "/"),
        ("profile", "/api/users/profile/"),
        ("profile", "//api/users/profile"),
        ("profile", "/api/users/profile/x"),
        ("profile", "/api/loans"),
        ("loans", "/api/loans/loan_1/nothing"),
        ("loans", "/api/loans//summary"),
        ("pay", "/api/payments/pay_1/x"),
        # These the framework's own router would refuse, as HTML.
        ("pay", "/robots.txt"),
        ("pay", "/api/payments/pay%0A1/x"),
    ],
)
def test_an_unknown_path_is_404(functions: Functions, name: str, path: str) -> None:
    answer = functions.call(name, "GET", path, user="usr_1")
    assert (answer.status_code, answer.json["code"]) == (404, "path-not-found")


@pytest.mark.parametrize("value", ["%0A", "loan%0A_1", "loan_1%0A", "%F0%9F%A6%8A", "%FF"])
def test_a_path_with_what_is_no_id_names_nothing(functions: Functions, value: str) -> None:
    answer = functions.call("loans", "GET", f"/api/loans/{value}", user="usr_1")
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("name", "method", "path", "allowed"),
    [
        ("profile", "POST", "/api/users/profile", "GET, HEAD, PATCH"),
        ("register", "GET", "/api/auth/register", "POST"),
        ("loans", "DELETE", "/api/loans/loan_1", "GET, HEAD"),
        ("pay", "PUT", "/api/payments", "GET, HEAD, POST"),
    ],
)
def test_another_method_is_405_and_says_which_are_taken(
    functions: Functions, name: str, method: str, path: str, allowed: str
) -> None:
    answer = functions.call(name, method, path)
    assert (answer.status_code, answer.json["code"]) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["/api/payments/%00", "/api/payments/a%20b", "/api/payments/" + "x" * 65])
def test_what_cannot_be_an_id_names_nothing(functions: Functions, path: str) -> None:
    answer = functions.call("pay", "GET", path, user="usr_1")
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")


@pytest.mark.parametrize("origin", [ORIGIN, "https://other.example"])
def test_a_known_origin_gets_its_preflight_answered(functions: Functions, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = functions.call("apply_loan", "OPTIONS", "/api/loans/apply", headers=asked)
    assert (answer.status_code, answer.text) == (204, "")
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    for name in ("Authorization", "Content-Type", "Idempotency-Key", "Accept-Language"):
        assert name in answer.headers["Access-Control-Allow-Headers"]
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil.example", ORIGIN + ":81"])
@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
def test_an_unknown_origin_is_told_nothing(functions: Functions, method: str, origin: str) -> None:
    answer = functions.call("profile", method, "/api/users/profile", headers={"Origin": origin})
    assert not [name for name, _ in answer.headers.items() if name.startswith("Access-Control")]
    assert "Origin" in answer.headers["Vary"]


def test_a_known_origin_may_read_the_answer_even_a_refusal(functions: Functions) -> None:
    answer = functions.call(*PROFILE, headers={"Origin": ORIGIN})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Idempotent-Replayed" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_preflight_of_an_unknown_path_is_404(functions: Functions) -> None:
    assert functions.call("profile", "OPTIONS", "/nothing", headers={"Origin": ORIGIN}).status_code == 404


@pytest.mark.parametrize("given", ["req_12345678", "A-Za-z0-9_-", "x" * 64])
def test_a_well_formed_request_id_is_kept(functions: Functions, given: str) -> None:
    answer = functions.call(*PROFILE, headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == given == answer.json["instance"]


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space in it", "üüüüüüüü", "a" * 8 + '"<script>'])
def test_another_request_id_is_made_anew(functions: Functions, given: str) -> None:
    answer = functions.call(*PROFILE, headers={"X-Request-Id": given})
    assert re.fullmatch(r"req_[0-9A-Z]{26}", answer.headers["X-Request-Id"])


@pytest.mark.parametrize(
    "call",
    [PROFILE, ("profile", "GET", "/nothing"), ("loans", "PUT", "/api/loans"), ("loans", "OPTIONS", "/api/loans")],
)
def test_no_answer_is_stored_or_sniffed(functions: Functions, call: tuple[str, str, str]) -> None:
    answer = functions.call(*call)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("asked", "language", "title"),
    [
        (None, "id", "Perlu masuk"),
        ("id", "id", "Perlu masuk"),
        ("fr", "id", "Perlu masuk"),
        ("en", "en", "Login required"),
        ("en-GB,en;q=0.9,id;q=0.8", "en", "Login required"),
        ("id,en;q=0.5", "id", "Perlu masuk"),
        ("*", "id", "Perlu masuk"),
        (";;;q=", "id", "Perlu masuk"),
    ],
)
def test_a_problem_is_told_in_the_callers_language(
    functions: Functions, asked: str | None, language: str, title: str
) -> None:
    answer = functions.call(*PROFILE, headers={"Accept-Language": asked} if asked else {})
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Content-Language"] == language
    assert answer.json == {
        "type": "urn:pinjam:problem:token-required",
        "title": title,
        "status": 401,
        "detail": answer.json["detail"],
        "code": "token-required",
        "instance": answer.headers["X-Request-Id"],
    }


@pytest.mark.parametrize(
    ("fault", "retry_after"),
    [
        (Unavailable("store", "down", retry_after_s=7), "7"),
        (StoreUnavailable("gone"), "2"),
        (Contention("busy"), "1"),
    ],
    ids=["port", "store", "contention"],
)
def test_what_is_not_available_is_503_with_a_time_to_come_back(
    functions: Functions, fault: Exception, retry_after: str
) -> None:
    broken(functions, fault)
    answer = functions.call(*PROFILE, user="usr_1")
    assert (answer.status_code, answer.json["code"]) == (503, "service-unavailable")
    assert answer.headers["Retry-After"] == retry_after


@pytest.mark.parametrize("down", ["accounts", "objects", "payments"])
def test_a_provider_that_is_down_is_503(functions: Functions, down: str) -> None:
    world = functions.world
    user_id = world.verified()
    loan_id = world.active(user_id)
    getattr(world, down).down = True
    answer = {
        "accounts": lambda: functions.call("login", "POST", "/api/auth/login", LOGIN),
        "objects": lambda: functions.call(
            "upload_doc",
            "POST",
            "/api/documents/upload",
            user=user_id,
            data={"kind": "income", "file": (io.BytesIO(b"%PDF-1.7 %%EOF"), "x.pdf")},
        ),
        "payments": lambda: functions.call(
            "pay",
            "POST",
            "/api/payments",
            {"loan_id": loan_id, "kind": "instalment", "method": {"type": "qris"}},
            user=user_id,
            key="k",
        ),
    }[down]()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "down" not in answer.text


def test_what_nobody_foresaw_is_500_and_tells_nothing(functions: Functions, lines: pytest.LogCaptureFixture) -> None:
    broken(functions, RuntimeError("secret of Siti Rahmawati"))
    answer = functions.call(*PROFILE, user="usr_1")
    assert (answer.status_code, answer.json["code"]) == (500, "internal-error")
    for told in ("secret", "Siti", "RuntimeError", "Traceback", ".py"):
        assert told not in answer.text + str(answer.headers)
    (record,) = [one for one in lines.records if one.message == "request-failed"]
    assert record.exc_info is not None
    assert record.levelname == "ERROR"


def test_a_missing_setting_is_500_and_tells_nothing(functions: Functions) -> None:
    del functions.world.app.store
    answer = functions.call(*PROFILE, user="usr_1")
    assert (answer.status_code, answer.json["code"]) == (500, "internal-error")
    assert "PINJAM" not in answer.text


def test_each_request_has_one_canonical_line(functions: Functions, lines: pytest.LogCaptureFixture) -> None:
    user_id = functions.world.verified()
    loan_id = functions.world.apply(user_id)
    lines.clear()
    functions.call("loans", "GET", f"/api/loans/{loan_id}?name=Siti", user=user_id)
    (record,) = [one for one in lines.records if one.message == "request"]
    facts = {name: getattr(record, name) for name in ("function", "method", "route", "status", "problem")}
    assert facts == {
        "function": "loans",
        "method": "GET",
        "route": "/api/loans/{id}",
        "status": 200,
        "problem": None,
    }
    assert record.duration_ms >= 0  # type: ignore[attr-defined]  # what the call passed as a fact
    assert (record.name, record.levelname) == ("pinjam.request", "INFO")


@pytest.mark.parametrize(("said", "count"), [(None, 0), ("192.0.2.1", 1), ("198.51.100.7, 192.0.2.1", 2)])
def test_the_line_tells_by_how_many_addresses_a_request_came_and_none_of_them(
    functions: Functions, lines: pytest.LogCaptureFixture, said: str | None, count: int
) -> None:
    functions.call("loans", "GET", "/api/loans", headers={"X-Forwarded-For": said} if said else {})
    (record,) = [one for one in lines.records if one.message == "request"]
    assert record.forwarded == count  # type: ignore[attr-defined]  # what the call passed as a fact
    assert "192.0.2.1" not in json.dumps(record.__dict__, default=str)


@pytest.mark.parametrize(
    ("call", "route", "status", "problem"),
    [
        (("loans", "GET", "/nothing/Siti"), None, 404, "path-not-found"),
        (("loans", "PUT", "/api/loans"), None, 405, "method-not-allowed"),
        (("loans", "OPTIONS", "/api/loans"), None, 204, None),
        (("loans", "GET", "/api/loans/Siti"), "/api/loans/{id}", 401, "token-required"),
    ],
    ids=["404", "405", "204", "401"],
)
def test_a_refused_request_has_its_line_too(
    functions: Functions,
    lines: pytest.LogCaptureFixture,
    call: tuple[str, str, str],
    route: str | None,
    status: int,
    problem: str | None,
) -> None:
    functions.call(*call)
    (record,) = [one for one in lines.records if one.message == "request"]
    assert [getattr(record, name) for name in ("route", "status", "problem")] == [route, status, problem]
    assert "Siti" not in json.dumps(record.__dict__, default=str)


def test_no_personal_value_reaches_a_log(functions: Functions, lines: pytest.LogCaptureFixture) -> None:
    body = {
        "full_name": "Siti Rahmawati",
        "email": "siti1@example.com",
        "phone": "081234500001",
        "nik": "3171015508900001",
        "password": "correct horse battery",
        "consent": {"terms_version": "1", "privacy_version": "1"},
    }
    for _ in range(2):
        functions.call("register", "POST", "/api/auth/register", body)
    functions.call("register", "POST", "/api/auth/register", body | {"nik": "3171015508900001x", "extra": "Siti"})
    functions.call("login", "POST", "/api/auth/login", LOGIN)
    (user,) = [one.id for one in functions.world.all(User)]
    account = {"bank_code": "bca", "account_number": "1234567890", "account_name": "SITI RAHMAWATI"}
    functions.call(
        "profile", "PATCH", "/api/users/profile", {"bank_account": account, "address": "Melati 5"}, user=user
    )
    logged = json.dumps([record.__dict__ for record in lines.records], default=str)
    assert len(lines.records) >= 5
    for secret in (*body.values(), "81234500001", "1234567890", "Melati", "SITI", "wrong", f"id:{user}"):
        assert str(secret) not in logged


def test_a_function_without_its_configuration_answers_in_the_apis_words_and_says_why_in_the_log_only(
    functions: Functions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    composition.install(None)
    monkeypatch.setenv("PINJAM_PROFILE", "moon")
    answer = functions.call(*PROFILE, user="usr_1")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert answer.json["code"] == "internal-error"
    assert "moon" not in answer.text
    assert any("moon" in str(record.__dict__.get("fault")) for record in caplog.records)
