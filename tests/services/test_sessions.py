"""Log in, stay in, log out."""

import pytest
from tests.doubles import MOST_FAILURES
from tests.world import PASSWORD, World

from pinjam.services.errors import TooMany, Unauthenticated


@pytest.mark.parametrize(
    "identifier",
    ["siti1@example.com", " SITI1@Example.COM ", "081234500001", "6281234500001", "+62 812-3450-0001"],
)
def test_an_email_address_or_phone_in_any_spelling_logs_in(world: World, identifier: str) -> None:
    user = world.register()
    borrower, tokens = world.app.sessions.login(identifier=identifier, password=PASSWORD)
    assert borrower.user.id == user.id
    assert tokens.id_token == f"id:{user.id}"


@pytest.mark.parametrize(
    "identifier",
    ["siti1@example.com", "081234500001", "nobody@example.com", "081234599999", "no identifier", "@", "a@\0"],
)
def test_whatever_is_wrong_is_the_same_answer_and_the_same_work(world: World, identifier: str) -> None:
    world.register()
    asked = len(world.accounts.asked)
    with pytest.raises(Unauthenticated) as refused:
        world.app.sessions.login(identifier=identifier, password="wrong")
    assert refused.value.code == "invalid-credentials"
    assert len(world.accounts.asked) == asked + 1


@pytest.mark.parametrize("unknown", ["nobody@example.com", "081234599999", "+6281234599999"])
def test_guessing_is_stopped_for_known_and_unknown_alike(world: World, unknown: str) -> None:
    world.register()
    for identifier in ("siti1@example.com", unknown):
        for _ in range(MOST_FAILURES):
            with pytest.raises(Unauthenticated):
                world.app.sessions.login(identifier=identifier, password="wrong")
        with pytest.raises(TooMany) as stopped:
            world.app.sessions.login(identifier=identifier, password=PASSWORD)
        assert (stopped.value.code, stopped.value.retry_after_s) == ("too-many-attempts", 60)


def test_guessing_at_one_unknown_does_not_stop_another(world: World) -> None:
    for _ in range(MOST_FAILURES + 1):
        with pytest.raises((Unauthenticated, TooMany)):
            world.app.sessions.login(identifier="081234599999", password="wrong")
    with pytest.raises(Unauthenticated):
        world.app.sessions.login(identifier="081234599998", password="wrong")


def test_an_unknown_number_is_one_however_it_is_spelt(world: World) -> None:
    for identifier in ("081234599999", "6281234599999"):
        with pytest.raises(Unauthenticated):
            world.app.sessions.login(identifier=identifier, password="wrong")
    assert len(set(world.accounts.asked)) == 1
    assert "81234599999" not in world.accounts.asked[0]


def test_a_session_goes_on_until_it_is_ended(world: World) -> None:
    user = world.register()
    _, tokens = world.app.sessions.login(identifier=user.email, password=PASSWORD)
    again = world.app.sessions.refresh(tokens.refresh_token)
    world.app.sessions.logout(user.id)
    with pytest.raises(Unauthenticated) as ended:
        world.app.sessions.refresh(again.refresh_token)
    assert ended.value.code == "invalid-refresh-token"
