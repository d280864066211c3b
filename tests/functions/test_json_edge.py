"""Bodies and queries: what is not as the contract says is refused, and told field by field."""

import gzip
import io
import json
import unicodedata
from typing import Any

import pytest
from tests.functions.conftest import Functions, Reply

from pinjam.domain.loan import Loan
from pinjam.domain.user import User

REGISTER: dict[str, Any] = {
    "full_name": "Siti Rahmawati",
    "email": "siti1@example.com",
    "phone": "081234500001",
    "nik": "3171015508900001",
    "password": "correct horse battery",
    "consent": {"terms_version": "1", "privacy_version": "1"},
}
APPLY: dict[str, Any] = {"amount": 3_000_000, "tenor_months": 6, "purpose": "education", "consent": True}


def register(functions: Functions, body: object = None, language: str = "en", **how: Any) -> Reply:
    headers = {"Accept-Language": language}
    return functions.call("register", "POST", "/api/auth/register", body, headers=headers, **how)


def apply(functions: Functions, body: object, key: str = "k") -> Reply:
    (user,) = functions.world.all(User) or [functions.world.register()]
    headers = {"Accept-Language": "en"}
    return functions.call("apply_loan", "POST", "/api/loans/apply", body, user=user.id, key=key, headers=headers)


def errors(answer: Reply) -> list[tuple[str, str, str]]:
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-fields")
    return [(one["field"], one["code"], one["message"]) for one in answer.json["errors"]]


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data"],
)
def test_a_body_that_is_not_json_is_415(functions: Functions, content_type: str | None) -> None:
    answer = register(functions, data=json.dumps(REGISTER), content_type=content_type)
    assert (answer.status_code, answer.json["code"]) == (415, "json-required")


def test_a_charset_does_not_matter(functions: Functions) -> None:
    answer = register(functions, data=json.dumps(REGISTER), content_type="application/json; charset=utf-8")
    assert answer.status_code == 201


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "x", '""'])
def test_another_charset_than_utf_8_is_415(functions: Functions, charset: str) -> None:
    answer = register(functions, data=json.dumps(REGISTER), content_type=f"application/json; charset={charset}")
    assert (answer.status_code, answer.json["code"]) == (415, "json-required")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "x", "identity, gzip"])
def test_a_compressed_body_is_415(functions: Functions, encoding: str) -> None:
    text = gzip.compress(json.dumps(REGISTER).encode())
    headers = {"Content-Encoding": encoding, "Accept-Language": "en"}
    how: dict[str, Any] = {"data": text, "content_type": "application/json"}
    answer = functions.call("register", "POST", "/api/auth/register", headers=headers, **how)
    assert (answer.status_code, answer.json["code"]) == (415, "encoding-not-supported")
    form = {"kind": "ktp", "file": (io.BytesIO(b"x"), "x.png")}
    answer = functions.call("upload_doc", "POST", "/api/documents/upload", user="usr_1", headers=headers, data=form)
    assert (answer.status_code, answer.json["code"]) == (415, "encoding-not-supported")


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"{'a': 1}", b'{"a": 1,}', b'\xff{"a": 1}', b'{"a": "\\ud800"}', b"NaN", b"[" * 5000, b'{"a": 1}{}'],
    ids=["empty", "open", "quotes", "comma", "latin", "surrogate", "nan", "deep", "two"],
)
def test_a_body_that_cannot_be_read_is_400(functions: Functions, text: bytes) -> None:
    answer = register(functions, data=text, content_type="application/json")
    assert answer.status_code in (400, 422)
    assert answer.json["code"] == ("invalid-fields" if text == b"NaN" else "malformed-json")


@pytest.mark.parametrize("text", [b"[]", b"3", b'"x"', b"null", b"true"])
def test_json_that_is_no_object_is_422_of_the_body(functions: Functions, text: bytes) -> None:
    answer = register(functions, data=text, content_type="application/json")
    assert errors(answer) == [("body", "wrong-type", "is of the wrong type")]


def test_a_body_over_64_kb_is_413(functions: Functions) -> None:
    text = json.dumps(REGISTER)
    for size, status in ((64 * 1024, 201), (64 * 1024 + 1, 413)):
        padded = text + " " * (size - len(text))
        answer = register(functions, data=padded, content_type="application/json")
        assert answer.status_code == status
    assert answer.json["code"] == "body-too-large"


def test_a_body_of_unknown_length_has_the_same_limit(functions: Functions) -> None:
    answer = functions.clients["register"].post(
        "/api/auth/register",
        input_stream=io.BytesIO(b" " * 70_000),
        headers={"Transfer-Encoding": "chunked", "Content-Type": "application/json"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413


def test_every_missing_field_is_named(functions: Functions) -> None:
    assert [(field, code) for field, code, _ in errors(register(functions, {}))] == [
        (name, "required") for name in REGISTER
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"full_name": ""}, ("full_name", "too-short", "must have at least 1 characters")),
        ({"full_name": "x" * 101}, ("full_name", "too-long", "must have at most 100 characters")),
        ({"full_name": "   "}, ("full_name", "required", "is required")),
        ({"full_name": "a\x00b"}, ("full_name", "control-characters", "must not contain control characters")),
        ({"email": "no address"}, ("email", "email-invalid", "is not a valid e-mail address")),
        ({"password": "short"}, ("password", "too-short", "must have at least 8 characters")),
        ({"password": "12345678\x00"}, ("password", "control-characters", "must not contain control characters")),
        ({"phone": 81234500001}, ("phone", "wrong-type", "is of the wrong type")),
        ({"phone": "12"}, ("phone", "phone-invalid", "is not an Indonesian mobile number")),
        ({"nik": "317"}, ("nik", "nik-length", "a NIK has 16 digits")),
        ({"nik": "0071015508900001"}, ("nik", "nik-province", "the NIK's province code is unknown")),
        ({"locale": "fr"}, ("locale", "not-allowed", "must be one of 'id' or 'en'")),
        ({"consent": {"terms_version": "1"}}, ("consent.privacy_version", "required", "is required")),
        ({"nick": "Siti"}, ("nick", "unknown-field", "is not a known field")),
        ({"consent": REGISTER["consent"] | {"x": 1}}, ("consent.x", "unknown-field", "is not a known field")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_field_is_named_with_its_limit(
    functions: Functions, changes: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    answer = register(functions, REGISTER | changes)
    assert errors(answer) == [expected]
    assert functions.world.all(User) == []


def test_messages_are_in_indonesian_unless_asked_otherwise(functions: Functions) -> None:
    assert errors(register(functions, REGISTER | {"password": "x"}, "id")) == [
        ("password", "too-short", "paling sedikit 8 karakter")
    ]


def test_a_refusal_does_not_repeat_what_was_sent(functions: Functions) -> None:
    answer = register(
        functions, {"full_name": 5, "email": "Rahasia", "password": "kunci", "Rahasia2": {"x": "Rahasia"}}
    )
    assert answer.status_code == 422
    assert "kunci" not in answer.text
    assert "Rahasia" not in answer.text.replace("Rahasia2", "")


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"amount": "3000000"}, "amount", "wrong-type"),
        ({"amount": 3_000_000.0}, "amount", "wrong-type"),
        ({"amount": 3_000_000.5}, "amount", "wrong-type"),
        ({"amount": True}, "amount", "wrong-type"),
        ({"amount": None}, "amount", "wrong-type"),
        ({"amount": 0}, "amount", "too-low"),
        ({"amount": -1}, "amount", "too-low"),
        ({"amount": 10**12 + 1}, "amount", "too-high"),
        ({"amount": 10**4000}, "amount", "too-high"),
        ({"tenor_months": 1001}, "tenor_months", "too-high"),
        ({"consent": 1}, "consent", "wrong-type"),
        ({"consent": "true"}, "consent", "wrong-type"),
        ({"purpose": "gambling"}, "purpose", "not-allowed"),
        ({"monthly_income": -1}, "monthly_income", "too-low"),
        ({"monthly_income": "9000000"}, "monthly_income", "wrong-type"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_types_are_strict_and_amounts_bounded(
    functions: Functions, changes: dict[str, Any], field: str, code: str
) -> None:
    assert [(at, why) for at, why, _ in errors(apply(functions, APPLY | changes))] == [(field, code)]


def test_a_number_too_long_to_be_one_is_refused(functions: Functions) -> None:
    (user,) = [functions.world.register()]
    text = json.dumps(APPLY).replace("3000000", "9" * 5000)
    answer = functions.call(
        "apply_loan", "POST", "/api/loans/apply", user=user.id, key="k", data=text, content_type="application/json"
    )
    assert answer.status_code in (400, 422)


def test_an_amount_outside_the_policy_says_its_limit_in_rupiah(functions: Functions) -> None:
    functions.world.verified()
    answer = apply(functions, APPLY | {"amount": 12_100_000, "tenor_months": 13, "monthly_income": 9_000_000})
    assert errors(answer) == [
        ("amount", "amount-too-high", "must be at most Rp12.000.000"),
        ("tenor_months", "tenor-too-long", "must be at most 12 months"),
    ]


def test_without_consent_nothing_is_applied_for(functions: Functions) -> None:
    functions.world.verified()
    answer = apply(functions, APPLY | {"consent": False})
    assert (answer.status_code, answer.json["code"]) == (422, "consent-required")
    assert [one["field"] for one in answer.json["errors"]] == ["consent"]
    assert functions.world.all(Loan) == []


def test_a_field_inside_a_choice_is_named_as_it_was_sent(functions: Functions) -> None:
    user = functions.world.register()
    for method, field in (
        ({"type": "bank_transfer", "bank": "x"}, "method.bank"),
        ({"type": "bank_transfer"}, "method.bank"),
        ({"type": "qris", "bank": "bca"}, "method.bank"),
        ({"type": "cash"}, "method"),
        ({}, "method"),
        ("qris", "method"),
    ):
        body = {"loan_id": "loan_1", "kind": "instalment", "method": method}
        answer = functions.call("pay", "POST", "/api/payments", body, user=user.id, key="k")
        assert [one["field"] for one in answer.json["errors"]] == [field]


def test_a_wrong_item_of_a_list_is_named_by_its_place(functions: Functions) -> None:
    body = {"consent": True, "statements": [True, True, "yes", True, True, True]}
    answer = functions.call("loans", "POST", "/api/loans/loan_1/accept", body, user="usr_1", key="k")
    assert [(one["field"], one["code"]) for one in answer.json["errors"]] == [("statements[2]", "wrong-type")]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("", "amount", "required"),
        ("amount=x&tenor_months=6", "amount", "wrong-type"),
        ("amount=3000000&tenor_months=0", "tenor_months", "too-low"),
        ("amount=3000000.5&tenor_months=6", "amount", "wrong-type"),
        ("amount=100&tenor_months=6", "amount", "amount-too-low"),
    ],
)
def test_a_wrong_query_is_named_like_a_field(functions: Functions, query: str, field: str, code: str) -> None:
    answer = functions.call("loans", "GET", f"/api/loans/quote?{query}", user="usr_1")
    assert answer.status_code == 422
    assert (answer.json["errors"][0]["field"], answer.json["errors"][0]["code"]) == (field, code)


@pytest.mark.parametrize(
    ("query", "code"),
    [("limit=0", "too-low"), ("limit=101", "too-high"), ("cursor=x", "cursor"), ("limit=a", "wrong-type")],
)
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("loans", "/api/loans"),
        ("pay", "/api/payments"),
        ("upload_doc", "/api/documents"),
        ("notifications", "/api/notifications"),
    ],
)
def test_every_list_takes_the_same_pages(functions: Functions, name: str, path: str, query: str, code: str) -> None:
    user = functions.world.register()
    answer = functions.call(name, "GET", f"{path}?{query}", user=user.id)
    assert [(one["field"], one["code"]) for one in answer.json["errors"]] == [(query.split("=", maxsplit=1)[0], code)]
    assert functions.call(name, "GET", f"{path}?limit=100", user=user.id).json["next_cursor"] is None


def test_an_unknown_query_parameter_is_not_looked_at(functions: Functions) -> None:
    assert functions.call("loans", "GET", "/api/loans?utm=x", user=functions.world.register().id).status_code == 200


def test_a_midtrans_notification_may_have_more_fields_than_we_know(functions: Functions) -> None:
    body = {
        "order_id": "pay_1",
        "status_code": "200",
        "gross_amount": "1.00",
        "signature_key": "forged",
        "shopeepay_reference_number": {"x": [1]},
    }
    answer = functions.call("pay", "POST", "/api/payments/webhook/midtrans", body)
    assert (answer.status_code, answer.json["code"]) == (403, "bad-signature")


def test_a_password_is_the_same_however_a_keyboard_spells_it(functions: Functions) -> None:
    composed, decomposed, wide = (
        "caf\u00e9 \u00fcber alles",
        "cafe\u0301 u\u0308ber alles",
        "caf\u00e9 \u00fcber \uff41lles",
    )
    assert register(functions, REGISTER | {"password": decomposed}).status_code == 201
    for password in (composed, decomposed, wide):
        body = {"identifier": REGISTER["email"], "password": password}
        assert functions.call("login", "POST", "/api/auth/login", body).status_code == 200


@pytest.mark.parametrize("length", [128, 129])
def test_a_passwords_length_is_counted_in_its_one_spelling(functions: Functions, length: int) -> None:
    password = "".join(chr(0xC0 + number % 20) for number in range(length))
    decomposed = unicodedata.normalize("NFD", password)
    assert len(decomposed) > length
    answer = register(functions, REGISTER | {"password": decomposed})
    if length > 128:
        assert errors(answer) == [("password", "too-long", "must have at most 128 characters")]
    else:
        assert answer.status_code == 201


def test_why_a_password_is_refused_is_told_in_both_languages(functions: Functions) -> None:
    assert errors(register(functions, REGISTER | {"password": "sunshine1"})) == [
        ("password", "password-too-common", "is used by so many people that it is easy to guess")
    ]
    ((_, code, message),) = errors(register(functions, REGISTER | {"password": "Siti-Rahmawati"}, "id"))
    assert code == "password-contains-personal"
    assert "nama, email, nomor telepon, NIK" in message
    assert "8 karakter" in message
