"""What is asked for and cannot be had: sums, terms, pages, keys and paths, each refused in its documented words."""

from collections.abc import Callable
from typing import Any

import pytest

from pinjam.local.road import Reply, Road, Walker

Check = Callable[..., dict[str, Any]]


def faults(body: dict[str, Any]) -> set[tuple[str, str]]:
    """Which fields were refused, and why."""
    return {(one["field"], one["code"]) for one in body["errors"]}


AMOUNTS = [
    ("3000000", "wrong-type"),
    ('"3000000"', "wrong-type"),
    ("3000000.0", "wrong-type"),
    ("3e6", "wrong-type"),
    ("true", "wrong-type"),
    ("null", "wrong-type"),
    ("[3000000]", "wrong-type"),
    ("-3000000", "too-low"),
    ("0", "too-low"),
    (str(10**30), "too-high"),
    ("1" + "0" * 400, "too-high"),
    ("100000000", "amount-too-high"),
    ("12100000", "amount-too-high"),
    ("499999", "amount-too-low"),
    ("400000", "amount-too-low"),
    ("3050000", "amount-not-a-step"),
]


@pytest.mark.parametrize(("amount", "code"), AMOUNTS[1:])
def test_an_amount_that_is_not_on_offer_is_refused_with_the_limit(
    amount: str, code: str, verified: Walker, problem: Check
) -> None:
    content = f'{{"amount": {amount}, "tenor_months": 6, "purpose": "education", "consent": true}}'.encode()
    headers = {"Content-Type": "application/json"}
    reply = verified.call("POST", "/api/loans/apply", key="k", content=content, headers=headers)
    refused = problem(reply, 422, "invalid-fields")
    assert ("amount", code) in faults(refused)
    limits = {"amount-too-high": "Rp12.000.000", "amount-too-low": "Rp500.000", "amount-not-a-step": "Rp100.000"}
    message = next(one["message"] for one in refused["errors"] if one["code"] == code)
    assert limits.get(code, "") in message
    assert {"too-high": "1.000.000.000.000", "too-low": "1"}.get(code, "") in message


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("tenor_months", 0, "too-low"),
        ("tenor_months", 13, "tenor-too-long"),
        ("tenor_months", 10**30, "too-high"),
        ("tenor_months", 6.0, "wrong-type"),
        ("tenor_months", "6", "wrong-type"),
        ("purpose", "gambling", "not-allowed"),
        ("purpose", 1, "not-allowed"),
        ("purpose", None, "not-allowed"),
        ("consent", "yes", "wrong-type"),
        ("consent", 1, "wrong-type"),
        ("monthly_income", -1, "too-low"),
        ("monthly_income", 10**15, "too-high"),
        ("monthly_income", 9_000_000.5, "wrong-type"),
        ("other_instalments", "none", "wrong-type"),
        ("interest_rate", 0, "unknown-field"),
    ],
)
def test_an_application_with_a_bad_field_is_refused_with_its_name(
    field: str, value: object, code: str, verified: Walker, problem: Check
) -> None:
    body = {"amount": 3_000_000, "tenor_months": 6, "purpose": "education", "consent": True, field: value}
    refused = problem(verified.call("POST", "/api/loans/apply", key="k", body=body), 422, "invalid-fields")
    assert faults(refused) == {(field, code)}


def test_an_application_lacking_everything_is_told_all_that_it_lacks(verified: Walker, problem: Check) -> None:
    refused = problem(verified.call("POST", "/api/loans/apply", key="k", body={}), 422, "invalid-fields")
    assert faults(refused) == {(name, "required") for name in ("amount", "tenor_months", "purpose", "consent")}


def test_an_application_outside_several_limits_is_told_of_each(verified: Walker, problem: Check) -> None:
    refused = problem(verified.apply(50_000_000, 24, key="k"), 422, "invalid-fields")
    assert faults(refused) == {("amount", "amount-too-high"), ("tenor_months", "tenor-too-long")}


def test_without_consent_nothing_is_applied_for(verified: Walker, problem: Check) -> None:
    refused = problem(verified.apply(3_000_000, 6, key="k", consent=False), 422, "consent-required")
    assert faults(refused) == {("consent", "consent-required")}


@pytest.mark.parametrize(
    ("query", "faulty"),
    [
        ({}, {("amount", "required"), ("tenor_months", "required")}),
        ({"amount": "3000000.5", "tenor_months": "6"}, {("amount", "wrong-type")}),
        ({"amount": "3 juta", "tenor_months": "enam"}, {("amount", "wrong-type"), ("tenor_months", "wrong-type")}),
        ({"amount": "-1", "tenor_months": "6"}, {("amount", "too-low")}),
        ({"amount": "1" + "0" * 400, "tenor_months": "6"}, {("amount", "too-high")}),
        ({"amount": "1" + "0" * 5000, "tenor_months": "6"}, {("amount", "wrong-type")}),
        (
            {"amount": "450000", "tenor_months": "13"},
            {("amount", "amount-too-low"), ("tenor_months", "tenor-too-long")},
        ),
    ],
)
def test_a_quote_for_what_is_not_on_offer_is_refused(
    query: dict[str, str], faulty: set[tuple[str, str]], verified: Walker, problem: Check
) -> None:
    refused = problem(verified.call("GET", "/api/loans/quote", query=query), 422, "invalid-fields")
    assert faults(refused) == faulty


@pytest.mark.parametrize("path", ["/api/loans", "/api/payments", "/api/documents", "/api/notifications"])
@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"limit": "0"}, "limit", "too-low"),
        ({"limit": "101"}, "limit", "too-high"),
        ({"limit": "-5"}, "limit", "too-low"),
        ({"limit": "many"}, "limit", "wrong-type"),
        ({"cursor": "nonsense"}, "cursor", "cursor"),
        ({"cursor": "bm90IGEgY3Vyc29y"}, "cursor", "cursor"),
        ({"cursor": "x" * 600}, "cursor", "too-long"),
        ({"cursor": "\x00"}, "cursor", "cursor"),
    ],
)
def test_a_page_that_cannot_be_is_refused(
    path: str, query: dict[str, str], field: str, code: str, verified: Walker, problem: Check
) -> None:
    refused = problem(verified.call("GET", path, query=query), 422, "invalid-fields")
    assert faults(refused) == {(field, code)}


@pytest.mark.parametrize("path", ["/api/loans/apply", "/api/loans/loan_1/accept", "/api/payments"])
@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency-key-required"),
        ("", "idempotency-key-required"),
        ("k" * 65, "idempotency-key-invalid"),
        ("two words", "idempotency-key-invalid"),
    ],
)
def test_a_missing_or_impossible_idempotency_key_is_refused(
    path: str, key: str | None, code: str, verified: Walker, problem: Check
) -> None:
    problem(verified.call("POST", path, key=key, body={}), 400, code)


def test_a_key_belongs_to_one_request(walker: Walker, problem: Check) -> None:
    walker.become_verified()
    first = walker.apply(3_000_000, 6, key="k" * 64)
    assert first.expect(202)["loan"]["amount"] == 3_000_000
    problem(walker.apply(2_000_000, 6, key="k" * 64), 422, "idempotency-key-reused")
    again = walker.apply(3_000_000, 6, key="k" * 64)
    assert (again.expect(202), again.headers["idempotent-replayed"]) == (first.body, "true")
    # On another route the same key is another one.
    loan_id = walker.decided(first.body["loan"]["id"])["id"]
    accepted = walker.accept(loan_id, key="k" * 64)
    assert "idempotent-replayed" not in accepted.headers
    assert accepted.expect(200)["loan"]["status"] == "accepted"
    walker.disbursed(loan_id)


def test_an_acceptance_must_say_yes_to_each_of_six_statements(walker: Walker, problem: Check) -> None:
    loan_id = walker.become_approved()
    path = f"/api/loans/{loan_id}/accept"

    def accept(**body: object) -> Reply:
        return walker.call("POST", path, key="k", body=body)

    for statements, code in (([True] * 5, "too-few"), ([True] * 7, "too-many"), ([], "too-few")):
        refused = problem(accept(consent=True, statements=statements), 422, "invalid-fields")
        assert faults(refused) == {("statements", code)}
    refused = problem(accept(consent=True, statements=[True] * 5 + ["yes"]), 422, "invalid-fields")
    assert faults(refused) == {("statements[5]", "wrong-type")}
    some = [True, False, True, True, False, True]
    refused = problem(accept(consent=True, statements=some), 422, "statement-not-accepted")
    assert faults(refused) == {(f"statements[{number}]", "statement-not-accepted") for number in (1, 4)}
    problem(accept(consent=False, statements=[True] * 6), 422, "consent-required")
    assert walker.loan(loan_id).expect(200)["status"] == "approved"


def test_without_a_bank_account_an_offer_cannot_be_accepted(walker: Walker, problem: Check) -> None:
    walker.register().expect(201)
    walker.upload("ktp").expect(201)
    walker.upload("selfie").expect(201)
    assert walker.checked()["status"] == "verified"
    applied = walker.apply(3_000_000, 6, key="k", monthly_income=9_000_000).expect(202)
    loan_id = walker.decided(applied["loan"]["id"])["id"]
    problem(walker.accept(loan_id, key="k"), 409, "bank-account-required")
    walker.change(bank_account=walker.person.bank_account).expect(200)
    # A refusal is not kept under the key.
    assert walker.accept(loan_id, key="k").expect(200)["loan"]["status"] == "accepted"
    walker.disbursed(loan_id)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("loan_id", 1, "wrong-type"),
        ("kind", "everything", "not-allowed"),
        ("amount", 1000, "amount-not-wanted"),
        ("amount", "1000", "wrong-type"),
        ("method", {"type": "cash"}, "not-allowed"),
        ("method", {}, "required"),
        ("method", None, "wrong-type"),
        ("method", {"type": "bank_transfer"}, "required"),
        ("method", {"type": "bank_transfer", "bank": "pinjam"}, "not-allowed"),
        ("method", {"type": "qris", "bank": "bca"}, "unknown-field"),
    ],
)
def test_a_payment_with_a_bad_field_is_refused(
    field: str, value: object, code: str, verified: Walker, problem: Check
) -> None:
    body = {"loan_id": "loan_1", "kind": "instalment", "method": {"type": "qris"}, field: value}
    refused = problem(verified.call("POST", "/api/payments", key="k", body=body), 422, "invalid-fields")
    assert {code} == {found for _, found in faults(refused)}
    assert all(name.startswith(field) for name, _ in faults(refused))


def test_the_gateways_forged_and_foreign_notifications_are_refused(road: Road, problem: Check) -> None:
    path = "/api/payments/webhook/midtrans"
    body = {"order_id": "pay_1", "status_code": "200", "gross_amount": "1.00", "signature_key": "0" * 128}
    problem(road.call("POST", path, body=body), 403, "bad-signature")
    problem(road.call("POST", path, body={**body, "signature_key": "é"}), 403, "bad-signature")
    problem(road.call("POST", path, body={}), 422, "invalid-fields")
    problem(road.call("POST", path, content=b"{", headers={"Content-Type": "application/json"}), 400, "malformed-json")


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/api/nothing", 404, "is not defined by this API"),
        ("GET", "/", 404, "is not defined by this API"),
        ("GET", "/api/loans/loan_1/contract/extra", 404, "is not defined by this API"),
        ("GET", "/api/auth/register", 405, "http method is not allowed"),
        ("DELETE", "/api/loans", 405, "http method is not allowed"),
        ("PUT", "/api/users/profile", 405, "http method is not allowed"),
    ],
)
def test_an_unknown_path_or_method_is_answered_in_the_gateways_words(
    method: str, path: str, status: int, words: str, verified: Walker
) -> None:
    # With or without a token: the gateway looks at the path first.
    for token in (verified.token, None):
        reply = verified.call(method, path, token=token)
        assert (reply.status, reply.headers["content-type"]) == (status, "application/json")
        assert set(reply.body) == {"code", "message"}
        assert reply.body["code"] == status
        assert words in reply.body["message"]
        assert reply.headers["x-request-id"]


def test_every_answer_carries_the_callers_request_id_or_one_of_its_own(road: Road, verified: Walker) -> None:
    given = {"X-Request-Id": "app-1234-abcd"}
    assert verified.call("GET", "/api/loans", headers=given).headers["x-request-id"] == "app-1234-abcd"
    refused = road.call("POST", "/api/auth/login", body={}, headers=given)
    assert refused.expect(422)["instance"] == refused.headers["x-request-id"] == "app-1234-abcd"
    replies = [verified.call("GET", "/api/loans"), verified.call("GET", "/api/loans", headers={"X-Request-Id": "<b>"})]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 2
    assert all(reply.headers["x-request-id"].startswith("req_") for reply in replies)
