"""All that is held about a borrower, and nothing about anybody else."""

import pytest
from tests.world import World, picture

from pinjam.services.errors import NotFound
from pinjam.services.exporting import PAGE


def test_everything_about_a_borrower_is_there_and_nothing_of_others(world: World) -> None:
    ids = []
    for number in (1, 2):
        user_id = world.verified(number)
        world.upload(user_id, "income", picture(number))
        world.app.devices.register(user_id, token=f"t{number}", platform="ios", actor=world.actor(user_id))
        world.repaid(user_id)
        ids.append(user_id)
    world.deliver()
    held = world.app.exporting.export(ids[0], actor=world.actor(ids[0]))
    assert (held.user.id, held.private.nik, held.private.account_number) == (ids[0], "3171015508900001", "1234567890")
    assert [(one.user_id, number) for one, number in held.payouts] == [(ids[0], "1234567890")]
    groups = (held.documents, held.loans, held.payments, held.notifications, held.devices)
    assert [{one.user_id for one in group} for group in groups] == [{ids[0]}] * 5
    subjects = {ids[0], held.loans[0].id, held.payments[0].id, held.payouts[0][0].id}
    assert {one.subject for one in held.audit} == subjects
    assert [one for one in held.audit if one.subject == ids[0]] == world.trail(ids[0])
    assert world.actions(ids[0])[-1] == "data-exported"
    assert "data-exported" not in world.actions(ids[1])


def test_more_than_a_page_is_all_there(world: World) -> None:
    user_id = world.register().id
    for _ in range(PAGE + 5):
        world.app.exporting.export(user_id, actor=world.actor(user_id))
    held = world.app.exporting.export(user_id, actor=world.actor(user_id))
    assert [one.number for one in held.audit] == list(range(1, PAGE + 9))


def test_nobody_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        world.app.exporting.export("usr_nobody", actor=world.actor("usr_nobody"))


def test_an_export_needs_one_unwrap(world: World) -> None:
    user_id = world.verified()
    world.app.vault.forget(user_id)
    world.wrapper.unwrapped.clear()
    world.app.exporting.export(user_id, actor=world.actor(user_id))
    world.app.profiles.reveal(world.user(user_id))
    assert world.wrapper.unwrapped == [user_id]
