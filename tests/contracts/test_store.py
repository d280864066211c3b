"""What every store does. The fixture `store` is each adapter in turn; races are in `test_store_races.py`."""

import base64
import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from pinjam.domain.document import Document, DocumentKind
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.notification import Notification
from pinjam.domain.payment import Payment
from pinjam.domain.trail import AuditRecord, Consumption, Event, KeptAnswer
from pinjam.domain.user import User, UserStatus
from pinjam.services.store import KINDS, BadCursor, Conflict, Find, Reader, Record, Store, Transaction

if TYPE_CHECKING:
    from tests.contracts.conftest import Samples

Insert = Callable[..., None]


def get(store: Store, kind: type[Any], id_: str) -> Any:
    return store.read(lambda tx: tx.get(kind, id_))


def ids(store: Store, query: Find[Any]) -> list[str]:
    return [record.id for record in store.read(lambda tx: tx.find(query)).items]


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


@pytest.mark.parametrize("read", ["get", "find", "count"])
def test_a_read_after_a_write_is_refused(store: Store, samples: "Samples", read: str) -> None:
    def work(tx: Transaction) -> None:
        tx.insert(samples.event())
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


def test_records_are_found_by_equal_values(store: Store, insert: Insert, samples: "Samples") -> None:
    due = replace(samples.loan(2), next_due_on=date(2026, 2, 28), amount=500_000)
    insert(samples.user(), samples.loan(1), due, replace(samples.loan(3), status=LoanStatus.EXPIRED))
    for where, found in (
        ({}, [1, 2, 3]),
        ({"status": LoanStatus.EXPIRED}, [3]),
        ({"status": LoanStatus.WITHDRAWN, "user_id": "usr_0001"}, [1, 2]),
        ({"next_due_on": None}, [1, 3]),
        ({"next_due_on": date(2026, 2, 28)}, [2]),
        ({"amount": 500_000}, [2]),
        ({"created_at": samples.at}, [1, 2, 3]),
        ({"created_at": samples.at + timedelta(microseconds=1)}, []),
        ({"open_for": "usr_0001"}, []),
    ):
        assert ids(store, Find(kind=Loan, where=where)) == [f"loan_{n:04}" for n in found]
        assert store.read(lambda tx, where=where: tx.count(Loan, where)) == len(found)  # type: ignore[misc]  # bound


def test_truth_values_are_found(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.full_user(), samples.user(2))
    assert ids(store, Find(kind=User, where={"account_created": True})) == ["usr_0001"]
    assert ids(store, Find(kind=User, where={"account_created": False})) == ["usr_0002"]


def test_a_transaction_counts_and_finds_too(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event(1), samples.event(2))
    assert store.transact(lambda tx: (tx.count(Event, {}), len(tx.find(Find(kind=Event)).items))) == (2, 2)


def test_records_come_in_order_of_a_field_and_then_of_their_id(
    store: Store, insert: Insert, samples: "Samples"
) -> None:
    later = samples.at + timedelta(microseconds=1)
    insert(*(replace(samples.kept_answer(n), created_at=later if n % 2 else samples.at) for n in (3, 1, 4, 2)))
    ascending = [samples.kept_answer(n).id for n in (2, 4, 1, 3)]
    assert ids(store, Find(kind=KeptAnswer, order="created_at")) == ascending
    assert ids(store, Find(kind=KeptAnswer, order="created_at", descending=True)) == ascending[::-1]


def test_ids_sort_by_their_bytes(store: Store, insert: Insert, samples: "Samples") -> None:
    names = ["Z", "_", "a", "b", "é"]
    insert(*(Consumption(id=name, consumed_at=samples.at) for name in reversed(names)))
    assert ids(store, Find(kind=Consumption)) == names
    assert ids(store, Find(kind=Consumption, at_least="_", below="b")) == ["_", "a"]


@pytest.mark.parametrize("descending", [False, True])
def test_a_range_takes_its_start_and_leaves_its_end(
    store: Store, insert: Insert, samples: "Samples", *, descending: bool
) -> None:
    insert(*(replace(samples.audit_record(n), subject="loan_1") for n in range(1, 7)))
    query = Find(kind=AuditRecord, order="number", at_least=2, below=5, descending=descending)
    for where in ({}, {"subject": "loan_1"}):
        found = ids(store, replace(query, where=where))
        assert found == [f"aud_{n:04}" for n in ((4, 3, 2) if descending else (2, 3, 4))]
    assert ids(store, Find(kind=AuditRecord, order="number", at_least=6)) == ["aud_0006"]
    assert ids(store, Find(kind=AuditRecord, order="number", below=2)) == ["aud_0001"]


def test_records_without_the_ordering_field_are_left_out(store: Store, insert: Insert, samples: "Samples") -> None:
    due = replace(samples.loan(2), next_due_on=date(2026, 2, 28))
    insert(samples.user(), samples.loan(1), due, replace(due, id="loan_0003", next_due_on=date(2026, 1, 31)))
    for query in (
        Find(kind=Loan, order="next_due_on"),
        Find(kind=Loan, order="next_due_on", at_least=date(2026, 1, 1)),
        Find(kind=Loan, order="next_due_on", below=date(2027, 1, 1)),
    ):
        assert ids(store, query) == ["loan_0003", "loan_0002"]
        assert ids(store, replace(query, descending=True)) == ["loan_0002", "loan_0003"]
    assert ids(store, Find(kind=Loan, where={"next_due_on": None}, order="next_due_on")) == []


@pytest.mark.parametrize("order", ["id", "created_at"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_neither_skip_nor_repeat_while_records_arrive(
    store: Store, insert: Insert, samples: "Samples", order: str, *, descending: bool
) -> None:
    insert(*(samples.kept_answer(n) for n in range(10, 35)))
    query = Find(kind=KeptAnswer, where={"subject": "loan_0001"}, order=order, descending=descending, limit=4)
    seen: list[str] = []
    for arriving in range(1, 10):
        page = store.read(lambda tx, query=query: tx.find(query))  # type: ignore[misc]  # bound per turn
        seen.extend(record.id for record in page.items)
        if page.next_cursor is None:
            break
        assert len(page.items) == 4
        # One arrives at each end; whichever lies ahead may be seen, and none that was there may be missed.
        insert(samples.kept_answer(arriving), samples.kept_answer(40 + arriving))
        query = replace(query, after=page.next_cursor)
    assert page.next_cursor is None
    assert seen == sorted(set(seen), reverse=descending)
    assert {samples.kept_answer(n).id for n in range(10, 35)} <= set(seen)


def test_the_last_full_page_has_no_cursor(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(samples.event(1), samples.event(2))
    page = store.read(lambda tx: tx.find(Find(kind=Event, limit=2)))
    assert (len(page.items), page.next_cursor) == (2, None)


def test_a_page_may_have_another_size_than_the_one_before(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(*(samples.event(n) for n in range(1, 5)))
    first = store.read(lambda tx: tx.find(Find(kind=Event, limit=1)))
    assert ids(store, Find(kind=Event, limit=3, after=first.next_cursor)) == ["evt_0002", "evt_0003", "evt_0004"]


def test_a_cursor_serves_only_its_own_query(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(*(samples.event(n) for n in range(1, 4)), *(samples.kept_answer(n) for n in range(1, 4)))
    own = Find(kind=Event, where={"published_at": None}, limit=1)
    cursor = store.read(lambda tx: tx.find(own)).next_cursor
    assert cursor is not None
    assert ids(store, replace(own, after=cursor)) == ["evt_0002"]
    others: tuple[Find[Any], ...] = (
        replace(own, descending=True),
        replace(own, order="occurred_at"),
        replace(own, where={}),
        replace(own, where={"subject": "loan_0001"}),
        replace(own, below="evt_0003"),
        Find(kind=KeptAnswer, limit=1),
    )
    for other in others:
        with pytest.raises(BadCursor):
            ids(store, replace(other, after=cursor))


def test_what_is_not_a_cursor_is_refused(store: Store, insert: Insert, samples: "Samples") -> None:
    insert(*(samples.event(n) for n in range(1, 4)))
    query = Find(kind=Event, limit=1)
    cursor = store.read(lambda tx: tx.find(query)).next_cursor
    assert cursor is not None
    content = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(["evt_0000", *content[1:]]).encode()).decode()
    nested = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    for wrong in ("", "x", "é", "====", cursor[:-1], cursor + "AA", cursor.swapcase(), forged, nested, "e30", "bnVsbA"):
        with pytest.raises(BadCursor):
            ids(store, replace(query, after=wrong))


@pytest.mark.parametrize(
    "query",
    [
        Find(kind=Event, limit=0),
        Find(kind=Event, limit=-1),
        Find(kind=Event, order="nothing"),
        Find(kind=Event, order="data"),
        Find(kind=Event, where={"nothing": 1}),
        Find(kind=Event, where={"data": None}),
        Find(kind=Event, where={"subject; DROP TABLE outbox": "x"}),
        Find(kind=Notification, where={"read_at": "today"}),
        Find(kind=Loan, where={"status": "lost"}),
        Find(kind=Loan, order="amount", at_least="1"),
    ],
    ids=str,
)
def test_queries_that_make_no_sense_are_refused(store: Store, query: Find[Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        ids(store, query)


def test_a_count_by_an_unknown_field_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="nothing"):
        store.read(lambda tx: tx.count(Event, {"nothing": 1}))
