"""Devices: a token has one owner, and a borrower has not too many."""

import threading
from datetime import timedelta

import pytest
from tests.world import START, World

from pinjam.domain.device import MOST_DEVICES, Device, Platform
from pinjam.services.devices import devices_of
from pinjam.services.errors import NotFound
from pinjam.services.preferring import Preferring


def register(world: World, user_id: str, token: str, platform: Platform = "android") -> None:
    world.app.devices.register(user_id, token=token, platform=platform, actor=world.actor(user_id))


def tokens(world: World, user_id: str) -> set[str | None]:
    return {world.app.devices.token(one) for one in world.store.read(lambda tx: devices_of(tx, user_id))}


def test_a_device_is_kept_with_its_owner_and_a_record_without_the_token(world: World) -> None:
    user = world.register()
    register(world, user.id, "secret-token", "ios")
    (device,) = world.all(Device)
    assert (device.user_id, device.platform, device.registered_at) == (user.id, "ios", START)
    assert "secret-token" not in repr(device)
    assert tokens(world, user.id) == {"secret-token"}
    record = world.trail(user.id)[-1]
    assert (record.action, record.after) == ("device-registered", {"device": device.id, "platform": "ios"})
    assert "secret-token" not in repr(world.trail(user.id))


def test_registering_again_changes_the_time_only(world: World) -> None:
    user = world.register()
    register(world, user.id, "a")
    world.pass_days(1)
    register(world, user.id, "a")
    (device,) = world.all(Device)
    assert device.registered_at == START + timedelta(days=1)
    assert world.actions(user.id).count("device-registered") == 1


def test_a_token_moves_to_who_registered_it_last(world: World) -> None:
    first, second = world.register(1), world.register(2)
    register(world, first.id, "a")
    register(world, second.id, "a")
    assert (tokens(world, first.id), tokens(world, second.id)) == (set(), {"a"})
    assert world.actions(first.id)[-1] == "device-dropped"
    assert world.actions(second.id)[-1] == "device-registered"


def test_the_oldest_device_gives_way_and_the_others_stay(world: World) -> None:
    user = world.register()
    for number in range(MOST_DEVICES):
        register(world, user.id, f"t{number}")
        world.pass_days(1)
    register(world, user.id, "t0")
    world.pass_days(1)
    register(world, user.id, "new")
    assert tokens(world, user.id) == {"t0", "t2", "t3", "t4", "new"}
    assert len(world.all(Device)) == MOST_DEVICES


def test_a_dropped_device_leaves_its_place_to_the_next(world: World) -> None:
    user = world.register()
    register(world, user.id, "a")
    (device,) = world.all(Device)
    for _ in range(2):
        world.app.devices.drop(device, actor=world.actor("notify"))
    assert tokens(world, user.id) == set()
    assert world.actions(user.id).count("device-dropped") == 1
    register(world, user.id, "b")
    assert [one.id for one in world.all(Device)] == [device.id]
    assert tokens(world, user.id) == {"b"}
    world.app.devices.drop(device, actor=world.actor("notify"))
    assert tokens(world, user.id) == {"b"}, "the place has another device by now"


def test_a_stranger_without_an_account_registers_nothing(world: World) -> None:
    with pytest.raises(NotFound):
        register(world, "usr_nobody", "a")
    assert world.all(Device) == []


def test_the_same_token_at_once_has_one_owner(world: World) -> None:
    users = [world.register(number).id for number in range(1, 5)]
    ready = threading.Barrier(len(users))

    def go(user_id: str) -> None:
        ready.wait(10)
        register(world, user_id, "a")

    threads = [threading.Thread(target=go, args=(user_id,)) for user_id in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sum(len(tokens(world, user_id)) for user_id in users) == 1


def choose(world: World, user_id: str, *, sms: bool = True, marketing: bool = False) -> None:
    world.app.preferring.choose(
        user_id,
        channels={"push": True, "email": True, "sms": sms, "whatsapp": True},
        marketing=marketing,
        actor=world.actor(user_id),
    )


def test_preferences_are_all_on_but_marketing_until_chosen(world: World) -> None:
    user = world.register()
    preferring: Preferring = world.app.preferring
    shown = preferring.show(user.id)
    assert (shown.push, shown.email, shown.sms, shown.whatsapp, shown.marketing) == (True, True, True, True, False)
    with pytest.raises(NotFound):
        preferring.show("usr_nobody")


def test_a_choice_replaces_the_last_and_leaves_a_record_when_it_differs(world: World) -> None:
    user = world.register()
    for sms in (False, False, True):
        choose(world, user.id, sms=sms, marketing=True)
        assert world.app.preferring.show(user.id).sms is sms
    records = [one for one in world.trail(user.id) if one.action == "preferences-chosen"]
    assert [one.after["sms"] for one in records] == [False, True]
    assert records[0].before is None
    assert records[1].before == records[0].after


def test_a_further_device_is_told_as_it_may_be_a_strangers(world: World) -> None:
    user_id = world.verified()
    for token, platform in (("a", "android"), ("a", "android"), ("b", "ios"), ("b", "ios")):
        world.app.devices.register(user_id, token=token, platform=platform, actor=world.actor(user_id))  # type: ignore[arg-type]  # both are platforms
    (event,) = world.events("account-changed")
    world.notify(event)
    (notification,) = world.notifications("security-new-device")
    assert "iPhone atau iPad, 24 Nov 2026 09.00 WIB" in notification.body
    assert len(world.messengers["email"].sent) == 1
