"""What the functions' users may do in a database that is migrated as in Cloud SQL: by one who is no superuser."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pinjam.adapters.postgres import PostgresStore
from pinjam.domain.trail import Event
from pinjam.local.database import EmbeddedDatabase
from pinjam.migrations import migrate
from pinjam.services.store import KINDS

if TYPE_CHECKING:
    from tests.adapters.conftest import Fill, Run

AT = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = Event(id="evt_of_a_function", topic="loan-submitted", subject="s", data={}, request_id="r", occurred_at=AT)
OWNER = "cloudsqlsuperuser"
MIGRATE, PAY, LOANS = "migrate@pinjam-test.iam", "fn-pay@pinjam-test.iam", "fn-loans@pinjam-test.iam"


@dataclass(frozen=True)
class Deployed:
    """A database as Terraform leaves it: owned by a role that may make others, with users that may do nothing yet."""

    admin: str
    migrations: str

    def of(self, user: str) -> str:
        return make_conninfo(self.admin, user=user)


def made(admin: str) -> Deployed:
    return Deployed(admin, make_conninfo(admin, user=MIGRATE, options=f"-c role={OWNER}"))


@pytest.fixture(scope="module")
def server(run: "Run") -> Iterator[str]:
    """A server of this module's own, because roles are the whole server's."""
    state = Path(tempfile.mkdtemp(prefix="pinjam-grants-"))
    database = EmbeddedDatabase(state, durable=False)
    try:
        url = database.start()
        run(url, f"CREATE ROLE {OWNER} NOLOGIN CREATEROLE")
        for name in (MIGRATE, PAY, LOANS):
            run(url, f'CREATE ROLE "{name}" LOGIN')
        run(url, f'GRANT {OWNER} TO "{MIGRATE}"')
        run(url, f"ALTER DATABASE pinjam OWNER TO {OWNER}")
        yield url
    finally:
        database.stop()
        shutil.rmtree(state)


@pytest.fixture(scope="module")
def migrated(server: str, fill: "Fill") -> Deployed:
    """The database after the job, with rows in every table."""
    deployed = made(server)
    migrate(deployed.migrations, users=[PAY, LOANS])
    fill(deployed.admin, users=1, loans_each=1)
    return deployed


@pytest.fixture
def deployed(migrated: Deployed) -> Deployed:
    """The same, with the rights that the job gives whatever a test did to them."""
    migrate(migrated.migrations, users=[PAY, LOANS])
    return migrated


def test_a_function_works_with_rows_through_the_store(
    migrated: Deployed, open_store: Callable[..., PostgresStore]
) -> None:
    store = open_store(migrated.of(PAY))
    store.transact(lambda tx: tx.insert(EVENT))
    store.transact(lambda tx: tx.update(replace(EVENT, published_at=AT)))
    assert store.read(lambda tx: tx.get(Event, EVENT.id)) == replace(EVENT, published_at=AT)
    store.transact(lambda tx: tx.delete(Event, EVENT.id))
    assert store.read(lambda tx: tx.get(Event, EVENT.id)) is None


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE users ADD COLUMN extra text",
        "ALTER TABLE audit_log DISABLE TRIGGER USER",
        "CREATE TABLE extra (id text)",
        "CREATE INDEX extra ON loans (amount)",
        "DROP TABLE payments",
        "TRUNCATE outbox",
        "DELETE FROM loans",
        "DELETE FROM users",
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "UPDATE journal SET at = now()",
        "DELETE FROM journal",
        "UPDATE alembic_version SET version_num = '0001'",
        "SELECT * FROM alembic_version",
        f"SET ROLE {OWNER}",
        "CREATE ROLE friend",
    ],
)
def test_a_function_may_not(migrated: Deployed, run: "Run", statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(migrated.of(PAY), statement)


def test_every_kind_can_be_read_and_added_to(migrated: Deployed, run: "Run") -> None:
    tables = [kind.collection for kind in KINDS.values()]
    rights = "SELECT bool_and(has_table_privilege(%s, one, 'SELECT') AND has_table_privilege(%s, one, 'INSERT'))"
    assert run(migrated.admin, f"{rights} FROM unnest(%s::text[]) AS one", PAY, PAY, tables) == [(True,)]


def test_who_is_no_longer_named_is_out_again(deployed: Deployed, run: "Run") -> None:
    assert run(deployed.of(LOANS), "SELECT count(*) FROM users") == [(1,)]
    migrate(deployed.migrations, users=[PAY])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(deployed.of(LOANS), "SELECT count(*) FROM users")
    assert run(deployed.of(PAY), "SELECT count(*) FROM users") == [(1,)]


def test_a_right_that_the_role_was_given_by_hand_is_taken_back(deployed: Deployed, run: "Run") -> None:
    run(deployed.admin, "GRANT DELETE ON devices TO pinjam_functions")
    run(deployed.of(PAY), "DELETE FROM devices")
    migrate(deployed.migrations, users=[PAY])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(deployed.of(PAY), "DELETE FROM devices")


def test_the_job_gives_rights_to_the_users_that_its_environment_names(deployed: Deployed, run: "Run") -> None:
    migrate(deployed.migrations, users=[MIGRATE])
    environment = {
        **os.environ,
        "PINJAM_DATABASE_URL": deployed.migrations,
        "PINJAM_DATABASE_USERS": f"{PAY}, {LOANS}",
    }
    command = [sys.executable, "-m", "pinjam.migrations"]
    job = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)  # noqa: S603 - this very interpreter
    assert (job.returncode, job.stderr) == (0, "")
    for name in (PAY, LOANS):
        assert run(deployed.of(name), "SELECT count(*) FROM users") == [(1,)]
    assert run(deployed.admin, "SELECT tableowner FROM pg_tables WHERE tablename = 'users'") == [(OWNER,)]


def test_nothing_is_migrated_for_a_user_that_there_is_not(server: str, run: "Run") -> None:
    run(server, f"CREATE DATABASE another OWNER {OWNER}")
    deployed = made(make_conninfo(server, dbname="another"))
    with pytest.raises(psycopg.errors.UndefinedObject, match="nobody"):
        migrate(deployed.migrations, users=[PAY, "nobody"])
    assert run(deployed.admin, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
