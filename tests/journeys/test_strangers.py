"""What belongs to somebody else is not there, and a token that is not genuine opens nothing."""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from pinjam.local.road import Road, Walker

Check = Callable[..., dict[str, Any]]
NO_KEY = "Jwks doesn't have key to match kid or alg from Jwt"


def test_another_borrowers_loan_is_not_there(walker: Walker, new_walker: Callable[..., Walker], problem: Check) -> None:
    loan_id = walker.become_borrower()
    payment_id = walker.start_payment(loan_id, key="pay").expect(201)["id"]
    document_id = walker.profile().expect(200)["documents"][0]["id"]
    stranger = new_walker()
    stranger.become_verified()
    before = walker.loan(loan_id).expect(200)

    accept = {"consent": True, "statements": [True] * 6}
    for method, path, given, code in (
        ("GET", f"/api/loans/{loan_id}", {}, "loan-not-found"),
        ("GET", f"/api/loans/{loan_id}/summary", {}, "loan-not-found"),
        ("GET", f"/api/loans/{loan_id}/contract", {}, "loan-not-found"),
        ("POST", f"/api/loans/{loan_id}/accept", {"key": "mine", "body": accept}, "loan-not-found"),
        ("POST", f"/api/loans/{loan_id}/withdraw", {}, "loan-not-found"),
        ("GET", f"/api/documents/{document_id}", {}, "document-not-found"),
        ("GET", f"/api/payments/{payment_id}", {}, "payment-not-found"),
    ):
        refused = problem(stranger.call(method, path, **given), 404, code)
        absent = path.replace(loan_id, "loan_0").replace(document_id, "doc_0").replace(payment_id, "pay_0")
        nobodys = problem(stranger.call(method, absent, **{**given, "key": "absent"}), 404, code)
        # Whether it is another's or nobody's cannot be told.
        assert {**refused, "instance": ""} == {**nobodys, "instance": ""}
    problem(stranger.start_payment(loan_id, key="theirs"), 404, "loan-not-found")
    # The same key as the owner's is another key.
    problem(stranger.start_payment(loan_id, key="pay"), 404, "loan-not-found")
    assert stranger.call("GET", "/api/payments", query={"loan_id": loan_id}).expect(200)["payments"] == []
    assert stranger.call("GET", "/api/loans").expect(200)["loans"] == []
    assert {one["kind"] for one in stranger.told("identity-verified")} == {"identity-verified"}
    assert document_id not in str(stranger.call("GET", "/api/documents").expect(200))
    assert walker.loan(loan_id).expect(200) == before


@pytest.fixture(scope="module")
def forger() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def genuine(walker: Walker) -> str:
    walker.register().expect(201)
    assert walker.token is not None
    return walker.token


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def segment(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_every_kind_of_bad_token_is_refused_in_the_gateways_words_and_the_service_goes_on(
    walker: Walker, road: Road, genuine: str, forger: rsa.RSAPrivateKey
) -> None:
    kid = jwt.get_unverified_header(genuine)["kid"]
    header, payload, signature = genuine.split(".")
    claims, now = claims_of(genuine), int(time.time())

    def forged(**changes: object) -> str:
        return jwt.encode({**claims, **changes}, forger, algorithm="RS256", headers={"kid": kid})

    hmac_of_public = jwt.encode(claims, "a secret of thirty-two characters", algorithm="HS256", headers={"kid": kid})
    renamed = f"{header}.{segment({**claims, 'sub': 'usr_1'})}.{signature}"
    bad = {
        "another key": (forged(), 401, "Jwt verification fails"),
        "another person": (renamed, 401, "Jwt verification fails"),
        "no signature": (f"{header}.{payload}.", 401, "Jwt verification fails"),
        "an unknown key's id": (
            jwt.encode(claims, forger, algorithm="RS256", headers={"kid": "unknown"}), 401, NO_KEY
        ),
        "no algorithm": (f"{segment({'alg': 'none', 'typ': 'JWT'})}.{payload}.", 401, NO_KEY),
        "no algorithm, with the key's id": (f"{segment({'alg': 'none', 'kid': kid})}.{payload}.", 401, NO_KEY),
        "a secret shared by nobody": (hmac_of_public, 401, NO_KEY),
        "expired": (forged(exp=now - 3600), 401, "Jwt is expired"),
        "without an end": (forged(exp=None), 401, "Jwt payload [exp] field is not a positive integer"),
        "another project's audience": (forged(aud="another-project"), 403, "Audiences in Jwt are not allowed"),
        "another issuer": (forged(iss="https://issuer.example"), 401, "Jwt issuer is not configured"),
        "no token at all": (
            "nonsense", 401, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
        ),
    }  # fmt: skip
    for kind, (token, status, message) in bad.items():
        reply = road.call("GET", "/api/users/profile", token=token)
        assert (reply.status, reply.body) == (status, {"code": status, "message": message}), kind
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-request-id"]
        assert "error" in reply.headers["www-authenticate"]
    assert walker.profile().expect(200)["email"] == walker.person.email


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/users/profile"),
        ("PATCH", "/api/users/profile"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/biometric/enroll/options"),
        ("POST", "/api/auth/biometric/enroll"),
        ("GET", "/api/auth/biometric/credentials"),
        ("DELETE", "/api/auth/biometric/credentials/psk_1"),
        ("POST", "/api/documents/upload"),
        ("GET", "/api/documents"),
        ("GET", "/api/documents/doc_1"),
        ("GET", "/api/loans/quote"),
        ("POST", "/api/loans/apply"),
        ("GET", "/api/loans"),
        ("GET", "/api/loans/loan_1"),
        ("GET", "/api/loans/loan_1/summary"),
        ("GET", "/api/loans/loan_1/contract"),
        ("POST", "/api/loans/loan_1/accept"),
        ("POST", "/api/loans/loan_1/withdraw"),
        ("POST", "/api/payments"),
        ("GET", "/api/payments"),
        ("GET", "/api/payments/pay_1"),
        ("GET", "/api/notifications"),
        ("POST", "/api/notifications/ntf_1/read"),
        ("POST", "/api/notifications/read-all"),
        ("PUT", "/api/notifications/devices"),
        ("GET", "/api/notifications/preferences"),
        ("PUT", "/api/notifications/preferences"),
    ],
)
def test_without_a_token_the_gateway_answers_by_itself(method: str, path: str, road: Road) -> None:
    for headers in ({}, {"Authorization": "Basic dTpw"}, {"Authorization": "Bearer"}):
        reply = road.call(method, path, headers=headers)
        assert (reply.status, reply.body) == (401, {"code": 401, "message": "Jwt is missing"})
        assert reply.headers["www-authenticate"].startswith("Bearer realm=")


def test_a_client_cannot_tell_the_functions_who_it_is(walker: Walker, road: Road, genuine: str, problem: Check) -> None:
    claims = {"X-Apigateway-Api-Userinfo": genuine.split(".")[1], "X-Forwarded-Authorization": f"Bearer {genuine}"}
    assert road.call("GET", "/api/users/profile", headers=claims).status == 401
    # With a genuine token of one's own, what the client claims beside it does not count.
    other = {"X-Apigateway-Api-Userinfo": segment({"sub": "usr_1"}), "X-Forwarded-Authorization": "Bearer nonsense"}
    assert walker.call("GET", "/api/users/profile", headers=other).expect(200)["email"] == walker.person.email
    # On a public route the gateway lets these headers through, and the function must not care.
    wrong = {"identifier": walker.person.email, "password": "not it"}
    problem(road.call("POST", "/api/auth/login", body=wrong, headers=claims), 401, "invalid-credentials")


def test_the_functions_answer_nobody_but_the_gateway(walker: Walker, system: Any) -> None:
    url = system.app.settings.tasks.functions_url
    for name in ("notify", "decide_loan", "disburse", "verify_identity", "profile"):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = httpx.post(f"{url}/{name}", json={}, headers=headers, trust_env=False)
            assert answer.status_code == 401
    assert walker.token is None


def test_wrong_credentials_are_refused_alike_whoever_they_name(
    walker: Walker, new_walker: Callable[..., Walker], problem: Check
) -> None:
    walker.register().expect(201)
    unknown = new_walker()
    answers = [
        problem(walker.log_in(identifier, "not the password"), 401, "invalid-credentials")
        for identifier in (
            walker.person.email, walker.person.phone, unknown.person.email, unknown.person.phone, "hello", "@", "+62",
        )
    ]  # fmt: skip
    assert len({json.dumps({**answer, "instance": ""}) for answer in answers}) == 1


def test_guessing_a_password_is_stopped_after_a_while(walker: Walker, problem: Check) -> None:
    walker.register().expect(201)
    for _ in range(20):
        reply = walker.log_in(walker.person.email, "not the password")
        if reply.status != 401:
            break
    refused = problem(reply, 429, "too-many-attempts")
    assert int(reply.headers["retry-after"]) > 0
    assert reply.headers["retry-after"] in refused["detail"]
    # While it lasts, the right password is not even looked at, and no claim to come from elsewhere helps.
    problem(walker.log_in(walker.person.email), 429, "too-many-attempts")
    right = {"identifier": walker.person.email, "password": walker.person.password}
    elsewhere = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7", "X-Real-IP": "203.0.113.7"}
    problem(walker.road.call("POST", "/api/auth/login", body=right, headers=elsewhere), 429, "too-many-attempts")
