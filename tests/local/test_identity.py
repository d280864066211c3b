import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jwt
import psycopg
import pytest
from argon2 import PasswordHasher
from psycopg_pool import ConnectionPool

from pinjam.local.identity import JWKS_PATH, create_identity
from pinjam.local.identity_accounts import LOCK_S, MAX_FAILURES, WINDOW_S, owasp_hasher
from pinjam.local.identity_tokens import SigningKey
from pinjam.local.servers import WsgiServer

PROJECT = "pinjam-test"
KEY = {"key": "a-key"}
ADMIN = {"Authorization": "Bearer an-admin"}


class CountingHasher(PasswordHasher):
    """A cheap argon2id that counts how often it verifies."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # its Literal[True] is not exported
        self.verified += 1
        return super().verify(hash, password)


@dataclass
class Identity:
    pool: ConnectionPool
    state: Path
    now: float = 1_800_000_000.0
    hasher: CountingHasher = field(default_factory=CountingHasher)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False))
    server: WsgiServer | None = None

    def start(self) -> None:
        app = create_identity(
            self.pool,
            key_file=self.state / "identity-key.pem",
            project=PROJECT,
            api_key="a-key",
            admin_token="an-admin",
            clock=lambda: self.now,
            hasher=self.hasher,
        )
        self.server = WsgiServer(app).start()
        self.client.base_url = httpx.URL(self.server.url)

    def stop(self) -> None:
        assert self.server is not None
        self.server.stop()

    def call(self, verb: str, **body: object) -> httpx.Response:
        return self.client.post(f"/v1/accounts:{verb}", params=KEY, json=body)

    def admin(self, verb: str = "", **body: object) -> httpx.Response:
        return self.client.post(f"/v1/projects/{PROJECT}/accounts{verb}", headers=ADMIN, json=body)

    def sign_in(self, password: str = "correct horse", email: str = "siti@example.id") -> httpx.Response:
        return self.call("signInWithPassword", email=email, password=password, returnSecureToken=True)

    def refresh(self, token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return self.client.post("/v1/token", params=KEY, data=form)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "identity-key.pem"
    SigningKey(path)
    return path


@pytest.fixture
def identity(database_url: str, key_file: Path) -> Iterator[Identity]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS local_identity CASCADE")
    with ConnectionPool(database_url, min_size=1, max_size=4, open=True) as pool:
        running = Identity(pool, key_file.parent)
        running.start()
        with running.client:
            answer = running.admin(localId="usr_1", email="Siti@Example.id", password="correct horse")
            assert answer.status_code == 200, answer.text
            yield running
        running.stop()


def code(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == 400
    assert error["errors"][0]["message"] == error["message"]
    return str(error["message"])


def test_an_id_token_is_like_firebases_and_proven_by_the_published_keys(identity: Identity) -> None:
    answer = identity.sign_in().json()
    keys = jwt.PyJWKSet.from_dict(identity.client.get(JWKS_PATH).json())
    kid = jwt.get_unverified_header(answer["idToken"])["kid"]
    claims = jwt.decode(
        answer["idToken"], keys[kid], algorithms=["RS256"], audience=PROJECT, options={"verify_iat": False}
    )
    assert claims == {
        "iss": f"https://securetoken.google.com/{PROJECT}",
        "aud": PROJECT,
        "auth_time": 1_800_000_000,
        "user_id": "usr_1",
        "sub": "usr_1",
        "iat": 1_800_000_000,
        "exp": 1_800_003_600,
        "email": "siti@example.id",
        "email_verified": False,
        "firebase": {"identities": {"email": ["siti@example.id"]}, "sign_in_provider": "password"},
    }
    assert (answer["localId"], answer["expiresIn"]) == ("usr_1", "3600")


def test_a_taken_id_or_address_is_refused(identity: Identity) -> None:
    assert code(identity.admin(localId="usr_1", email="b@example.id", password="long enough")) == "DUPLICATE_LOCAL_ID"
    assert code(identity.admin(localId="usr_2", email="SITI@example.id", password="long enough")) == "EMAIL_EXISTS"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"email": "b@example.id", "password": "long enough"}, "MISSING_LOCAL_ID"),
        ({"localId": "usr_2", "email": "nobody", "password": "long enough"}, "INVALID_EMAIL"),
        ({"localId": "usr_2", "email": "b@example.id", "password": "short"}, "WEAK_PASSWORD"),
        ({"localId": "usr_2", "email": "b@example.id", "password": 12345678}, "MISSING_PASSWORD"),
        ({"localId": "usr_2\0", "email": "b@example.id", "password": "long enough"}, "MISSING_LOCAL_ID"),
    ],
)
def test_an_account_needs_an_id_an_address_and_a_password(
    identity: Identity, body: dict[str, object], expected: str
) -> None:
    answer = identity.client.post(f"/v1/projects/{PROJECT}/accounts", headers=ADMIN, json=body)
    assert code(answer).startswith(expected)


def test_an_unknown_address_and_a_wrong_password_answer_alike_after_one_verification_each(identity: Identity) -> None:
    assert code(identity.sign_in(password="wrong")) == "INVALID_LOGIN_CREDENTIALS"
    assert identity.hasher.verified == 1
    assert code(identity.sign_in(email="nobody@example.id")) == "INVALID_LOGIN_CREDENTIALS"
    assert identity.hasher.verified == 2


def fail(identity: Identity, times: int, email: str = "siti@example.id") -> list[str]:
    return [code(identity.sign_in(password="wrong", email=email)) for _ in range(times)]


@pytest.mark.parametrize("email", ["siti@example.id", "nobody@example.id"])
def test_ten_failures_lock_an_address_for_a_minute_whether_it_has_an_account_or_not(
    identity: Identity, email: str
) -> None:
    assert set(fail(identity, MAX_FAILURES, email)) == {"INVALID_LOGIN_CREDENTIALS"}
    assert code(identity.sign_in(email=email)) == "TOO_MANY_ATTEMPTS_TRY_LATER"
    identity.now += LOCK_S - 1
    assert code(identity.sign_in(email=email)) == "TOO_MANY_ATTEMPTS_TRY_LATER"


def test_a_lock_ends_by_itself_and_the_count_starts_anew(identity: Identity) -> None:
    fail(identity, MAX_FAILURES)
    identity.now += LOCK_S
    fail(identity, MAX_FAILURES - 1)
    assert identity.sign_in().status_code == 200


def test_failures_are_forgotten_after_their_window(identity: Identity) -> None:
    fail(identity, MAX_FAILURES - 1)
    identity.now += WINDOW_S + 1
    fail(identity, 1)
    assert identity.sign_in().status_code == 200


def test_a_success_forgets_the_failures_before_it(identity: Identity) -> None:
    fail(identity, MAX_FAILURES - 1)
    identity.sign_in()
    fail(identity, 1)
    assert identity.sign_in().status_code == 200


def test_a_refresh_gives_a_token_of_the_same_sign_in(identity: Identity) -> None:
    first = identity.sign_in().json()
    identity.now += 1800
    again = identity.refresh(first["refreshToken"]).json()
    claims = jwt.decode(again["id_token"], options={"verify_signature": False})
    assert (claims["auth_time"], claims["iat"]) == (1_800_000_000, 1_800_001_800)
    assert (again["user_id"], again["expires_in"], again["token_type"]) == ("usr_1", "3600", "Bearer")


SIGNER = f"pinjam@{PROJECT}.iam.gserviceaccount.com"
SIGN_JWT = f"/v1/projects/-/serviceAccounts/{SIGNER}:signJwt"
CUSTOM: dict[str, object] = {
    "iss": SIGNER,
    "sub": SIGNER,
    "aud": "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit",
    "iat": 1_800_000_000,
    "exp": 1_800_000_300,
    "uid": "usr_1",
    "claims": {"passkey": "psk_1"},
}


def sign(identity: Identity, payload: object) -> httpx.Response:
    return identity.client.post(SIGN_JWT, headers=ADMIN, json={"payload": payload})


def custom(identity: Identity, **changes: object) -> str:
    """A custom token; a change to None leaves the claim out."""
    claims = {name: value for name, value in {**CUSTOM, **changes}.items() if value is not None}
    return str(sign(identity, json.dumps(claims)).json()["signedJwt"])


def test_a_custom_token_signs_in_as_firebase_does(identity: Identity) -> None:
    answer = identity.call("signInWithCustomToken", token=custom(identity), returnSecureToken=True).json()
    assert (answer["kind"], answer["isNewUser"], answer["expiresIn"]) == (
        "identitytoolkit#VerifyCustomTokenResponse",
        False,
        "3600",
    )
    refreshed = identity.refresh(answer["refreshToken"]).json()["id_token"]
    for token in (answer["idToken"], refreshed):
        claims = jwt.decode(token, options={"verify_signature": False})
        assert (claims["sub"], claims["passkey"]) == ("usr_1", "psk_1")
        assert claims["firebase"]["sign_in_provider"] == "custom"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": PROJECT},
        {"aud": None},
        {"iss": "another@example.com"},
        {"sub": "another@example.com"},
        {"exp": 1_800_003_601},
        {"exp": 1_800_000_000},
        {"exp": "1800000300"},
        {"exp": None},
        {"iat": 1_800_000_061, "exp": 1_800_000_300},
        {"iat": None},
        {"uid": 7},
        {"uid": "u" * 129},
    ],
    ids=str,
)
def test_a_custom_token_with_one_wrong_claim_is_refused(identity: Identity, changes: dict[str, object]) -> None:
    refused = identity.call("signInWithCustomToken", token=custom(identity, **changes))
    assert code(refused).startswith("INVALID_CUSTOM_TOKEN : ")
    latest = custom(identity, exp=1_800_003_600, iat=1_800_000_000, claims=None)
    assert identity.call("signInWithCustomToken", token=latest).status_code == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"uid": ""}, "MISSING_IDENTIFIER"),
        ({"uid": None}, "MISSING_IDENTIFIER"),
        ({"claims": []}, "INVALID_CLAIMS"),
        ({"claims": {"amr": "pwd"}}, "FORBIDDEN_CLAIM : amr"),
        ({"claims": {"firebase": {}}}, "FORBIDDEN_CLAIM : firebase"),
        ({"claims": {"long": "x" * 1000}}, "CLAIMS_TOO_LARGE"),
    ],
    ids=str,
)
def test_a_custom_token_that_says_what_it_may_not_is_refused(
    identity: Identity, changes: dict[str, object], expected: str
) -> None:
    assert code(identity.call("signInWithCustomToken", token=custom(identity, **changes))) == expected


def test_a_custom_token_of_another_key_is_refused(identity: Identity, key_file: Path) -> None:
    forged = [
        SigningKey(key_file).sign(CUSTOM),
        jwt.encode(CUSTOM, "s" * 64, algorithm="HS256"),
        jwt.encode(CUSTOM, "", algorithm="none"),
        custom(identity)[:-4] + "AAAA",
        identity.sign_in().json()["idToken"],
        "nonsense",
        "é.x.y",
    ]
    for token in forged:
        assert code(identity.call("signInWithCustomToken", token=token)).startswith("INVALID_CUSTOM_TOKEN")
    assert code(identity.call("signInWithCustomToken")) == "MISSING_CUSTOM_TOKEN"
    assert code(identity.call("lookup", idToken=custom(identity))) == "INVALID_ID_TOKEN"


def test_a_custom_token_for_a_uid_without_an_account_makes_one_without_an_address(identity: Identity) -> None:
    for new in (True, False):
        answer = identity.call("signInWithCustomToken", token=custom(identity, uid="usr_9")).json()
        assert answer["isNewUser"] is new
        claims = jwt.decode(answer["idToken"], options={"verify_signature": False})
        assert (claims["sub"], claims["firebase"]["identities"]) == ("usr_9", {})
        assert not {"email", "email_verified"} & claims.keys()
    assert code(identity.sign_in(email="usr_9")) == "INVALID_EMAIL"


def test_a_custom_token_for_a_disabled_account_is_refused(identity: Identity) -> None:
    identity.admin(":update", localId="usr_1", disableUser=True)
    assert code(identity.call("signInWithCustomToken", token=custom(identity))) == "USER_DISABLED"


def test_only_the_admin_has_the_service_account_sign(identity: Identity) -> None:
    body = {"payload": json.dumps(CUSTOM)}
    assert identity.client.post(SIGN_JWT, json=body).status_code == 403
    other = SIGN_JWT.replace("pinjam@", "other@")
    assert identity.client.post(other, headers=ADMIN, json=body).status_code == 403
    for payload in ("[]", "{", 3, None):
        assert code(sign(identity, payload)) == "INVALID_ARGUMENT"


def test_the_service_accounts_key_outlives_a_restart_and_is_no_key_of_id_tokens(identity: Identity) -> None:
    token = custom(identity)
    identity.stop()
    identity.start()
    assert identity.call("signInWithCustomToken", token=token).status_code == 200
    assert jwt.get_unverified_header(token)["kid"] not in str(identity.client.get(JWKS_PATH).json())


def test_a_made_up_refresh_token_is_refused(identity: Identity) -> None:
    assert code(identity.refresh("made-up")) == "INVALID_REFRESH_TOKEN"


def test_revocation_ends_earlier_sessions_even_of_the_same_second_and_no_later_one(identity: Identity) -> None:
    earlier = identity.sign_in().json()["refreshToken"]
    assert identity.admin(":update", localId="usr_1", validSince=str(int(identity.now))).status_code == 200
    later = identity.sign_in().json()["refreshToken"]
    assert code(identity.refresh(earlier)) == "TOKEN_EXPIRED"
    assert identity.refresh(later).status_code == 200


def test_a_disabled_account_gets_no_token(identity: Identity) -> None:
    token = identity.sign_in().json()["refreshToken"]
    identity.admin(":update", localId="usr_1", disableUser=True)
    assert code(identity.sign_in()) == "USER_DISABLED"
    assert code(identity.refresh(token)) == "USER_DISABLED"


def test_a_new_password_replaces_the_old_one_and_ends_its_sessions(identity: Identity) -> None:
    session = identity.sign_in().json()
    changed = identity.call(
        "update", idToken=session["idToken"], password="another battery", returnSecureToken=True
    ).json()
    assert code(identity.sign_in()) == "INVALID_LOGIN_CREDENTIALS"
    assert identity.sign_in("another battery").status_code == 200
    assert code(identity.refresh(session["refreshToken"])) == "TOKEN_EXPIRED"
    assert identity.refresh(changed["refreshToken"]).status_code == 200


def test_a_caller_looks_up_and_deletes_its_own_account(identity: Identity) -> None:
    token = identity.sign_in().json()["idToken"]
    user = identity.call("lookup", idToken=token).json()["users"][0]
    assert (user["localId"], user["email"], user["disabled"]) == ("usr_1", "siti@example.id", False)
    assert "password" not in str(user).lower()
    assert identity.call("delete", idToken=token).status_code == 200
    assert code(identity.call("lookup", idToken=token)) == "USER_NOT_FOUND"


@pytest.mark.parametrize("token", ["", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c3JfMSJ9."])
def test_a_bad_id_token_is_refused(identity: Identity, token: str) -> None:
    assert code(identity.call("lookup", idToken=token)) in {"INVALID_ID_TOKEN", "MISSING_ID_TOKEN"}


def test_an_expired_id_token_is_refused(identity: Identity) -> None:
    token = identity.sign_in().json()["idToken"]
    identity.now += 3600
    assert code(identity.call("lookup", idToken=token)) == "TOKEN_EXPIRED"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"/v1/projects/{PROJECT}/accounts", {}, "PERMISSION_DENIED"),
        (f"/v1/projects/{PROJECT}/accounts", {"Authorization": "Bearer guess"}, "UNAUTHENTICATED"),
        ("/v1/projects/other/accounts:update", ADMIN, "PERMISSION_DENIED"),
    ],
)
def test_only_the_projects_admin_manages_accounts(
    identity: Identity, path: str, headers: dict[str, str], status: str
) -> None:
    answer = identity.client.post(path, headers=headers, json={"localId": "usr_1"})
    assert answer.status_code == {"PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401}[status]
    assert answer.json()["error"]["status"] == status


def test_a_call_without_the_api_key_is_refused(identity: Identity) -> None:
    path, body = "/v1/accounts:signInWithPassword", {"email": "a@b.id", "password": "x"}
    assert identity.client.post(path, json=body).status_code == 403
    assert code(identity.client.post(path, params={"key": "guess"}, json=body)).startswith("API key not valid")


def test_a_body_that_is_no_json_object_is_refused(identity: Identity) -> None:
    for content in (b"{", b"[]", b"\xff"):
        answer = identity.client.post("/v1/accounts:signInWithPassword", params=KEY, content=content)
        assert code(answer) == "Invalid JSON payload received."


def test_tokens_outlive_a_restart(identity: Identity) -> None:
    session = identity.sign_in().json()
    identity.stop()
    identity.start()
    assert identity.call("lookup", idToken=session["idToken"]).status_code == 200
    assert identity.refresh(session["refreshToken"]).status_code == 200


def test_the_signing_key_is_readable_by_its_owner_only(identity: Identity) -> None:
    assert (identity.state / "identity-key.pem").stat().st_mode & 0o777 == 0o600


def test_neither_passwords_nor_refresh_tokens_are_stored(identity: Identity) -> None:
    token = identity.sign_in().json()["refreshToken"]
    with identity.pool.connection() as connection:
        rows = connection.execute("SELECT password_hash FROM local_identity.accounts").fetchall()
        rows += connection.execute("SELECT token_hash FROM local_identity.refresh_tokens").fetchall()
    assert rows[0][0].startswith("$argon2id$")
    assert "correct horse" not in str(rows)
    assert token not in str(rows)


def test_passwords_are_hashed_as_owasp_asks() -> None:
    hasher = owasp_hasher()
    assert (hasher.type.name, hasher.memory_cost, hasher.time_cost, hasher.parallelism) == ("ID", 19456, 2, 1)
