"""The views for reporting, which PostgreSQL has and no other store, and reads that change nothing."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.journeys.records import records
from tests.journeys.test_ledger import borrow_and_take_back

from pinjam.domain.calendar import local_date
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.repayment import bucket_of
from pinjam.local.road import Walker
from pinjam.local.system import LocalSystem
from pinjam.services.books import trial_balance_of

WAIT_S = 30
READS = 1000


@pytest.fixture
def database(system: LocalSystem) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(system.app.settings.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def loan_id(walker: Walker, system: LocalSystem) -> str:
    return borrow_and_take_back(walker, system)


def snapshot(database: psycopg.Connection[Any]) -> dict[str, tuple[int, str]]:
    """Every table of the system and of what is around it: how many rows, and a hash of all that they hold."""
    tables = database.execute(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
        " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
    ).fetchall()
    found = {}
    for schema, table in tables:
        query = sql.SQL("SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t")
        row = database.execute(query.format(sql.Identifier(schema, table))).fetchone()
        assert row is not None
        found[f"{schema}.{table}"] = (row[0], row[1])
    return found


def test_looking_changes_nothing_however_often(
    walker: Walker, system: LocalSystem, database: psycopg.Connection[Any], loan_id: str
) -> None:
    user_id = walker.profile().expect(200)["id"]
    walker.road.set_date(date.fromisoformat(walker.loan(loan_id).expect(200)["schedule"][2]["due_date"])).expect(200)
    # Messages that waited for a working day go out.
    assert system.wait_until_quiet(WAIT_S)
    before = snapshot(database)
    assert {"public.loans", "public.audit_log", "public.journal", "local_sandbox.orders"} <= set(before)
    assert before["public.journal"][0] > 0
    first = walker.loan(loan_id).expect(200)
    shown = system.app.lending.show(user_id, loan_id)
    for _ in range(READS):
        assert system.app.lending.show(user_id, loan_id) == shown
    for _ in range(25):
        assert walker.loan(loan_id).expect(200) == first
        walker.call("GET", "/api/loans").expect(200)
        walker.call("GET", "/api/payments", query={"loan_id": loan_id}).expect(200)
        for kind in ("instalment", "settlement"):
            walker.bill(loan_id, kind=kind).expect(200)
    assert snapshot(database) == before


def test_the_report_of_instalments_says_what_the_loan_says(
    walker: Walker, database: psycopg.Connection[Any], loan_id: str
) -> None:
    loan = walker.loan(loan_id).expect(200)
    found = database.execute(
        "SELECT number, due_date::text, principal, interest, paid_principal + paid_interest + paid_late_fee,"
        " unpaid_principal + unpaid_interest FROM report_instalments WHERE loan_id = %s ORDER BY number",
        (loan_id,),
    ).fetchall()
    assert found == [
        (
            *(row[name] for name in ("number", "due_date", "principal", "interest", "paid")),
            row["principal"] + row["interest"] - row["paid"],
        )
        for row in loan["schedule"]
    ]
    assert sum(row[5] for row in found) == loan["outstanding"]


def test_a_settled_loan_has_nothing_unpaid_in_the_report(
    walker: Walker, database: psycopg.Connection[Any], loan_id: str
) -> None:
    walker.repay(loan_id, kind="settlement", key="close")
    found = database.execute(
        "SELECT sum(unpaid_principal), sum(unpaid_interest), sum(waived_interest) > 0, bool_and(paid_on IS NOT NULL)"
        " FROM report_instalments WHERE loan_id = %s",
        (loan_id,),
    ).fetchone()
    assert found == (0, 0, True, True)


def test_the_report_of_the_trial_balance_is_the_ledgers(
    system: LocalSystem, database: psycopg.Connection[Any], loan_id: str
) -> None:
    assert loan_id
    found = {row[0]: row[1:] for row in database.execute("SELECT * FROM report_trial_balance").fetchall()}
    expected = {
        row.account.value: (row.debits, row.credits, row.balance) for row in trial_balance_of(system.app.store).rows
    }
    # The view knows no chart of accounts: what was never posted to is not in it.
    assert found == {name: figures for name, figures in expected.items() if figures != (0, 0, 0)}


def test_the_report_of_arrears_has_every_live_loan_in_its_bucket(
    walker: Walker, system: LocalSystem, database: psycopg.Connection[Any], loan_id: str
) -> None:
    assert walker.loan(loan_id).expect(200)["status"] == "active"
    today = local_date(datetime.now(UTC))
    # As if it had been paid out long ago: the view goes by the database's own clock.
    database.execute("UPDATE loans SET next_due_on = %s::date - 45 WHERE id = %s", (today, loan_id))
    expected: dict[str, list[int]] = {name: [0, 0] for name in ("current", "1-30", "31-60", "61-90", ">90")}
    for loan in records(system, Loan):
        if loan.status is LoanStatus.ACTIVE:
            assert loan.next_due_on is not None
            bucket = expected[bucket_of(max(0, (today - loan.next_due_on).days))]
            bucket[0] += 1
            bucket[1] += sum(one.principal - one.paid_principal for one in loan.instalments)
    found = database.execute("SELECT * FROM report_arrears").fetchall()
    assert [(row[0], list(row[1:])) for row in found] == list(expected.items())
    assert expected["31-60"][0] >= 1


def test_the_report_of_collections_has_every_payment_on_its_day(
    walker: Walker, system: LocalSystem, database: psycopg.Connection[Any], loan_id: str
) -> None:
    due = walker.loan(loan_id).expect(200)["next_due"]["due_date"]
    walker.road.set_date(date.fromisoformat(due) + timedelta(days=10)).expect(200)
    assert walker.repay(loan_id, key="late")["allocation"][0]["late_fee"] > 0
    expected: dict[date, list[int]] = {}
    for one in records(system, Payment):
        if one.status is PaymentStatus.SETTLED and one.posted_on is not None:
            parts = [
                sum(getattr(part, name) for part in one.allocation) for name in ("principal", "interest", "late_fee")
            ]
            day = expected.setdefault(one.posted_on, [0] * 6)
            expected[one.posted_on] = [a + b for a, b in zip(day, (1, one.amount, *parts, one.surplus), strict=True)]
    found = database.execute("SELECT * FROM report_daily_collections").fetchall()
    assert [(row[0], list(row[1:])) for row in found] == sorted(expected.items())
