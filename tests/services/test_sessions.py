"""Log in by password."""

import pytest
from tests.world import PASSWORD, World

from pinjam.services.errors import TooMany, Unauthenticated
from pinjam.services.limits import GUESSES
from pinjam.services.ports import Unavailable

HOME = "203.0.113.7"


@pytest.mark.parametrize(
    "identifier",
    ["siti1@example.com", " SITI1@Example.COM ", "081234500001", "6281234500001", "+62 812-3450-0001"],
)
def test_an_email_address_or_phone_in_any_spelling_logs_in(world: World, identifier: str) -> None:
    user = world.register()
    borrower, tokens = world.app.sessions.login(identifier=identifier, password=PASSWORD, address=HOME)
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
        world.app.sessions.login(identifier=identifier, password="wrong", address=HOME)
    assert refused.value.code == "invalid-credentials"
    assert len(world.accounts.asked) == asked + 1


@pytest.mark.parametrize("unknown", ["nobody@example.com", "081234599999", "+6281234599999"])
def test_guessing_is_stopped_for_known_and_unknown_alike(world: World, unknown: str) -> None:
    world.register()
    for identifier in ("siti1@example.com", unknown):
        for _ in range(GUESSES.free):
            with pytest.raises(Unauthenticated):
                world.app.sessions.login(identifier=identifier, password="wrong", address=HOME)
        with pytest.raises(TooMany) as stopped:
            world.app.sessions.login(identifier=identifier, password=PASSWORD, address=HOME)
        assert (stopped.value.code, stopped.value.retry_after_s) == ("too-many-attempts", 60)


@pytest.mark.parametrize("identifier", ["siti1@example.com", "081234500001", "+62 812-3450-0001"])
def test_a_stranger_who_guesses_keeps_out_nobody_but_themselves(world: World, identifier: str) -> None:
    world.register()
    for number in range(20):
        for _ in range(GUESSES.free + 1):
            with pytest.raises((Unauthenticated, TooMany)):
                world.app.sessions.login(identifier=identifier, password="wrong", address=f"198.51.100.{number}")
        if number == 0:
            # From then on the borrower's address is known, whatever others do to the account.
            world.app.sessions.login(identifier=identifier, password=PASSWORD, address=HOME)
    with pytest.raises(TooMany) as slowed:
        world.app.sessions.login(identifier=identifier, password=PASSWORD, address="192.0.2.1")
    assert slowed.value.retry_after_s <= 60
    world.app.sessions.login(identifier=identifier, password=PASSWORD, address=HOME)


def test_another_spelling_is_no_other_account(world: World) -> None:
    spellings = ["081234599999", "6281234599999", "+62 812-3459-9999", "0812 3459 9999", " 0812-3459-9999 "]
    for identifier in spellings:
        with pytest.raises(Unauthenticated):
            world.app.sessions.login(identifier=identifier, password="wrong", address=HOME)
    with pytest.raises(TooMany):
        world.app.sessions.login(identifier="0812.3459.9999", password="wrong", address=HOME)


def test_a_provider_that_is_down_uses_up_no_try(world: World) -> None:
    world.register()
    world.accounts.down = True
    for _ in range(3 * GUESSES.free):
        with pytest.raises(Unavailable):
            world.app.sessions.login(identifier="siti1@example.com", password=PASSWORD, address=HOME)
    world.accounts.down = False
    world.app.sessions.login(identifier="siti1@example.com", password=PASSWORD, address=HOME)


def test_the_right_password_makes_up_for_wrong_ones(world: World) -> None:
    world.register()
    for _ in range(3):
        for _ in range(GUESSES.free - 1):
            with pytest.raises(Unauthenticated):
                world.app.sessions.login(identifier="siti1@example.com", password="wrong", address=HOME)
        world.app.sessions.login(identifier="siti1@example.com", password=PASSWORD, address=HOME)


def test_guessing_at_one_unknown_does_not_stop_another(world: World) -> None:
    for _ in range(GUESSES.free + 1):
        with pytest.raises((Unauthenticated, TooMany)):
            world.app.sessions.login(identifier="081234599999", password="wrong", address=HOME)
    with pytest.raises(Unauthenticated):
        world.app.sessions.login(identifier="081234599998", password="wrong", address=HOME)


def test_an_unknown_number_is_one_however_it_is_spelt(world: World) -> None:
    for identifier in ("081234599999", "6281234599999"):
        with pytest.raises(Unauthenticated):
            world.app.sessions.login(identifier=identifier, password="wrong", address=HOME)
    assert len(set(world.accounts.asked)) == 1
    assert "81234599999" not in world.accounts.asked[0]
