"""Each call of the contract answers as the contract says, on the road of one borrower."""

from dataclasses import replace
from typing import Any

import pytest
from tests.functions.conftest import Functions, Reply
from tests.world import PASSWORD

from pinjam.domain.user import Kyc, KycCheck, UserStatus

REGISTER: dict[str, Any] = {
    "full_name": "Siti Rahmawati",
    "email": "Siti1@example.com",
    "phone": "0812-3450-0001",
    "nik": "3171015508900001",
    "password": PASSWORD,
    "consent": {"terms_version": "2026-01", "privacy_version": "2026-01"},
}
USER: dict[str, Any] = {
    "full_name": "Siti Rahmawati",
    "email": "siti1@example.com",
    "phone": "+6281234500001",
    "nik_masked": "3171********0001",
    "birth_date": "1990-08-15",
    "gender": "female",
    "status": "registered",
    "kyc": {"status": "registered", "checks": [], "reasons": []},
    "documents": [],
    "monthly_income": None,
    "other_instalments": None,
    "occupation": None,
    "address": None,
    "bank_account": None,
    "credit_limit": 5_000_000,
    "locale": "id",
    "created_at": "2026-11-24T02:00:00.000Z",
}


def test_a_sign_up_answers_with_the_user_and_tokens(functions: Functions) -> None:
    answer = functions.call("register", "POST", "/api/auth/register", REGISTER)
    assert answer.status_code == 201
    user = answer.json["user"]
    assert user == USER | {"id": user["id"]}
    assert answer.json["tokens"] == {
        "id_token": f"id:{user['id']}",
        "refresh_token": answer.json["tokens"]["refresh_token"],
        "expires_in": 3600,
        "token_type": "Bearer",
    }
    again = functions.call("register", "POST", "/api/auth/register", REGISTER)
    assert (again.status_code, again.json["code"]) == (409, "already-registered")


def test_login_refresh_and_logout(functions: Functions) -> None:
    user = functions.world.register()
    body = {"identifier": "081234500001", "password": PASSWORD}
    answer = functions.call("login", "POST", "/api/auth/login", body)
    assert (answer.status_code, answer.json["user"]["id"]) == (200, user.id)
    token = {"refresh_token": answer.json["tokens"]["refresh_token"]}
    refreshed = functions.call("login", "POST", "/api/auth/refresh", token)
    assert (refreshed.status_code, refreshed.json["tokens"]["id_token"]) == (200, f"id:{user.id}")
    gone = functions.call("login", "POST", "/api/auth/logout", user=user.id)
    assert (gone.status_code, gone.text) == (204, "")
    ended = functions.call("login", "POST", "/api/auth/refresh", token)
    assert (ended.status_code, ended.json["code"]) == (401, "invalid-refresh-token")


def test_a_wrong_identifier_and_a_wrong_password_are_the_same_answer(functions: Functions) -> None:
    functions.world.register()
    told = []
    for identifier in ("siti1@example.com", "081234500001", "nobody@example.com", "081299999999", "x"):
        answer = functions.call("login", "POST", "/api/auth/login", {"identifier": identifier, "password": "wrong"})
        told.append((answer.status_code, {**answer.json, "instance": ""}))
    assert told[0][0] == 401
    assert all(one == told[0] for one in told)


def test_too_many_log_ins_are_429_with_a_time_to_come_back(functions: Functions) -> None:
    body = {"identifier": "nobody@example.com", "password": "wrong"}
    answers = [functions.call("login", "POST", "/api/auth/login", body) for _ in range(6)]
    assert [one.status_code for one in answers] == [401] * 5 + [429]
    assert (answers[-1].headers["Retry-After"], "60" in answers[-1].json["detail"]) == ("60", True)


def test_a_profile_is_shown_and_changed(functions: Functions) -> None:
    user = functions.world.register()
    account = {"bank_code": "bca", "account_number": "1234567890", "account_name": "SITI RAHMAWATI"}
    changes = {
        "full_name": "Siti Rahmawati Putri",
        "locale": "en",
        "monthly_income": 9_000_000,
        "other_instalments": 0,
        "occupation": "employee",
        "address": "Jalan Melati 5",
        "bank_account": account,
    }
    answer = functions.call("profile", "PATCH", "/api/users/profile", changes, user=user.id)
    assert answer.json == USER | changes | {"id": user.id}
    assert functions.call("profile", "PATCH", "/api/users/profile", {"locale": None}, user=user.id).json == answer.json
    assert functions.call("profile", "GET", "/api/users/profile", user=user.id).json == answer.json


def test_why_an_identity_was_rejected_is_told_in_the_callers_language(functions: Functions) -> None:
    user = functions.world.register()
    kyc = Kyc(checks=(KycCheck(name="selfie", outcome="fail", score=10),), reasons=("KYC_SELFIE",))
    functions.world.put(replace(user, status=UserStatus.REJECTED, kyc=kyc))
    for language, words in (("id", "Foto diri"), ("en", "Your selfie")):
        answer = functions.call(
            "profile", "GET", "/api/users/profile", user=user.id, headers={"Accept-Language": language}
        )
        shown = answer.json["kyc"]
        assert shown["checks"] == [{"name": "selfie", "outcome": "fail", "score": 10}]
        assert shown["reasons"][0]["message"].startswith(words)


@pytest.fixture
def user_id(functions: Functions) -> str:
    return functions.world.verified()


def loans(functions: Functions, user_id: str, path: str = "", method: str = "GET", body: object = None) -> Reply:
    key = "accept" if path.endswith("accept") else None
    return functions.call("loans", method, f"/api/loans{path}", body, user=user_id, key=key)


def test_a_loan_from_quote_to_repayment(functions: Functions, user_id: str) -> None:
    world = functions.world
    quote = loans(functions, user_id, "/quote?amount=3000000&tenor_months=6").json
    assert (quote["disbursed_amount"], len(quote["schedule"])) == (2_970_000, 6)
    body = {"amount": 3_000_000, "tenor_months": 6, "purpose": "home", "consent": True, "monthly_income": 9_000_000}
    applied = functions.call("apply_loan", "POST", "/api/loans/apply", body, user=user_id, key="k")
    assert (applied.status_code, applied.json["loan"]["status"]) == (202, "submitted")
    loan_id = applied.json["loan"]["id"]
    world.deliver()
    shown = loans(functions, user_id, f"/{loan_id}").json
    assert (shown["status"], shown["offer"], shown["payments"]) == ("approved", quote, [])
    assert shown["decision"]["outcome"] == "approved"
    summary = loans(functions, user_id, f"/{loan_id}/summary").json
    assert [one["number"] for one in summary["statements"]] == [1, 2, 3, 4, 5, 6]
    assert (summary["offer_expires_on"], summary["total_cap"]) == (
        "2026-12-01",
        {"ppm": 1_000_000, "amount": 3_000_000},
    )
    assert summary["late_fee"] == {"daily_ppm": 1_000, "from_day": 4}
    accepted = loans(functions, user_id, f"/{loan_id}/accept", "POST", {"consent": True, "statements": [True] * 6})
    assert (accepted.status_code, accepted.json["loan"]["status"]) == (200, "accepted")
    world.deliver()
    board = loans(functions, user_id).json
    assert board["summary"] == {
        "outstanding": quote["total_payable"],
        "monthly_bill": quote["schedule"][0]["total"],
        "due_date": "2026-12-24",
        "days_past_due": 0,
        "credit_limit": 5_000_000,
    }
    assert [one["id"] for one in board["loans"]] == [loan_id]
    payment = functions.call(
        "pay",
        "POST",
        "/api/payments",
        {"loan_id": loan_id, "kind": "instalment", "method": {"type": "bank_transfer", "bank": "mandiri"}},
        user=user_id,
        key="k",
    )
    assert (payment.status_code, payment.json["status"], payment.json["amount"]) == (
        201,
        "pending",
        quote["schedule"][0]["total"],
    )
    assert payment.json["instructions"]["biller_code"] == "70012"
    payment_id = payment.json["id"]
    world.payments.move(payment_id, "settled")
    notification = {
        "order_id": payment_id,
        "status_code": "200",
        "gross_amount": f"{payment.json['amount']}.00",
        "signature_key": "genuine",
    }
    for _ in range(2):
        heard = functions.call("pay", "POST", "/api/payments/webhook/midtrans", notification)
        assert (heard.status_code, heard.json) == (200, {"status": "ok"})
    settled = functions.call("pay", "GET", f"/api/payments/{payment_id}", user=user_id).json
    assert (settled["status"], settled["allocation"][0]["number"], settled["surplus"]) == ("settled", 1, 0)
    listed = functions.call("pay", "GET", f"/api/payments?loan_id={loan_id}", user=user_id).json
    assert listed == {"payments": [settled], "next_cursor": None}
    shown = loans(functions, user_id, f"/{loan_id}").json
    assert shown["payments"] == [settled]
    assert [one["status"] for one in shown["schedule"]] == ["paid"] + ["upcoming"] * 5
    assert shown["next_due"]["due_date"] == "2027-01-24"
    world.deliver()
    told = functions.call("notifications", "GET", "/api/notifications?limit=1", user=user_id).json
    assert (told["unread_count"], told["notifications"][0]["kind"]) == (5, "payment-received")
    assert told["notifications"][0]["deliveries"][0] == {
        "channel": "email",
        "status": "sent",
        "attempts": 1,
        "sent_at": "2026-11-24T02:00:00.000Z",
    }
    assert told["next_cursor"] is not None


def test_an_offer_is_withdrawn(functions: Functions, user_id: str) -> None:
    loan_id = functions.world.apply(user_id)
    functions.world.deliver()
    answer = loans(functions, user_id, f"/{loan_id}/withdraw", "POST")
    assert (answer.status_code, answer.json["loan"]["status"]) == (200, "withdrawn")


def test_an_unknown_order_is_404_to_the_gateway(functions: Functions) -> None:
    body = {"order_id": "pay_1", "status_code": "200", "gross_amount": "1.00", "signature_key": "genuine"}
    answer = functions.call("pay", "POST", "/api/payments/webhook/midtrans", body)
    assert (answer.status_code, answer.json["code"]) == (404, "payment-not-found")


def test_somebody_elses_things_are_not_there(functions: Functions, user_id: str) -> None:
    world = functions.world
    loan_id = world.active(user_id)
    payment_id, other = world.order(user_id, loan_id), world.verified(2)
    for path in (f"/{loan_id}", f"/{loan_id}/summary"):
        assert loans(functions, other, path).status_code == 404
    assert loans(functions, other, f"/{loan_id}/withdraw", "POST").status_code == 404
    assert functions.call("pay", "GET", f"/api/payments/{payment_id}", user=other).status_code == 404
    assert functions.call("pay", "GET", f"/api/payments?loan_id={loan_id}", user=other).json["payments"] == []


def test_a_sweep_counts_what_it_did(functions: Functions, user_id: str) -> None:
    loan_id = functions.world.apply(user_id)
    functions.world.decide(loan_id)
    functions.world.pass_days(8)
    answer = functions.call("sweep", "POST", "/")
    assert answer.status_code == 200
    assert answer.json == {
        "relayed": 0,
        "offers_expired": 1,
        "payments_checked": 0,
        "payouts_checked": 0,
        "payouts_retried": 0,
        "refunds_retried": 0,
        "messages_resumed": 0,
        "erased": 0,
        "forgotten": 1,
        "reminders": 0,
        "faults": 0,
    }
    assert functions.call("sweep", "GET", "/").status_code == 405


def test_a_check_of_the_books_tells_its_figures(functions: Functions, user_id: str) -> None:
    functions.world.active(user_id)
    answer = functions.call("sweep", "POST", "/checks")
    assert (answer.status_code, answer.json["broken_chains"], answer.json["difference"]) == (200, 0, 0)
    assert answer.json["records"] > 0


def test_an_export_and_an_erasure_answer_as_the_contract_says(functions: Functions) -> None:
    user = functions.world.register()
    held = functions.call("profile", "POST", "/api/users/export", user=user.id)
    assert (held.status_code, held.json["user"], held.json["nik"]) == (200, USER | {"id": user.id}, "3171015508900001")
    assert [one["action"] for one in held.json["audit"]] == ["user-registered", "account-created", "data-exported"]
    asked = functions.call("profile", "POST", "/api/users/erasure", user=user.id)
    assert (asked.status_code, asked.json) == (202, {"status": "restricted", "erased_after": "2026-12-24"})
    refused = functions.call("profile", "PATCH", "/api/users/profile", {"locale": "en"}, user=user.id)
    assert (refused.status_code, refused.json["code"]) == (409, "account-restricted")


def test_a_profile_costs_one_unwrap(functions: Functions) -> None:
    world = functions.world
    user_id = world.verified()
    world.app.vault.forget(user_id)
    world.wrapper.unwrapped.clear()
    for _ in range(2):
        assert functions.call("profile", "GET", "/api/users/profile", user=user_id).status_code == 200
    assert world.wrapper.unwrapped == [user_id]
