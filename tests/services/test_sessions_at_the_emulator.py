"""Sessions end here even where the provider's do not: Firebase's emulator refreshes whatever was revoked."""

from collections.abc import Iterator

import httpx
import pytest
from tests.identity_services import PROJECT, emulated_service
from tests.world import PASSWORD, World

from pinjam.adapters.firebase_auth import FirebaseAccounts
from pinjam.domain.session import Session
from pinjam.domain.user import User
from pinjam.local.emulators.auth import AuthEmulator
from pinjam.services.errors import Unauthenticated
from pinjam.services.recording import Actor

ANYBODY = Actor(id="anonymous", request_id="req_12345678")


@pytest.fixture
def emulated(world: World, auth_emulator: AuthEmulator) -> Iterator[FirebaseAccounts]:
    """The emulator, without accounts, in the place of the world's own."""
    httpx.delete(f"http://{auth_emulator.host}/emulator/v1/projects/{PROJECT}/accounts", trust_env=False)
    with emulated_service(auth_emulator) as service:
        world.app.accounts = service.accounts
        yield service.accounts


@pytest.fixture
def user(world: World, emulated: FirebaseAccounts) -> User:
    assert emulated is world.app.accounts
    return world.register()


def log_in(world: World, user: User) -> str:
    return world.app.sessions.login(identifier=user.email, password=PASSWORD, address="203.0.113.7")[1].refresh_token


def refresh(world: World, token: str) -> str:
    return world.app.refreshing.refresh(token, actor=ANYBODY).refresh_token


def provider_tokens(world: World, user: User) -> list[str]:
    """What the provider gave for each of a borrower's sessions."""
    safe = world.app.vault.safe(user.id)
    return [safe.open(one.provider_token, field="provider_token") for one in world.all(Session)]


def test_a_log_out_ends_every_session_though_the_emulator_would_go_on(
    world: World, user: User, emulated: FirebaseAccounts
) -> None:
    sessions = [refresh(world, log_in(world, user)) for _ in range(2)]
    world.app.refreshing.end_all(user.id, actor=world.actor(user.id))
    for token in sessions:
        with pytest.raises(Unauthenticated):
            refresh(world, token)
    assert all(emulated.refresh(token).id_token for token in provider_tokens(world, user))
    world.clock.advance(seconds=1)
    assert refresh(world, log_in(world, user))


def test_a_wrong_password_opens_no_session_there_either(world: World, user: User) -> None:
    before = len(world.all(Session))
    with pytest.raises(Unauthenticated):
        world.app.sessions.login(identifier=user.email, password="a wrong password", address="203.0.113.7")
    assert len(world.all(Session)) == before
