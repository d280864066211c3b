"""The schema that the migrations make: columns as the records have them, and rules that the database keeps."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Literal, get_args, get_origin, get_type_hints

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from pinjam.adapters import postgres_rows
from pinjam.adapters.postgres import PostgresStore
from pinjam.adapters.records import fields_of
from pinjam.domain.ledger import EntryKind
from pinjam.domain.notification import Notification
from pinjam.domain.trail import Event
from pinjam.domain.user import User
from pinjam.migrations import CannotMigrate, migrate
from pinjam.services.copying import REFERS_TO_ITSELF
from pinjam.services.store import KINDS

if TYPE_CHECKING:
    from tests.adapters.conftest import Fill, Run


Open = Callable[..., PostgresStore]
AT = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = Event(id="evt_1", topic="loan-submitted", subject="s", data={}, request_id="r", occurred_at=AT)
TYPES = {
    str: "text",
    int: "bigint",
    bool: "boolean",
    date: "date",
    datetime: "timestamp with time zone",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_field_has_its_column(migrated_url: str, run: "Run", kind: type) -> None:
    found = run(
        migrated_url,
        "SELECT column_name, data_type, is_nullable, collation_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
        KINDS[kind].collection,
    )
    expected = []
    for field in fields_of(kind).values():
        scalar = str if field.scalar and issubclass(field.scalar, Enum) else field.scalar
        expected.append((field.name, TYPES[scalar] if scalar else "jsonb", "YES" if field.optional else "NO"))
    assert [row[:3] for row in found] == expected
    collations = {name: collation for name, _, _, collation in found}
    keys = {"id", *(name for unique in KINDS[kind].unique for name in unique)}
    assert {name for name in keys if fields_of(kind)[name].scalar is str and collations[name] != "C"} == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_choice_is_checked_by_the_database_too(migrated_url: str, run: "Run", kind: type) -> None:
    definitions = dict(
        run(
            migrated_url,
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass",
            KINDS[kind].collection,
        )
    )
    for field in fields(kind):
        hint = get_type_hints(kind)[field.name]
        if isinstance(hint, type) and issubclass(hint, Enum):
            choices = {member.value for member in hint}
        elif get_origin(hint) is Literal:
            choices = set(get_args(hint))
        else:
            continue
        definition = definitions[f"{KINDS[kind].collection}_{field.name}_check"]
        assert set(re.findall(r"'([^']*)'", definition)) == choices


def test_each_unique_set_has_its_constraint_and_no_other_is_there(migrated_url: str, run: "Run") -> None:
    found = run(
        migrated_url,
        "SELECT conname, conrelid::regclass::text,"
        " array(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k(n, o)"
        " JOIN pg_attribute ON attrelid = conrelid AND attnum = n ORDER BY o)"
        " FROM pg_constraint WHERE contype IN ('u', 'p') AND connamespace = 'public'::regnamespace"
        " AND conrelid <> 'alembic_version'::regclass",
    )
    expected = {(KINDS[kind].collection, fields) for kind, fields in postgres_rows.constraints().values()}
    assert {(table, tuple(names)) for _, table, names in found} == expected
    assert {name for name, _, _ in found} == set(postgres_rows.constraints())


def test_each_kind_comes_after_those_that_it_refers_to(migrated_url: str, run: "Run") -> None:
    """In this order stores are copied."""
    found = run(
        migrated_url,
        "SELECT conrelid::regclass::text, confrelid::regclass::text, attname::text"
        " FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'",
    )
    place = {kept.collection: number for number, kept in enumerate(KINDS.values())}
    assert len(found) > 10
    assert [row for row in found if place[row[0]] < place[row[1]]] == []
    to_itself = {(KINDS[kind].collection, name) for kind, name in REFERS_TO_ITSELF.items()}
    assert {(table, name) for table, other, name in found if table == other} == to_itself


def test_references_are_enforced(store_url: str, open_store: Open) -> None:
    stray = Notification(id="ntf_1", user_id="usr_none", kind="k", title="t", body="b", data={}, created_at=AT)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        open_store(store_url).transact(lambda tx: tx.insert(stray))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ("amount = 0", "loans_amount_check"),
        ("tenor_months = 13", "loans_tenor_months_check"),
        (
            "status = 'written_off', contract = '{}', disbursed_on = now(), disbursed_at = now(), open_for = 'x'",
            "loans_open_for_its_borrower",
        ),
        ("status = 'submitted'", "loans_open_while_it_lives"),
        ("settled_at = now()", "loans_settled_at_iff_settled"),
        ("status = 'accepted', open_for = user_id", "loans_contract_once_accepted"),
        ("disbursed_on = now()", "loans_disbursed_once_active"),
        ("application = '[]'", "loans_application_check"),
    ],
)
def test_a_loan_that_cannot_be_is_refused(
    store_url: str, run: "Run", fill: "Fill", changes: str, constraint: str
) -> None:
    fill(store_url, users=2, loans_each=1)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        run(store_url, f"UPDATE loans SET {changes} WHERE id = 'loan_000001'")  # noqa: S608 - the test's own text.
    assert refused.value.diag.constraint_name == constraint


def test_a_number_that_is_not_masked_is_refused(store_url: str, run: "Run", fill: "Fill") -> None:
    fill(store_url, users=1, loans_each=0)
    with pytest.raises(psycopg.errors.CheckViolation, match="users_nik_masked_check"):
        run(store_url, "UPDATE users SET nik_masked = '3171012802900001'")


def test_migrating_twice_changes_nothing(unmigrated_url: str, run: "Run") -> None:
    columns = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
    )
    migrate(unmigrated_url)
    first = run(unmigrated_url, columns)
    migrate(unmigrated_url)
    assert first
    assert run(unmigrated_url, columns) == first


def test_payments_of_before_the_journal_are_brought_along(unmigrated_url: str, run: "Run") -> None:
    step(unmigrated_url, "upgrade", "0001")
    run(
        unmigrated_url,
        """INSERT INTO users SELECT 'usr_1', 'x', '1@example.com', '+6281210001', 'x', 'f', '3171********0001',
        '1990-01-01', 'male', 'verified', 'id', '[]', true, now(), now(), '{}'""",
    )
    run(
        unmigrated_url,
        """INSERT INTO loans (id, user_id, status, amount, tenor_months, purpose, application, created_at, updated_at,
        instalments) VALUES ('loan_1', 'usr_1', 'withdrawn', 1, 1, 'home', '{}', now(), now(), '[]')""",
    )
    run(
        unmigrated_url,
        """INSERT INTO payments (id, loan_id, user_id, kind, amount, status, method, expires_at, created_at, updated_at,
        allocation, surplus, settled_at) VALUES
        ('pay_1', 'loan_1', 'usr_1', 'instalment', 1, 'settled', '{}', now(), now(), now(), '[]', 0,
            '2026-01-31T17:00:00Z'),
        ('pay_2', 'loan_1', 'usr_1', 'instalment', 1, 'pending', '{}', now(), now(), now(), '[]', 0, NULL)""",
    )
    step(unmigrated_url, "upgrade", "0002")
    posted = "SELECT id, posted_on, closes, reversed_at FROM payments ORDER BY id"
    # Midnight in Jakarta: the first day of February has begun.
    assert run(unmigrated_url, posted) == [("pay_1", date(2026, 2, 1), False, None), ("pay_2", None, False, None)]


def test_payouts_on_their_way_before_payouts_were_records_are_brought_along(unmigrated_url: str, run: "Run") -> None:
    step(unmigrated_url, "upgrade", "0006")
    account = '{"bank_code": "bca", "account_number": "sealed", "account_name": "SITI"}'
    contract = '{"number": "PJM-1", "quote": {"disbursed_amount": 2970000}}'
    run(
        unmigrated_url,
        """INSERT INTO users SELECT 'usr_1', 'x', '1@example.com', '+6281210001', 'x', 'f', '3171********0001',
        '1990-01-01', 'male', 'verified', 'id', '[]', true, now(), now(), '{}', NULL, NULL, NULL, NULL, %s""",
        account,
    )
    run(
        unmigrated_url,
        """INSERT INTO loans (id, user_id, status, amount, tenor_months, purpose, application, open_for, contract,
        payout_id, disbursed_on, disbursed_at, created_at, updated_at, instalments) VALUES
        ('loan_1', 'usr_1', 'disbursing', 3000000, 6, 'home', '{}', 'usr_1', %s, 'out_1', NULL, NULL, now(), now(),
            '[]'),
        ('loan_2', 'usr_1', 'active', 3000000, 6, 'home', '{}', NULL, %s, 'out_2', now(), now(), now(), now(), '[]')""",
        contract,
        contract,
    )
    run(
        unmigrated_url,
        """INSERT INTO payments (id, loan_id, user_id, kind, amount, status, method, expires_at, created_at, updated_at,
        allocation, surplus) VALUES ('pay_1', 'loan_2', 'usr_1', 'partial', 7, 'pending', '{}', now(), now(), now(),
        '[]', 0)""",
    )
    run(
        unmigrated_url,
        """INSERT INTO refunds (id, user_id, loan_id, payment_id, amount, status, created_at, updated_at, payout_id)
        VALUES ('rfd_1', 'usr_1', 'loan_2', 'pay_1', 7, 'sending', now(), now(), 'out_3'),
        ('rfd_2', 'usr_1', 'loan_2', 'pay_1', 8, 'owed', now(), now(), NULL)""",
    )
    step(unmigrated_url, "upgrade", "0007")
    found = run(
        unmigrated_url,
        """SELECT id, purpose, subject_id, loan_id, amount, notes, status, open_for, account ->> 'account_number',
        sent_at IS NOT NULL FROM payouts ORDER BY id""",
    )
    assert found == [
        ("out_1", "loan", "loan_1", "loan_1", 2_970_000, "Pinjam PJM-1", "sending", "loan_1", "sealed", True),
        ("out_3", "refund", "rfd_1", "loan_2", 7, "Pinjam refund", "sending", "rfd_1", "sealed", True),
    ]
    with pytest.raises(CannotMigrate, match="borrowers from before each had a key of their own"):
        migrate(unmigrated_url)
    assert run(unmigrated_url, "SELECT version_num FROM alembic_version") == [("0007",)]
    step(unmigrated_url, "downgrade", "0006")
    step(unmigrated_url, "upgrade", "0007")


def test_the_journal_can_be_taken_out_again(fresh_url: str, run: "Run") -> None:
    step(fresh_url, "downgrade", "0001")
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_name IN ('journal', 'refunds')"
    assert run(fresh_url, tables) == [(0,)]
    rule = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'loans_open_while_it_lives'"
    assert "'active'" in run(fresh_url, rule)[0][0]
    migrate(fresh_url)
    assert run(fresh_url, tables) == [(2,)]
    assert "'active'" not in run(fresh_url, rule)[0][0]


def step(url: str, way: Literal["upgrade", "downgrade"], revision: str) -> None:
    """Bring a database to one step of its schema."""
    config = Config()
    config.set_main_option("script_location", "pinjam:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, way)(config, revision)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ("status = 'settled', settled_at = now()", "payments_posted_once_settled"),
        ("status = 'reversed', settled_at = now(), posted_on = now()", "payments_reversed_at_iff_reversed"),
        ("reversed_at = now()", "payments_reversed_at_iff_reversed"),
    ],
)
def test_a_payment_that_cannot_be_is_refused(
    store_url: str, run: "Run", fill: "Fill", changes: str, constraint: str
) -> None:
    fill(store_url, users=1, loans_each=1)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        run(store_url, f"UPDATE payments SET {changes}")  # noqa: S608 - the test's own text.
    assert refused.value.diag.constraint_name == constraint


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ("status = 'paid'", "refunds_paid_at_iff_paid"),
        ("paid_at = now()", "refunds_paid_at_iff_paid"),
        ("amount = -1", "refunds_amount_check"),
    ],
)
def test_a_refund_that_cannot_be_is_refused(
    store_url: str, run: "Run", fill: "Fill", changes: str, constraint: str
) -> None:
    fill(store_url, users=1, loans_each=1)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        run(store_url, f"UPDATE refunds SET {changes}")  # noqa: S608 - the test's own text.
    assert refused.value.diag.constraint_name == constraint


def test_a_payment_can_have_a_second_refund(store_url: str, run: "Run", fill: "Fill") -> None:
    fill(store_url, users=1, loans_each=1)
    run(
        store_url,
        "INSERT INTO refunds SELECT 'rfd_2', user_id, loan_id, payment_id, 1, 'owed', now(), now() FROM refunds",
    )
    assert run(store_url, "SELECT count(*), count(DISTINCT payment_id) FROM refunds") == [(2, 1)]


@pytest.mark.parametrize("kind", get_args(EntryKind))
def test_the_journal_takes_every_kind_of_entry(store_url: str, run: "Run", fill: "Fill", kind: str) -> None:
    fill(store_url, users=1, loans_each=1)
    run(store_url, "UPDATE journal SET kind = %s", kind)
    assert run(store_url, "SELECT kind FROM journal") == [(kind,)]


def test_an_entry_without_postings_is_refused(store_url: str, run: "Run", fill: "Fill") -> None:
    fill(store_url, users=1, loans_each=1)
    with pytest.raises(psycopg.errors.CheckViolation, match="journal_postings_check"):
        run(store_url, "UPDATE journal SET postings = '[]'")


@pytest.mark.parametrize("table", ["journal", "audit_log"])
def test_what_never_passes_cannot_be_deleted_behind_the_stores_back(
    store_url: str, run: "Run", fill: "Fill", table: str
) -> None:
    fill(store_url, users=1, loans_each=1)
    with pytest.raises(psycopg.errors.IntegrityError, match=f"rows of {table} are never deleted"):
        run(store_url, f"DELETE FROM {table}")  # noqa: S608 - the test's own text.
    assert run(store_url, f"SELECT count(*) FROM {table}") == [(1,)]  # noqa: S608 - the test's own text.


def test_two_can_migrate_at_once(unmigrated_url: str, run: "Run") -> None:
    migrating = [sys.executable, "-m", "pinjam.migrations"]
    both = [
        subprocess.Popen(migrating, env={"PINJAM_DATABASE_URL": unmigrated_url}, stderr=subprocess.PIPE, text=True)  # noqa: S603 - this very interpreter.
        for _ in range(2)
    ]
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in both] == [("", 0)] * 2
    assert run(unmigrated_url, "SELECT count(*) FROM loans") == [(0,)]


def test_the_migration_command_asks_for_its_database() -> None:
    migrating = [sys.executable, "-m", "pinjam.migrations"]
    done = subprocess.run(migrating, env={}, check=False, capture_output=True, text=True)  # noqa: S603 - this very interpreter.
    assert done.returncode == 1
    assert "Set PINJAM_DATABASE_URL" in done.stderr


def test_a_database_without_the_schema_is_refused(unmigrated_url: str, open_store: Open) -> None:
    store = open_store(unmigrated_url)
    with pytest.raises(RuntimeError, match=re.escape("run python -m pinjam.migrations")):
        store.read(lambda tx: tx.get(Event, "evt_1"))


@pytest.mark.parametrize(
    "change", ["ALTER TABLE outbox ADD unknown text NOT NULL", "ALTER TABLE outbox RENAME topic TO theme"]
)
def test_a_schema_that_would_lose_values_is_refused(fresh_url: str, run: "Run", open_store: Open, change: str) -> None:
    run(fresh_url, change)
    store = open_store(fresh_url)
    with pytest.raises(RuntimeError, match="outbox"):
        store.transact(lambda tx: tx.insert(EVENT))


def test_a_newer_schema_that_asks_nothing_is_borne(fresh_url: str, run: "Run", open_store: Open) -> None:
    run(fresh_url, "ALTER TABLE outbox ADD later text, ADD other text NOT NULL DEFAULT ''")
    store = open_store(fresh_url)
    store.transact(lambda tx: tx.insert(EVENT))
    assert store.read(lambda tx: tx.get(Event, EVENT.id)) == EVENT


def test_a_row_that_no_record_could_have_made_is_an_error(
    store_url: str, run: "Run", fill: "Fill", open_store: Open
) -> None:
    fill(store_url, users=1, loans_each=0)
    run(store_url, """UPDATE users SET kyc = '{"unknown": 1}'""")
    with pytest.raises(ValueError, match="unknown"):
        open_store(store_url).read(lambda tx: tx.get(User, "usr_00001"))
