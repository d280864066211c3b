"""How every store finds and pages. The fixture `store` is each adapter in turn."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.notification import Notification
from pinjam.domain.trail import AuditRecord, Consumption, Event, KeptAnswer
from pinjam.domain.user import User
from pinjam.services.store import BadCursor, Find, Store

if TYPE_CHECKING:
    from tests.contracts.conftest import Samples

Insert = Callable[..., None]


def ids(store: Store, query: Find[Any]) -> list[str]:
    return [record.id for record in store.read(lambda tx: tx.find(query)).items]


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
