"""What every adapter of `ports.Accounts` does, run against the local identity server and Firebase's own emulator."""

import socket
import threading
import uuid
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.identity_services import PROJECT, IdentityService

from pinjam.adapters.firebase_auth import FirebaseAccounts
from pinjam.adapters.id_tokens import FirebaseTokenVerifier
from pinjam.local.identity import service_account
from pinjam.local.identity_accounts import MAX_FAILURES
from pinjam.local.servers import WsgiServer
from pinjam.services.ports import (
    AccountExists,
    Accounts,
    Refused,
    Tokens,
    TokenVerifier,
    TooManyAttempts,
    Unavailable,
    WrongCredentials,
)

PASSWORD = "correct horse battery"


@pytest.fixture(params=["local_identity", "official_emulator"])
def service(request: pytest.FixtureRequest) -> IdentityService:
    """Each service in turn; where the emulator is known to differ, a test names `local_identity` instead."""
    made: IdentityService = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def accounts(service: IdentityService) -> Accounts:
    return service.accounts


@pytest.fixture
def verifier(service: IdentityService) -> TokenVerifier:
    return service.verifier


@pytest.fixture
def siti(accounts: Accounts) -> tuple[str, str]:
    """A fresh account's uid and address."""
    name = uuid.uuid4().hex
    uid, email = f"usr_{name}", f"siti-{name}@example.id"
    accounts.create(uid=uid, email=email, password=PASSWORD)
    return uid, email


def sign_in(accounts: Accounts, siti: tuple[str, str]) -> Tokens:
    return accounts.sign_in(email=siti[1], password=PASSWORD)


def refreshes_after_a_revocation(accounts: Accounts, siti: tuple[str, str]) -> None:
    tokens = sign_in(accounts, siti)
    accounts.revoke(siti[0])
    assert accounts.refresh(tokens.refresh_token).id_token


def refreshes_after_a_new_password(accounts: Accounts, siti: tuple[str, str]) -> None:
    tokens = sign_in(accounts, siti)
    accounts.set_password(siti[0], password="another good password")
    assert accounts.refresh(tokens.refresh_token).id_token


def takes_any_number_of_guesses(accounts: Accounts, siti: tuple[str, str]) -> None:
    for _ in range(MAX_FAILURES):
        with pytest.raises(WrongCredentials):
            accounts.sign_in(email=siti[1], password="wrong")
    assert sign_in(accounts, siti).id_token


KNOWN_DIFFERENCES = {
    "revocation": (
        refreshes_after_a_revocation,
        "Its refresh tokens say all themselves; it never asks when they began.",
    ),
    "new password": (refreshes_after_a_new_password, "As with a revocation."),
    "guessing": (takes_any_number_of_guesses, "It counts no failures."),
}
"""What the port promises and Firebase does, but not its emulator: how that shows, and why it is so.

None of it lets anybody stay in here: sessions are our own, and so are the limits of login.
"""


def not_at_the_emulator(difference: str) -> pytest.MarkDecorator:
    """For a test of something that the emulator is known not to do."""
    assert difference in KNOWN_DIFFERENCES
    return pytest.mark.parametrize("service", ["local_identity"], indirect=True, ids=["faithful"])


@pytest.mark.parametrize("difference", KNOWN_DIFFERENCES)
@pytest.mark.parametrize("service", ["official_emulator"], indirect=True)
def test_where_the_emulator_is_known_to_differ_it_still_does(
    accounts: Accounts, siti: tuple[str, str], difference: str
) -> None:
    shows, _reason = KNOWN_DIFFERENCES[difference]
    shows(accounts, siti)


def test_a_new_account_signs_in_and_its_token_names_it(
    accounts: Accounts, verifier: TokenVerifier, siti: tuple[str, str]
) -> None:
    tokens = sign_in(accounts, siti)
    claims = verifier.verify(tokens.id_token)
    assert (claims["sub"], claims["user_id"], claims["email"]) == (siti[0], siti[0], siti[1])
    assert tokens.expires_in == 3600


def test_a_taken_uid_is_refused(accounts: Accounts, siti: tuple[str, str]) -> None:
    with pytest.raises(AccountExists):
        accounts.create(uid=siti[0], email="another@example.id", password=PASSWORD)


def test_a_taken_address_is_refused_however_it_is_spelt(accounts: Accounts, siti: tuple[str, str]) -> None:
    with pytest.raises(AccountExists):
        accounts.create(uid="usr_another", email=siti[1].upper(), password=PASSWORD)


def test_a_password_too_weak_for_the_service_is_refused_for_good(accounts: Accounts) -> None:
    with pytest.raises(Refused, match="WEAK_PASSWORD"):
        accounts.create(uid="usr_weak", email="weak@example.id", password="12345")


def test_wrong_password_and_unknown_address_cannot_be_told_apart(accounts: Accounts, siti: tuple[str, str]) -> None:
    answers = set()
    for email in (siti[1], "nobody@example.id"):
        with pytest.raises(WrongCredentials) as caught:
            accounts.sign_in(email=email, password="wrong")
        answers.add(str(caught.value))
    assert len(answers) == 1


@pytest.mark.parametrize(("email", "password"), [("", "x"), ("no address", "x"), ("a@example.id", "")])
def test_what_cannot_be_an_account_is_a_wrong_credential(accounts: Accounts, email: str, password: str) -> None:
    with pytest.raises(WrongCredentials):
        accounts.sign_in(email=email, password=password)


@not_at_the_emulator("guessing")
def test_guessing_is_stopped_with_a_time_to_come_back(accounts: Accounts, siti: tuple[str, str]) -> None:
    for _ in range(MAX_FAILURES):
        with pytest.raises(WrongCredentials):
            accounts.sign_in(email=siti[1], password="wrong")
    with pytest.raises(TooManyAttempts) as caught:
        sign_in(accounts, siti)
    assert caught.value.retry_after_s > 0


def test_who_has_proven_to_us_who_they_are_signs_in_and_the_claims_outlive_a_refresh(
    accounts: Accounts, verifier: TokenVerifier, siti: tuple[str, str]
) -> None:
    tokens = accounts.sign_in_as(siti[0], claims={"passkey": "psk_1"})
    again = accounts.refresh(tokens.refresh_token)
    for one in (tokens, again):
        claims = verifier.verify(one.id_token)
        assert (claims["sub"], claims["email"], claims["passkey"]) == (*siti, "psk_1")
        assert one.expires_in == 3600
    assert "passkey" not in verifier.verify(sign_in(accounts, siti).id_token)


def test_an_account_that_is_not_there_signs_nobody_in_and_is_not_there_afterwards(accounts: Accounts) -> None:
    uid = f"usr_{uuid.uuid4().hex}"
    for _ in range(2):
        with pytest.raises(WrongCredentials):
            accounts.sign_in_as(uid, claims={})
    accounts.create(uid=uid, email=f"{uid}@example.id", password=PASSWORD)
    assert accounts.sign_in_as(uid, claims={}).expires_in == 3600


@not_at_the_emulator("revocation")
def test_revocation_ends_a_session_of_a_custom_token_too(accounts: Accounts, siti: tuple[str, str]) -> None:
    tokens = accounts.sign_in_as(siti[0], claims={})
    accounts.revoke(siti[0])
    with pytest.raises(WrongCredentials):
        accounts.refresh(tokens.refresh_token)


def test_a_session_is_refreshed(accounts: Accounts, verifier: TokenVerifier, siti: tuple[str, str]) -> None:
    tokens = accounts.refresh(sign_in(accounts, siti).refresh_token)
    assert verifier.verify(tokens.id_token)["sub"] == siti[0]
    assert accounts.refresh(tokens.refresh_token).expires_in == 3600


@pytest.mark.parametrize("token", ["made-up", ""])
def test_an_unknown_refresh_token_is_a_wrong_credential(accounts: Accounts, token: str) -> None:
    with pytest.raises(WrongCredentials):
        accounts.refresh(token)


@not_at_the_emulator("revocation")
def test_revocation_ends_every_session_but_not_the_next(accounts: Accounts, siti: tuple[str, str]) -> None:
    sessions = [sign_in(accounts, siti) for _ in range(2)]
    accounts.revoke(siti[0])
    for session in sessions:
        with pytest.raises(WrongCredentials):
            accounts.refresh(session.refresh_token)
    later = sign_in(accounts, siti)
    assert accounts.refresh(later.refresh_token).expires_in == 3600


def test_revoking_nobody_is_harmless(accounts: Accounts) -> None:
    accounts.revoke("usr_nobody")


def test_a_deleted_account_is_gone_with_its_sessions_and_frees_its_address(
    accounts: Accounts, siti: tuple[str, str]
) -> None:
    tokens = sign_in(accounts, siti)
    accounts.delete(siti[0])
    with pytest.raises(WrongCredentials):
        sign_in(accounts, siti)
    with pytest.raises(WrongCredentials):
        accounts.refresh(tokens.refresh_token)
    accounts.delete(siti[0])
    accounts.create(uid=siti[0], email=siti[1], password=PASSWORD)
    sign_in(accounts, siti)


def test_a_new_password_takes_the_place_of_the_old_one(accounts: Accounts, siti: tuple[str, str]) -> None:
    for _ in range(2):
        accounts.set_password(siti[0], password="another good password")
    with pytest.raises(WrongCredentials):
        sign_in(accounts, siti)
    later = accounts.sign_in(email=siti[1], password="another good password")
    assert accounts.refresh(later.refresh_token).expires_in == 3600


@not_at_the_emulator("new password")
def test_a_new_password_ends_every_session(accounts: Accounts, siti: tuple[str, str]) -> None:
    sessions = [sign_in(accounts, siti) for _ in range(2)]
    accounts.set_password(siti[0], password="another good password")
    for session in sessions:
        with pytest.raises(WrongCredentials):
            accounts.refresh(session.refresh_token)


def test_nobodys_password_cannot_be_set(accounts: Accounts) -> None:
    with pytest.raises(WrongCredentials):
        accounts.set_password("usr_nobody", password="another good password")


def test_a_new_password_too_weak_for_the_service_changes_nothing(accounts: Accounts, siti: tuple[str, str]) -> None:
    session = sign_in(accounts, siti)
    with pytest.raises(Refused, match="WEAK_PASSWORD"):
        accounts.set_password(siti[0], password="12345")
    assert accounts.refresh(session.refresh_token).expires_in == 3600


def test_many_at_once_are_served(accounts: Accounts, siti: tuple[str, str]) -> None:
    got: list[Tokens] = []
    threads = [threading.Thread(target=lambda: got.append(sign_in(accounts, siti))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8


def at(url: str, *, timeout_s: float = 5) -> FirebaseAccounts:
    """Accounts at a server that is not what it should be."""
    return FirebaseAccounts(
        project=PROJECT,
        identity_url=url,
        token_url=url,
        iam_url=url,
        signer=service_account(PROJECT),
        api_key="k",
        admin_token=lambda: "t",
        timeout_s=timeout_s,
    )


def test_a_service_that_is_away_is_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        away = at(url, timeout_s=1)
        for call in (
            lambda: away.create(uid="u", email="a@b.id", password=PASSWORD),
            lambda: away.sign_in(email="a@b.id", password=PASSWORD),
            lambda: away.sign_in_as("u", claims={}),
            lambda: away.refresh("token"),
            lambda: away.revoke("u"),
            lambda: away.set_password("u", password=PASSWORD),
            lambda: FirebaseTokenVerifier(project=PROJECT, jwks_url=url).verify(
                jwt.encode({"sub": "u"}, rsa.generate_private_key(65537, 2048), "RS256", {"kid": "k"})
            ),
        ):
            with pytest.raises(Unavailable):
                call()
        away.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("500 Internal Server Error", b"oops"),
        ("200 OK", b"<html>"),
        ("200 OK", b"[]"),
        ("200 OK", b"{}"),
        ("400 Bad Request", b'{"error": {"message": "API_KEY_EXPIRED"}}'),
        ("403 Forbidden", b'{"error": "no"}'),
    ],
)
def test_an_answer_outside_the_protocol_is_unavailable_not_a_wrong_password(status: str, body: bytes) -> None:
    def odd(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "application/json")])
        return [body]

    with WsgiServer(odd) as server:
        accounts = at(server.url)
        with pytest.raises(Unavailable):
            accounts.sign_in(email="a@b.id", password=PASSWORD)
        with pytest.raises(Unavailable):
            accounts.sign_in_as("u", claims={})
        accounts.close()


def test_an_account_that_is_gone_signs_nobody_in_where_only_administrators_make_accounts() -> None:
    """As in the deployment: there a custom token makes no account, but is refused."""

    def refusing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if str(environ["PATH_INFO"]).endswith(":signJwt"):
            start_response("200 OK", [("Content-Type", "application/json")])
            return [b'{"signedJwt": "a.b.c"}']
        start_response("400 Bad Request", [("Content-Type", "application/json")])
        return [b'{"error": {"code": 400, "message": "ADMIN_ONLY_OPERATION"}}']

    with WsgiServer(refusing) as server:
        accounts = at(server.url)
        with pytest.raises(WrongCredentials):
            accounts.sign_in_as("u", claims={})
        accounts.close()
