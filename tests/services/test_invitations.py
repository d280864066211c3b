"""Who has repaid a loan may be invited to another: by consent, by day, once, and not while they borrow."""

from datetime import timedelta

import pytest
from tests.world import World

from pinjam.domain.notification import Notification
from pinjam.services.notifying import INVITE_AFTER


@pytest.fixture
def user_id(world: World) -> str:
    """Somebody who wants marketing, by e-mail only."""
    user_id = world.verified()
    choose(world, user_id, marketing=True)
    return user_id


def choose(world: World, user_id: str, *, marketing: bool) -> None:
    world.app.preferring.choose(
        user_id,
        channels={"push": False, "email": True, "sms": False, "whatsapp": False},
        marketing=marketing,
        actor=world.actor(user_id),
    )


def invitations(world: World) -> list[Notification]:
    return world.notifications("loan-invitation")


def repay(world: World, user_id: str) -> None:
    world.repaid(user_id)
    world.deliver(repeat=2)


def test_who_consented_is_invited_once_some_days_after_repaying(world: World, user_id: str) -> None:
    repay(world, user_id)
    assert invitations(world) == []
    world.clock.instant += INVITE_AFTER
    world.deliver()
    (settled,) = world.events("loan-settled")
    world.notify(settled)
    (invitation,) = invitations(world)
    assert [(one.channel, one.status) for one in invitation.deliveries] == [("email", "sent")]


def test_nobody_is_invited_who_did_not_ask_for_it(world: World) -> None:
    repay(world, world.verified())
    world.clock.instant += INVITE_AFTER
    world.deliver()
    assert invitations(world) == []


def test_who_withdraws_the_consent_is_not_invited_any_more(world: World, user_id: str) -> None:
    repay(world, user_id)
    choose(world, user_id, marketing=False)
    world.clock.instant += INVITE_AFTER
    world.deliver()
    assert invitations(world) == []


def test_who_borrows_again_is_not_invited(world: World, user_id: str) -> None:
    repay(world, user_id)
    world.active(user_id)
    world.clock.instant += INVITE_AFTER
    world.deliver()
    assert invitations(world) == []


def test_an_invitation_of_the_evening_waits_for_the_morning(world: World, user_id: str) -> None:
    repay(world, user_id)
    evening = (world.clock.instant + INVITE_AFTER).date()
    world.go_to(evening, 18)
    world.deliver()
    (invitation,) = invitations(world)
    assert [one.status for one in invitation.deliveries] == ["pending"]
    world.go_to(evening + timedelta(days=1), 8)
    world.run_tasks()
    assert [one.status for one in invitations(world)[0].deliveries] == ["sent"]


def test_an_invitation_that_two_tasks_bring_is_told_once(world: World, user_id: str) -> None:
    repay(world, user_id)
    (settled,) = world.events("loan-settled")
    world.clock.instant += INVITE_AFTER
    world.deliver()
    world.tasks.done.clear()
    world.notify(settled)
    assert len(invitations(world)) == 1
