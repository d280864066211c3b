"""The local identity server answers the adapter's calls as Firebase's own emulator does, to the word."""

import uuid
from collections.abc import Callable

import httpx
import jwt
import pytest
from tests.identity_services import IdentityService

Shape = dict[str, object]
PASSWORD = "correct horse battery"


class Wire:
    """The adapter's calls, with its addresses and credentials, and the answers as they come."""

    def __init__(self, service: IdentityService) -> None:
        self.adapter = service.accounts
        self.name = uuid.uuid4().hex
        self.uid, self.email = f"usr_{self.name}", f"siti-{self.name}@example.id"
        self.create()
        self.session: dict[str, str] = self.sign_in(password=PASSWORD).json()

    def create(self, **changed: str) -> httpx.Response:
        return self.admin("", **({"localId": self.uid, "email": self.email, "password": PASSWORD} | changed))

    def admin(self, verb: str, **body: object) -> httpx.Response:
        return self._post(self.adapter._admin_url + verb, json=body, auth=self.adapter._admin)

    def sign_in(self, **changed: str) -> httpx.Response:
        return self._own("signInWithPassword", {"email": self.email, "password": PASSWORD} | changed)

    def sign_in_as(self, uid: str, claims: dict[str, str]) -> httpx.Response:
        return self.by_token(self.adapter._custom_token(uid, claims))

    def by_token(self, token: str) -> httpx.Response:
        return self._own("signInWithCustomToken", {"token": token})

    def refresh(self, token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return self._post(self.adapter._token_url, params={"key": self.adapter._api_key}, data=form)

    def disabled(self) -> "Wire":
        self.admin(":update", localId=self.uid, disableUser=True)
        return self

    def gone(self) -> "Wire":
        self.admin(":delete", localId=self.uid)
        return self

    def _own(self, verb: str, body: dict[str, str]) -> httpx.Response:
        url, params = f"{self.adapter._accounts_url}:{verb}", {"key": self.adapter._api_key}
        return self._post(url, params=params, json={**body, "returnSecureToken": True})

    def _post(self, url: str, **given: object) -> httpx.Response:
        return self.adapter._http().post(url, **given)  # type: ignore[arg-type]  # one of the shapes above


def shape(value: object) -> object:
    """The names and types in an answer."""
    return {name: shape(one) for name, one in value.items()} if isinstance(value, dict) else type(value).__name__


REFUSED: dict[str, Callable[[Wire], httpx.Response]] = {
    "a taken uid": lambda wire: wire.create(email=f"other-{wire.email}"),
    "a taken address": lambda wire: wire.create(localId=f"{wire.uid}b", email=wire.email.upper()),
    "a taken uid with a weak password": lambda wire: wire.create(password="12345"),
    "a taken address with a weak password": lambda wire: wire.create(localId=f"{wire.uid}b", password="12345"),
    "a weak password": lambda wire: wire.create(localId=f"{wire.uid}b", email=f"b{wire.email}", password="12345"),
    "no address to make an account of": lambda wire: wire.create(localId=f"{wire.uid}b", email="nobody"),
    "a wrong password": lambda wire: wire.sign_in(password="wrong"),
    "an unknown address": lambda wire: wire.sign_in(email=f"nobody-{wire.email}"),
    "no address": lambda wire: wire.sign_in(email="nobody"),
    "an empty address": lambda wire: wire.sign_in(email=""),
    "an empty password": lambda wire: wire.sign_in(password=""),
    "a disabled account's password": lambda wire: wire.disabled().sign_in(),
    "a disabled account's wrong password": lambda wire: wire.disabled().sign_in(password="wrong"),
    "a disabled account's custom token": lambda wire: wire.disabled().sign_in_as(wire.uid, {}),
    "a disabled account's refresh token": lambda wire: wire.disabled().refresh(wire.session["refreshToken"]),
    "a deleted account's password": lambda wire: wire.gone().sign_in(),
    "a deleted account's refresh token": lambda wire: wire.gone().refresh(wire.session["refreshToken"]),
    "a made-up refresh token": lambda wire: wire.refresh("made-up"),
    "an empty refresh token": lambda wire: wire.refresh(""),
    "a custom token for no uid": lambda wire: wire.sign_in_as("", {}),
    "a custom token with a claim of Firebase's": lambda wire: wire.sign_in_as(wire.uid, {"amr": "pwd"}),
    "an ID token for a custom token": lambda wire: wire.by_token(wire.session["idToken"]),
    "nonsense for a custom token": lambda wire: wire.by_token("nonsense"),
    "no custom token": lambda wire: wire.by_token(""),
    "nobody's revocation": lambda wire: wire.gone().admin(":update", localId=wire.uid, validSince="1"),
    "nobody's new password": lambda wire: wire.gone().admin(":update", localId=wire.uid, password=PASSWORD),
    "a weak new password": lambda wire: wire.admin(":update", localId=wire.uid, password="12345"),
    "nobody's deletion": lambda wire: wire.gone().admin(":delete", localId=wire.uid),
}

TAKEN: dict[str, Callable[[Wire], httpx.Response]] = {
    "an account": lambda wire: wire.create(localId=f"{wire.uid}b", email=f"b{wire.email}"),
    "a password": lambda wire: wire.sign_in(email=wire.email.upper()),
    "a custom token": lambda wire: wire.sign_in_as(wire.uid, {"passkey": "psk_1"}),
    "a custom token for a uid without an account": lambda wire: wire.sign_in_as(f"{wire.uid}b", {}),
    "a refresh token": lambda wire: wire.refresh(wire.session["refreshToken"]),
    "a revocation": lambda wire: wire.admin(":update", localId=wire.uid, validSince="1"),
    "a new password": lambda wire: wire.admin(":update", localId=wire.uid, password="another good one"),
    "a deletion": lambda wire: wire.admin(":delete", localId=wire.uid),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_gets_the_same_code(
    local_identity: IdentityService, official_emulator: IdentityService, case: str
) -> None:
    ours, theirs = (REFUSED[case](Wire(service)) for service in (local_identity, official_emulator))
    assert ours.status_code == theirs.status_code == 400
    codes = [answer.json()["error"]["message"].split(" : ") for answer in (ours, theirs)]
    assert codes[0][0] == codes[1][0]
    if codes[0][0] != "INVALID_CUSTOM_TOKEN":  # whose explanation is for people
        assert codes[0] == codes[1]
    assert shape(ours.json()) == shape(theirs.json())


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_taken_gets_the_same_fields_and_no_others(
    local_identity: IdentityService, official_emulator: IdentityService, case: str
) -> None:
    ours, theirs = (TAKEN[case](Wire(service)) for service in (local_identity, official_emulator))
    assert ours.status_code == theirs.status_code == 200
    expected = theirs.json()
    # More of the account than Firebase's documents promise, and nothing that the adapter reads.
    if expected.get("kind") == "identitytoolkit#SetAccountInfoResponse":
        expected = {name: value for name, value in expected.items() if name in ("kind", "localId", "email")}
    assert shape(ours.json()) == shape(expected)
    same = ("kind", "expiresIn", "expires_in", "token_type", "isNewUser", "registered")
    assert [ours.json().get(name) for name in same] == [expected.get(name) for name in same]


@pytest.mark.parametrize("case", ["a password", "a custom token", "a custom token for a uid without an account"])
def test_id_tokens_say_the_same(local_identity: IdentityService, official_emulator: IdentityService, case: str) -> None:
    said = []
    for service in (local_identity, official_emulator):
        wire = Wire(service)
        claims = jwt.decode(TAKEN[case](wire).json()["idToken"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 3600
        assert claims["auth_time"] <= claims["iat"]
        fixed = {name: value for name, value in claims.items() if name not in ("iat", "exp", "auth_time")}
        said.append(repr(sorted(fixed.items())).replace(wire.name, "NAME"))
    assert said[0] == said[1]
