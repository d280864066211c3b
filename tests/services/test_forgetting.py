"""What nobody needs any more is deleted, a little at a time, and nothing else is."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.authenticator import Authenticator
from tests.books import check_money
from tests.ceremonies import enroll, log_in
from tests.contracts.conftest import Samples
from tests.world import PASSWORD, START, World, picture

from pinjam.domain.notification import Delivery, Notification
from pinjam.domain.passkey import Challenge
from pinjam.domain.recovery import ASKED_LIFE, ResetCode
from pinjam.domain.retention import BROUGHT_AGAIN, RETENTION, may_go
from pinjam.domain.session import UNUSED_LIFE, Session
from pinjam.domain.trail import Consumption, Event, KeptAnswer
from pinjam.domain.user import User
from pinjam.services.auditing import verify
from pinjam.services.errors import NotFound, Unauthenticated
from pinjam.services.forgetting import BATCH, BATCHES
from pinjam.services.once import LEASE
from pinjam.services.ports import Unavailable
from pinjam.services.recording import Actor
from pinjam.services.store import KINDS, Contention, Find, Record, Transaction
from pinjam.services.subscriptions import SUBSCRIPTIONS

ANYBODY = Actor(id="anonymous", request_id="req_12345678")
STAYING = [kind for kind, kept in KINDS.items() if not kept.passing]


@pytest.fixture
def busy(world: World, siti: User, phone: Authenticator) -> str:
    """The id of a borrower who has used everything that leaves something behind, and owes the rest of a loan."""
    world.upload(siti.id, "ktp", picture(1))
    world.upload(siti.id, "selfie", picture(2))
    world.deliver()
    world.app.sessions.login(identifier=siti.email, password=PASSWORD, address="203.0.113.7")
    enroll(world, siti.id, phone)
    log_in(world, phone)
    for identifier in (siti.email, "nobody@example.com"):
        world.app.recovery.ask(identifier, address="203.0.113.7", request_id="req_12345678")
    other = world.verified(2)
    loan_id = world.active(other)
    world.pay(other, loan_id)
    world.repaid(world.verified(3))
    world.deliver()
    assert all(world.all(kind) for kind in RETENTION)
    return other


def staying(world: World) -> dict[type, list[Record]]:
    return {kind: world.all(kind) for kind in STAYING}


def events(count: int, *, published: bool = True) -> list[Event]:
    one = replace(Samples().event(), published_at=START if published else None, occurred_at=START)
    return [replace(one, id=f"evt_{number:05}") for number in range(count)]


def test_after_forty_days_the_old_has_gone_and_all_else_is_as_it_was(world: World, busy: str) -> None:
    before = staying(world)
    old = {record.id for kind in RETENTION for record in world.all(kind)}
    world.pass_days(40)
    # Only what the sweep forgets, and not what it does of new: that the instalment is overdue is told by the next one.
    for kind in RETENTION:
        list(world.app.forgetting.forget(kind))
    assert [record for kind in RETENTION for record in world.all(kind)] == []
    assert len(old) > 30
    assert staying(world) == before
    check_money(world)
    assert verify(world.store).findings == ()
    # The road goes on: who owes pays, who repaid borrows again.
    (loan_id,) = [loan.id for loan in world.app.profiles.show(busy).loans]
    world.pay(busy, loan_id)
    world.pay(busy, loan_id, kind="settlement")
    again = world.active(busy)
    world.deliver()
    assert world.sweep().faults == 0
    assert world.owed(again) > 0
    check_money(world)
    assert verify(world.store).findings == ()


def test_a_sweep_forgets_and_counts_it(world: World, busy: str) -> None:
    assert busy
    old = {(kind, record.id) for kind in RETENTION for record in world.all(kind)}
    world.pass_days(40)
    swept = world.sweep()
    left = {(kind, record.id) for kind in RETENTION for record in world.all(kind)}
    assert old & left == set()
    assert swept.forgotten == len(old)
    assert swept.faults == 0


def test_an_event_that_comes_again_after_all_was_forgotten_changes_nothing(world: World, busy: str) -> None:
    """The second line: what is known of consumptions is gone, and the records' own state says that all is done."""
    assert busy
    world.pass_days(40)
    for kind in RETENTION:
        list(world.app.forgetting.forget(kind))
    before, mails = staying(world), [len(one.sent) for one in world.messengers.values()]
    paid = list(world.payouts.paid)
    for event in list(world.publisher.events):
        for name in SUBSCRIPTIONS[event.topic]:
            world.consume(name, event)
    assert staying(world) == before
    assert world.payouts.paid == paid
    assert [len(one.sent) for one in world.messengers.values()] == mails


def test_within_a_day_everything_is_still_there(world: World, busy: str) -> None:
    assert busy
    lasting = {
        record.id for kind in (Session, KeptAnswer, Consumption, Event) for record in world.all(kind)
    }  # Codes and challenges go within minutes.
    world.pass_days(1)
    world.sweep()
    assert lasting <= {record.id for kind in (Session, KeptAnswer, Consumption, Event) for record in world.all(kind)}


def test_a_reminder_is_not_told_again_however_long_its_instalment_stays_unpaid(world: World) -> None:
    loan_id = world.active(world.verified())
    world.go_to(world.loan(loan_id).instalments[0].due_date + timedelta(days=30))
    assert world.sweep().reminders == 1
    for _ in range(12):
        world.pass_days(20)
        assert world.sweep().reminders == 0
    (mark,) = world.all(Consumption)
    assert mark.id.endswith(":30")
    assert world.clock.now() - mark.consumed_at < BROUGHT_AGAIN
    # Once nobody asks for it any more, it goes as well.
    user_id = world.loan(loan_id).user_id
    world.pay(user_id, loan_id, kind="settlement")
    world.pass_days(36)
    world.sweep()
    assert world.all(Consumption) == []


def test_an_event_stays_while_a_message_waits_to_look_it_up(world: World) -> None:
    world.active(world.verified())
    (event,) = world.events("loan-disbursed")
    world.messengers["email"].down = True
    world.notify(event)
    (message,) = world.all(Notification)
    assert message.waiting_until is not None
    world.pass_days(40)
    list(world.app.forgetting.forget(Event))
    assert world.all(Event) == [event]
    world.messengers["email"].down = False
    world.run_tasks()
    assert [one.status for one in world.get(Notification, message.id).deliveries] == ["sent"] * 3
    list(world.app.forgetting.forget(Event))
    assert world.all(Event) == []


def test_a_message_that_was_given_up_cannot_be_tried_again_without_its_event(world: World) -> None:
    world.active(world.verified())
    (event,) = world.events("loan-disbursed")
    world.notify(event)
    (message,) = world.all(Notification)
    failed = message.with_deliveries(Delivery(channel="email", status="failed", attempts=8, error="down"))
    world.put(replace(failed, undelivered_at=world.clock.now()))
    assert world.app.queueing.again(message.id, actor=ANYBODY) == ("email",)
    world.run_tasks()
    world.put(replace(failed, undelivered_at=world.clock.now()))
    world.pass_days(40)
    world.sweep()
    with pytest.raises(NotFound):
        world.app.queueing.again(message.id, actor=ANYBODY)
    assert world.get(Notification, message.id).deliveries == failed.deliveries


def test_a_code_that_was_used_is_not_made_anew_by_a_task_that_comes_again(world: World, siti: User) -> None:
    world.app.recovery.ask(siti.email, address="203.0.113.7", request_id="req_12345678")
    ((_, task),) = world.tasks.waiting.items()
    world.run_tasks()
    assert len(world.messengers["email"].sent) == 1
    world.clock.advance(seconds=ASKED_LIFE.total_seconds() + 15 * 60 + 1)
    assert world.sweep().forgotten > 0
    assert world.all(ResetCode) == []
    assert task.event is not None
    world.consume(task.function, task.event)
    assert world.all(ResetCode) == []
    assert len(world.messengers["email"].sent) == 1


def test_a_session_in_use_stays_and_an_unused_one_is_over_before_it_goes(world: World, siti: User) -> None:
    (idle,) = world.all(Session)  # That of the sign-up.
    token = world.app.sessions.login(identifier=siti.email, password=PASSWORD, address="203.0.113.7")[1].refresh_token
    for _ in range(4):
        world.pass_days(30)
        token = world.app.refreshing.refresh(token, actor=ANYBODY).refresh_token
        world.sweep()
    (used,) = world.all(Session)
    assert (used.generation, used.id != idle.id) == (5, True)
    world.clock.instant += UNUSED_LIFE + timedelta(seconds=1)
    world.sweep()
    assert world.all(Session) == [used]
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="invalid-refresh-token"):
            world.app.refreshing.refresh(token, actor=ANYBODY)
        world.pass_days(2)
        world.sweep()
    assert world.all(Session) == []


@pytest.mark.usefixtures("siti")
def test_a_session_that_is_refreshed_while_the_sweep_looks_stays(world: World) -> None:
    """Whatever the sweep thought when it began: it decides by what the deleting transaction reads."""
    (session,) = world.all(Session)
    world.pass_days(40)
    work = world.app.forgetting.forget(Session)
    world.put(replace(session, generation=2, rotated_at=world.clock.now()))
    assert list(work) == [0]
    assert [one.generation for one in world.all(Session)] == [2]


def test_a_run_is_bounded_and_the_next_one_goes_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    most = BATCH * BATCHES
    world.put(*events(most + 7), *(replace(one, id=f"{one.id}_open") for one in events(3, published=False)))
    world.publisher.down = True
    world.pass_days(36)
    assert world.sweep().forgotten == most
    assert [record.kind for record in caplog.records if record.message == "more-to-forget"] == ["Event"]  # type: ignore[attr-defined]  # an extra field
    assert world.sweep().forgotten == 7
    assert [one.published_at for one in world.all(Event)] == [None] * 3


def test_what_must_stay_keeps_nothing_behind_it_from_going(world: World) -> None:
    kept = events(BATCH + 5)
    waiting = [
        replace(Samples().notification(), id=f"ntf_{one.id.removeprefix('evt_')}", waiting_until=START) for one in kept
    ]
    world.put(*kept, *waiting, *(replace(one, id=f"evt_later_{one.id}") for one in events(3)))
    world.pass_days(36)
    assert sum(world.app.forgetting.forget(Event)) == 3
    assert len(world.all(Event)) == len(kept)


def test_a_request_that_is_taken_up_late_still_finds_its_key(world: World) -> None:
    user_id = world.verified()
    loan_id = world.active(user_id)
    world.payments.down = True
    with pytest.raises(Unavailable):
        world.start_payment(user_id, loan_id, key="slow")
    (begun,) = [one for one in world.kept() if one.status is None]
    # Its order has expired by then: the same key opens another, at the very moment of the sweep.
    world.pass_days(3)
    world.put(replace(begun, leased_until=world.clock.now() + LEASE))
    world.sweep()
    assert [one.id for one in world.kept()] == [begun.id]
    world.payments.down = False
    world.clock.advance(seconds=31)
    answered = world.start_payment(user_id, loan_id, key="slow")
    assert world.start_payment(user_id, loan_id, key="slow").body == answered.body


def test_a_kind_that_fails_does_not_stop_the_others(world: World, siti: User, monkeypatch: pytest.MonkeyPatch) -> None:
    assert siti.id
    world.app.challenges.issue("login", None)
    world.put(*events(1))
    world.pass_days(40)
    transact = world.store.transact

    def contended(work: object) -> object:
        def watched(tx: Transaction) -> object:
            find = tx.find

            def refuse(query: Find[Record]) -> object:
                if query.kind is Session:
                    raise Contention("others keep winning")
                return find(query)

            monkeypatch.setattr(tx, "find", refuse)
            return work(tx)  # type: ignore[operator]  # what `transact` is given

        return transact(watched)

    monkeypatch.setattr(world.store, "transact", contended)
    swept = world.sweep()
    assert (swept.faults, world.all(Challenge), world.all(Event)) == (1, [], [])
    assert len(world.all(Session)) == 1


def test_nothing_that_may_go_is_left_after_a_run(world: World, busy: str) -> None:
    assert busy
    for minutes in (0, 20, 60, 300, 60 * 24 * 3, 60 * 24 * 30, 60 * 24 * 4):
        world.pass_minutes(minutes)
        world.sweep()
        assert [one for kind in RETENTION for one in world.all(kind) if may_go(one, world.clock.now())] == []
