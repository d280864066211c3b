"""Passkeys on the whole system, by an authenticator in software: the app's way, and what is refused on it."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.authenticator import Authenticator, Json

from pinjam.local.road import Reply, Road, Walker
from pinjam.local.system import LocalSystem

Check = Callable[..., dict[str, Any]]
AtOnce = Callable[[int, Callable[[int], Any]], list[Any]]
BIOMETRIC = "/api/auth/biometric"


@pytest.fixture
def phone(system: LocalSystem) -> Authenticator:
    return Authenticator(origin=f"http://localhost:{system.url.rpartition(':')[2]}", rp_id="localhost")


def enroll(walker: Walker, phone: Authenticator) -> Json:
    begun = walker.call("POST", f"{BIOMETRIC}/enroll/options").expect(200)
    credential = phone.create(begun["public_key"])
    body = {"challenge_id": begun["challenge_id"], "credential": credential, "device_name": "Pixel 9"}
    enrolled: Json = walker.call("POST", f"{BIOMETRIC}/enroll", body=body).expect(201)
    return enrolled


def signed(road: Road, phone: Authenticator, identifier: str | None = None) -> Json:
    begun = road.call("POST", f"{BIOMETRIC}/login/options", body={"identifier": identifier}).expect(200)
    return {"challenge_id": begun["challenge_id"], "credential": phone.get(begun["public_key"])}


def log_in(road: Road, body: Json) -> Reply:
    return road.call("POST", f"{BIOMETRIC}/login", body=body)


def test_a_passkey_gives_the_tokens_that_a_password_gives(walker: Walker, road: Road, phone: Authenticator) -> None:
    walker.register().expect(201)
    passkey = enroll(walker, phone)
    answer = log_in(road, signed(road, phone, walker.person.phone)).expect(200)
    by_password = walker.log_in(walker.person.email).expect(200)
    assert answer["user"] == by_password["user"]
    assert answer["tokens"].keys() == by_password["tokens"].keys()
    walker.token = answer["tokens"]["id_token"]
    assert walker.profile().expect(200)["id"] == answer["user"]["id"]
    refresh = {"refresh_token": answer["tokens"]["refresh_token"]}
    walker.token = road.call("POST", "/api/auth/refresh", body=refresh).expect(200)["tokens"]["id_token"]
    (listed,) = walker.call("GET", f"{BIOMETRIC}/credentials").expect(200)["credentials"]
    assert (listed["id"], listed["device_name"]) == (passkey["id"], "Pixel 9")
    assert listed["last_used_at"]
    walker.told("security-new-passkey")

    walker.call("DELETE", f"{BIOMETRIC}/credentials/{passkey['id']}").expect(204)
    assert walker.call("GET", f"{BIOMETRIC}/credentials").expect(200) == {"credentials": []}
    assert log_in(road, signed(road, phone)).expect(401)["code"] == "passkey-removed"
    walker.log_in(walker.person.email).expect(200)
    walker.call("POST", "/api/auth/logout").expect(204)


def test_one_answer_gets_in_once_however_often_it_comes_at_once(
    walker: Walker, road: Road, phone: Authenticator, at_once: AtOnce
) -> None:
    walker.register().expect(201)
    enroll(walker, phone)
    body = signed(road, phone)
    replies = at_once(4, lambda _: log_in(road, body))
    codes = sorted(reply.body.get("code", "in") for reply in replies)
    assert codes == ["in", *["passkey-challenge-used"] * 3]


def test_a_challenge_ends_with_the_business_clock(
    walker: Walker, road: Road, phone: Authenticator, problem: Check
) -> None:
    walker.register().expect(201)
    enroll(walker, phone)
    body = signed(road, phone)
    road.pass_minutes(5).expect(200)
    problem(log_in(road, body), 401, "passkey-challenge-expired")


def test_another_site_cannot_use_the_passkey(walker: Walker, road: Road, phone: Authenticator, problem: Check) -> None:
    walker.register().expect(201)
    enroll(walker, phone)
    phone.origin = "https://evil.example"
    problem(log_in(road, signed(road, phone)), 401, "passkey-wrong-origin")


def test_apps_find_what_they_share_with_the_domain(road: Road, system: LocalSystem) -> None:
    settings = system.app.settings.apps
    (link,) = road.call("GET", "/.well-known/assetlinks.json").expect(200)
    assert link["target"]["sha256_cert_fingerprints"] == list(settings.android_fingerprints)
    apple = road.call("GET", "/.well-known/apple-app-site-association").expect(200)
    assert apple == {"webcredentials": {"apps": [f"{settings.apple_team_id}.{settings.apple_bundle_id}"]}}


def test_the_page_runs_its_own_script_alone(road: Road) -> None:
    page, script = (road.call("GET", f"/sandbox/{name}") for name in ("passkey", "passkey.js"))
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert b"<script src=" in page.content
    assert b"navigator.credentials" in script.content
    for reply in (page, script):
        assert "default-src 'none'; script-src 'self'" in reply.headers["content-security-policy"]
