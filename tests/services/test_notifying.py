"""One event, one notification, one copy on each channel."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from tests.world import START, World, make_world

from pinjam.domain.device import Device
from pinjam.domain.notification import Channel, Delivery, Notification
from pinjam.domain.payout import Payout
from pinjam.domain.task import MOST_TRIES, pause_after
from pinjam.domain.trail import Event, Topic
from pinjam.domain.user import User
from pinjam.services.delivering import LEASE
from pinjam.services.errors import NotFound
from pinjam.services.ports import Unavailable
from pinjam.services.queueing import BATCH
from pinjam.services.recording import Actor
from pinjam.services.servicing import RESUME_AFTER
from pinjam.services.subscriptions import SUBSCRIPTIONS
from pinjam.services.telling import PAYOUT_TOLD_WHILE


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def disbursed(world: World, user_id: str) -> Event:
    """The event of a payout, of which a borrower hears by e-mail, SMS and WhatsApp."""
    world.active(user_id)
    (event,) = world.events("loan-disbursed")
    return event


def delivery(world: World, channel: Channel) -> Delivery:
    (notification,) = world.all(Notification)
    (found,) = [one for one in notification.deliveries if one.channel == channel]
    return found


def test_an_event_makes_one_notification_and_one_message_a_channel(world: World, disbursed: Event) -> None:
    for _ in range(3):
        world.notify(disbursed)
    (notification,) = world.all(Notification)
    assert notification.id == f"ntf_{disbursed.id.removeprefix('evt_')}"
    assert (notification.kind, notification.data) == ("loan-disbursed", {"loan_id": disbursed.subject})
    assert (notification.created_at, notification.read_at) == (START, None)
    for channel, messenger in world.messengers.items():
        (message,) = messenger.sent
        assert message.id == f"{notification.id}-{channel}"
        assert (message.subject, message.kind, message.data) == (
            notification.title,
            "loan-disbursed",
            {"loan_id": disbursed.subject},
        )
        sent = delivery(world, channel)
        assert (sent.status, sent.attempts, sent.sent_at, sent.provider_id) == ("sent", 1, START, f"{channel}-1")
        assert (sent.error, sent.leased_until) == (None, None)


def test_each_channel_gets_its_own_address_and_words(world: World, user_id: str, disbursed: Event) -> None:
    world.notify(disbursed)
    user = world.user(user_id)
    email, sms, whatsapp = (world.messengers[channel].sent[0] for channel in ("email", "sms", "whatsapp"))
    assert (email.to, sms.to, whatsapp.to) == (user.email, user.phone, user.phone)
    assert email.body.startswith("Halo Siti Rahmawati")
    assert sms.body.startswith("Pinjam: ")
    assert whatsapp.parameters == ("Siti Rahmawati", "Rp2.970.000", "Rp544.650", "24 Des 2026")


def test_the_borrowers_language_is_used(world: World, user_id: str, disbursed: Event) -> None:
    world.put(replace(world.user(user_id), locale="en"))
    world.notify(disbursed)
    assert world.messengers["email"].sent[0].subject == "Your loan has been paid out"
    assert world.messengers["email"].sent[0].locale == "en"


@pytest.mark.parametrize("down", ["email", "sms", "whatsapp"])
def test_a_channel_that_is_down_keeps_no_other_waiting(world: World, disbursed: Event, down: Channel) -> None:
    world.messengers[down].down = True
    world.notify(disbursed)
    others = [channel for channel in world.messengers if channel != down]
    assert [len(world.messengers[channel].sent) for channel in others] == [1, 1]
    waiting = delivery(world, down)
    assert (waiting.status, waiting.attempts, waiting.leased_until) == ("pending", 1, None)
    assert waiting.error == "a service: down"
    world.messengers[down].down = False
    assert waiting.not_before is not None
    world.clock.instant = waiting.not_before
    world.run_tasks()
    assert [len(messenger.sent) for messenger in world.messengers.values()] == [1, 1, 1]
    assert (delivery(world, down).status, delivery(world, down).attempts) == ("sent", 2)


def test_a_channel_that_refuses_has_failed_for_good(world: World, disbursed: Event) -> None:
    world.messengers["sms"].refusing = True
    for _ in range(2):
        world.notify(disbursed)
        world.pass_days(1)
    failed = delivery(world, "sms")
    assert (failed.status, failed.attempts, failed.error) == ("failed", 1, "sms: rejected")
    (notification,) = world.all(Notification)
    assert (notification.undelivered_at, notification.waiting_until) == (START, None)


def test_a_channel_that_stays_down_is_tried_eight_times_over_a_day_and_given_up(world: World, disbursed: Event) -> None:
    world.messengers["sms"].down = True
    world.notify(disbursed)
    for attempt in range(1, MOST_TRIES):
        waiting = delivery(world, "sms")
        assert (waiting.status, waiting.attempts) == ("pending", attempt)
        assert waiting.not_before == world.clock.instant + pause_after(attempt, world.chance)
        world.clock.instant = waiting.not_before
        assert world.run_tasks() == 1
    assert (delivery(world, "sms").status, delivery(world, "sms").attempts) == ("failed", 8)
    assert delivery(world, "sms").error == "a service: down"
    assert timedelta(hours=14) < world.clock.instant - START < timedelta(days=1)
    world.pass_days(30)
    world.notify(disbursed)
    world.sweep()
    world.run_tasks()
    assert world.messengers["sms"].calls == 8


def test_a_task_that_comes_too_soon_waits_for_its_time(world: World, disbursed: Event) -> None:
    world.messengers["sms"].down = True
    world.app.notifying.hear(disbursed)
    sms = next(task for task in world.tasks.waiting.values() if task.queue == "sms")
    world.run_tasks()
    world.messengers["sms"].down = False
    world.app.notifying.hear(sms.event)
    assert world.messengers["sms"].calls == 1


def test_a_message_that_whatsapp_refuses_goes_by_sms(pushing: World) -> None:
    world = pushing
    world.messengers["whatsapp"].refusing = True
    loan_id = world.active(world.verified())
    world.pay(world.loan(loan_id).user_id, loan_id)
    (event,) = world.events("payment-settled")
    world.notify(event)
    (notification,) = world.all(Notification)
    assert [(one.channel, one.status) for one in notification.deliveries] == [
        ("email", "sent"),
        ("whatsapp", "failed"),
        ("sms", "sent"),
    ]
    assert world.messengers["sms"].sent[0].body.startswith("Pinjam: ")
    world.notify(event)
    assert len(world.messengers["sms"].sent) == 1


def test_a_message_that_went_by_sms_anyway_does_not_go_there_again(world: World, disbursed: Event) -> None:
    world.messengers["whatsapp"].refusing = True
    world.notify(disbursed)
    assert len(world.messengers["sms"].sent) == 1


def test_who_wants_no_sms_gets_none_in_the_place_of_a_courtesy(pushing: World) -> None:
    world = pushing
    world.messengers["whatsapp"].refusing = True
    user_id = world.verified()
    loan_id = world.active(user_id)
    choose(world, user_id, "email", "whatsapp")
    world.pay(user_id, loan_id, kind="settlement")
    for topic in ("payment-settled", "loan-settled"):
        (event,) = world.events(topic)
        world.notify(event)
    went = {one.kind: [each.channel for each in one.deliveries] for one in world.all(Notification)}
    assert world.messengers["sms"].sent == [], went


def test_a_second_worker_keeps_away_while_the_first_sends(world: World, disbursed: Event) -> None:
    email = world.messengers["email"]
    world.app.notifying.hear(disbursed)
    task = next(task for task in world.tasks.waiting.values() if task.queue == "email")
    email.gate.clear()
    first = threading.Thread(target=world.run_tasks)
    first.start()
    assert email.reached.wait(10)
    with pytest.raises(Unavailable, match="email"):
        world.app.notifying.hear(task.event)
    email.gate.set()
    first.join(10)
    assert [len(messenger.sent) for messenger in world.messengers.values()] == [1, 1, 1]


def test_a_worker_that_died_is_replaced_when_its_lease_ends(world: World, disbursed: Event) -> None:
    world.notify(disbursed)
    (notification,) = world.all(Notification)
    died = Delivery(channel="email", not_before=START).begun(START + LEASE)
    world.put(notification.with_deliveries(died))
    world.clock.instant += LEASE
    assert world.sweep().messages_resumed == 0
    world.clock.instant += RESUME_AFTER + timedelta(microseconds=1)
    assert world.sweep().messages_resumed == 1
    assert world.run_tasks() == 1
    assert (delivery(world, "email").status, delivery(world, "email").attempts) == ("sent", 2)
    assert world.sweep().messages_resumed == 0


def test_a_message_is_not_lost_between_its_notification_and_its_tasks(world: World, disbursed: Event) -> None:
    world.tasks.down = True
    with pytest.raises(Unavailable):
        world.app.notifying.hear(disbursed)
    (notification,) = world.all(Notification)
    assert len(notification.open_deliveries) == 3
    world.tasks.down = False
    world.notify(disbursed)
    assert [len(messenger.sent) for messenger in world.messengers.values()] == [1, 1, 1]


def test_a_try_is_not_lost_between_its_failure_and_the_next_task(world: World, disbursed: Event) -> None:
    world.app.notifying.hear(disbursed)
    sms = next(task for task in world.tasks.waiting.values() if task.queue == "sms")
    world.messengers["sms"].down = True
    world.tasks.down = True
    with pytest.raises(Unavailable):
        world.app.notifying.hear(sms.event)
    world.tasks.down = world.messengers["sms"].down = False
    world.app.notifying.hear(sms.event)
    world.clock.advance(seconds=10)
    world.run_tasks()
    assert len(world.messengers["sms"].sent) == 1


def test_a_channel_without_a_messenger_is_left_out() -> None:
    world = make_world(channels=["email"])
    world.active(world.verified())
    (event,) = world.events("loan-disbursed")
    world.notify(event)
    (notification,) = world.all(Notification)
    assert [one.channel for one in notification.deliveries] == ["email"]


def test_an_event_without_a_subject_any_more_is_done_with(world: World, disbursed: Event) -> None:
    world.notify(replace(disbursed, subject="loan_nothing"))
    world.notify(replace(disbursed, topic="payment-settled", subject="pay_nothing"))
    assert world.all(Notification) == []
    with pytest.raises(NotFound):
        world.notify(replace(disbursed, data={"user_id": "usr_nobody"}))


def test_a_reminder_that_comes_after_the_payment_is_not_sent(world: World, user_id: str) -> None:
    loan_id = world.active(user_id, tenor_months=2)
    for number in (1, 2):
        due = world.loan(loan_id).next_due_on
        assert due is not None
        world.go_to(due)
        world.app.servicing.sweep(request_id="req_sweep")
        assert len(world.events("instalment-reminder")) == number
        world.pay(user_id, loan_id)
    for event in world.events("instalment-reminder"):
        world.notify(event)
    assert world.all(Notification) == []


def test_a_payout_that_is_told_late_still_names_the_first_instalment(world: World, user_id: str) -> None:
    loan_id = world.active(user_id, tenor_months=1)
    first = world.loan(loan_id).next_due_on
    world.pay(user_id, loan_id)
    (event,) = world.events("loan-disbursed")
    world.notify(event)
    assert first is not None
    assert f"{first.day} Des {first.year}" in world.messengers["sms"].sent[0].body


def test_everything_that_happens_to_a_borrower_is_told(world: World) -> None:
    """The whole road, each event brought twice: every kind of message is written with its facts."""
    user_id = world.verified()
    for asked in ({}, {"amount": 5_000_000, "tenor_months": 3, "monthly_income": 3_100_000}, {"monthly_income": 1}):
        loan_id = world.apply(user_id, **asked)
        world.deliver(repeat=2)
        if asked == {}:
            world.app.lending.withdraw(user_id, loan_id, actor=world.actor(user_id))
        elif "amount" in asked:
            world.accept(user_id, loan_id)
            world.deliver(repeat=2)
            for _ in range(3):
                due = world.loan(loan_id).next_due_on
                assert due is not None
                world.go_to(due - timedelta(days=3))
                for _ in range(12):
                    world.app.servicing.sweep(request_id="req_sweep")
                    world.deliver(repeat=2)
                    world.pass_days(1)
                orders = [world.order(user_id, loan_id) for _ in range(2)]
                world.payments.move(orders[0], "settled")
                world.hear(orders[0])
                world.deliver(repeat=2)
            world.payments.move(orders[1], "settled")
            world.hear(orders[1])
            world.deliver(repeat=2)
    told = [one.kind for one in world.all(Notification)]
    assert told.count("application-received") == 3
    assert {kind: told.count(kind) for kind in told if kind != "application-received"} == {
        "loan-approved": 1,
        "loan-counter-offer": 1,
        "loan-declined": 1,
        "contract-accepted": 1,
        "loan-disbursed": 1,
        "instalment-upcoming": 3,
        "instalment-due": 3,
        "instalment-overdue": 6,
        "payment-received": 3,
        "payment-surplus": 1,
        "loan-settled": 1,
    }


def test_every_topic_that_notify_hears_has_words(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    payment_id = world.pay(user_id, loan_id)
    loan = world.loan(loan_id)
    assert loan.next_due_on is not None
    heard = [topic for topic in get_args(Topic) if "notify" in SUBSCRIPTIONS.get(topic, ())]
    (payout,) = world.all(Payout)
    subjects = {"payment": payment_id, "user": user_id, "payout": payout.id}
    for number, topic in enumerate(heard):
        if topic in PAYOUT_TOLD_WHILE:
            world.put(replace(payout, status=PAYOUT_TOLD_WHILE[topic]))
        event = Event(
            id=f"evt_{number:026}",
            topic=topic,
            subject=subjects.get(topic.partition("-")[0], loan_id),
            data={
                "user_id": user_id,
                "loan_id": loan_id,
                "status": "verified",
                "change": "new-device",
                "device": "ios",
                "milestone": "due",
                "due_date": loan.next_due_on.isoformat(),
            },
            request_id="req",
            occurred_at=START,
        )
        world.notify(event)
    assert len(world.all(Notification)) == len(heard) > 0


def test_a_list_is_the_borrowers_own_newest_first_and_counts_the_unread(world: World, user_id: str) -> None:
    world.active(user_id)
    world.deliver()
    read, *rest = world.all(Notification)
    world.put(replace(read, read_at=START))
    page, unread = world.app.notices.list(user_id, unread=False, limit=20, after=None)
    assert [one.id for one in page.items] == sorted((one.id for one in world.all(Notification)), reverse=True)
    assert unread == len(rest)
    page, unread = world.app.notices.list(user_id, unread=True, limit=1, after=None)
    assert (len(page.items), unread, page.next_cursor is not None) == (1, len(rest), len(rest) > 1)
    assert read.id not in {one.id for one in page.items}
    other: User = world.register(2)
    assert world.app.notices.list(other.id, unread=False, limit=20, after=None)[0].items == ()


@pytest.fixture
def pushing() -> World:
    """A system with all channels, in which push messages go to devices `a` and `b`."""
    return make_world(channels=["email", "sms", "whatsapp", "push"])


def paid_out(world: World, *tokens: str) -> Event:
    user_id = world.verified()
    for token in tokens:
        world.app.devices.register(user_id, token=token, platform="android", actor=world.actor(user_id))
    world.active(user_id)
    (event,) = world.events("loan-disbursed")
    return event


def test_a_push_goes_to_every_device_with_the_titles_words(pushing: World) -> None:
    pushing.notify(paid_out(pushing, "a", "b"))
    (notification,) = pushing.all(Notification)
    sent = pushing.messengers["push"].sent
    assert [one.to for one in sent] == ["a", "b"]
    assert {(one.subject, one.body, one.html) for one in sent} == {(notification.title, notification.body, None)}
    assert (delivery(pushing, "push").status, delivery(pushing, "push").provider_id) == ("sent", "push-1 push-2")


def test_without_a_device_there_is_no_push(pushing: World) -> None:
    pushing.notify(paid_out(pushing))
    (notification,) = pushing.all(Notification)
    assert "push" not in {one.channel for one in notification.deliveries}


def test_a_device_whose_app_is_gone_is_forgotten_and_the_others_hear(pushing: World) -> None:
    pushing.messengers["push"].gone.add("a")
    event = paid_out(pushing, "a", "b")
    pushing.notify(event)
    assert [one.to for one in pushing.messengers["push"].sent] == ["b"]
    assert sorted(one.token is None for one in pushing.all(Device)) == [False, True]
    assert delivery(pushing, "push").status == "sent"
    record = pushing.trail(str(event.data["user_id"]))[-1]
    assert (record.action, record.actor, record.request_id) == ("device-dropped", "notify", event.request_id)


def test_a_push_to_apps_that_are_all_gone_has_failed(pushing: World) -> None:
    pushing.messengers["push"].gone.add("a")
    pushing.notify(paid_out(pushing, "a"))
    assert (delivery(pushing, "push").status, delivery(pushing, "push").error) == ("failed", "push: gone")


def test_a_push_that_gets_no_answer_comes_again_to_all_devices(pushing: World) -> None:
    event = paid_out(pushing, "a", "b")
    push = pushing.messengers["push"]
    push.down_from = 2
    pushing.notify(event)
    assert (delivery(pushing, "push").status, [one.to for one in push.sent]) == ("pending", ["a"])
    push.down_from = None
    pushing.clock.advance(seconds=10)
    pushing.run_tasks()
    assert [one.to for one in push.sent] == ["a", "a", "b"]
    assert len({one.id for one in push.sent}) == 1, "a device shows a repeat in the first one's place"


def choose(world: World, user_id: str, *on: Channel) -> None:
    world.app.preferring.choose(
        user_id,
        channels={"push": "push" in on, "email": "email" in on, "sms": "sms" in on, "whatsapp": "whatsapp" in on},
        marketing=False,
        actor=world.actor(user_id),
    )


def test_what_the_contract_needs_goes_by_email_whatever_was_chosen(
    world: World, user_id: str, disbursed: Event
) -> None:
    choose(world, user_id)
    world.notify(disbursed)
    (notification,) = world.all(Notification)
    assert [one.channel for one in notification.deliveries] == ["email"]
    assert world.messengers["email"].sent[0].html


def test_a_service_message_follows_the_choice_and_stays_in_the_list(world: World, user_id: str) -> None:
    choose(world, user_id, "sms")
    loan_id = world.active(user_id)
    due = world.loan(loan_id).next_due_on
    assert due is not None
    world.go_to(due)
    world.app.servicing.sweep(request_id="req_sweep")
    (event,) = world.events("instalment-reminder")
    world.notify(event)
    (notification,) = world.notifications("instalment-due")
    assert [one.channel for one in notification.deliveries] == ["sms"]
    assert (len(world.messengers["sms"].sent), len(world.messengers["email"].sent)) == (1, 0)


def test_reading_keeps_the_first_time_and_is_the_borrowers_own(world: World, user_id: str, disbursed: Event) -> None:
    world.notify(disbursed)
    (notification,) = world.all(Notification)
    for stranger, id_ in ((world.register(2).id, notification.id), (user_id, "ntf_none")):
        with pytest.raises(NotFound):
            world.app.notices.read(stranger, id_)
    assert world.all(Notification) == [notification]
    for _ in range(2):
        world.app.notices.read(user_id, notification.id)
        world.pass_days(1)
    assert world.all(Notification) == [replace(notification, read_at=START)]


def test_reading_all_reads_more_than_a_batch_and_nobody_elses(world: World, user_id: str, disbursed: Event) -> None:
    world.notify(disbursed)
    (notification,) = world.all(Notification)
    world.put(*(replace(notification, id=f"ntf_{number:03}") for number in range(BATCH + 1)))
    other = replace(notification, id="ntf_other", user_id=world.register(2).id)
    world.put(other, replace(notification, read_at=START - timedelta(days=1)))
    for _ in range(2):
        world.app.notices.read_all(user_id)
        world.pass_days(1)
    mine = [one.read_at for one in world.all(Notification) if one.user_id == user_id]
    assert sorted(mine, key=str) == [START - timedelta(days=1), *[START] * (BATCH + 1)]
    assert world.get(Notification, "ntf_other").read_at is None


def test_a_given_up_message_is_found_tried_again_and_on_record(world: World, disbursed: Event) -> None:
    world.messengers["sms"].refusing = True
    world.notify(disbursed)
    (notification,) = world.app.queueing.undelivered(after=None).items
    world.messengers["sms"].refusing = False
    world.clock.advance(seconds=1)
    staff = Actor(id="staff:rina", request_id="cmd_1")
    assert world.app.queueing.again(notification.id, actor=staff) == ("sms",)
    world.run_tasks()
    assert (delivery(world, "sms").status, delivery(world, "sms").attempts) == ("sent", 1)
    assert [len(messenger.sent) for messenger in world.messengers.values()] == [1, 1, 1]
    assert world.app.queueing.undelivered(after=None).items == ()
    record = world.trail(notification.user_id)[-1]
    assert (record.action, record.actor, record.after) == (
        "message-tried-again",
        "staff:rina",
        {"notification": notification.id},
    )
    for nothing in (notification.id, "ntf_nothing"):
        with pytest.raises(NotFound):
            world.app.queueing.again(nothing, actor=staff)
