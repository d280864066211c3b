"""The whole road while the functions are in the database as a deployment's are: with rights to rows only."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem
from pinjam.migrations import migrate
from pinjam.runtime.composition import App, install
from pinjam.runtime.settings import Settings

USER = "fn-all@pinjam-test.iam"
WAIT_S = 30


@pytest.fixture
def restricted(system: LocalSystem) -> Iterator[App]:
    """The functions' App, as a user whom the migrations gave their rights."""
    url = system.app.settings.database_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{USER}" LOGIN'.encode())
    migrate(url, users=[USER])
    app = App(Settings.read({**system.environment, "PINJAM_DATABASE_URL": make_conninfo(url, user=USER)}))
    install(app)
    yield app
    assert system.wait_until_quiet(WAIT_S)  # What is on its way would open connections anew, behind the closing.
    install(system.app)
    app.close()


def test_the_road_needs_no_more_than_rights_to_rows(restricted: App, road: Road, walker: Walker) -> None:
    """Sign-up to the last instalment, forty days of servicing, and erasure: every statement that the functions send."""
    loan_id = walker.become_borrower(1_000_000, 1)
    assert walker.repay(loan_id, key="pay", kind="settlement")["status"] == "settled"
    road.set_date(road.today() + timedelta(days=40))
    assert road.sweep().expect(200)
    walker.log_in(walker.person.email).expect(200)
    assert walker.loan(loan_id).expect(200)["status"] == "settled"
    walker.call("POST", "/api/users/export").expect(200)
    walker.call("POST", "/api/users/erasure").expect(202)
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        psycopg.connect(restricted.settings.database_url) as connection,
    ):
        connection.execute("TRUNCATE outbox")
