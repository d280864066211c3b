"""What PostgreSQL's store does when connections, the server or other writers get in its way."""

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pinjam.adapters.postgres import PostgresStore
from pinjam.domain.loan import Application, Loan, LoanStatus
from pinjam.domain.trail import Event
from pinjam.services.store import Contention, Find, StoreUnavailable, Transaction

if TYPE_CHECKING:
    from tests.adapters.conftest import Fill, Run

Open = Callable[..., PostgresStore]
End = Callable[[str], int]
AT = datetime(2026, 1, 1, tzinfo=UTC)


def event(number: int = 1) -> Event:
    return Event(id=f"evt_{number:05}", topic="loan-submitted", subject="s", data={}, request_id="r", occurred_at=AT)


def open_loan(number: int) -> Loan:
    application = Application(
        amount=1, tenor_months=1, purpose="home", monthly_income=1, other_instalments=0, consented_at=AT
    )
    return Loan(
        id=f"loan_{number}",
        user_id="usr_00001",
        status=LoanStatus.SUBMITTED,
        amount=1,
        tenor_months=1,
        purpose="home",
        application=application,
        open_for="usr_00001",
        created_at=AT,
        updated_at=AT,
    )


@pytest.fixture
def end_connections(run: "Run") -> End:
    """Ends every other connection to a database, and tells how many there were.

    The server's own workers, such as autovacuum, come and go in any database: they are not counted.
    """
    statement = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    others = "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    return lambda url: len(run(url, f"{statement} {others}"))


def test_connections_ended_between_calls_are_replaced(fresh_url: str, open_store: Open, end_connections: End) -> None:
    store = open_store(fresh_url, pool_size=2)
    for number in range(1, 4):
        store.transact(lambda tx, number=number: tx.insert(event(number)))  # type: ignore[misc]  # bound per turn
        assert end_connections(fresh_url) == 1
        assert store.read(lambda tx, number=number: tx.get(Event, event(number).id)) == event(number)  # type: ignore[misc]  # bound per turn
        assert end_connections(fresh_url) == 1


def test_all_connections_can_be_replaced_at_once(fresh_url: str, open_store: Open, end_connections: End) -> None:
    """As when the server was restarted."""
    store = open_store(fresh_url, pool_size=3)

    def nested(depth: int) -> int:
        return store.read(lambda tx: tx.count(Event, {}) + (nested(depth - 1) if depth > 1 else 0))

    assert nested(3) == 0
    assert end_connections(fresh_url) == 3
    store.transact(lambda tx: tx.insert(event()))
    assert nested(3) == 3


def test_a_value_taken_since_it_was_looked_for_is_looked_for_again(
    store_url: str, fill: "Fill", open_store: Open
) -> None:
    """The unique index is met before the one that was read, so the server tells of a duplicate, not of a race."""
    indexes = "-c enable_seqscan=off -c enable_bitmapscan=off"
    store, rival = open_store(make_conninfo(store_url, options=indexes)), open_store(store_url)
    fill(store_url, users=1, loans_each=0)
    runs = 0

    def once(tx: Transaction, number: int) -> str:
        found = tx.find(Find(kind=Loan, where={"user_id": "usr_00001"})).items
        loan = found[0] if found else open_loan(number)
        if not found:
            tx.insert(loan)
        return loan.id

    def overtaken(tx: Transaction) -> str:
        nonlocal runs
        runs += 1
        made = once(tx, 2)
        if runs == 1:
            other = threading.Thread(target=rival.transact, args=(lambda tx: once(tx, 1),))
            other.start()
            other.join(30)
        return made

    assert store.transact(overtaken) == "loan_1"
    assert runs == 2


@pytest.mark.parametrize("call", ["read", "transact"])
def test_a_connection_lost_before_the_commit_is_tried_again_once(
    fresh_url: str, open_store: Open, end_connections: End, call: str
) -> None:
    store = open_store(fresh_url)
    for losses, survives in ((1, True), (2, False)):
        runs = 0

        def work(tx: Any, losses: int = losses) -> int:
            nonlocal runs
            runs += 1
            tx.count(Event, {})
            if runs <= losses:
                end_connections(fresh_url)
            return int(tx.count(Event, {}))

        if survives:
            assert getattr(store, call)(work) == 0
        else:
            with pytest.raises(StoreUnavailable):
                getattr(store, call)(work)
        assert runs == 2


def test_a_lost_commit_is_not_repeated(fresh_url: str, open_store: Open, end_connections: End) -> None:
    store = open_store(fresh_url)
    runs = 0

    def work(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        tx.count(Event, {})
        tx.insert(event())
        end_connections(fresh_url)

    with pytest.raises(StoreUnavailable):
        store.transact(work)
    assert runs == 1
    assert store.read(lambda tx: tx.count(Event, {})) == 0


def test_a_server_that_is_not_there_is_unavailable(store_url: str, open_store: Open) -> None:
    store = open_store("postgresql://pinjam@127.0.0.1:1/pinjam", connect_timeout_s=2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.read(lambda tx: tx.count(Event, {}))
    missing = open_store(store_url.replace("dbname=shared", "dbname=missing"))
    with pytest.raises(StoreUnavailable, match="missing"):
        missing.transact(lambda tx: tx.insert(event()))


def test_a_statement_that_takes_too_long_is_unavailable(store_url: str, open_store: Open) -> None:
    store = open_store(store_url, statement_timeout_ms=50)
    with psycopg.connect(store_url) as other:
        other.execute("LOCK TABLE outbox")
        with pytest.raises(StoreUnavailable, match="timeout"):
            store.read(lambda tx: tx.count(Event, {}))
        with pytest.raises(StoreUnavailable, match="timeout"):
            store.transact(lambda tx: tx.insert(event()))
    assert store.read(lambda tx: tx.count(Event, {})) == 0


LATER, OURS, SCHEMA = StoreUnavailable, psycopg.Error, RuntimeError
MEANINGS = {
    "08006": LATER,  # connection failure
    "25006": LATER,  # read-only transaction: a replica, or a primary no more
    "25P03": LATER,  # idle in a transaction for too long
    "25P04": LATER,  # a transaction that took too long
    "0A000": LATER,  # no serializable mode in a hot standby
    "53100": LATER,  # disk full
    "53200": LATER,  # out of memory
    "53300": LATER,  # too many connections
    "55P03": LATER,  # lock not available in time
    "57014": LATER,  # statement timeout
    "57P01": LATER,  # shut down by an administrator
    "57P02": LATER,  # shut down after a crash
    "57P03": LATER,  # starting up
    "57P05": LATER,  # idle for too long
    "58030": LATER,  # input or output failed
    "40001": Contention,
    "40P01": Contention,
    "22003": OURS,  # a number out of range
    "23503": OURS,  # a reference to nothing
    "23514": OURS,  # a check that fails
    "25001": OURS,
    "23502": SCHEMA,  # a column that must have a value and was given none
    "42703": SCHEMA,  # an unknown column
    "42P01": SCHEMA,  # an unknown table
    "XX000": OURS,  # a fault of the server's own
}
"""What a server's SQLSTATE means to a caller: try later, others keep winning, a schema that is not ours, or a

fault to be looked into.
"""


def test_what_the_server_says_tells_trying_later_from_a_fault(fresh_url: str, run: "Run", open_store: Open) -> None:
    run(
        fresh_url,
        """CREATE TABLE said (code text);
        INSERT INTO said VALUES ('');
        CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE state text := (SELECT code FROM said);
        BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = state; END $$;
        CREATE TRIGGER say BEFORE INSERT ON outbox EXECUTE FUNCTION say()""",
    )
    store = open_store(fresh_url, rng=_NoPause())
    found = {}
    for code, meaning in MEANINGS.items():
        run(fresh_url, "UPDATE said SET code = %s", code)
        with pytest.raises(meaning) as said:
            store.transact(lambda tx: tx.insert(event()))
        found[code] = said.type if said.type in (LATER, Contention, SCHEMA) else OURS
        assert store.read(lambda tx: tx.count(Event, {})) == 0
    assert found == MEANINGS


class _NoPause(random.Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - no pause, however long it might be.
        return a


def test_a_transaction_whose_owner_went_silent_is_ended_by_the_server(
    fresh_url: str, run: "Run", open_store: Open
) -> None:
    """As when an instance is frozen between two reads. What it had read is read again."""
    quick = make_conninfo(fresh_url, options="-c transaction_timeout=400ms")
    store = open_store(quick, application_name="silent")
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'silent'"
    runs = 0

    def work(tx: Transaction) -> int:
        nonlocal runs
        runs += 1
        tx.count(Event, {})
        while runs == 1 and run(fresh_url, mine):
            pass  # Silent, until the server has ended it; the test's limit of time ends one that does not.
        found = tx.count(Event, {})
        tx.insert(event())
        return found

    assert store.transact(work) == 0
    assert runs == 2
    assert store.read(lambda tx: tx.count(Event, {})) == 1


def test_a_write_that_waits_for_a_row_gives_up_before_its_statement_does(
    store_url: str, fill: "Fill", open_store: Open
) -> None:
    fill(store_url, users=1, loans_each=0)
    store = open_store(make_conninfo(store_url, options="-c lock_timeout=20ms"))
    store.transact(lambda tx: tx.insert(open_loan(1)))
    with psycopg.connect(store_url) as other:
        other.execute("SELECT 1 FROM loans FOR UPDATE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            store.transact(lambda tx: tx.update(replace(open_loan(1), amount=2)))
    store.transact(lambda tx: tx.update(replace(open_loan(1), amount=2)))


def test_connections_that_are_all_busy_are_unavailable(store_url: str, open_store: Open) -> None:
    store = open_store(store_url, pool_size=1, connect_timeout_s=1)
    with pytest.raises(StoreUnavailable, match="busy"):
        store.read(lambda _: store.read(lambda tx: tx.count(Event, {})))
    assert store.read(lambda tx: tx.count(Event, {})) == 0


def test_others_that_keep_winning_are_contention(store_url: str, open_store: Open) -> None:
    store, rival = open_store(store_url, rng=random.Random(1)), open_store(store_url)  # noqa: S311 - a fixed seed.
    tries = 0

    def read_and_insert(tx: Transaction, number: int) -> None:
        tx.count(Event, {})
        tx.insert(event(number))

    def overtaken(tx: Transaction) -> None:
        nonlocal tries
        tries += 1
        tx.count(Event, {})
        other = threading.Thread(target=rival.transact, args=(lambda tx: read_and_insert(tx, tries),))
        other.start()
        other.join(30)
        tx.insert(event(tries + 1000))

    with pytest.raises(Contention):
        store.transact(overtaken)
    assert tries == 15
    assert store.read(lambda tx: tx.count(Event, {})) == 15


def test_nothing_is_opened_before_the_first_call_or_after_the_last(
    fresh_url: str, run: "Run", open_store: Open
) -> None:
    def backends() -> list[tuple[Any, ...]]:
        return run(
            fresh_url,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )

    threads = threading.active_count()
    store = open_store(fresh_url)
    assert backends() == []
    store.read(lambda tx: tx.count(Event, {}))
    assert len(backends()) == 1
    assert threading.active_count() == threads
    store.close()
    for _ in range(1000):  # A backend ends a moment after its connection.
        if not backends():
            break
    assert backends() == []
    assert store.read(lambda tx: tx.count(Event, {})) == 0
    store.close()


def test_what_one_call_leaves_open_does_not_reach_the_next(store_url: str, open_store: Open) -> None:
    store = open_store(store_url, pool_size=1)
    nothing: dict[int, int] = {}
    for call in (store.read, store.transact):
        with pytest.raises(KeyError):
            call(lambda tx: nothing[tx.count(Event, {})])
        assert store.transact(lambda tx: tx.count(Event, {})) == 0
