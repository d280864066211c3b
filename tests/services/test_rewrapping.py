"""Borrowers' keys under a new wrapping key: resumable, safe beside a running system, and nothing is lost."""

import threading

import pytest
from tests.world import START, World

from pinjam.domain.keys import UserKey
from pinjam.services.ports import Unavailable


def nik(world: World, user_id: str) -> str:
    world.app.vault.forget(user_id)
    return world.app.profiles.reveal(world.user(user_id)).nik


def test_every_key_is_wrapped_anew_and_opens_what_it_sealed(world: World) -> None:
    users = [world.register(number) for number in range(1, 6)]
    sealed = {user.id: user.nik for user in users}
    assert (world.app.rewrapping.status().counts, list(world.app.rewrapping.rewrap())) == ({"memory-1": 5}, [])
    world.wrapper.renew()
    assert world.app.rewrapping.status().counts == {"memory-1": 5, "memory-2": 0}
    assert list(world.app.rewrapping.rewrap()) == [1, 2, 3, 4, 5]
    status = world.app.rewrapping.status()
    assert (status.current, status.counts, status.destroyed) == ("memory-2", {"memory-2": 5}, 0)
    assert [nik(world, user.id) for user in users] == [f"317101550890{number:04}" for number in range(1, 6)]
    assert {one.id: world.user(one.id).nik for one in users} == sealed, "what is sealed stays as it is"
    assert list(world.app.rewrapping.rewrap()) == []


def test_a_run_that_was_cut_off_is_taken_up_where_it_was(world: World) -> None:
    for number in range(1, 8):
        world.register(number)
    world.wrapper.renew()
    world.wrapper.down_from = world.wrapper.calls + 1 + 2 * 3 + 1  # The key's name, and three keys of two calls.
    with pytest.raises(Unavailable):
        list(world.app.rewrapping.rewrap())
    world.wrapper.down_from = None
    assert world.app.rewrapping.status().counts == {"memory-1": 4, "memory-2": 3}
    world.wrapper.renew()
    assert list(world.app.rewrapping.rewrap())[-1] == 7
    assert world.app.rewrapping.status().counts == {"memory-3": 7}


def test_who_signs_up_and_who_is_erased_meanwhile_is_left_in_peace(world: World) -> None:
    users = [world.register(number) for number in (1, 2, 3)]
    world.wrapper.renew()
    rewrapping = world.app.rewrapping.rewrap()
    next(rewrapping)
    late = world.register(4)
    world.put(world.get(UserKey, users[2].id).destroyed(START))
    list(rewrapping)
    status = world.app.rewrapping.status()
    assert (status.counts, status.destroyed) == ({"memory-2": 3}, 1)
    assert world.get(UserKey, users[2].id).wrapped is None
    assert nik(world, late.id) == "3171015508900004"


def test_a_key_destroyed_while_it_is_wrapped_stays_destroyed(world: World) -> None:
    user = world.register()
    world.wrapper.renew()
    wrap = world.wrapper.wrap

    def destroy_meanwhile(data_key: bytes, *, owner: str) -> object:
        world.put(world.get(UserKey, owner).destroyed(START))
        return wrap(data_key, owner=owner)

    world.wrapper.wrap = destroy_meanwhile  # type: ignore[method-assign,assignment]  # a race, made certain
    assert list(world.app.rewrapping.rewrap()) == [0]
    assert world.get(UserKey, user.id).wrapped is None


def test_two_runs_at_once_do_no_harm(world: World) -> None:
    users = [world.register(number) for number in range(1, 20)]
    world.wrapper.renew()
    threads = [threading.Thread(target=lambda: list(world.app.rewrapping.rewrap())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.app.rewrapping.status().counts == {"memory-2": 19}
    assert [nik(world, user.id) for user in users] == [f"317101550890{number:04}" for number in range(1, 20)]
