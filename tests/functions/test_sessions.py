"""Forgotten passwords, refresh tokens, and ID tokens that were revoked, as a client meets them."""

import base64
import json
import re
from datetime import datetime, timedelta

import pytest
from tests.functions.conftest import Functions, Reply
from tests.world import PASSWORD

from pinjam.services.ports import Unavailable

NEW = "a new and longer password"
ACCEPT = {"consent": True, "statements": [True] * 6}
FORGOT = "/api/auth/password/forgot"
RESET = "/api/auth/password/reset"


def forgot(functions: Functions, identifier: str) -> Reply:
    return functions.call("login", "POST", FORGOT, {"identifier": identifier})


def reset(functions: Functions, identifier: str, code: str, password: str = NEW) -> Reply:
    body = {"identifier": identifier, "code": code, "new_password": password}
    return functions.call("login", "POST", RESET, body)


def mailed_code(functions: Functions) -> str:
    functions.world.run_tasks()
    (code,) = set(re.findall(r"\b\d{8}\b", functions.world.messengers["email"].sent[-1].body))
    return str(code)


def test_a_forgotten_password_is_set_anew(functions: Functions) -> None:
    user = functions.world.register()
    asked = forgot(functions, "0812-3450-0001")
    assert (asked.status_code, asked.text) == (202, "")
    done = reset(functions, user.email, mailed_code(functions))
    assert (done.status_code, done.text) == (204, "")
    for password, status in ((PASSWORD, 401), (NEW, 200)):
        body = {"identifier": user.email, "password": password}
        assert functions.call("login", "POST", "/api/auth/login", body).status_code == status


def test_every_answer_is_the_same_for_an_account_and_for_none(functions: Functions) -> None:
    user = functions.world.register()
    answers = []
    for identifier in (user.email, user.phone, "nobody@example.com", "081299999999", "x"):
        asked = forgot(functions, identifier)
        functions.world.run_tasks()
        tried = [reset(functions, identifier, "00000000") for _ in range(6)]
        seen = [(asked, None), *((one, {**one.json, "instance": ""}) for one in tried)]
        answers.append([(one.status_code, sorted(one.headers.keys()), body) for one, body in seen])
    assert all(one == answers[0] for one in answers)
    assert [status for status, _, _ in answers[0]] == [202, 422, 422, 422, 422, 422, 429]
    body = answers[0][1][2]
    assert body is not None
    assert (body["code"], [one["field"] for one in body["errors"]]) == ("invalid-code", ["code"])


@pytest.mark.parametrize("code", ["", "1234567", "123456789", "1234567a", "1234 5678", "١٢٣٤٥٦٧٨", 12345678, None])
def test_what_is_no_code_is_a_wrong_field(functions: Functions, code: object) -> None:
    answer = reset(functions, "siti1@example.com", code)  # type: ignore[arg-type]  # what clients may send
    assert (answer.status_code, answer.json["code"], answer.json["errors"][0]["field"]) == (
        422,
        "invalid-fields",
        "code",
    )


def test_asking_waits_for_a_task_that_is_kept(functions: Functions) -> None:
    functions.world.register()
    functions.world.tasks.down = True
    for identifier in ("siti1@example.com", "nobody@example.com"):
        assert forgot(functions, identifier).status_code == 503
    with pytest.raises(Unavailable):
        functions.world.tasks.schedule()


def test_no_line_of_the_log_names_the_code_or_the_password(
    functions: Functions, lines: pytest.LogCaptureFixture
) -> None:
    user = functions.world.register()
    forgot(functions, user.email)
    (task,) = functions.world.tasks.waiting.values()
    assert functions.bring("notify", task.event).status_code == 200
    code = mailed_code(functions)
    reset(functions, user.email, "00000000")
    assert reset(functions, user.email, code).status_code == 204
    told = " ".join(str(vars(record)) for record in lines.records)
    assert RESET in told
    for secret in (code, NEW, user.email, user.phone):
        assert secret not in told


def test_a_refresh_token_is_used_once(functions: Functions) -> None:
    body = {"identifier": functions.world.register().email, "password": PASSWORD}
    tokens = functions.call("login", "POST", "/api/auth/login", body).json["tokens"]

    def refresh(token: str) -> Reply:
        return functions.call("login", "POST", "/api/auth/refresh", {"refresh_token": token})

    second = refresh(tokens["refresh_token"]).json["tokens"]["refresh_token"]
    third = refresh(second).json["tokens"]["refresh_token"]
    assert len({tokens["refresh_token"], second, third}) == 3
    stolen = refresh(tokens["refresh_token"])
    assert (stolen.status_code, stolen.json["code"]) == (401, "invalid-refresh-token")
    assert refresh(third).status_code == 401


def with_token(
    functions: Functions, user_id: str, issued_at: object, call: tuple[str, str, str], body: object
) -> Reply:
    """A call with an ID token of that time, as the gateway passes it on."""
    seconds = int(issued_at.timestamp()) if isinstance(issued_at, datetime) else issued_at
    claims = {"sub": user_id} | ({} if issued_at is None else {"iat": seconds})
    info = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    headers = {"X-Apigateway-Api-Userinfo": info, "Idempotency-Key": "money"}
    return functions.call(*call, body, headers=headers)


@pytest.mark.parametrize("age_s", [3600, 1, 0, None, "soon", True, 10**15, -1])
def test_a_token_of_before_the_log_out_moves_no_money_although_it_has_not_expired(
    functions: Functions, age_s: object
) -> None:
    world = functions.world
    user_id = world.verified()
    loan_id = world.apply(user_id)
    world.decide(loan_id)
    borrower = world.verified(2)
    running = world.active(borrower)
    now = world.clock.now()
    issued: object = now - timedelta(seconds=age_s) if age_s in (3600, 1, 0) else age_s
    pay = {"loan_id": running, "kind": "instalment", "method": {"type": "qris"}}
    account = {"bank_account": {"bank_code": "bca", "account_number": "999999", "account_name": "MALLORY"}}
    for one in (user_id, borrower):
        world.app.refreshing.end_all(one, actor=world.actor(one))
    before = (world.loan(loan_id), world.user(user_id), world.payments.orders)
    for who, call, body in (
        (user_id, ("loans", "POST", f"/api/loans/{loan_id}/accept"), ACCEPT),
        (borrower, ("pay", "POST", "/api/payments"), pay),
        (user_id, ("profile", "PATCH", "/api/users/profile"), account),
        (user_id, ("profile", "POST", "/api/users/export"), None),
    ):
        refused = with_token(functions, who, issued, call, body)
        assert (refused.status_code, refused.json["code"]) == (401, "token-revoked")
    assert (world.loan(loan_id), world.user(user_id), world.payments.orders) == before
    # What moves no money goes on until the token expires.
    assert with_token(functions, user_id, issued, ("loans", "GET", "/api/loans"), None).status_code == 200
    fresh = now + timedelta(seconds=1)
    for who, call, body, status in (
        (user_id, ("loans", "POST", f"/api/loans/{loan_id}/accept"), ACCEPT, 200),
        (borrower, ("pay", "POST", "/api/payments"), pay, 201),
        (user_id, ("profile", "PATCH", "/api/users/profile"), account, 200),
    ):
        assert with_token(functions, who, fresh, call, body).status_code == status


def test_a_kept_answer_is_not_given_to_a_revoked_token(functions: Functions) -> None:
    world = functions.world
    user_id = world.verified()
    loan_id = world.apply(user_id)
    world.decide(loan_id)
    call, now = ("loans", "POST", f"/api/loans/{loan_id}/accept"), world.clock.now()
    assert with_token(functions, user_id, now, call, ACCEPT).status_code == 200
    assert with_token(functions, user_id, now, call, ACCEPT).headers["Idempotent-Replayed"] == "true"
    world.app.refreshing.end_all(user_id, actor=world.actor(user_id))
    assert with_token(functions, user_id, now, call, ACCEPT).status_code == 401
