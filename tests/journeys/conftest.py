"""A whole local system for each worker of a run, and people who walk through it over HTTP."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from argon2 import PasswordHasher
from psycopg import sql
from tests.machine import given

from pinjam.domain.calendar import local_date
from pinjam.local.dispatch import PushSettings
from pinjam.local.people import People
from pinjam.local.road import Reply, Road, Walker
from pinjam.local.surroundings import Parts
from pinjam.local.system import LocalSystem
from pinjam.runtime.composition import install
from pinjam.services.store import KINDS

WAIT_S = 30
QUICK = PushSettings(first_pause_s=0.05, longest_pause_s=0.2, deliveries=200)
"""Events that could not be had come again at once, and do not end among the dead."""

LIGHT = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""Nobody guesses these passwords; production's strength is tested with the identity server."""

EMULATORS = Parts(store="firestore", objects="gcs", accounts="emulator", events="pubsub")
BOTH = ("local", "firestore")
ON: Mapping[str, Sequence[str]] = {
    "test_road": (*BOTH, "emulators"),
    "test_demo": ("local", "emulators"),
    "test_money": BOTH,
    "test_payouts": BOTH,
    "test_at_once": BOTH,
    "test_time_passes": BOTH,
    "test_messages": BOTH,
    "test_papers": BOTH,
    "test_ledger": BOTH,
}
"""The systems that each module's tests run on, where that is not the local one alone."""
_IN_LINE = (
    "Firestore's writers of one loan wait in line: so many of them outlast the gateway's 15 s on a small machine, and"
    " callers must come again. What becomes of writers in line is the matter of tests/contracts/test_store_races.py."
)
LOCAL_ONLY: Mapping[str, str] = {
    "test_fifty_notifications_of_ten_payments_at_once_lose_and_make_no_money": _IN_LINE,
    "test_orders_of_every_kind_at_the_same_moment_leave_one_open_of_each": _IN_LINE,
}
"""Tests of those modules that ask of a store what only PostgreSQL does, and why."""

NewWalker = Callable[..., Walker]
AtOnce = Callable[[int, Callable[[int], Any]], list[Any]]


@pytest.fixture(scope="session")
def people() -> People:
    """Everybody in a run; nobody twice."""
    return People(20261122, today=local_date(datetime.now(UTC)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test on the systems that its module runs on. A worker has one at a time, because a process has one App."""
    if "where" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        kinds = ("local",) if metafunc.function.__name__ in LOCAL_ONLY else ON.get(module, ("local",))
        metafunc.parametrize("where", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def where(request: pytest.FixtureRequest) -> str:
    """Which kind of system: `local`, the same with its records in `firestore`, or all of it on `emulators`."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def state(where: str) -> Iterator[Path]:
    """The shared system's folder."""
    folder = Path(tempfile.mkdtemp(prefix=f"pinjam-journeys-{where}-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shared_system(where: str, state: Path, request: pytest.FixtureRequest) -> Iterator[LocalSystem]:
    """The system of this worker; its sweep comes only when it is called."""
    overrides = {}
    if where == "firestore":
        # The worker's emulator, which other suites use too; this system has a database of its own there.
        url: str = request.getfixturevalue("firestore_url")
        overrides = {
            "PINJAM_PROFILE": "emulators",
            "PINJAM_STORE": "firestore",
            "PINJAM_FIRESTORE_DATABASE": "journeys",
            "FIRESTORE_EMULATOR_HOST": url,
        }
    running = LocalSystem(
        state,
        0,
        parts=EMULATORS if where == "emulators" else None,
        overrides=overrides,
        push=QUICK,
        sweep_every_s=3600,
        durable=False,
        hasher=LIGHT,
    )
    given(running.start)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def shared_road(shared_system: LocalSystem) -> Iterator[Road]:
    with Road(shared_system.url) as made:
        yield made


@pytest.fixture
def system(shared_system: LocalSystem) -> Iterator[LocalSystem]:
    """The worker's system, with well providers and today's date before and after each test."""
    # Another suite on this worker may have installed an App of its own meanwhile.
    install(shared_system.app)
    yield shared_system
    sandbox = shared_system.sandbox.sandbox
    with sandbox.faults._state.transaction() as cursor:
        cursor.execute("DELETE FROM faults")
    sandbox._clock.set(local_date(datetime.now(UTC)))
    assert shared_system.wait_until_quiet(WAIT_S)
    assert list(shared_system.carrier.dead_letters()) == []
    assert shared_system.tasks.dead_letters() == []


@pytest.fixture(scope="module")
def empty_books(shared_system: LocalSystem) -> None:
    """Nobody owes anything when the module begins: a sweep weeks later would remind all who borrowed in others."""
    assert shared_system.wait_until_quiet(WAIT_S)
    settings = shared_system.app.settings
    tables = [sql.Identifier(kind.collection) for kind in KINDS.values()]
    # Messages that wait for a working day go with the people whom they are for.
    tables.append(sql.Identifier("local_tasks", "tasks"))
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables)))
    if settings.store == "firestore":
        firestore = settings.firestore
        database = f"projects/{firestore.project}/databases/{firestore.database}"
        httpx.delete(f"{firestore.url}/emulator/v1/{database}/documents", trust_env=False).raise_for_status()


@pytest.fixture
def road(system: LocalSystem, shared_road: Road) -> Road:
    """The way into the system, in Indonesian."""
    assert system.url  # What the test needs first: the system, with its App installed.
    return shared_road


@pytest.fixture
def new_walker(road: Road, people: People) -> NewWalker:
    """Makes somebody new; the arguments are those of `People.person`."""

    def make(**traits: Any) -> Walker:
        return Walker(road, people.person(**traits), people)

    return make


@pytest.fixture
def walker(new_walker: NewWalker) -> Walker:
    """Somebody who has not signed up."""
    return new_walker()


@pytest.fixture(scope="module")
def verified_person(shared_system: LocalSystem) -> dict[str, Walker]:
    """Keeps one verified borrower for the whole module, on the system that the worker has."""
    assert shared_system.url
    return {}


@pytest.fixture
def verified(verified_person: dict[str, Walker], road: Road, people: People) -> Iterator[Walker]:
    """A verified borrower without a loan, who need not be new for each test."""
    if not verified_person:
        first = Walker(road, people.person(), people)
        first.become_verified()
        verified_person["one"] = first
    kept = verified_person["one"]
    walker = Walker(road, kept.person, people)
    walker.token = kept.token
    yield walker
    assert walker.call("GET", "/api/loans").expect(200)["loans"] == []


@pytest.fixture
def at_once() -> AtOnce:
    """Calls a function so many times, with 0, 1, 2 ..., all at the same moment; what came, in that order."""

    def run(times: int, call: Callable[[int], Any]) -> list[Any]:
        ready = threading.Barrier(times)

        def go(number: int) -> Any:
            ready.wait(WAIT_S)
            return call(number)

        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(go, range(times)))

    return run


@pytest.fixture
def problem() -> Callable[..., dict[str, Any]]:
    """Checks that a reply is a problem of ours, whole and in the asked language, and answers its body."""

    def check(reply: Reply, status: int, code: str, *, language: str = "id") -> dict[str, Any]:
        assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), reply.content
        body: dict[str, Any] = reply.body
        assert set(body) - {"errors"} == {"type", "title", "status", "detail", "code", "instance"}
        assert body["code"] == code, body
        assert body["type"] == f"urn:pinjam:problem:{code}"
        assert body["status"] == status
        assert body["instance"] == reply.headers["x-request-id"]
        assert reply.headers["content-language"] == language
        assert body["title"]
        assert body["detail"]
        for one in body.get("errors", ()):
            assert set(one) == {"field", "code", "message"}
            assert all(one.values())
        return body

    return check
