"""What every store does. The fixture `store` is each adapter in turn; queries and races have files of their own."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from pinjam.domain.document import Document, DocumentKind
from pinjam.domain.loan import Loan
from pinjam.domain.passkey import Challenge
from pinjam.domain.payment import Payment
from pinjam.domain.recovery import ResetCode
from pinjam.domain.session import Session
from pinjam.domain.trail import AuditRecord, Consumption, Event, KeptAnswer
from pinjam.domain.user import User, UserStatus
from pinjam.services.store import KINDS, Conflict, Find, Reader, Record, Store, Transaction

if TYPE_CHECKING:
    from tests.contracts.conftest import Samples

Insert = Callable[..., None]


def get(store: Store, kind: type[Any], id_: str) -> Any:
    return store.read(lambda tx: tx.get(kind, id_))


def update(store: Store, record: Record) -> None:
    store.transact(lambda tx: tx.update(record))


def test_every_kind_comes_back_as_it_went_in(store: Store, insert: Insert, samples: "Samples") -> None:
    records = samples.all()
    assert {type(record) for record in records} == set(KINDS)
    insert(*records)
    for record in records:
        kept = get(store, type(record), record.id)
        assert kept == record
        for field in fields(record):
            assert type(getattr(kept, field.name)) is type(getattr(record, field.name)), field.name
        for instant in (getattr(kept, f.name) for f in fields(record)):
            if isinstance(instant, datetime):
                assert instant.utcoffset() == timedelta(0)


def test_the_samples_set_every_field_once_and_leave_every_optional_one_out(samples: "Samples") -> None:
    for kind in KINDS:
        of_kind = [record for record in samples.all() if isinstance(record, kind)]
        for field in fields(kind):
            assert any(getattr(record, field.name) not in (None, ()) for record in of_kind), (kind, field.name)


def test_nested_values_keep_their_types(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.full_user(), samples.full_loan(), samples.full_payment())
    loan, payment = get(store, Loan, "loan_0001"), get(store, Payment, "pay_0001")
    assert isinstance(loan.instalments, tuple)
    assert type(loan.offer.schedule[0].due_date) is date
    assert loan.decision.decided_at.utcoffset() == timedelta(0)
    assert isinstance(loan.decision.reasons, tuple)
    assert isinstance(payment.allocation, tuple)
    assert get(store, User, "usr_0001").status is UserStatus.VERIFIED


def test_an_instant_in_another_zone_comes_back_in_utc(store: Store, insert: Insert, samples: "Samples") -> None:
    jakarta = datetime(2026, 2, 1, 0, 30, tzinfo=timezone(timedelta(hours=7)))
    insert(replace(samples.event(), occurred_at=jakarta))
    kept = get(store, Event, "evt_0001").occurred_at
    assert (kept, kept.utcoffset()) == (datetime(2026, 1, 31, 17, 30, tzinfo=UTC), timedelta(0))


def test_a_missing_record_is_none(store: Store) -> None:
    assert get(store, User, "usr_none") is None


def test_an_update_replaces_every_field(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.full_user(), samples.full_loan())
    update(store, samples.user())
    update(store, samples.loan())
    assert get(store, User, "usr_0001") == samples.user()
    assert get(store, Loan, "loan_0001") == samples.loan()


def test_an_update_of_a_missing_record_fails_and_undoes_the_rest(store: Store, samples: "Samples") -> None:
    def work(tx: Transaction) -> None:
        tx.insert(samples.event())
        tx.update(samples.event(2))

    with pytest.raises(LookupError):
        store.transact(work)
    assert get(store, Event, "evt_0001") is None


def test_a_record_can_be_inserted_and_updated_in_one_transaction(store: Store, samples: "Samples") -> None:
    published = replace(samples.event(), published_at=samples.at)

    def work(tx: Transaction) -> None:
        tx.insert(samples.event())
        tx.update(published)

    store.transact(work)
    assert get(store, Event, "evt_0001") == published


def test_what_a_transaction_returns_is_given_back(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event())
    assert store.transact(lambda tx: tx.get(Event, "evt_0001")) == samples.event()
    assert store.transact(lambda _: 7) == 7
    assert store.read(lambda _: 8) == 8


@pytest.mark.parametrize("field", ["email", "phone", "nik_hash"])
def test_a_unique_value_has_one_owner(store: Store, insert: Insert, samples: "Samples", field: str) -> None:
    insert(samples.user(1))
    second = replace(samples.user(2), **{field: getattr(samples.user(1), field)})
    with pytest.raises(Conflict) as refused:
        insert(second)
    assert (refused.value.kind, refused.value.fields) == (User, (field,))
    assert get(store, User, second.id) is None


def test_a_taken_id_is_a_conflict(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.user(1))
    with pytest.raises(Conflict) as refused:
        insert(replace(samples.user(2), id="usr_0001"))
    assert (refused.value.kind, refused.value.fields) == (User, ("id",))
    assert get(store, User, "usr_0001") == samples.user(1)


def test_a_set_of_fields_is_unique_together(insert: Insert, samples: "Samples") -> None:
    first = samples.document(1)
    insert(samples.user(1), samples.user(2), first)
    insert(replace(first, id="doc_2", kind=DocumentKind.SELFIE), replace(first, id="doc_3", user_id="usr_0002"))
    with pytest.raises(Conflict) as refused:
        insert(replace(first, id="doc_4"))
    assert (refused.value.kind, refused.value.fields) == (Document, ("user_id", "kind", "source_sha256"))


def test_two_of_one_transaction_cannot_share_a_value(store: Store, insert: Insert, samples: "Samples") -> None:
    with pytest.raises(Conflict) as refused:
        insert(samples.user(1), samples.open_loan(1), samples.open_loan(2))
    assert (refused.value.kind, refused.value.fields) == (Loan, ("open_for",))
    assert get(store, User, "usr_0001") is None


def test_none_is_not_compared(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.user(), samples.loan(1), samples.loan(2))
    assert get(store, Loan, "loan_0002").open_for is None


def test_an_update_can_run_into_a_conflict(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.user(1), samples.user(2))

    def blind(tx: Transaction) -> None:
        tx.update(replace(samples.user(2), phone=samples.user(1).phone))

    def seen(tx: Transaction) -> None:
        tx.get(User, "usr_0002")
        blind(tx)

    for work in (blind, seen):
        with pytest.raises(Conflict) as refused:
            store.transact(work)
        assert (refused.value.kind, refused.value.fields) == (User, ("phone",))
    assert get(store, User, "usr_0002") == samples.user(2)


def test_a_value_is_its_owners_own_and_free_once_given_up(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.user(), samples.open_loan(1))
    update(store, replace(samples.open_loan(1), amount=1_000_000))
    update(store, samples.loan(1))
    insert(samples.open_loan(2))
    assert get(store, Loan, "loan_0002").open_for == "usr_0001"


def test_a_value_passes_from_one_to_another_once_it_is_given_up(
    store: Store, insert: Insert, samples: "Samples"
) -> None:
    first, second = samples.user(1), samples.user(2)
    gives, takes = replace(second, phone="+6281299990000"), replace(first, phone=second.phone)
    insert(first, second)

    def work(tx: Transaction, *changed: Record) -> None:
        assert tx.get(User, first.id) == first
        assert tx.get(User, second.id) == second
        for record in changed:
            tx.update(record)

    with pytest.raises(Conflict) as refused:
        store.transact(lambda tx: work(tx, takes, gives))
    assert (refused.value.kind, refused.value.fields) == (User, ("phone",))
    store.transact(lambda tx: work(tx, gives, takes))
    assert (get(store, User, first.id), get(store, User, second.id)) == (takes, gives)
    insert(replace(samples.user(3), phone=first.phone))
    with pytest.raises(Conflict):
        insert(replace(samples.user(4), phone=second.phone))


def test_a_value_that_is_taken_and_given_up_again_must_have_been_free(
    store: Store, insert: Insert, samples: "Samples"
) -> None:
    insert(samples.user(1), samples.event(1))

    def taken_value(tx: Transaction) -> None:
        tx.insert(replace(samples.user(2), phone=samples.user(1).phone))
        tx.update(samples.user(2))

    def taken_id(tx: Transaction) -> None:
        tx.insert(samples.event(1))
        tx.delete(Event, "evt_0001")

    for work, fields_taken in ((taken_value, ("phone",)), (taken_id, ("id",))):
        with pytest.raises(Conflict) as refused:
            store.transact(work)
        assert refused.value.fields == fields_taken
    assert get(store, User, "usr_0002") is None
    assert get(store, Event, "evt_0001") == samples.event(1)


def test_what_the_work_raises_undoes_its_writes(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event(1))

    def work(tx: Transaction) -> None:
        assert tx.get(Event, "evt_0001") is not None
        tx.insert(samples.event(2))
        tx.update(replace(samples.event(1), published_at=samples.at))
        raise KeyError("the work's own")

    with pytest.raises(KeyError, match="the work's own"):
        store.transact(work)
    assert get(store, Event, "evt_0001") == samples.event(1)
    assert get(store, Event, "evt_0002") is None


def test_a_row_and_its_event_come_together_or_not_at_all(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event(1))
    with pytest.raises(Conflict):
        insert(samples.kept_answer(), samples.event(1))
    assert get(store, KeptAnswer, samples.kept_answer().id) is None


PASSING = {Challenge, Session, ResetCode, Event, Consumption, KeptAnswer}


def delete(store: Store, kind: type[Any], *ids: str) -> None:
    def work(tx: Transaction) -> None:
        for id_ in ids:
            tx.delete(kind, id_)

    store.transact(work)


def test_what_passes_can_be_deleted_and_nothing_else_goes(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(*samples.all())
    for record in samples.all():
        if type(record) in PASSING:
            delete(store, type(record), record.id)
    for record in samples.all():
        assert (get(store, type(record), record.id) is None) == (type(record) in PASSING)


def test_a_delete_of_what_is_not_there_is_harmless(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event(1), samples.event(2))
    delete(store, Event, "evt_0001", "evt_none", "evt_0001")
    delete(store, Event, "evt_0001")
    assert store.read(lambda tx: tx.find(Find(kind=Event))).items == (samples.event(2),)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in PASSING], ids=lambda kind: kind.__name__)
def test_what_stays_cannot_be_deleted_and_the_rest_is_undone(
    store: Store, insert: Insert, samples: "Samples", kind: type[Any]
) -> None:
    insert(*samples.all())
    record = next(one for one in samples.all() if isinstance(one, kind))

    def work(tx: Transaction) -> None:
        tx.delete(Event, "evt_0001")
        tx.delete(kind, record.id)

    with pytest.raises(TypeError, match="never deleted"):
        store.transact(work)
    assert get(store, kind, record.id) == record
    assert get(store, Event, "evt_0001") is not None


@pytest.mark.parametrize("wrong", [7, None, "nul\0"])
def test_what_is_no_id_cannot_be_deleted(store: Store, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        delete(store, Event, wrong)


def test_a_deleted_record_can_be_made_anew(store: Store, insert: Insert, samples: "Samples") -> None:
    anew = replace(samples.event(1), subject="loan_0002")
    insert(samples.event(1), samples.event(2))

    def at_once(tx: Transaction) -> None:
        tx.delete(Event, "evt_0001")
        tx.insert(anew)
        tx.insert(samples.event(3))
        tx.delete(Event, "evt_0003")

    store.transact(at_once)
    delete(store, Event, "evt_0002")
    insert(samples.event(2))
    assert store.read(lambda tx: tx.find(Find(kind=Event))).items == (anew, samples.event(2))


def test_a_deleted_record_cannot_be_updated(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event(1))

    def work(tx: Transaction) -> None:
        assert tx.get(Event, "evt_0001") is not None
        tx.delete(Event, "evt_0001")
        tx.update(samples.event(1))

    with pytest.raises(LookupError):
        store.transact(work)
    assert get(store, Event, "evt_0001") == samples.event(1)


def test_a_delete_is_undone_with_the_rest(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event(1), samples.event(2))

    def work(tx: Transaction) -> None:
        tx.delete(Event, "evt_0001")
        tx.insert(samples.event(2))

    with pytest.raises(Conflict):
        store.transact(work)
    assert get(store, Event, "evt_0001") == samples.event(1)


def test_what_was_announced_is_answered_like_anything_else(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.user(), samples.loan(), samples.event(1), samples.event(2))
    page = Find(kind=Event, limit=1)

    def work(tx: Reader) -> tuple[object, ...]:
        tx.prefetch((Loan, "loan_0001"), (Event, "evt_none"), page, (Event, "evt_0002"))
        answers = (tx.get(Event, "evt_none"), tx.find(page), tx.get(Loan, "loan_0001"))
        # What was not announced, and what was and is asked for twice, is there all the same.
        return (*answers, tx.get(Event, "evt_0001"), tx.get(Loan, "loan_0001"), tx.find(replace(page, limit=2)).items)

    def without(tx: Reader) -> tuple[object, ...]:
        answers = (tx.get(Event, "evt_none"), tx.find(page), tx.get(Loan, "loan_0001"))
        return (*answers, tx.get(Event, "evt_0001"), tx.get(Loan, "loan_0001"), tx.find(replace(page, limit=2)).items)

    assert store.read(work) == store.read(without) == store.transact(work)
    assert store.read(without)[0] is None


def test_what_was_announced_can_be_changed_and_is_then_known(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event())
    later = replace(samples.event(), published_at=samples.at)

    def work(tx: Transaction) -> None:
        tx.prefetch((Event, "evt_0001"))
        assert tx.get(Event, "evt_0001") == samples.event()
        tx.update(later)

    store.transact(work)
    assert get(store, Event, "evt_0001") == later


def test_nothing_is_announced_after_a_write(store: Store, samples: "Samples") -> None:
    def work(tx: Transaction) -> None:
        tx.prefetch((Event, "evt_0001"))
        tx.insert(samples.event())
        tx.prefetch((Event, "evt_0002"))

    def late(tx: Transaction) -> None:
        tx.prefetch((Event, "evt_0001"))
        tx.insert(samples.event())
        tx.get(Event, "evt_0001")

    for wrong in (work, late):
        with pytest.raises(RuntimeError, match="reads before it writes"):
            store.transact(wrong)
    assert get(store, Event, "evt_0001") is None


@pytest.mark.parametrize("read", ["get", "find", "count"])
@pytest.mark.parametrize("write", ["insert", "delete"])
def test_a_read_after_a_write_is_refused(store: Store, samples: "Samples", read: str, write: str) -> None:
    def work(tx: Transaction) -> None:
        if write == "insert":
            tx.insert(samples.event())
        else:
            tx.delete(Event, "evt_0001")
        if read == "get":
            tx.get(Event, "evt_0001")
        elif read == "find":
            tx.find(Find(kind=Event))
        else:
            tx.count(Event, {})

    with pytest.raises(RuntimeError, match="reads before it writes"):
        store.transact(work)
    assert get(store, Event, "evt_0001") is None


def test_a_reader_cannot_write(store: Store, samples: "Samples") -> None:
    def work(tx: Reader) -> None:
        tx.insert(samples.event())  # type: ignore[attr-defined]  # what the type refuses must fail at run time too

    with pytest.raises(AttributeError):
        store.read(work)
    assert get(store, Event, "evt_0001") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": True},
        {"amount": "1"},
        {"amount": 1.0},
        {"status": "lost"},
        {"open_for": 1},
        {"created_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - the point of it.
        {"next_due_on": datetime(2026, 1, 1, tzinfo=UTC)},
        {"user_id": None},
        {"purpose": "nul\0"},
        {"purpose": "half \ud83d"},
        {"instalments": ("not one",)},
        {"application": None},
    ],
    ids=str,
)
def test_values_that_are_not_the_fields_are_refused(
    store: Store, insert: Insert, samples: "Samples", changes: dict[str, Any]
) -> None:
    insert(samples.user())
    with pytest.raises((TypeError, ValueError)):
        insert(replace(samples.loan(), **changes))
    assert get(store, Loan, "loan_0001") is None


def test_a_nul_deep_inside_is_refused(store: Store, insert: Insert, samples: "Samples") -> None:
    with pytest.raises(ValueError, match="NUL"):
        insert(replace(samples.audit_record(), after={"name": ["a\0b"]}))
    assert get(store, AuditRecord, "aud_0001") is None
