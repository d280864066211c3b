"""What stands around a local system, by profile: emulators of Google's services as child processes, or nothing.

The `local` profile has everything in its own process and the embedded PostgreSQL; the `emulators` profile has real
wire protocols instead, as far as somebody chose them. Sandbox providers and tasks are the same in both.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pinjam.local.emulators import firestore, pubsub
from pinjam.local.emulators.auth import OWNER, AuthEmulator
from pinjam.local.emulators.gcloud import component, java
from pinjam.local.emulators.process import MissingProgram, ServerProcess
from pinjam.local.emulators.redis import RedisServer
from pinjam.local.emulators.s3 import S3Server
from pinjam.local.emulators.storage import StorageEmulator
from pinjam.runtime.choices import SettingsError, chosen, profile_of, refuse_wrong_choices

BUCKET = "pinjam-documents"
_REGION = "us-east-1"
"""The one in which a bucket is made without saying so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What stands behind each port; by default all of it is the local profile's own."""

    store: Literal["postgres", "firestore"] = "postgres"
    objects: Literal["folder", "gcs", "s3"] = "folder"
    accounts: Literal["server", "emulator"] = "server"
    events: Literal["broker", "pubsub"] = "broker"
    cache: Literal["memory", "redis"] = "memory"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Parts":
        """The parts that the profile and the choices of an environment ask for. SettingsError for what cannot be."""
        profile = profile_of(environment)
        if profile == "gcp":
            raise SettingsError("PINJAM_PROFILE is 'gcp'; on one machine it must be local or emulators")
        refuse_wrong_choices(environment)
        if profile == "local":
            return cls()
        return cls(
            store="firestore" if chosen(environment, "PINJAM_STORE") == "firestore" else "postgres",
            objects=_objects(environment),
            accounts="emulator",
            events="pubsub",
            cache=_cache(environment),
        )

    @property
    def profile(self) -> Literal["local", "emulators"]:
        """The profile whose settings fit these parts."""
        return "local" if self == Parts() else "emulators"


def _objects(environment: Mapping[str, str]) -> Literal["folder", "gcs", "s3"]:
    """What keeps documents' bytes, unless the caller brings an S3 server such as MinIO."""
    choice = chosen(environment, "PINJAM_OBJECTS")
    if choice == "s3":
        return "folder" if environment.get("PINJAM_S3_URL") else "s3"
    return "gcs" if choice == "gcs" else "folder"


def _cache(environment: Mapping[str, str]) -> Literal["memory", "redis"]:
    """Redis where it is there or asked for, unless the caller brings one."""
    if environment.get("PINJAM_REDIS_URL") or environment.get("PINJAM_CACHE") == "memory":
        return "memory"
    asked = environment.get("PINJAM_CACHE") == "redis"
    return "redis" if asked or shutil.which("redis-server") else "memory"


@contextmanager
def _noting(missing: dict[str, None]) -> Iterator[None]:
    """Keep in mind what this machine lacks, and go on."""
    try:
        yield
    except MissingProgram as lack:
        missing[str(lack)] = None


@dataclass(frozen=True, slots=True)
class _Server:
    """A child process, where it is for whoever reads the screen, and the variables that lead to it.

    `prepare` is done once it answers.
    """

    process: ServerProcess
    place: str
    variables: Mapping[str, str]
    prepare: Callable[[], None] = lambda: None


class Surroundings:
    """The child processes of a system's parts. `tell` hears of each when it answers.

    `folder` takes their logs and whatever they write; nothing of theirs outlives them. `tools` is where firebase-tools
    are locked, and installed at the first start.
    """

    def __init__(self, parts: Parts, *, folder: Path, tools: Path, project: str, tell: Callable[[str], None]) -> None:
        self._parts = parts
        self._folder = folder
        self._tools = tools
        self._project = project
        self._tell = tell
        self._servers: Sequence[_Server] = ()
        self._ready: Sequence[Future[None]] = ()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which a function finds what was launched."""
        return {name: value for server in self._servers for name, value in server.variables.items()}

    def launch(self) -> None:
        """Start all of them at once, without waiting. MissingProgram names everything that this machine lacks."""
        servers: list[_Server] = []
        missing: dict[str, None] = {}  # Each once, in this order.
        for make, programs in self._wanted():
            # Whatever a server needs is looked for, not only up to the first thing that is not there.
            for look in programs:
                with _noting(missing):
                    look()
            with _noting(missing):
                servers.append(make())
        if missing:
            raise MissingProgram("\n".join(missing))
        self._servers = servers
        launched_at = time.monotonic()
        for server in servers:
            server.process.launch()
        if servers:
            waiting = ThreadPoolExecutor(len(servers), thread_name_prefix="emulators")
            self._ready = [waiting.submit(self._wait_for, server, launched_at) for server in servers]
            waiting.shutdown(wait=False)

    def wait_until_ready(self) -> None:
        """Wait until each answers. ServerFailed if one does not."""
        for server in self._ready:
            server.result()

    def stop(self) -> None:
        """End all of them, at once; harmless when none runs."""
        servers, self._servers = self._servers, ()
        if servers:
            with ThreadPoolExecutor(len(servers)) as pool:
                for _ in pool.map(lambda server: server.process.stop(), servers):
                    pass
        wait(self._ready)

    def _wait_for(self, server: _Server, launched_at: float) -> None:
        server.process.wait_until_ready()
        server.prepare()
        seconds = time.monotonic() - launched_at
        self._tell(f"  {server.process.name:<28} {server.place:<26} {seconds:4.1f} s")

    def _wanted(self) -> Sequence[tuple[Callable[[], _Server], Sequence[Callable[[], object]]]]:
        """What makes each server, and what looks for its programs."""
        parts = self._parts
        table = (
            (parts.store == "firestore", self._firestore, (java, partial(component, firestore.NAME))),
            (parts.objects == "gcs", self._storage, ()),
            (parts.objects == "s3", self._s3, ()),
            (parts.accounts == "emulator", self._auth, ()),
            (parts.events == "pubsub", self._pubsub, (java, partial(component, pubsub.NAME))),
            (parts.cache == "redis", self._redis, ()),
        )
        return [(make, programs) for wanted, make, programs in table if wanted]

    def _firestore(self) -> _Server:
        emulator = firestore.FirestoreEmulator(self._folder)
        variables = {"PINJAM_STORE": "firestore", "FIRESTORE_EMULATOR_HOST": emulator.host}
        return _Server(emulator, emulator.host, variables)

    def _storage(self) -> _Server:
        emulator = StorageEmulator(self._folder)
        variables = {
            "PINJAM_OBJECTS": "gcs",
            "PINJAM_BUCKET": BUCKET,
            "STORAGE_EMULATOR_HOST": emulator.url,
        }
        place = emulator.url.removeprefix("http://")
        return _Server(emulator, place, variables, prepare=lambda: emulator.make_bucket(BUCKET))

    def _s3(self) -> _Server:
        server = S3Server(self._folder)
        variables = {
            "PINJAM_OBJECTS": "s3",
            "PINJAM_BUCKET": BUCKET,
            "PINJAM_S3_URL": server.url,
            "PINJAM_S3_REGION": _REGION,
            "PINJAM_S3_ACCESS_KEY": "any",
            "PINJAM_S3_SECRET_KEY": "any",
        }
        place = server.url.removeprefix("http://")
        return _Server(server, place, variables, prepare=lambda: server.make_bucket(BUCKET))

    def _auth(self) -> _Server:
        emulator = AuthEmulator(self._folder, tools=self._tools, project=self._project, tell=self._tell)
        variables = {
            "FIREBASE_AUTH_EMULATOR_HOST": emulator.host,
            "PINJAM_IDENTITY_URL": emulator.identity_url,
            "PINJAM_TOKEN_URL": emulator.token_url,
            "PINJAM_IDENTITY_ADMIN_TOKEN": OWNER,
        }
        return _Server(emulator, emulator.host, variables)

    def _pubsub(self) -> _Server:
        emulator = pubsub.PubSubEmulator(self._folder)
        variables = {"PUBSUB_EMULATOR_HOST": emulator.host, "PINJAM_PUBSUB_URL": f"http://{emulator.host}"}
        return _Server(emulator, emulator.host, variables)

    def _redis(self) -> _Server:
        server = RedisServer(self._folder)
        return _Server(server, server.host, {"PINJAM_CACHE": "redis", "PINJAM_REDIS_URL": server.url})
