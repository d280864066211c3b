"""The whole system in one process: the functions, and everything they need around them."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from argon2 import PasswordHasher
from psycopg_pool import ConnectionPool

from pinjam.adapters.id_tokens import SigningKeys, issuer_of
from pinjam.adapters.key_file import KeyFile
from pinjam.domain.task import RATES
from pinjam.local.broker import Broker
from pinjam.local.database import DatabaseError, EmbeddedDatabase
from pinjam.local.dispatch import PushSettings
from pinjam.local.emulators.forgeable_tokens import BelievesForgeableTokens, ForgeableJwtCheck
from pinjam.local.emulators.process import MissingProgram, ServerFailed
from pinjam.local.emulators.push_door import PushDoor
from pinjam.local.emulators.topics import Topics
from pinjam.local.environment import (
    LOCATION,
    PROJECT,
    clock_file,
    credentials,
    environment,
    key_file,
    own_identity,
)
from pinjam.local.event_carrier import EventCarrier
from pinjam.local.functions import EVENT_FUNCTIONS, load_functions
from pinjam.local.gateway import create_gateway, mount
from pinjam.local.gateway_jwt import JwtCheck
from pinjam.local.identity import create_identity
from pinjam.local.reference import create_reference
from pinjam.local.sandbox.clock import ClockFile
from pinjam.local.sandbox.holders import BorrowersAsHolders
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Sandbox
from pinjam.local.scheduler import Scheduler
from pinjam.local.servers import PortInUse, WsgiServer
from pinjam.local.state import AlreadyRunning, KeptData, StateLock, empty, read_secrets, write_private
from pinjam.local.surroundings import Parts, Surroundings
from pinjam.local.tasks import TaskServer
from pinjam.runtime.composition import App, install
from pinjam.runtime.settings import Settings, SettingsError
from pinjam.services.subscriptions import SUBSCRIPTIONS

REPOSITORY = Path(__file__).resolve().parents[3]
SWEEP = "sweep"
WEBHOOK_PATH = "/api/payments/webhook/midtrans"
WHATSAPP_WEBHOOK_PATH = "/api/notifications/webhook/whatsapp"
PAYOUT_WEBHOOK_PATH = "/api/payments/webhook/iris"
_GATEWAY_THREADS = 16
_CONNECTIONS = 12
_PUSHES, _PUSH_IDLE_S = 1000, 10


class MissingFile(Exception):
    """A file of the repository that the system is made of is not there."""


CANNOT_START = (
    AlreadyRunning,
    DatabaseError,
    KeptData,
    MissingFile,
    MissingProgram,
    PortInUse,
    ServerFailed,
    SettingsError,
)
"""Why a system does not start, in words for whoever started it."""


class LocalSystem:
    """Everything on loopback, with its data in `state`, behind a gateway on `port` (0: any free one).

    `parts` are what stands behind its ports. Emulators keep nothing, so a system with any of them empties its folder
    first (KeptData for one that is not such a system's); `tell` hears when each answers, and MissingProgram or
    ServerFailed is raised where one cannot be had. `repository` is where `functions/`, `gateway/openapi.json` and
    `openapi.json` are; `overrides` are settings that replace the computed ones; `push` and `sweep_every_s` are how
    events are retried and how often the sweep comes; `durable=False` trades the data's crash safety for speed, as a
    `hasher` lighter than OWASP's does that of passwords. Only one system at a time uses a folder (AlreadyRunning),
    and a taken port is refused before anything starts (PortInUse).
    """

    url: str
    environment: Mapping[str, str]
    app: App
    carrier: EventCarrier
    tasks: TaskServer
    sandbox: SandboxServers

    def __init__(
        self,
        state: Path,
        port: int,
        *,
        parts: Parts | None = None,
        tell: Callable[[str], None] = lambda _: None,
        repository: Path = REPOSITORY,
        overrides: Mapping[str, str] | None = None,
        push: PushSettings | None = None,
        sweep_every_s: float = 30.0,
        slow_provider_s: float = 12.0,
        durable: bool = True,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._state = state.absolute()
        self._port = port
        self._parts = parts or Parts()
        self._surroundings = Surroundings(
            self._parts,
            folder=self._state / "emulators",
            tools=repository / "tools" / "firebase",
            project=PROJECT,
            tell=tell,
        )
        self._repository = repository
        self._overrides = overrides or {}
        self._push = push
        self._sweep_every_s = sweep_every_s
        self._slow_provider_s = slow_provider_s
        self._durable = durable
        self._hasher = hasher
        self._running = ExitStack()

    def start(self) -> Self:
        """Start everything; when this returns, requests are answered. If it fails, nothing is left running."""
        started = False
        try:
            self._start()
            started = True
        finally:
            if not started:
                self.stop()
        return self

    def stop(self) -> None:
        """Stop everything, last started first; harmless when stopped already."""
        self._running.close()

    def wait_until_quiet(self, timeout_s: float) -> bool:
        """Wait until no event, no task that is due and no provider's news is on its way; False if one takes longer."""
        # Events make tasks, tasks make events, and providers tell of both: quiet is when all are at once.
        deadline = time.monotonic() + timeout_s
        waits = (self.carrier.wait_until_quiet, self.tasks.wait_until_quiet, self.sandbox.sandbox.wait_until_quiet)
        while all(wait(deadline - time.monotonic()) for wait in waits):
            if all(wait(0) for wait in waits):
                return True
        return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        document = _read(self._repository / "gateway" / "openapi.json")
        reference = _read(self._repository / "openapi.json")
        self._take_folder()
        front = _Later()
        gateway = WsgiServer(front, port=self._port, threads=_GATEWAY_THREADS)
        self._running.callback(gateway.stop)
        self.url = gateway.url

        self._running.callback(self._surroundings.stop)
        self._surroundings.launch()
        database_url, functions = self._prepare()
        pool = ConnectionPool(database_url, min_size=1, max_size=_CONNECTIONS, open=True)
        self._running.enter_context(pool)
        accounts = {} if self._parts.accounts == "emulator" else self._start_identity(pool)
        events = self._bind_events(functions)
        scheduling = self._bind_tasks(pool)
        self._start_sandbox(pool, sweep_url=f"{events.url}/{SWEEP}")
        publishing = self._bind_carrier(pool, events.url)
        self._surroundings.wait_until_ready()
        self.environment = {
            **environment(
                state=self._state,
                url=self.url,
                secrets=self._secrets,
                database_url=database_url,
                tasks_url=scheduling.url,
                functions_url=events.url,
                sandbox=self.sandbox,
            ),
            **accounts,
            **({"PINJAM_PUBSUB_URL": publishing.url} if publishing else {}),
            **self._surroundings.environment,
            "PINJAM_PROFILE": self._parts.profile,
            **self._overrides,
        }
        self._install_app()
        front.app = self._make_gateway(document, reference, functions)
        self._open(gateway, events, publishing, scheduling)

    def _take_folder(self) -> None:
        """Lock the state folder, and have in it what outlives a run."""
        self._running.enter_context(StateLock(self._state))
        if self._parts.profile == "emulators":
            EmbeddedDatabase(self._state).discard()
            empty(self._state)
        self._secrets = read_secrets(self._state)
        if not key_file(self._state).exists():
            KeyFile(key_file(self._state)).renew()

    def _prepare(self) -> tuple[str, Mapping[str, WSGIApplication]]:
        """The migrated database and the loaded functions, made at the same time."""
        database = EmbeddedDatabase(self._state, durable=self._durable)
        self._running.callback(database.stop)

        def prepare() -> str:
            from pinjam.migrations import CannotMigrate, migrate  # noqa: PLC0415  # half a second of imports, beside the functions'

            url = database.start()
            try:
                migrate(url)
            except CannotMigrate as refusal:
                raise DatabaseError(str(refusal)) from refusal
            return url

        with ThreadPoolExecutor(1) as beside:
            url = beside.submit(prepare)
            functions = load_functions(self._repository / "functions")
            return url.result(), functions

    def _start_identity(self, pool: ConnectionPool) -> Mapping[str, str]:
        app = create_identity(
            pool,
            key_file=self._state / "identity-key.pem",
            project=PROJECT,
            api_key=self._secrets["identity_api_key"],
            admin_token=self._secrets["identity_admin_token"],
            hasher=self._hasher,
        )
        return own_identity(self._running.enter_context(WsgiServer(app)).url, self._secrets)

    def _bind_events(self, functions: Mapping[str, WSGIApplication]) -> WsgiServer:
        """The functions that are called over HTTP, not yet answering.

        The sandbox's own sweep shows no token; a sweep may come at any time and does no harm.
        """
        inner = {name: app for name, app in functions.items() if name in EVENT_FUNCTIONS | {SWEEP}}
        token = self._secrets["gateway_token"]
        app = mount(inner, token=token, open_to_all=(SWEEP,))
        if self._parts.events == "pubsub":
            app = self._door = PushDoor(app, push_token=self._secrets["push_token"], token=token)
        # Pub/Sub's emulator opens a connection for each push and forgets it.
        server = WsgiServer(app, connections=_PUSHES, idle_s=_PUSH_IDLE_S)
        self._running.callback(server.stop)
        return server

    def _start_sandbox(self, pool: ConnectionPool, *, sweep_url: str) -> None:
        sandbox = Sandbox(
            pool,
            credentials=credentials(self._secrets),
            clock=ClockFile(clock_file(self._state), moved=self.tasks.wake),
            notify_url=lambda: self.url + WEBHOOK_PATH,
            payout_url=lambda: self.url + PAYOUT_WEBHOOK_PATH,
            sweep_url=lambda: sweep_url,
            whatsapp_url=lambda: self.url + WHATSAPP_WEBHOOK_PATH,
            holder=BorrowersAsHolders(lambda: self.app.store, lambda: self.app.vault),
            slow_s=self._slow_provider_s,
        )
        self.sandbox = self._running.enter_context(SandboxServers(sandbox))

    def _bind_carrier(self, pool: ConnectionPool, functions_url: str) -> WsgiServer | None:
        """What carries events; the publishers' side of it, not yet answering, where that is in this process."""
        if self._parts.events == "pubsub":
            self.carrier = Topics(
                url=self._surroundings.environment["PINJAM_PUBSUB_URL"],
                project=PROJECT,
                functions_url=functions_url,
                door=self._door,
                push=self._push,
            )
            return None
        self.carrier = broker = Broker(
            pool,
            project=PROJECT,
            functions_url=functions_url,
            token=self._secrets["gateway_token"],
            subscriptions={str(topic): names for topic, names in SUBSCRIPTIONS.items()},
            settings=self._push,
        )
        server = WsgiServer(broker.app)
        self._running.callback(server.stop)
        return server

    def _bind_tasks(self, pool: ConnectionPool) -> WsgiServer:
        self.tasks = TaskServer(
            pool,
            parent=f"projects/{PROJECT}/locations/{LOCATION}",
            token=self._secrets["gateway_token"],
            rates={str(queue): rate for queue, rate in RATES.items()},
            now=ClockFile(clock_file(self._state)).now,
            settings=self._push,
        )
        server = WsgiServer(self.tasks.app)
        self._running.callback(server.stop)
        return server

    def _install_app(self) -> None:
        self.app = App(Settings.read(self.environment))
        self._running.callback(self.app.close)
        if self.app.settings.auth_emulator:
            self.app.token_verifier = BelievesForgeableTokens(project=PROJECT)
        install(self.app)
        self._running.callback(install, None)

    def _make_gateway(
        self,
        document: Mapping[str, object],
        reference: Mapping[str, object],
        functions: Mapping[str, WSGIApplication],
    ) -> WSGIApplication:
        settings, issuer = self.app.settings, issuer_of(PROJECT)
        if settings.auth_emulator:
            check: JwtCheck = ForgeableJwtCheck(issuer=issuer, audience=PROJECT)
        else:
            check = JwtCheck(issuer=issuer, audience=PROJECT, keys=SigningKeys(settings.jwks_url))
        pages = create_reference(reference, server=self.url)
        extra = {
            "/sandbox": self.sandbox.sandbox.controls(),
            "/docs": pages,
            "/openapi.json": pages,
            "/healthz": _healthy,
        }
        return create_gateway(
            document,
            backends=functions,
            verifier=check,
            gateway_token=self._secrets["gateway_token"],
            extra=extra,
        )

    def _open(
        self, gateway: WsgiServer, events: WsgiServer, publishing: WsgiServer | None, scheduling: WsgiServer
    ) -> None:
        """Let work in from the inside out, so that nothing calls what is not there yet."""
        if publishing is not None:
            publishing.start()
        scheduling.start()
        events.start()
        self._running.callback(self.carrier.stop)
        self.carrier.start()
        self._running.callback(self.tasks.stop)
        self.tasks.start()
        scheduler = Scheduler(
            f"{events.url}/{SWEEP}", token=self._secrets["gateway_token"], every_s=self._sweep_every_s
        )
        self._running.callback(scheduler.stop)
        self._running.callback(gateway.stop)
        gateway.start()
        scheduler.start()
        # Calls that a slow provider holds must not hold the end too.
        self._running.callback(self.sandbox.sandbox.close)
        addresses = self._state / "system.json"
        self._running.callback(addresses.unlink, missing_ok=True)
        write_private(addresses, json.dumps(self.environment, indent=2))


class _Later:
    """A WSGI application whose port is known before it is made."""

    app: WSGIApplication

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start_response)


def _healthy(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "15")])
    return [b'{"status":"ok"}']


def _read(path: Path) -> Mapping[str, object]:
    try:
        document: Mapping[str, object] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise MissingFile(f"{path} is missing: run this from a checkout of the repository.") from error
    return document
