"""The store on a PostgreSQL that is reached as Cloud SQL is: what its socket, TLS, login, limits and failovers do."""

import itertools
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.certificates import self_signed

from pinjam.adapters.postgres import PostgresStore
from pinjam.adapters.postgres_connections import Connections
from pinjam.domain.trail import Event
from pinjam.local.database import EmbeddedDatabase
from pinjam.migrations import migrate
from pinjam.services.ports import Unavailable
from pinjam.services.store import StoreUnavailable

if TYPE_CHECKING:
    from tests.adapters.conftest import Run

Open = Callable[..., PostgresStore]
AT = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = 6
RESERVED = 3
LOGIN = "functions@pinjam.iam"
SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""What a client sends first when it wants TLS."""


@dataclass
class Server:
    """A server of this module's own, which may be stopped and started."""

    state: Path
    database: EmbeddedDatabase
    url: str = ""

    @property
    def data(self) -> Path:
        return self.state / "postgres"

    @property
    def socket(self) -> Path:
        parts = conninfo_to_dict(self.url)
        return Path(str(parts["host"])) / f".s.PGSQL.{parts['port']}"

    def as_login(self, **changes: str) -> str:
        """The address of the functions' own account, which has no place that the server reserves."""
        return make_conninfo(self.url, user=LOGIN, **changes)

    def restart(self) -> None:
        self.database.stop()
        self.url = self.database.start()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Few places, and a password for the functions' account."""
    made = Server(state := Path(tempfile.mkdtemp(prefix="pinjam-cloudsql-")), EmbeddedDatabase(state, durable=False))
    try:
        made.url = made.database.start()
        migrate(made.url)
        with psycopg.connect(made.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET max_connections = {PLACES}".encode())
            connection.execute(f'CREATE ROLE "{LOGIN}" LOGIN'.encode())
            connection.execute(f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{LOGIN}"'.encode())
        rules = made.data / "pg_hba.conf"
        rules.write_text(f'local all "{LOGIN}" password\n{rules.read_text()}')
        made.restart()
        yield made
    finally:
        made.database.stop()
        shutil.rmtree(state)


@pytest.fixture
def token(server: Server, run: "Run") -> Callable[[], str]:
    """Access tokens of which the server knows only the newest, as when the one before has expired."""
    numbers = itertools.count(1)

    def newest() -> str:
        text = f"token-{next(numbers)}"
        run(server.url, f"ALTER ROLE \"{LOGIN}\" PASSWORD '{text}'")
        return text

    return newest


def event(number: int) -> Event:
    return Event(id=f"evt_{number:05}", topic="loan-submitted", subject="s", data={}, request_id="r", occurred_at=AT)


def count(store: PostgresStore) -> int:
    return store.read(lambda tx: tx.count(Event, {}))


def test_each_new_connection_logs_in_with_a_token_of_its_own(
    server: Server, run: "Run", open_store: Open, token: Callable[[], str]
) -> None:
    store = open_store(server.as_login(), password=token)
    assert count(store) == count(store)  # One connection: the second call asks for no other token.
    run(server.url, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", LOGIN)
    assert count(store) == count(store)
    assert token() == "token-3"
    with pytest.raises(StoreUnavailable, match="password authentication failed"):
        count(open_store(server.as_login(), password=lambda: "token-2"))


def test_a_token_that_cannot_be_had_is_unavailable(server: Server, open_store: Open) -> None:
    def none() -> str:
        raise Unavailable("metadata", "no answer")

    with pytest.raises(StoreUnavailable, match="metadata: no answer"):
        count(open_store(server.as_login(), password=none))


def test_a_server_without_a_place_is_unavailable_until_it_has_one(
    server: Server, open_store: Open, token: Callable[[], str]
) -> None:
    store = open_store(server.as_login(), password=token)
    with ExitStack() as held:
        for _ in range(PLACES - RESERVED):
            held.enter_context(psycopg.connect(server.as_login(password=token())))
        with pytest.raises(StoreUnavailable, match="remaining connection slots are reserved"):
            count(store)
        for _ in range(RESERVED):
            held.enter_context(psycopg.connect(server.url))
        with pytest.raises(StoreUnavailable, match="too many clients already"):
            count(open_store(server.url))
    assert count(store) == count(open_store(server.url))


def test_a_socket_that_vanishes_is_unavailable_and_found_again(server: Server, run: "Run", open_store: Open) -> None:
    """As when the proxy beside a function restarts. The folder is named as Cloud SQL's is."""
    with tempfile.TemporaryDirectory(prefix="pj") as root:
        folder = Path(root) / "cloudsql" / "pinjam-test:asia-southeast2:pinjam"
        folder.mkdir(parents=True)
        here = folder / server.socket.name
        here.symlink_to(server.socket)
        store = open_store(f"postgresql://pinjam@/pinjam?host={folder}&application_name=through-the-folder")
        before = count(store)
        here.unlink()
        assert count(store) == before  # What is open needs no socket any more.
        end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
        assert run(server.url, end, "through-the-folder") == [(True,)]
        for call in (store.read, store.transact):
            with pytest.raises(StoreUnavailable, match=r"No such file|does not exist"):
                call(lambda tx: tx.count(Event, {}))
        here.symlink_to(server.socket)
        assert count(store) == before


def test_a_restarted_server_is_found_again(server: Server, open_store: Open) -> None:
    store = open_store(server.url)
    store.transact(lambda tx: tx.insert(event(1)))
    before = count(store)
    server.database.stop()
    with pytest.raises(StoreUnavailable):
        count(store)
    server.url = server.database.start()
    assert count(store) == before
    store.transact(lambda tx: tx.insert(event(2)))
    assert count(store) == before + 1


def test_a_primary_that_became_a_replica_is_unavailable_for_writing_until_it_is_one_again(
    server: Server, run: "Run", open_store: Open
) -> None:
    store = open_store(server.url)
    before = count(store)
    server.database.stop()
    (server.data / "standby.signal").touch()
    server.url = server.database.start()
    assert count(store) == before
    for work in (lambda tx: tx.insert(event(11)), lambda tx: tx.count(Event, {})):
        with pytest.raises(StoreUnavailable, match="hot standby"):
            store.transact(work)
    assert run(server.url, "SELECT pg_promote(true, 60)") == [(True,)]
    store.transact(lambda tx: tx.insert(event(12)))
    assert count(store) == before + 1


def test_a_session_is_bounded_in_every_way_and_says_whose_it_is(server: Server) -> None:
    settings = {
        "statement_timeout": "7s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "transaction_timeout": "15s",
        "application_name": "pay",
        "TimeZone": "UTC",
    }
    for changes, differing in (
        ({}, {}),
        ({"options": "-c lock_timeout=1s", "application_name": "a person"}, {"lock_timeout": "1s"}),
    ):
        connections = Connections(
            make_conninfo(server.url, **changes),
            size=1,
            statement_timeout_ms=7000,
            connect_timeout_s=5,
            password=None,
            application_name="pay",
        )
        with connections.one() as connection:
            found = {name: connection.execute(f"SHOW {name}".encode()).fetchall()[0][0] for name in settings}
        connections.close()
        named = {"application_name": changes["application_name"]} if changes else {}
        assert found == {**settings, **differing, **named}


@contextmanager
def private_address(server: Server, *, certificate: Path | None) -> Iterator[str]:
    """The server on a TCP port, behind TLS if there is a certificate (and its key); what it gives is host and port."""
    with ExitStack() as open_, socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(open_.enter_context(client),), daemon=True).start()

        def talk(client: socket.socket) -> None:
            assert client.recv(8) == SSL_REQUEST
            if certificate is None:
                client.sendall(b"N")
                client.close()
                return
            client.sendall(b"S")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            try:
                secured = open_.enter_context(context.wrap_socket(client, server_side=True))
            except ssl.SSLError:
                return  # A client that does not trust the certificate.
            backend = open_.enter_context(socket.socket(socket.AF_UNIX))
            backend.connect(str(server.socket))
            threading.Thread(target=pass_on, args=(backend, secured), daemon=True).start()
            pass_on(secured, backend)

        accepting = threading.Thread(target=serve, daemon=True)
        accepting.start()
        yield f"hostaddr=127.0.0.1 port={listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(10)


def pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # Either side has gone.


def test_a_private_address_is_reached_by_tls_with_the_servers_own_certificate(
    server: Server, tmp_path: Path, open_store: Open, token: Callable[[], str]
) -> None:
    certificate = self_signed(tmp_path / "server.pem", "pinjam-sql")
    other = self_signed(tmp_path / "other.pem", "pinjam-sql")
    with private_address(server, certificate=certificate) as address:
        url = f"{address} host=pinjam-sql dbname=pinjam user={LOGIN} sslmode=verify-full sslrootcert="
        assert count(open_store(f"{url}{certificate}", password=token)) == count(open_store(server.url))
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            count(open_store(f"{url}{other}", password=token))


def test_a_server_without_tls_is_not_talked_to_where_tls_is_asked_for(server: Server, open_store: Open) -> None:
    with private_address(server, certificate=None) as address:
        url = f"{address} dbname=pinjam user={LOGIN} sslmode=require"
        with pytest.raises(StoreUnavailable, match="does not support SSL"):
            count(open_store(url, password=lambda: "never sent"))
