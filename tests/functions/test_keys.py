"""Idempotency-Key: the three calls that bind or cost something happen once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.functions.conftest import Functions, Reply
from tests.world import START

from pinjam.domain.trail import KeptAnswer

APPLY: dict[str, Any] = {
    "amount": 3_000_000,
    "tenor_months": 6,
    "purpose": "education",
    "consent": True,
    "monthly_income": 9_000_000,
}
ACCEPT: dict[str, Any] = {"consent": True, "statements": [True] * 6}
PAY: dict[str, Any] = {"kind": "instalment", "method": {"type": "bank_transfer", "bank": "bca"}}
CALLS = ["apply", "accept", "pay"]


@pytest.fixture
def user_id(functions: Functions) -> str:
    return functions.world.verified()


class Keyed:
    """One of the three calls, ready to be made."""

    def __init__(self, functions: Functions, user_id: str, name: str) -> None:
        self.functions, self.user_id = functions, user_id
        world = functions.world
        self.name, self.path, self.body = "apply_loan", "/api/loans/apply", APPLY
        if name == "accept":
            loan_id = world.apply(user_id)
            world.decide(loan_id)
            self.name, self.path, self.body = "loans", f"/api/loans/{loan_id}/accept", ACCEPT
        if name == "pay":
            self.name, self.path = "pay", "/api/payments"
            self.body = PAY | {"loan_id": world.active(user_id)}

    def __call__(self, key: str | None, body: object = None, user_id: str | None = None) -> Reply:
        return self.functions.call(
            self.name, "POST", self.path, body or self.body, user=user_id or self.user_id, key=key
        )


@pytest.mark.parametrize("name", CALLS)
def test_without_a_key_it_is_400(functions: Functions, user_id: str, name: str) -> None:
    call = Keyed(functions, user_id, name)
    for key in (None, ""):
        answer = call(key)
        assert (answer.status_code, answer.json["code"]) == (400, "idempotency-key-required")


@pytest.mark.parametrize("key", ["x" * 65, "with space", "tab\there", "ü", "a\x7f"])
def test_a_key_is_up_to_64_visible_signs(functions: Functions, user_id: str, key: str) -> None:
    answer = Keyed(functions, user_id, "apply")(key)
    assert (answer.status_code, answer.json["code"]) == (400, "idempotency-key-invalid")


@pytest.mark.parametrize("key", ["!", "x" * 64, "~:/?#[]@", "0b2f8f4e-6f0c-4d4c-9d3b-0e9f6a1c2d3e"])
def test_any_visible_signs_make_a_key(functions: Functions, user_id: str, key: str) -> None:
    assert Keyed(functions, user_id, "apply")(key).status_code == 202


@pytest.mark.parametrize("name", CALLS)
def test_the_same_key_and_body_get_the_first_answer_again(functions: Functions, user_id: str, name: str) -> None:
    call = Keyed(functions, user_id, name)
    first = call("one")
    functions.world.deliver()
    functions.world.pass_days(1)
    again = call("one")
    assert first.status_code == {"apply": 202, "accept": 200, "pay": 201}[name]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.json, again.content_type) == (first.status_code, first.json, "application/json")


@pytest.mark.parametrize("name", CALLS)
def test_fields_in_another_order_are_the_same_request(functions: Functions, user_id: str, name: str) -> None:
    call = Keyed(functions, user_id, name)
    first = call("one")
    assert call("one", dict(reversed(call.body.items()))).json == first.json


@pytest.mark.parametrize(
    ("name", "changed"),
    [("apply", {"amount": 3_100_000}), ("accept", {"consent": True}), ("pay", {"method": {"type": "qris"}})],
)
def test_the_same_key_with_another_request_is_422(
    functions: Functions, user_id: str, name: str, changed: dict[str, Any]
) -> None:
    call = Keyed(functions, user_id, name)
    assert call("one").status_code < 300
    if name == "accept":
        call.path = "/api/loans/loan_other/accept"
    answer = call("one", call.body | changed)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency-key-reused")


@pytest.mark.parametrize("name", CALLS)
def test_while_the_first_is_running_it_is_409(functions: Functions, user_id: str, name: str) -> None:
    call = Keyed(functions, user_id, name)
    call("one")
    (kept,) = [one for one in functions.world.all(KeptAnswer) if one.id.endswith(":one")]
    functions.world.put(replace(kept, status=None, body=None, leased_until=START + timedelta(seconds=30)))
    answer = call("one")
    assert (answer.status_code, answer.json["code"]) == (409, "request-running")


def test_a_key_counts_for_one_borrower_and_one_route(functions: Functions, user_id: str) -> None:
    other = functions.world.verified(2)
    apply = Keyed(functions, user_id, "apply")
    first, others = apply("one"), apply("one", user_id=other)
    assert first.json["loan"]["id"] != others.json["loan"]["id"]
    functions.world.deliver()
    loan_id = first.json["loan"]["id"]
    accepted = functions.call("loans", "POST", f"/api/loans/{loan_id}/accept", ACCEPT, user=user_id, key="one")
    assert (accepted.status_code, accepted.json["loan"]["status"]) == (200, "accepted")


def test_a_refusal_is_not_kept(functions: Functions, user_id: str) -> None:
    call = Keyed(functions, user_id, "apply")
    assert call("one", APPLY | {"amount": 100_000}).status_code == 422
    assert call("one").status_code == 202


def test_another_route_needs_no_key(functions: Functions, user_id: str) -> None:
    assert functions.call("loans", "GET", "/api/loans", user=user_id).status_code == 200
