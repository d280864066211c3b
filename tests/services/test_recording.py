"""The audit chain, the outbox, and what is consumed once."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from tests.world import START, World

from pinjam.domain.loan import Loan
from pinjam.domain.trail import AuditRecord, Event
from pinjam.services.recording import GENESIS, Actor, audit_hash, consume, consumed, last_record
from pinjam.services.store import Conflict, Contention, StoreUnavailable, Transaction

ACTOR = Actor(id="usr_1", request_id="req_1")


def chain_is_intact(records: list[AuditRecord]) -> bool:
    """Numbers without gaps, each record under its own hash and linked to the one before."""
    previous = GENESIS
    for number, record in enumerate(records, 1):
        if (record.number, record.previous, record.hash) != (number, previous, audit_hash(record)):
            return False
        previous = record.hash
    return True


def test_every_subject_has_a_chain_of_its_own_that_verifies(world: World) -> None:
    user_id = world.verified()
    loan_id = world.active(user_id)
    payment_id = world.pay(user_id, loan_id)
    subjects = {record.subject for record in world.all(AuditRecord)}
    assert subjects == {user_id, loan_id, payment_id, world.loan(loan_id).payout_id}
    for subject in subjects:
        assert chain_is_intact(world.trail(subject))
    assert world.actions(loan_id) == [
        "loan-submitted",
        "loan-decided",
        "loan-accepted",
        "payout-started",
        "loan-disbursed",
        "loan-repaid",
    ]


CHANGES: dict[str, Any] = {
    "id": "aud_other",
    "subject": "loan_other",
    "number": 9,
    "action": "loan-declined",
    "actor": "usr_other",
    "request_id": "req_other",
    "at": START + timedelta(seconds=1),
    "before": {"status": "approved"},
    "after": {"status": "declined"},
    "previous": "f" * 64,
    "hash": "f" * 64,
}


@pytest.mark.parametrize("field", [field.name for field in fields(AuditRecord)])
def test_a_change_of_any_field_is_detected(world: World, field: str) -> None:
    loan_id = world.accepted(world.verified())
    records = world.trail(loan_id)
    records[1] = replace(records[1], **{field: CHANGES[field]})
    assert not chain_is_intact(records)


def test_a_missing_a_swapped_and_a_rewritten_record_are_detected(world: World) -> None:
    records = world.trail(world.accepted(world.verified()))
    assert chain_is_intact(records)
    assert not chain_is_intact(records[:1] + records[2:])
    assert not chain_is_intact([records[1], records[0], *records[2:]])
    forged = replace(records[1], actor="usr_other")
    forged = replace(forged, hash=audit_hash(forged))
    assert not chain_is_intact([records[0], forged, *records[2:]])


def test_the_hash_is_the_same_in_every_release(world: World) -> None:
    record = AuditRecord(
        id="aud_1",
        subject="loan_1",
        number=1,
        action="loan-submitted",
        actor="usr_1",
        request_id="req_1",
        at=START,
        before=None,
        after={"amount": 3_000_000, "status": "submitted"},
        previous=GENESIS,
        hash="",
    )
    assert audit_hash(record) == "3dd0764939f96683759672eb98c58df3d831aa2d9cc2a81ceeb8cb2303180f57"
    world.put(record)
    assert audit_hash(world.get(AuditRecord, "aud_1")) == audit_hash(record)


def test_no_personal_value_reaches_the_log(world: World) -> None:
    user_id = world.verified()
    world.pay(user_id, world.active(user_id))
    user = world.user(user_id)
    text = repr([(record.before, record.after, record.actor) for record in world.all(AuditRecord)])
    for secret in (user.full_name, user.email, user.phone, "3171015508900001", "1234567890", user.nik):
        assert secret not in text


def test_an_audit_record_says_what_a_loan_was_and_is(world: World) -> None:
    user_id = world.verified()
    loan_id = world.active(user_id)
    world.pay(user_id, loan_id)
    record = world.trail(loan_id)[-1]
    assert record.before is not None
    loan: Loan = world.loan(loan_id)
    paid = loan.instalments[0].principal
    assert (record.before["unpaid_principal"], record.after["unpaid_principal"]) == (3_000_000, 3_000_000 - paid)
    assert (record.before["status"], record.after["status"], record.after["amount"]) == ("active", "active", 3_000_000)


def test_a_record_and_its_change_come_together_or_not_at_all(world: World) -> None:
    user = world.register()

    def work(tx: Transaction) -> None:
        previous = last_record(tx, user.id)
        world.app.recorder.audit(tx, previous, subject=user.id, action="x", actor=ACTOR, before=None, after={})
        world.app.recorder.event(tx, "loan-submitted", subject=user.id, actor=ACTOR)
        raise RuntimeError("a crash")

    with pytest.raises(RuntimeError):
        world.store.transact(work)
    assert world.actions(user.id) == ["user-registered", "account-created"]
    assert world.all(Event) == []


def test_two_cannot_add_the_same_number_to_a_chain(world: World) -> None:
    user = world.register()
    stale = world.trail(user.id)[0]
    with pytest.raises(Conflict):
        world.store.transact(
            lambda tx: world.app.recorder.audit(
                tx, stale, subject=user.id, action="x", actor=ACTOR, before=None, after={}
            )
        )


def test_an_event_is_marked_once_it_is_published(world: World) -> None:
    world.apply(world.verified())
    (event,) = world.all(Event)
    assert (event.published_at, event.request_id, event.occurred_at) == (START, "req_12345678", START)
    (published,) = world.publisher.events
    assert replace(published, published_at=START) == event


def test_a_failing_publication_leaves_the_event_to_the_relay(world: World) -> None:
    world.publisher.down = True
    loan_id = world.apply(world.verified())
    assert [event.published_at for event in world.all(Event)] == [None]
    world.publisher.down = False
    later = START + timedelta(microseconds=1)
    assert world.app.outbox.relay(older_than=START) == 0
    assert world.app.outbox.relay(older_than=later) == 1
    assert world.app.outbox.relay(older_than=later) == 0
    assert [event.subject for event in world.publisher.events] == [loan_id]


@pytest.mark.parametrize("fault", [Contention("busy"), StoreUnavailable("gone")], ids=["busy", "gone"])
def test_an_event_that_could_not_be_marked_may_be_published_again(world: World, fault: Exception) -> None:
    class Unmarkable:
        def transact(self, _: object) -> None:
            raise fault

    def work(tx: Transaction) -> Event:
        return world.app.recorder.event(tx, "loan-submitted", subject="loan_1", actor=ACTOR)

    event = world.store.transact(work)
    replace(world.app.outbox, store=Unmarkable()).publish(event)  # type: ignore[arg-type]  # only transact is used
    assert world.publisher.events == [event]
    assert world.app.outbox.relay(older_than=START + timedelta(seconds=1)) == 1
    assert world.publisher.events == [event, event]


def test_the_relay_takes_all_batches(world: World) -> None:
    def work(tx: Transaction) -> None:
        for _ in range(7):
            world.app.recorder.event(tx, "loan-submitted", subject="loan_1", actor=ACTOR)

    world.store.transact(work)
    assert world.app.outbox.relay(older_than=START + timedelta(seconds=1), batch=3) == 7
    assert [event.id for event in world.publisher.events] == [event.id for event in world.all(Event)]


def test_nothing_to_publish_asks_nobody(world: World) -> None:
    world.publisher.down = True
    world.app.outbox.publish()
    assert world.publisher.events == []


def test_an_event_is_consumed_once_by_each_consumer(world: World) -> None:
    event = Event(id="evt_1", topic="loan-decided", subject="l", data={}, request_id="r", occurred_at=START)
    world.store.transact(lambda tx: consume(tx, "notify", event, START))
    with pytest.raises(Conflict):
        world.store.transact(lambda tx: consume(tx, "notify", event, START))
    assert world.store.read(lambda tx: (consumed(tx, "notify", event), consumed(tx, "other", event))) == (True, False)
