"""Stay in, and log out: a refresh token is used once."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.world import PASSWORD, World, form

from pinjam.domain.session import GRACE, Session
from pinjam.domain.user import User
from pinjam.services.errors import Unauthenticated
from pinjam.services.ports import Tokens, Unavailable
from pinjam.services.recording import Actor

ANYBODY = Actor(id="anonymous", request_id="req_12345678")
LATER = GRACE.total_seconds() + 1


@pytest.fixture
def user(world: World) -> User:
    return world.register()


@pytest.fixture
def first(world: World, user: User) -> str:
    """The refresh token of a login."""
    return log_in(world, user).refresh_token


def log_in(world: World, user: User) -> Tokens:
    return world.app.sessions.login(identifier=user.email, password=PASSWORD, address="203.0.113.7")[1]


def refresh(world: World, token: str) -> str:
    return world.app.refreshing.refresh(token, actor=ANYBODY).refresh_token


def ended(world: World, token: str) -> bool:
    try:
        refresh(world, token)
    except Unauthenticated as refused:
        return refused.code == "invalid-refresh-token"
    return False


def test_each_refresh_gives_an_id_token_and_another_refresh_token(world: World, user: User, first: str) -> None:
    tokens = world.app.refreshing.refresh(first, actor=ANYBODY)
    assert (tokens.id_token, tokens.expires_in) == (f"id:{user.id}", 3600)
    seen = [first, tokens.refresh_token]
    for _ in range(5):
        world.clock.advance(seconds=LATER)
        seen.append(refresh(world, seen[-1]))
    assert len(set(seen)) == len(seen)


def test_the_providers_token_never_leaves_and_ours_is_nowhere(world: World, first: str) -> None:
    second = refresh(world, first)
    provided = set(world.accounts._sessions)
    assert provided
    assert not provided & {first, second}
    kept = repr(world.memory._rows)
    for token in (*provided, first, second, first.rpartition(".")[2], second.rpartition(".")[2]):
        assert token not in kept


def test_a_sign_up_opens_a_session_too(world: World) -> None:
    _, tokens = world.app.registration.register(form(7), request_id="req_12345678")
    assert not ended(world, tokens.refresh_token)


def test_twice_at_once_and_again_after_a_lost_answer_is_the_same_next_token(world: World, first: str) -> None:
    second = refresh(world, first)
    assert refresh(world, first) == second
    world.clock.advance(seconds=GRACE.total_seconds())
    assert refresh(world, first) == second
    assert not ended(world, second)


def test_many_at_once_get_the_same_next_token(world: World, first: str) -> None:
    got: list[str] = []
    ready = threading.Barrier(6)

    def go() -> None:
        ready.wait(10)
        got.append(refresh(world, first))

    threads = [threading.Thread(target=go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(set(got))) == (6, 1)
    (session,) = [one for one in world.all(Session) if one.generation > 1]
    assert session.generation == 2


def test_a_token_that_was_used_up_before_ends_its_session_and_no_other(world: World, user: User, first: str) -> None:
    other = log_in(world, user).refresh_token
    second = refresh(world, first)
    world.clock.advance(seconds=LATER)
    for token in (first, second, first):
        assert ended(world, token)
    assert not ended(world, other)
    record = world.trail(user.id)[-1]
    assert (record.action, record.actor, record.before) == ("refresh-token-reused", "anonymous", {"generation": 2})
    assert record.after == {"session": first.partition(".")[0], "generation": 1, "ended": True}
    assert world.actions(user.id).count("refresh-token-reused") == 1


def test_a_stolen_token_is_found_out_whoever_uses_it_first(world: World, first: str) -> None:
    thiefs = refresh(world, first)
    world.clock.advance(seconds=LATER)
    thiefs = refresh(world, thiefs)
    assert ended(world, first)
    assert ended(world, thiefs)


def test_id_tokens_of_a_stolen_session_move_no_money_and_those_of_others_are_only_renewed(
    world: World, user: User, first: str
) -> None:
    refresh(world, first)
    world.clock.advance(seconds=LATER)
    assert ended(world, first)
    thief = replace(world.actor(user.id), token_issued_at=world.clock.now() - timedelta(seconds=1))
    with pytest.raises(Unauthenticated) as refused:
        world.app.profiles.change(user.id, actor=thief, occupation="x")
    assert refused.value.code == "token-revoked"
    renewed = replace(thief, token_issued_at=world.clock.now() + timedelta(seconds=1))
    world.app.profiles.change(user.id, actor=renewed, occupation="x")


def test_what_was_never_given_out_ends_nothing(world: World, first: str) -> None:
    session, generation, mac = first.split(".")
    second = refresh(world, first)
    world.clock.advance(seconds=LATER)
    calls = world.accounts.calls
    made_up = [
        "",
        ".",
        "..",
        "made-up",
        f"{session}.{generation}",
        f"{session}.{generation}.",
        f"{session}.0.{mac}",
        f"{session}.2.{mac}",
        f"{session}.01.{mac}",
        f"{session}.\u0661.{mac}",
        f"{session}.{'9' * 100}.{mac}",
        f"{session}.-1.{mac}",
        f"ses_{0:026}.1.{mac}",
        f"{session}\0.1.{mac}",
        f"{first}.",
        f"{first[:-1]}\u00e9",
        f"{first[:-1]}\ud800",
        f" {first}",
    ]
    for token in made_up:
        assert ended(world, token), token
    assert world.accounts.calls == calls
    assert not ended(world, second)


def test_logging_out_ends_every_session_until_the_next_log_in(world: World, user: User, first: str) -> None:
    other = log_in(world, user).refresh_token
    stranger = world.register(2)
    theirs = log_in(world, stranger).refresh_token
    for _ in range(2):
        world.app.refreshing.end_all(user.id, actor=world.actor(user.id))
    for token in (first, other):
        assert ended(world, token)
    assert not ended(world, theirs)
    assert world.actions(user.id)[-1] == "sessions-ended"
    world.clock.advance(seconds=1)
    assert not ended(world, log_in(world, user).refresh_token)


def test_a_log_out_that_died_before_the_provider_heard_has_ended_them_already(
    world: World, user: User, first: str
) -> None:
    world.accounts.down = True
    with pytest.raises(Unavailable):
        world.app.refreshing.end_all(user.id, actor=world.actor(user.id))
    world.accounts.down = False
    assert ended(world, first)
    world.app.refreshing.end_all(user.id, actor=world.actor(user.id))
    assert set(world.accounts._sessions.values()) == set()


def test_an_account_without_a_borrower_is_logged_out_as_well(world: World) -> None:
    world.accounts.create(uid="usr_stray", email="stray@example.com", password=PASSWORD)
    world.accounts.sign_in(email="stray@example.com", password=PASSWORD)
    world.app.refreshing.end_all("usr_stray", actor=world.actor("usr_stray"))
    assert set(world.accounts._sessions.values()) == set()


def test_a_provider_that_is_down_uses_up_no_token(world: World, first: str) -> None:
    world.accounts.down = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            refresh(world, first)
        world.clock.advance(seconds=LATER)
    world.accounts.down = False
    assert not ended(world, first)


def test_a_session_that_the_provider_ended_is_over(world: World, user: User, first: str) -> None:
    world.accounts.revoke(user.id)
    assert ended(world, first)
