"""From sign-up to the second repayment, with every field that the contract names, and every message."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from pinjam.local.road import Road, Walker

TOKENS = {"id_token", "refresh_token", "expires_in", "token_type"}
# Beyond the contract: `address` is among the fields that a borrower may change, so it is shown too.
USER = {
    *("id", "full_name", "email", "phone", "nik_masked", "birth_date", "gender", "status", "kyc", "documents"),
    *("monthly_income", "other_instalments", "occupation", "bank_account", "credit_limit", "locale", "created_at"),
    "address",
}
DOCUMENT = {"id", "kind", "status", "content_type", "size", "sha256", "created_at"}
QUOTE = {
    *("amount", "tenor_months", "interest_method", "monthly_rate_ppm", "admin_fee", "disbursed_amount"),
    *("instalment", "total_interest", "total_payable", "effective_annual_rate_ppm", "schedule", "policy_id"),
}
QUOTE_ROW = {"number", "due_date", "principal", "interest", "total", "balance"}
LOAN = {
    *("id", "status", "amount", "tenor_months", "purpose", "offer", "decision", "outstanding", "next_due"),
    *("days_past_due", "bucket", "disbursed_at", "settled_at", "created_at", "schedule"),
}
LOAN_ROW = {"number", "due_date", "principal", "interest", "late_fee", "paid", "status"}
DECISION = {"outcome", "reasons", "decided_at", "policy_id"}
# Beyond the contract: what exceeded the debt, which the domain's rules have us tell.
PAYMENT = {
    *("id", "loan_id", "kind", "amount", "status", "method", "instructions", "allocation", "created_at"),
    *("settled_at", "surplus"),
}
# The contract marks all but `expires_at` with a question mark: what a method lacks is null.
INSTRUCTIONS = {"va_number", "biller_code", "bill_key", "qr_string", "expires_at"}
NOTIFICATION = {"id", "kind", "title", "body", "data", "read_at", "created_at", "deliveries"}
DELIVERY = {"channel", "status", "attempts", "sent_at"}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def is_id(text: str, prefix: str) -> bool:
    """A ULID behind the kind's prefix."""
    return re.fullmatch(prefix + r"_[0-9A-HJKMNP-TV-Z]{26}", text) is not None


def check_loan(loan: dict[str, Any], *, detail: bool = False) -> None:
    assert set(loan) == LOAN | ({"payments"} if detail else set())
    assert is_id(loan["id"], "loan")
    assert INSTANT.fullmatch(loan["created_at"])
    assert all(type(loan[name]) is int for name in ("amount", "tenor_months", "outstanding", "days_past_due"))
    if loan["offer"] is not None:
        check_quote(loan["offer"])
    if loan["decision"] is not None:
        assert set(loan["decision"]) == DECISION
        assert all(set(reason) == {"code", "message"} for reason in loan["decision"]["reasons"])
    if loan["next_due"] is not None:
        assert set(loan["next_due"]) == {"number", "due_date", "amount", "late_fee"}
    for row in loan["schedule"]:
        assert set(row) == LOAN_ROW
        assert row["status"] in {"upcoming", "due", "overdue", "paid"}


def check_quote(quote: dict[str, Any]) -> None:
    assert set(quote) == QUOTE
    assert all(set(row) == QUOTE_ROW for row in quote["schedule"])
    money = ("amount", "admin_fee", "disbursed_amount", "instalment", "total_interest", "total_payable")
    assert all(type(quote[name]) is int for name in money)
    assert [row["number"] for row in quote["schedule"]] == list(range(1, quote["tenor_months"] + 1))
    assert sum(row["principal"] for row in quote["schedule"]) == quote["amount"]
    assert quote["schedule"][-1]["balance"] == 0
    due_dates = [date.fromisoformat(row["due_date"]) for row in quote["schedule"]]
    assert due_dates == sorted(set(due_dates))


def check_payment(payment: dict[str, Any]) -> None:
    assert set(payment) == PAYMENT
    assert is_id(payment["id"], "pay")
    assert set(payment["method"]) == {"type", "bank"}
    assert set(payment["instructions"]) == INSTRUCTIONS
    assert INSTANT.fullmatch(payment["instructions"]["expires_at"])
    assert all(set(part) == {"number", "late_fee", "interest", "principal"} for part in payment["allocation"])


def check_user(user: dict[str, Any], walker: Walker) -> None:
    person = walker.person
    assert set(user) == USER
    assert is_id(user["id"], "usr")
    assert (user["full_name"], user["email"], user["phone"]) == (person.full_name, person.email, person.phone_e164)
    assert user["nik_masked"] == f"{person.nik[:4]}{'*' * 8}{person.nik[-4:]}"
    assert set(user["kyc"]) == {"status", "checks", "reasons"}
    assert all({"name", "outcome"} <= set(check) <= {"name", "outcome", "score"} for check in user["kyc"]["checks"])
    assert all(set(document) == DOCUMENT for document in user["documents"])
    assert INSTANT.fullmatch(user["created_at"])


def test_signing_up_and_logging_in_answers_the_user_and_tokens_of_the_contract(walker: Walker) -> None:
    signed_up = walker.register().expect(201)
    assert set(signed_up) == {"user", "tokens"}
    assert set(signed_up["tokens"]) == TOKENS
    assert signed_up["tokens"]["token_type"] == "Bearer"
    assert type(signed_up["tokens"]["expires_in"]) is int
    check_user(signed_up["user"], walker)
    assert signed_up["user"]["status"] == "registered"
    assert signed_up["user"]["locale"] == "id"
    for spelling in (walker.person.email.upper(), walker.person.phone, *walker.person.phone_spellings):
        logged_in = walker.log_in(spelling).expect(200)
        assert set(logged_in) == {"user", "tokens"}
        check_user(logged_in["user"], walker)
        assert logged_in["user"]["id"] == signed_up["user"]["id"]


def test_a_session_is_refreshed_until_it_is_logged_out(walker: Walker) -> None:
    tokens = walker.register().expect(201)["tokens"]
    refreshed = walker.road.call("POST", "/api/auth/refresh", body={"refresh_token": tokens["refresh_token"]})
    assert set(refreshed.expect(200)) == {"tokens"}
    assert set(refreshed.body["tokens"]) == TOKENS
    walker.token = refreshed.body["tokens"]["id_token"]
    assert walker.profile().expect(200)["email"] == walker.person.email
    assert walker.call("POST", "/api/auth/logout").expect(204) is None
    for token in {tokens["refresh_token"], refreshed.body["tokens"]["refresh_token"]}:
        gone = walker.road.call("POST", "/api/auth/refresh", body={"refresh_token": token})
        assert gone.expect(401)["code"] == "invalid-refresh-token"


def test_documents_are_shown_as_the_contract_says_and_can_be_fetched_back(walker: Walker) -> None:
    walker.register().expect(201)
    picture = walker.people.picture()
    document = walker.upload("ktp", picture).expect(201)
    assert set(document) == DOCUMENT
    assert is_id(document["id"], "doc")
    assert (document["kind"], document["status"], document["content_type"]) == ("ktp", "received", "image/jpeg")
    assert walker.upload("ktp", picture).expect(201)["id"] == document["id"]
    listed = walker.call("GET", "/api/documents").expect(200)
    assert set(listed) == {"documents", "next_cursor"}
    assert listed["documents"] == [document]
    shown = walker.call("GET", f"/api/documents/{document['id']}").expect(200)
    assert set(shown) == DOCUMENT | {"download_url"}
    fetched = walker.road.call("GET", shown["download_url"])
    assert fetched.status == 200
    assert len(fetched.content) == document["size"]


def test_the_profile_keeps_what_is_changed_and_leaves_the_rest(walker: Walker) -> None:
    walker.register().expect(201)
    account = walker.person.bank_account
    changed = walker.change(occupation="employee", address="Jalan Melati 5, Jakarta", bank_account=account).expect(200)
    check_user(changed, walker)
    assert set(changed["bank_account"]) == {"bank_code", "account_number", "account_name"}
    later = walker.change(monthly_income=9_000_000).expect(200)
    assert (later["occupation"], later["address"]) == ("employee", "Jalan Melati 5, Jakarta")
    assert later["bank_account"] == account
    assert later["monthly_income"] == 9_000_000
    assert walker.profile().expect(200) == later


@pytest.mark.parametrize("locale", ["id", "en"])
def test_the_whole_road_from_sign_up_to_two_repayments(
    locale: str, road: Road, new_walker: Callable[..., Walker]
) -> None:
    walker = new_walker(locale=locale)
    check_user(walker.become_verified(), walker)
    assert walker.checked()["kyc"]["status"] == "verified"

    quote = walker.quote(3_000_000, 6).expect(200)
    check_quote(quote)
    submitted = walker.apply(3_000_000, 6, key="one").expect(202)
    assert set(submitted) == {"loan"}
    check_loan(submitted["loan"])
    assert submitted["loan"]["status"] == "submitted"
    loan_id = submitted["loan"]["id"]
    approved = walker.decided(loan_id)
    check_loan(approved, detail=True)
    assert (approved["status"], approved["decision"]["outcome"]) == ("approved", "approved")
    assert approved["offer"] == quote
    assert approved["next_due"] is None

    summary = walker.call("GET", f"/api/loans/{loan_id}/summary").expect(200)
    # The contract names quote, late fee, total cap, risks and statements; id and expiry come on top.
    assert set(summary) == {
        *("loan_id", "quote", "late_fee", "total_cap", "risks", "statements", "offer_expires_on"),
    }
    assert summary["quote"] == quote
    assert [one["number"] for one in summary["statements"]] == [1, 2, 3, 4, 5, 6]
    assert all(set(one) == {"number", "text"} for one in summary["statements"])

    accepted = walker.accept(loan_id, key="one").expect(200)
    assert set(accepted) == {"loan"}
    assert accepted["loan"]["status"] == "accepted"
    active = walker.disbursed(loan_id)
    check_loan(active, detail=True)
    assert active["status"] == "active"
    assert INSTANT.fullmatch(active["disbursed_at"])
    assert active["outstanding"] == quote["total_payable"]
    assert [row["due_date"] for row in active["schedule"]] == [row["due_date"] for row in quote["schedule"]]

    board = walker.call("GET", "/api/loans").expect(200)
    assert set(board) == {"summary", "loans", "next_cursor"}
    assert board["summary"] == {
        "outstanding": quote["total_payable"],
        "monthly_bill": quote["instalment"],
        "due_date": quote["schedule"][0]["due_date"],
        "days_past_due": 0,
        "credit_limit": 5_000_000,
    }
    check_loan(board["loans"][0])

    pay_twice(walker, road, loan_id, quote)
    check_messages(walker, road, locale)


def pay_twice(walker: Walker, road: Road, loan_id: str, quote: dict[str, Any]) -> None:
    owed = quote["total_payable"]
    for row, bank in zip(quote["schedule"], ("mandiri", None), strict=False):
        payment = walker.start_payment(loan_id, key=f"pay-{row['number']}", bank=bank).expect(201)
        check_payment(payment)
        assert (payment["status"], payment["settled_at"], payment["allocation"]) == ("pending", None, [])
        given = {name for name, value in payment["instructions"].items() if value is not None}
        assert given == {"expires_at"} | ({"biller_code", "bill_key"} if bank else {"qr_string"})
        road.pay_at_bank(payment["id"]).expect(200)
        settled = walker.payment(payment["id"]).expect(200)
        check_payment(settled)
        assert settled["status"] == "settled"
        assert INSTANT.fullmatch(settled["settled_at"])
        assert settled["allocation"] == [
            {"number": row["number"], "late_fee": 0, "interest": row["interest"], "principal": row["principal"]}
        ]
        owed -= row["total"]
        loan = walker.loan(loan_id).expect(200)
        assert loan["outstanding"] == owed
        assert loan["next_due"]["number"] == row["number"] + 1
        assert loan["payments"][0] == settled
    listed = walker.call("GET", "/api/payments", query={"loan_id": loan_id}).expect(200)
    assert set(listed) == {"payments", "next_cursor"}
    assert listed["payments"] == walker.loan(loan_id).body["payments"]


WORDS = {
    "id": ("Identitas Anda terverifikasi", "Pinjam: pinjaman Rp3.000.000 disetujui", "loan_disbursed (id)"),
    "en": ("Your identity is verified", "Pinjam: your loan of Rp3.000.000 is approved", "loan_disbursed (en)"),
}


def check_messages(walker: Walker, road: Road, locale: str) -> None:
    kinds = (
        *("identity-verified", "application-received", "loan-approved", "contract-accepted"),
        *("loan-disbursed", "payment-received"),
    )
    told = walker.told(*kinds, "payment-received")
    assert Counter(one["kind"] for one in told) == {**dict.fromkeys(kinds, 1), "payment-received": 2}
    for one in told:
        assert set(one) == NOTIFICATION
        assert is_id(one["id"], "ntf")
        assert all(set(delivery) == DELIVERY for delivery in one["deliveries"])
        assert {delivery["status"] for delivery in one["deliveries"]} == {"sent"}
        assert all(INSTANT.fullmatch(delivery["sent_at"]) for delivery in one["deliveries"])
    listed = walker.notifications(limit=100).expect(200)
    assert set(listed) == {"notifications", "unread_count", "next_cursor"}
    assert listed["unread_count"] == len(told)

    subject, text, template = WORDS[locale]
    by_email = road.inbox(walker.person.email, channel="email")
    assert len(by_email) == len(told)
    assert subject in {message["subject"] for message in by_email}
    assert all(walker.person.full_name in message["body"] for message in by_email)
    by_sms = road.inbox(walker.person.phone_e164, channel="sms")
    assert len(by_sms) == 2
    assert any(message["body"].startswith(text) for message in by_sms)
    by_whatsapp = road.inbox(walker.person.phone_e164, channel="whatsapp")
    assert len(by_whatsapp) == 3
    assert template in {message["subject"] for message in by_whatsapp}


def test_a_counter_offer_is_accepted_at_its_own_amount(walker: Walker) -> None:
    walker.become_verified()
    asked = walker.apply(5_000_000, 3, key="one", monthly_income=3_100_000, other_instalments=0).expect(202)
    loan = walker.decided(asked["loan"]["id"])
    assert (loan["status"], loan["decision"]["outcome"]) == ("approved", "counter_offer")
    assert "DSR_MAX" in {reason["code"] for reason in loan["decision"]["reasons"]}
    assert 500_000 <= loan["offer"]["amount"] < 5_000_000
    assert loan["offer"]["instalment"] * 100 <= 3_100_000 * 30
    walker.accept(loan["id"], key="one").expect(200)
    active = walker.disbursed(loan["id"])
    assert active["amount"] == loan["offer"]["amount"]
    assert active["outstanding"] == loan["offer"]["total_payable"]


def test_an_application_is_withdrawn_once_and_another_can_follow(walker: Walker) -> None:
    loan_id = walker.become_approved()
    for _ in range(2):
        assert walker.call("POST", f"/api/loans/{loan_id}/withdraw").expect(200)["loan"]["status"] == "withdrawn"
    assert walker.accept(loan_id, key="late").expect(409)["code"] == "no-offer"
    assert walker.apply(1_000_000, 3, key="another").expect(202)["loan"]["status"] == "submitted"


def test_lists_are_read_page_by_page_without_loss_or_repetition(walker: Walker) -> None:
    walker.become_borrower()
    kinds = ("identity-verified", "application-received", "loan-approved", "contract-accepted", "loan-disbursed")
    whole = [one["id"] for one in walker.told(*kinds)]
    assert len(whole) == len(kinds)
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 1}
    while True:
        page = walker.call("GET", "/api/notifications", query=query).expect(200)
        seen += [one["id"] for one in page["notifications"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == whole
