"""A forgotten password, a session that goes on, and tokens that were revoked, from end to end."""

import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

from pinjam.local.road import Reply, Road, Walker

Check = Callable[..., dict[str, Any]]
NEW = "gerimis di atap seng"


def forgot(road: Road, identifier: str) -> Reply:
    return road.call("POST", "/api/auth/password/forgot", body={"identifier": identifier})


def reset(road: Road, identifier: str, code: str, password: str = NEW) -> Reply:
    body = {"identifier": identifier, "code": code, "new_password": password}
    return road.call("POST", "/api/auth/password/reset", body=body)


def refresh(road: Road, token: str) -> Reply:
    return road.call("POST", "/api/auth/refresh", body={"refresh_token": token})


def mailed_codes(road: Road, walker: Walker) -> list[str]:
    """The codes that were mailed, newest first."""
    found = (re.search(r"\b\d{8}\b", one["body"]) for one in road.inbox(walker.person.email, channel="email"))
    return [one.group() for one in found if one]


def code_for(road: Road, walker: Walker) -> str:
    """A code that somebody asked for."""
    before = len(mailed_codes(road, walker))
    assert forgot(road, walker.person.email).expect(202) is None
    codes = road.until("a code by e-mail", lambda: mailed_codes(road, walker), lambda codes: len(codes) > before)
    return codes[0]


def issued_at(id_token: str) -> int:
    payload = id_token.split(".")[1]
    return int(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iat"])


def log_in_later(walker: Walker, password: str | None = None) -> None:
    """Log in, until the token is of a later second than this one, in which sessions may have been ended."""
    now = int(time.time())

    def ask() -> int:
        walker.log_in(walker.person.email, password).expect(200)
        return issued_at(walker.token or "")

    walker.road.until("a token of a later second", ask, lambda at: at > now)


def test_a_forgotten_password_is_set_anew_and_all_else_ends(walker: Walker, road: Road, problem: Check) -> None:
    tokens = walker.register().expect(201)["tokens"]
    code = code_for(road, walker)
    assert reset(road, walker.person.phone, code).expect(204) is None
    problem(walker.log_in(walker.person.email), 401, "invalid-credentials")
    problem(refresh(road, tokens["refresh_token"]), 401, "invalid-refresh-token")
    problem(walker.change(occupation="guru"), 401, "token-revoked")
    problem(reset(road, walker.person.email, code, "hujan di bulan juni"), 422, "invalid-code")
    assert reset(road, walker.person.email, code).expect(204) is None
    log_in_later(walker, NEW)
    walker.change(occupation="guru").expect(200)
    (told,) = walker.told("security-password-changed")
    listed = walker.notifications().expect(200)["notifications"]
    assert [one["kind"] for one in listed] == [told["kind"]]
    assert code not in json.dumps(listed)


def test_five_wrong_codes_are_enough(walker: Walker, road: Road, problem: Check) -> None:
    walker.register().expect(201)
    code = code_for(road, walker)
    for number in range(5):
        problem(reset(road, walker.person.email, f"{(int(code) + 1 + number) % 10**8:08}"), 422, "invalid-code")
    problem(reset(road, walker.person.email, code), 429, "too-many-attempts")
    walker.log_in(walker.person.email).expect(200)


def test_a_code_dies_of_age_and_of_its_successor(walker: Walker, road: Road, problem: Check) -> None:
    walker.register().expect(201)
    first = code_for(road, walker)
    road.pass_minutes(16).expect(200)
    problem(reset(road, walker.person.email, first), 422, "invalid-code")
    second = code_for(road, walker)
    assert first != second
    problem(reset(road, walker.person.email, first), 422, "invalid-code")
    reset(road, walker.person.email, second).expect(204)


def test_nobody_learns_whether_there_is_an_account(
    walker: Walker, new_walker: Callable[..., Walker], road: Road, problem: Check
) -> None:
    walker.register().expect(201)
    stranger = new_walker()
    answers = []
    for identifier in (walker.person.email, walker.person.phone, stranger.person.email, stranger.person.phone, "x"):
        asked = forgot(road, identifier)
        tried = problem(reset(road, identifier, "00000000"), 422, "invalid-code")
        answers.append((asked.status, asked.content, sorted(asked.headers), {**tried, "instance": ""}))
    assert all(one == answers[0] for one in answers)
    # One at least: an older request whose task comes after the newer one's sends nothing.
    road.until("the account's code", lambda: mailed_codes(road, walker), lambda codes: len(codes) > 0)
    assert road.inbox(stranger.person.email) == []


def test_a_refresh_token_that_comes_back_ends_its_session(walker: Walker, road: Road, problem: Check) -> None:
    first = walker.register().expect(201)["tokens"]["refresh_token"]
    other = walker.log_in(walker.person.email).expect(200)["tokens"]["refresh_token"]
    seen = [first]
    for _ in range(2):
        seen.append(refresh(road, seen[-1]).expect(200)["tokens"]["refresh_token"])
    # Asked again at once, as by an app that did not get the answer.
    assert refresh(road, seen[1]).expect(200)["tokens"]["refresh_token"] == seen[2]
    for token in (seen[0], seen[2], seen[1]):
        problem(refresh(road, token), 401, "invalid-refresh-token")
    refresh(road, other).expect(200)


def test_an_app_that_refreshes_many_times_at_once_stays_in(
    walker: Walker, road: Road, at_once: Callable[[int, Callable[[int], Reply]], list[Reply]]
) -> None:
    first = walker.register().expect(201)["tokens"]["refresh_token"]
    replies = at_once(6, lambda _: refresh(road, first))
    (second,) = {one.expect(200)["tokens"]["refresh_token"] for one in replies}
    refresh(road, second).expect(200)


def test_of_resets_at_once_with_the_right_code_one_sets_the_password(
    walker: Walker, road: Road, at_once: Callable[[int, Callable[[int], Reply]], list[Reply]]
) -> None:
    walker.register().expect(201)
    code = code_for(road, walker)
    replies = at_once(3, lambda number: reset(road, walker.person.email, code, f"{NEW} {number}"))
    (won,) = [number for number, one in enumerate(replies) if one.status == 204]
    assert {one.status for one in replies} - {204} <= {409, 422}
    walker.log_in(walker.person.email, f"{NEW} {won}").expect(200)


def test_a_session_outlives_a_moved_date(walker: Walker, road: Road) -> None:
    token = walker.register().expect(201)["tokens"]["refresh_token"]
    road.pass_minutes(60 * 24 * 400).expect(200)
    for _ in range(2):
        token = refresh(road, token).expect(200)["tokens"]["refresh_token"]


def test_a_revoked_token_neither_accepts_nor_pays(walker: Walker, problem: Check) -> None:
    loan_id = walker.become_approved()
    walker.call("POST", "/api/auth/logout").expect(204)
    problem(walker.accept(loan_id, key="money"), 401, "token-revoked")
    assert walker.loan(loan_id).expect(200)["status"] == "approved"
    log_in_later(walker)
    walker.accept(loan_id, key="money").expect(200)
    walker.disbursed(loan_id)
    walker.call("POST", "/api/auth/logout").expect(204)
    problem(walker.start_payment(loan_id, key="money"), 401, "token-revoked")
    log_in_later(walker)
    walker.start_payment(loan_id, key="money").expect(201)
