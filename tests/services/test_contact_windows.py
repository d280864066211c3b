"""Messages that ask for money wait for the hour at which they may go out; nothing else does."""

from datetime import date, timedelta

import pytest
from tests.world import World

from pinjam.domain.notification import Notification
from pinjam.domain.trail import Event
from pinjam.services.servicing import Swept

SUNDAY = date(2027, 1, 24)


@pytest.fixture
def loan_id(world: World) -> str:
    """A loan whose first instalment is due on a Sunday."""
    world.go_to(date(2026, 12, 24))
    return world.active(world.verified())


def sweep(world: World) -> Swept:
    return world.app.servicing.sweep(request_id="req_sweep")


def remind(world: World, day: date, hour: int = 9) -> Notification:
    """What the sweep of this day told."""
    world.go_to(day, hour)
    sweep(world)
    event = world.events("instalment-reminder")[-1]
    world.notify(event)
    return world.get(Notification, f"ntf_{event.id.removeprefix('evt_')}")


def sent(world: World) -> list[int]:
    return [len(messenger.sent) for messenger in world.messengers.values()]


def test_a_reminder_of_a_sunday_is_in_the_list_at_once_and_sent_on_monday(world: World, loan_id: str) -> None:
    notification = remind(world, SUNDAY)
    assert notification.kind == "instalment-due"
    assert {(one.status, one.attempts) for one in notification.deliveries} == {("pending", 0)}
    assert sent(world) == [0, 0, 0]
    assert (sweep(world).messages_resumed, world.run_tasks()) == (0, 0)
    world.go_to(SUNDAY + timedelta(days=1), 8)
    assert notification.waiting_until == world.clock.instant
    assert world.run_tasks() == 3
    assert sent(world) == [1, 1, 1]
    after = world.get(Notification, notification.id)
    assert ({one.status for one in after.deliveries}, after.waiting_until) == ({"sent"}, None)
    assert sweep(world).messages_resumed == 0
    assert world.loan(loan_id).next_due_on == SUNDAY


def test_what_waited_says_what_is_true_when_it_is_sent(world: World, loan_id: str) -> None:
    remind(world, SUNDAY)
    world.go_to(SUNDAY + timedelta(days=1))
    world.run_tasks()
    assert world.loan(loan_id).next_due_on == SUNDAY
    (email,), (whatsapp,) = world.messengers["email"].sent, world.messengers["whatsapp"].sent
    assert email.subject == "Cicilan lewat jatuh tempo"
    assert "hari ini" not in email.body
    assert whatsapp.kind == "instalment-overdue"


def test_who_pays_meanwhile_is_not_reminded(world: World, loan_id: str) -> None:
    notification = remind(world, SUNDAY)
    world.pay(notification.user_id, loan_id)
    world.go_to(SUNDAY + timedelta(days=1))
    world.run_tasks()
    dropped = world.get(Notification, notification.id)
    assert {(one.status, one.error) for one in dropped.deliveries} == {("failed", "no longer true")}
    assert dropped.waiting_until is None
    assert sent(world) == [0, 0, 0]


@pytest.mark.parametrize(("hour", "goes"), [(7, 0), (8, 1), (19, 1), (20, 0)])
@pytest.mark.usefixtures("loan_id")
def test_a_reminder_goes_out_by_day_only(world: World, hour: int, goes: int) -> None:
    remind(world, SUNDAY - timedelta(days=3), hour)
    assert sent(world) == [goes, 0, goes]


def test_the_hour_is_that_of_the_borrowers_province(world: World) -> None:
    world.go_to(date(2026, 12, 24))
    world.active(world.verified(nik="9471015508900001"))
    remind(world, SUNDAY - timedelta(days=3), 18)  # 20:00 in Jayapura.
    assert sent(world) == [0, 0, 0]
    world.go_to(SUNDAY - timedelta(days=2), 6)  # 08:00 there.
    world.run_tasks()
    assert sent(world) == [1, 0, 1]


@pytest.mark.usefixtures("loan_id")
def test_a_holiday_is_no_day_for_it(world: World) -> None:
    thursday = SUNDAY - timedelta(days=3)
    world.holidays.days = {thursday, thursday + timedelta(days=1)}
    notification = remind(world, thursday)
    world.go_to(thursday + timedelta(days=2), 8)
    assert notification.waiting_until == world.clock.instant


@pytest.mark.usefixtures("loan_id")
def test_no_more_than_three_go_out_on_one_day(world: World) -> None:
    remind(world, SUNDAY)
    monday = SUNDAY + timedelta(days=1)
    remind(world, monday)
    for ahead, total in ((0, 3), (1, 6), (2, 6)):
        world.go_to(monday + timedelta(days=ahead))
        world.run_tasks()
        assert sum(sent(world)) == total
    assert sent(world) == [2, 2, 2]


@pytest.mark.usefixtures("loan_id")
def test_a_provider_that_was_down_until_the_evening_gets_it_in_the_morning(world: World) -> None:
    remind(world, SUNDAY - timedelta(days=3))
    world.messengers["sms"].down = True
    remind(world, SUNDAY + timedelta(days=1), 19)
    before = len(world.messengers["sms"].sent)
    for hour in (20, 21, 23):
        world.go_to(SUNDAY + timedelta(days=1), hour)
        world.messengers["sms"].down = False
        world.run_tasks()
        assert len(world.messengers["sms"].sent) == before
    world.go_to(SUNDAY + timedelta(days=2), 8)
    world.run_tasks()
    assert len(world.messengers["sms"].sent) == before + 1


def test_a_decision_is_told_at_night_and_on_a_sunday(world: World) -> None:
    world.go_to(SUNDAY, 23)
    world.active(world.verified())
    event: Event = world.events("loan-disbursed")[0]
    world.notify(event)
    assert sent(world) == [1, 1, 1]
