"""Every kind of bad JSON, field, header and path gets its documented status, code and words."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pinjam.local.road import Road, Walker

Check = Callable[..., dict[str, Any]]
MEGABYTE = 1024 * 1024


def faults(body: dict[str, Any]) -> set[tuple[str, str]]:
    """Which fields were refused, and why."""
    return {(one["field"], one["code"]) for one in body["errors"]}


def changed(body: dict[str, object], path: str, value: object) -> dict[str, object]:
    """The body with one value changed, perhaps in an object within."""
    copy: dict[str, Any] = json.loads(json.dumps(body))
    *outer, name = path.split(".")
    inner = copy
    for part in outer:
        inner = inner[part]
    inner[name] = value
    return copy


LONG = "a" * 101
REGISTRATION_FAULTS: list[tuple[str, object, str]] = [
    *((field, value, "wrong-type") for field in ("full_name", "email", "phone", "nik", "password") for value in (1,)),
    *((field, None, "wrong-type") for field in ("full_name", "email", "phone", "nik", "password", "consent")),
    ("full_name", "", "too-short"),
    ("full_name", "   ", "required"),
    ("consent.terms_version", "   ", "required"),
    ("consent.terms_version", "v" * 33, "too-long"),
    ("full_name", LONG, "too-long"),
    ("full_name", "🦊" * 101, "too-long"),
    ("full_name", "Budi 🦊", "name-characters"),
    ("full_name", "Budi <b>", "name-characters"),
    ("full_name", "Budi 2", "name-characters"),
    ("full_name", "Budi\x00Santoso", "control-characters"),
    ("full_name", "Budi\nSantoso", "control-characters"),
    ("full_name", "Budi\u202eSantoso", "control-characters"),
    ("full_name", ["Budi"], "wrong-type"),
    ("email", "budi", "email-invalid"),
    ("email", "budi@", "email-invalid"),
    ("email", "budi@exa mple.com", "email-invalid"),
    ("email", f"{'a' * 250}@example.com", "too-long"),
    ("phone", "021555555", "phone-invalid"),
    ("phone", "+6591234567", "phone-invalid"),
    ("phone", "08" + "1" * 31, "too-long"),
    ("phone", "halo-halo", "phone-invalid"),
    ("nik", "123", "nik-length"),
    ("nik", "317101150890000A", "nik-length"),
    ("nik", "٣١٧١٠١١٥٠٨٩٠٠٠٠١", "nik-length"),
    ("nik", "0071011508900001", "nik-province"),
    ("nik", "3171013102900001", "nik-birth-date"),
    ("nik", "3171011508200001", "nik-age"),
    ("nik", "3171011508900000", "nik-serial"),
    ("password", "rahasia", "too-short"),
    ("password", "x" * 129, "too-long"),
    ("password", "x\x00" * 8, "control-characters"),
    ("consent", {}, "required"),
    ("consent", True, "wrong-type"),
    ("consent.terms_version", "", "too-short"),
    ("consent.terms_version", None, "wrong-type"),
    ("consent.marketing", True, "unknown-field"),
    ("locale", "fr", "not-allowed"),
    ("role", "admin", "unknown-field"),
]


@pytest.mark.parametrize(("field", "value", "code"), REGISTRATION_FAULTS)
def test_a_sign_up_with_a_bad_field_is_refused_with_its_name_and_nothing_of_its_value(
    field: str, value: object, code: str, walker: Walker, road: Road, problem: Check
) -> None:
    body = changed(walker.person.registration, field, value)
    refused = problem(road.call("POST", "/api/auth/register", body=body), 422, "invalid-fields")
    # An empty consent lacks two fields, each named by itself.
    named = {("consent.terms_version", code), ("consent.privacy_version", code)} if value == {} else {(field, code)}
    assert faults(refused) == named
    if isinstance(value, str) and value.strip():
        assert value not in json.dumps(refused, ensure_ascii=False)


def test_every_bad_field_is_named_at_once_and_in_the_callers_language(
    walker: Walker, road: Road, problem: Check
) -> None:
    path, body = "/api/auth/register", {**walker.person.registration, "phone": "1", "nik": "2"}
    said = {}
    for language in ("id", "en"):
        headers = {"Accept-Language": f"{language}-{language.upper()},{language};q=0.9"}
        refused = problem(road.call("POST", path, body=body, headers=headers), 422, "invalid-fields", language=language)
        assert faults(refused) == {("phone", "phone-invalid"), ("nik", "nik-length")}
        said[language] = {one["message"] for one in refused["errors"]}
    assert said["id"] == {"bukan nomor telepon seluler Indonesia", "NIK terdiri dari 16 angka"}
    assert said["en"] == {"is not an Indonesian mobile number", "a NIK has 16 digits"}
    elsewhere = road.call("POST", path, body=body, headers={"Accept-Language": "de, fr;q=0.5"})
    problem(elsewhere, 422, "invalid-fields", language="id")


def test_names_of_every_script_and_length_up_to_the_limit_are_welcome(
    new_walker: Callable[..., Walker], road: Road
) -> None:
    for name in ("O", "Nyi Roro 'Ayu'", "Aïcha d'Été-Ñandú", "李小龙", "ꦱꦶꦠꦶ", "N" * 100):
        body = {**new_walker().person.registration, "full_name": name}
        assert road.call("POST", "/api/auth/register", body=body).expect(201)["user"]["full_name"] == name


BAD_JSON = {
    "nothing": (b"", 400, "malformed-json"),
    "not JSON": (b"amount=3000000", 400, "malformed-json"),
    "half of it": (b'{"identifier": "a", ', 400, "malformed-json"),
    "invalid UTF-8": (b'{"identifier": "\xff\xfe", "password": "x"}', 400, "malformed-json"),
    "a lone surrogate": (b'{"identifier": "\\ud800", "password": "x"}', 400, "malformed-json"),
    "not a number": (b'{"identifier": NaN, "password": "x"}', 422, "invalid-fields"),
    "a list": (b"[]", 422, "invalid-fields"),
    "a string": (b'"hello"', 422, "invalid-fields"),
    "null": (b"null", 422, "invalid-fields"),
    "deep nesting": (b'{"identifier": ' + b"[" * 30_000, 400, "malformed-json"),
    "deep and closed": (b'{"identifier": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, "malformed-json"),
    "a byte order mark": (b'\xef\xbb\xbf{"identifier": "a", "password": "x"}', 400, "malformed-json"),
    "more than 64 kB": (b'{"identifier": "' + b"a" * 70_000 + b'"}', 413, "body-too-large"),
    "more than any body": (b" " * 2 * MEGABYTE, 413, "body-too-large"),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_a_body_that_is_no_object_of_ours_is_refused(kind: str, road: Road, problem: Check) -> None:
    content, status, code = BAD_JSON[kind]
    headers = {"Content-Type": "application/json"}
    problem(road.call("POST", "/api/auth/login", content=content, headers=headers), status, code)


def test_a_key_given_twice_counts_as_its_last_value_and_does_no_harm(
    walker: Walker, road: Road, problem: Check
) -> None:
    walker.register().expect(201)
    twice = json.dumps({"identifier": "nobody@example.com", "password": walker.person.password})[:-1]
    content = f'{twice}, "identifier": "{walker.person.email}"}}'.encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    reply = road.call("POST", "/api/auth/login", content=content, headers=headers)
    assert reply.expect(200)["user"]["email"] == walker.person.email
    assert problem(walker.log_in("nobody@example.com"), 401, "invalid-credentials")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type_than_json_is_refused(content_type: str, road: Road, problem: Check) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    problem(road.call("POST", "/api/auth/login", content=b"{}", headers=headers), 415, "json-required")


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"monthly_income": 1.5}, "monthly_income", "wrong-type"),
        ({"status": "verified"}, "status", "unknown-field"),
        ({"credit_limit": 12_000_000}, "credit_limit", "unknown-field"),
        ({"bank_account": {"bank_code": "BCA", "account_number": "1234567890", "account_name": "A"}},
         "bank_account.bank_code", "invalid"),
        ({"bank_account": {"bank_code": "bca", "account_number": "12-34", "account_name": "A"}},
         "bank_account.account_number", "invalid"),
        ({"bank_account": {"bank_code": "bca", "account_number": "1234567890"}},
         "bank_account.account_name", "required"),
        ({"address": "x" * 301}, "address", "too-long"),
        ({"occupation": "\x1b[31m"}, "occupation", "control-characters"),
    ],
)  # fmt: skip
def test_a_profile_takes_no_bad_field_and_none_that_is_not_the_borrowers_to_change(
    body: dict[str, object], field: str, code: str, verified: Walker, problem: Check
) -> None:
    before = verified.profile().expect(200)
    assert faults(problem(verified.change(**body), 422, "invalid-fields")) == {(field, code)}
    assert verified.profile().expect(200) == before
