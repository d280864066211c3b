"""Passkeys over HTTP: each ceremony, each refusal's answer, and what apps are told about the domain."""

from typing import Any

import pytest
from tests.authenticator import Authenticator
from tests.functions.conftest import Functions, Reply

from pinjam.domain.user import User

FINGERPRINT = ":".join(["AB"] * 32)


@pytest.fixture
def siti(functions: Functions) -> User:
    return functions.world.register()


def call(functions: Functions, method: str, path: str, body: object = None, **how: Any) -> Reply:
    return functions.call("login", method, f"/api/auth/biometric/{path}", body, **how)


def begun(functions: Functions, path: str, body: object = None, **how: Any) -> tuple[str, Any]:
    reply = call(functions, "POST", f"{path}/options", body, **how)
    assert (reply.status_code, set(reply.json)) == (200, {"challenge_id", "public_key"}), reply.text
    return reply.json["challenge_id"], reply.json["public_key"]


def enroll(functions: Functions, user: User, device: Authenticator, **changes: Any) -> Reply:
    challenge_id, options = begun(functions, "enroll", user=user.id)
    body = {"challenge_id": challenge_id, "credential": device.create(options), "device_name": "Pixel 9"}
    return call(functions, "POST", "enroll", body | changes, user=user.id)


def log_in(functions: Functions, device: Authenticator, body: object, **changes: Any) -> Reply:
    challenge_id, options = begun(functions, "login", body)
    given = {"challenge_id": challenge_id, "credential": device.get(options)}
    return call(functions, "POST", "login", given | changes, headers={"Accept-Language": "en"})


def test_a_passkey_from_enrolment_to_removal(functions: Functions, siti: User) -> None:
    phone = Authenticator()
    enrolled = enroll(functions, siti, phone)
    assert enrolled.status_code == 201
    passkey_id = enrolled.json["id"]
    assert enrolled.json == {"id": passkey_id, "device_name": "Pixel 9", "created_at": "2026-11-24T02:00:00.000Z"}
    by_password = functions.call(
        "login", "POST", "/api/auth/login", {"identifier": siti.email, "password": "correct horse battery"}
    )
    for body in ({"identifier": "0812-3450-0001"}, {"identifier": None}, {}):
        answer = log_in(functions, phone, body)
        assert answer.status_code == 200
        assert answer.json["user"] == by_password.json["user"]
        assert set(answer.json["tokens"]) == set(by_password.json["tokens"])
        assert functions.world.accounts.verify(answer.json["tokens"]["id_token"])["sub"] == siti.id
    listed = call(functions, "GET", "credentials", user=siti.id)
    assert listed.json == {
        "credentials": [
            {
                **enrolled.json,
                "last_used_at": "2026-11-24T02:00:00.000Z",
                "blocked_at": None,
                "backed_up": True,
            }
        ]
    }
    gone = call(functions, "DELETE", f"credentials/{passkey_id}", user=siti.id)
    assert (gone.status_code, gone.text) == (204, "")
    again = call(functions, "DELETE", f"credentials/{passkey_id}", user=siti.id)
    assert (again.status_code, again.json["code"]) == (404, "passkey-not-found")
    assert call(functions, "GET", "credentials", user=siti.id).json == {"credentials": []}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "enroll/options"),
        ("POST", "enroll"),
        ("GET", "credentials"),
        ("DELETE", "credentials/psk_1"),
    ],
)
def test_passkeys_are_kept_by_who_is_logged_in(functions: Functions, method: str, path: str) -> None:
    answer = call(functions, method, path, {})
    assert (answer.status_code, answer.json["code"]) == (401, "token-required")


def test_a_refusal_is_a_problem_in_the_callers_language(functions: Functions, siti: User) -> None:
    phone = Authenticator()
    enroll(functions, siti, phone)
    phone.origin = "https://evil.example"
    answer = log_in(functions, phone, {})
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
    assert (answer.json["code"], answer.json["title"]) == ("passkey-wrong-origin", "Unknown origin")
    refused = enroll(functions, siti, Authenticator(rp_id="evil.example"))
    assert (refused.status_code, refused.json["code"]) == (422, "passkey-wrong-rp")
    assert refused.json["title"] == "Passkey layanan lain"
    (first, second) = functions.world.trail(siti.id)[-2:]
    assert (first.action, second.action) == ("passkey-refused", "passkey-refused")
    assert (first.actor, first.after["reason"]) == ("anonymous", "passkey-wrong-origin")
    assert (second.actor, second.after["reason"]) == (siti.id, "passkey-wrong-rp")


def test_no_credential_and_no_challenge_reach_the_log(
    functions: Functions, siti: User, lines: pytest.LogCaptureFixture
) -> None:
    phone = Authenticator()
    enroll(functions, siti, phone)
    log_in(functions, phone, {"identifier": siti.email})
    assert lines.records
    told = " ".join(str(vars(record)) for record in lines.records)
    for secret in (siti.email, "Pixel", functions.world.app.passkeys.list(siti.id)[0].credential_id, "chl_"):
        assert secret not in told


CREDENTIAL: dict[str, Any] = {
    "id": "AAAA",
    "rawId": "AAAA",
    "type": "public-key",
    "response": {"clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA"},
}


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"credential": CREDENTIAL}, "challenge_id", "required"),
        ({"challenge_id": "x y", "credential": CREDENTIAL}, "challenge_id", "invalid"),
        ({"challenge_id": "x"}, "credential", "required"),
        ({"challenge_id": "x", "credential": "AAAA"}, "credential", "wrong-type"),
        ({"challenge_id": "x", "credential": CREDENTIAL | {"type": "password"}}, "credential.type", "not-allowed"),
        ({"challenge_id": "x", "credential": CREDENTIAL | {"id": "no base64"}}, "credential.id", "invalid"),
        ({"challenge_id": "x", "credential": CREDENTIAL | {"id": "A" * 1401}}, "credential.id", "too-long"),
        (
            {"challenge_id": "x", "credential": CREDENTIAL | {"response": {}}},
            "credential.response.signature",
            "required",
        ),
    ],
    ids=str,
)
def test_a_credential_of_another_shape_is_422(functions: Functions, body: object, field: str, code: str) -> None:
    answer = call(functions, "POST", "login", body)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-fields")
    assert (field, code) in [(one["field"], one["code"]) for one in answer.json["errors"]]


@pytest.mark.parametrize(
    ("name", "code"),
    [("", "too-short"), ("  ", "required"), ("D" * 65, "too-long"), ("a\nb", "control-characters")],
)
def test_a_device_has_a_name_of_one_short_line(functions: Functions, siti: User, name: str, code: str) -> None:
    answer = enroll(functions, siti, Authenticator(), device_name=name)
    assert [(one["field"], one["code"]) for one in answer.json["errors"]] == [("device_name", code)]


def test_garbage_in_the_right_shape_is_refused_and_noted(functions: Functions, siti: User) -> None:
    enroll(functions, siti, Authenticator())
    challenge_id, _ = begun(functions, "login", {"identifier": siti.email})
    answer = call(functions, "POST", "login", {"challenge_id": challenge_id, "credential": CREDENTIAL})
    assert (answer.status_code, answer.json["code"]) == (401, "passkey-malformed")
    assert functions.world.trail(siti.id)[-1].after["reason"] == "passkey-malformed"


def test_an_unavailable_identity_service_is_503_after_the_passkey_was_good(functions: Functions, siti: User) -> None:
    phone = Authenticator()
    enroll(functions, siti, phone)
    functions.world.accounts.down = True
    answer = log_in(functions, phone, {})
    assert (answer.status_code, answer.json["code"]) == (503, "service-unavailable")
    functions.world.accounts.down = False
    assert log_in(functions, phone, {}).status_code == 200


def test_apps_are_told_which_of_them_share_our_passkeys(functions: Functions) -> None:
    android = functions.call("login", "GET", "/.well-known/assetlinks.json")
    assert (android.status_code, android.content_type) == (200, "application/json")
    assert android.headers["Cache-Control"] == "public, max-age=3600"
    assert android.json == [
        {
            "relation": ["delegate_permission/common.handle_all_urls", "delegate_permission/common.get_login_creds"],
            "target": {
                "namespace": "android_app",
                "package_name": "example.app",
                "sha256_cert_fingerprints": [FINGERPRINT, FINGERPRINT],
            },
        }
    ]
    apple = functions.call("login", "GET", "/.well-known/apple-app-site-association")
    assert (apple.status_code, apple.content_type) == (200, "application/json")
    assert apple.json == {"webcredentials": {"apps": ["TEAM000000.example.app.ios"]}}


def test_asking_too_often_for_one_account_is_429_whoever_has_it(functions: Functions, siti: User) -> None:
    phone = Authenticator()
    enroll(functions, siti, phone)
    for identifier in (siti.email, "nobody@example.com"):
        answers = [call(functions, "POST", "login/options", {"identifier": identifier}) for _ in range(31)]
        assert [one.status_code for one in answers] == [200] * 30 + [429]
        assert int(answers[-1].headers["Retry-After"]) > 0
    # Without an identifier the borrower still gets in.
    assert log_in(functions, phone, {}).status_code == 200
