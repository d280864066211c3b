"""What every store does when many write at once. The fixture `store` is each adapter in turn."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pinjam.domain.loan import Loan
from pinjam.domain.session import Session
from pinjam.domain.trail import AuditRecord, Event, KeptAnswer
from pinjam.domain.user import User
from pinjam.services.store import Conflict, Contention, Find, Store, Transaction

if TYPE_CHECKING:
    from tests.contracts.conftest import Samples

Insert = Callable[..., None]
LIMIT_S = 60


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work(number)` answers or raises, run by so many threads that begin at once."""
    barrier = threading.Barrier(count)
    outcomes: list[Any] = [None] * count

    def run(number: int) -> None:
        barrier.wait(LIMIT_S)
        try:
            outcomes[number] = work(number)
        except Exception as error:  # noqa: BLE001 - handed to the test, which looks at every one.
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert not any(thread.is_alive() for thread in threads)
    return outcomes


@pytest.mark.parametrize("announced", [False, True])
def test_no_increment_is_lost(store: Store, insert: Insert, samples: "Samples", announced: bool) -> None:  # noqa: FBT001 - a case
    insert(replace(samples.user(), monthly_income=0))

    def increment(tx: Transaction) -> None:
        if announced:
            tx.prefetch((User, "usr_0001"), (User, "usr_0002"))
        user = tx.get(User, "usr_0001")
        assert user is not None
        assert user.monthly_income is not None
        tx.update(replace(user, monthly_income=user.monthly_income + 1))

    assert together(20, lambda _: store.transact(increment)) == [None] * 20
    user = store.read(lambda tx: tx.get(User, "usr_0001"))
    assert user is not None
    assert user.monthly_income == 20


def test_eight_that_change_one_loan_ten_times_each_lose_nothing_and_end(
    store: Store, insert: Insert, samples: "Samples"
) -> None:
    """As consumers do it: an event that met too many others comes again."""
    insert(samples.user(), replace(samples.loan(), amount=1))

    def increment(tx: Transaction) -> None:
        loan = tx.get(Loan, "loan_0001")
        assert loan is not None
        tx.update(replace(loan, amount=loan.amount + 1))

    def work(_: int) -> int:
        done = 0
        while done < 10:
            with suppress(Contention):
                store.transact(increment)
                done += 1
        return done

    assert together(8, work) == [10] * 8
    loan = store.read(lambda tx: tx.get(Loan, "loan_0001"))
    assert loan is not None
    assert loan.amount == 81


def test_two_that_read_a_sum_cannot_both_act_on_it(store: Store, samples: "Samples") -> None:
    """Write skew: each sees room for one more, and inserts a different record."""

    def work(number: int) -> bool:
        def add_if_room(tx: Transaction) -> bool:
            if tx.count(Event, {"subject": "loan_0001"}) >= 3:
                return False
            tx.insert(samples.event(number))
            return True

        return store.transact(add_if_room)

    assert sorted(together(8, work)) == [False] * 5 + [True] * 3
    assert store.read(lambda tx: tx.count(Event, {})) == 3


def test_two_that_both_have_read_are_not_both_committed_unseen(
    store: Store, insert: Insert, samples: "Samples"
) -> None:
    """Write skew, forced: both hold their reads before either writes, where the store lets them."""
    insert(replace(samples.user(1), monthly_income=1), replace(samples.user(2), monthly_income=1))
    both_have_read = threading.Barrier(2)

    def work(number: int) -> None:
        first_try = True

        def give_up_if_the_other_has_income(tx: Transaction) -> None:
            nonlocal first_try
            own, other = tx.get(User, f"usr_{number + 1:04}"), tx.get(User, f"usr_{2 - number:04}")
            assert own is not None
            assert other is not None
            if first_try:
                first_try = False
                with suppress(threading.BrokenBarrierError):  # A serial store lets one through at a time.
                    both_have_read.wait(0.5)
            if other.monthly_income:
                tx.update(replace(own, monthly_income=0))

        store.transact(give_up_if_the_other_has_income)

    assert together(2, work) == [None, None]
    found = store.read(lambda tx: tx.find(Find(kind=User)))
    assert sorted(user.monthly_income or 0 for user in found.items) == [0, 1]


def test_one_of_many_repetitions_makes_the_record_and_all_get_it(store: Store, samples: "Samples") -> None:
    """A request's repetitions under one idempotency key: each reads, finds nothing, and inserts."""
    key = samples.kept_answer().id
    for turn in range(5):
        inserts: list[int] = []

        def work(number: int, turn: int = turn, inserts: list[int] = inserts) -> KeptAnswer:
            def once(tx: Transaction) -> KeptAnswer:
                kept = tx.get(KeptAnswer, f"{key}{turn}")
                if kept is None:
                    kept = replace(samples.kept_answer(), id=f"{key}{turn}", fingerprint=str(number))
                    tx.insert(kept)
                return kept

            answer = store.transact(once)
            if answer.fingerprint == str(number):
                inserts.append(number)
            return answer

        answers = together(20, work)
        assert not [answer for answer in answers if isinstance(answer, Exception)]
        assert len({answer.fingerprint for answer in answers}) == 1
        assert inserts == [int(answers[0].fingerprint)]
    assert store.read(lambda tx: tx.count(KeptAnswer, {})) == 5


def test_one_of_many_gets_a_unique_value_and_the_others_a_conflict(
    store: Store, insert: Insert, samples: "Samples"
) -> None:
    insert(samples.user())

    def work(number: int) -> None:
        def apply(tx: Transaction) -> None:
            tx.find(Find(kind=Loan, where={"user_id": "usr_0001"}))
            tx.insert(samples.open_loan(number))

        store.transact(apply)

    outcomes = together(10, work)
    refused = [outcome for outcome in outcomes if outcome is not None]
    assert [(type(e), e.kind, e.fields) for e in refused] == [(Conflict, Loan, ("open_for",))] * 9
    assert store.read(lambda tx: tx.count(Loan, {})) == 1


def test_what_is_used_at_the_moment_of_its_deletion_is_either_kept_or_known_to_be_gone(
    store: Store, insert: Insert, samples: "Samples"
) -> None:
    """The sweep's way against a request's: it deletes what it reads as unused, while that uses what it reads."""
    for turn in range(5):
        fresh = replace(samples.session(), id=f"ses_{turn}")
        insert(*([samples.user()] if turn == 0 else []), fresh)
        both_have_read = threading.Barrier(2)

        def work(number: int, fresh: Session = fresh, both_have_read: threading.Barrier = both_have_read) -> bool:
            first_try = True

            def use_or_forget(tx: Transaction) -> bool:
                nonlocal first_try
                found = tx.get(Session, fresh.id)
                if first_try:
                    first_try = False
                    with suppress(threading.BrokenBarrierError):  # A serial store lets one through at a time.
                        both_have_read.wait(0.2)
                if found is None or (number == 0 and found.generation > 1):
                    return False
                if number == 0:
                    tx.delete(Session, fresh.id)
                else:
                    tx.update(replace(found, generation=2))
                return True

            return store.transact(use_or_forget)

        forgotten, used = together(2, work)
        assert forgotten is not used
        found = store.read(lambda tx, id_=fresh.id: tx.get(Session, id_))  # type: ignore[misc]  # bound per turn
        assert found == (replace(fresh, generation=2) if used else None)


def test_a_chain_grows_without_gaps_or_forks(store: Store, samples: "Samples") -> None:
    """The audit log's way: read the last record of a subject, add the next number."""

    def work(number: int) -> None:
        def append(tx: Transaction) -> None:
            last = tx.find(
                Find(kind=AuditRecord, where={"subject": "loan_0001"}, order="number", descending=True, limit=1)
            ).items
            tx.insert(replace(samples.audit_record(last[0].number + 1 if last else 1), id=f"aud_{number}"))

        store.transact(append)

    assert together(12, work) == [None] * 12
    found = store.read(lambda tx: tx.find(Find(kind=AuditRecord, order="number", limit=100)))
    assert [record.number for record in found.items] == list(range(1, 13))


# Firestore's emulator shows a commit while it is still being applied, even to one request that reads two documents.
@pytest.mark.parametrize("store", ["memory_store", "postgres_store"], indirect=True)
def test_a_reader_sees_one_moment(store: Store, insert: Insert, samples: "Samples") -> None:
    """A transfer between two records never shows half done, however many reads look at it."""
    insert(replace(samples.user(1), monthly_income=50), replace(samples.user(2), monthly_income=50))
    done = threading.Event()

    def transfer(tx: Transaction) -> None:
        first, second = tx.get(User, "usr_0001"), tx.get(User, "usr_0002")
        assert first is not None
        assert second is not None
        tx.update(replace(first, monthly_income=(first.monthly_income or 0) - 1))
        tx.update(replace(second, monthly_income=(second.monthly_income or 0) + 1))

    def work(number: int) -> set[int]:
        sums: set[int] = set()
        if number == 0:
            for _ in range(20):
                store.transact(transfer)
            done.set()
        while not done.is_set():
            users = store.read(lambda tx: (tx.get(User, "usr_0001"), tx.get(User, "usr_0002")))
            sums.add(sum(user.monthly_income or 0 for user in users if user))
        return sums

    assert set().union(*together(3, work)) <= {100}
