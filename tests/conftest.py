"""What several suites need: a real PostgreSQL server for each worker of a run, and the sandbox providers."""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool
from tests.machine import given

from pinjam.local.database import EmbeddedDatabase
from pinjam.local.emulators.auth import AuthEmulator
from pinjam.local.emulators.firestore import FirestoreEmulator
from pinjam.local.emulators.pubsub import PubSubEmulator
from pinjam.local.sandbox.clock import ClockFile
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials, Sandbox
from pinjam.local.servers import WsgiServer
from pinjam.services.store import KINDS

FIREBASE_TOOLS = Path(__file__).parents[1] / "tools" / "firebase"


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A server of this run's own, with a database that stays empty; nothing in it need outlive a crash."""
    state = Path(tempfile.mkdtemp(prefix="pinjam-tests-"))
    database = EmbeddedDatabase(state, durable=False)
    try:
        yield database.start()
    finally:
        database.stop()
        shutil.rmtree(state)


@pytest.fixture(scope="session")
def migrated_url(database_url: str) -> str:
    """A migrated database that stays without rows: the template of others."""
    return _created(database_url, "template_migrated", "template1", then_migrate=True)


@pytest.fixture(scope="session")
def shared_url(database_url: str, migrated_url: str) -> str:
    return _created(database_url, "shared", _name(migrated_url))


@pytest.fixture
def store_url(shared_url: str) -> str:
    """A migrated database without rows; the same one for every test, emptied before each."""
    tables = sql.SQL(", ").join(sql.Identifier(kind.collection) for kind in KINDS.values())
    with psycopg.connect(shared_url, options="-c lock_timeout=5000", autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(tables))
    return shared_url


@pytest.fixture
def fresh_url(database_url: str, migrated_url: str) -> Iterator[str]:
    """A migrated database of the test's own, for tests that change the schema or end connections."""
    url = _created(database_url, f"fresh_{uuid.uuid4().hex}", _name(migrated_url))
    yield url
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_name(url))))


@pytest.fixture
def unmigrated_url(database_url: str) -> Iterator[str]:
    """A database of the test's own, without tables."""
    url = _created(database_url, f"unmigrated_{uuid.uuid4().hex}", "template1")
    yield url
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_name(url))))


@pytest.fixture(scope="session")
def firestore_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator of this worker's own. Tests name a project of their own in it."""
    with given(lambda: FirestoreEmulator(tmp_path_factory.mktemp("firestore"))) as emulator:
        yield f"http://{emulator.host}"


@pytest.fixture(scope="session")
def sandbox_pool(database_url: str) -> Iterator[ConnectionPool]:
    """Connections for the sandboxes of a run."""
    with ConnectionPool(database_url, min_size=1, max_size=6, open=True) as pool:
        yield pool


@pytest.fixture(scope="session")
def sandbox_credentials() -> Credentials:
    """What the sandbox providers let in."""
    return Credentials(
        server_key="SB-Mid-server-TESTONLY",
        creator_key="IRIS-creator-TESTONLY",
        approver_key="IRIS-approver-TESTONLY",
        merchant_key="IRIS-merchant-TESTONLY",
        ekyc_app_id="app-id",
        ekyc_api_key="api-key",
        smtp_user="pinjam",
        smtp_password="mail-secret",
        whatsapp_phone_number_id="100000000000001",
        whatsapp_token="whatsapp-secret",
        whatsapp_app_secret="app-secret",
        zenziva_userkey="userkey",
        zenziva_passkey="passkey",
        twilio_account_sid=f"AC{1:032x}",
        twilio_auth_token="auth-token",
        fcm_project="pinjam-test",
        fcm_token="fcm-secret",
    )


@pytest.fixture
def sandbox_schema(sandbox_pool: ConnectionPool) -> str:
    """A schema whose tables are empty; the same one for every test, because making it takes longer than most."""
    schema = "sandbox"
    with sandbox_pool.connection() as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
        for (name,) in names:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, name)))
    return schema


@pytest.fixture
def sandbox(
    sandbox_pool: ConnectionPool, sandbox_credentials: Credentials, sandbox_schema: str, tmp_path: Path
) -> Iterator[SandboxServers]:
    """The sandbox providers, running; it is 24 November 2026, 09:00 in Jakarta."""
    clock = ClockFile(tmp_path / "clock.json", real_now=lambda: datetime(2026, 11, 24, 2, 0, tzinfo=UTC))
    made = Sandbox(
        sandbox_pool,
        credentials=sandbox_credentials,
        clock=clock,
        notify_url=lambda: "http://127.0.0.1:9/none",
        payout_url=lambda: "http://127.0.0.1:9/none",
        sweep_url=lambda: "http://127.0.0.1:9/none",
        holder=lambda _bank, _account: "SITI AMINAH",
        # Far longer than any test waits; stopping ends it at once.
        slow_s=30,
        # The same calls fail by chance in every run.
        seed=1,
        schema=sandbox_schema,
    )
    with SandboxServers(made) as servers:
        yield servers


@pytest.fixture(scope="session")
def auth_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthEmulator]:
    """Firebase's own emulator of Auth for this worker. Its accounts outlive a test: each test names its own."""
    folder = tmp_path_factory.mktemp("auth-emulator")
    with given(lambda: AuthEmulator(folder, tools=FIREBASE_TOOLS, project="pinjam-test", tell=print)) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSubEmulator]:
    """Google's emulator of Pub/Sub, for this worker; each test takes a project of its own in it."""
    with given(lambda: PubSubEmulator(tmp_path_factory.mktemp("pubsub"))) as running:
        yield running


@pytest.fixture
def answering() -> Iterator[Callable[[bytes, int], str]]:
    """Starts a server that gives every request the same answer, and tells its address."""
    with ExitStack() as running:

        def start(content: bytes, status: int = 200) -> str:
            def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
                environ["wsgi.input"].read()
                start_response(f"{status} As Told", [("Content-Type", "application/json")])
                return [content]

            return running.enter_context(WsgiServer(app, threads=2)).url

        yield start


def _created(server: str, name: str, template: str, *, then_migrate: bool = False) -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    url = make_conninfo(server, dbname=name)
    if then_migrate:
        from pinjam.migrations import migrate  # noqa: PLC0415 - takes most of a second, which most tests can save.

        migrate(url)
    return url


def _name(url: str) -> str:
    return str(conninfo_to_dict(url)["dbname"])
