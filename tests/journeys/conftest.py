"""A whole local system for each worker of a run, and people who walk through it over HTTP."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from argon2 import PasswordHasher
from psycopg import sql

from pinjam.domain.calendar import local_date
from pinjam.local.dispatch import PushSettings
from pinjam.local.people import People
from pinjam.local.road import Reply, Road, Walker
from pinjam.local.system import LocalSystem
from pinjam.runtime.composition import install
from pinjam.services.store import KINDS

WAIT_S = 30
QUICK = PushSettings(first_pause_s=0.05, longest_pause_s=0.2, deliveries=200)
"""Events that could not be had come again at once, and do not end among the dead."""

LIGHT = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""Nobody guesses these passwords; production's strength is tested with the identity server."""

NewWalker = Callable[..., Walker]
AtOnce = Callable[[int, Callable[[int], Any]], list[Any]]


@pytest.fixture(scope="session")
def people() -> People:
    """Everybody in a run; nobody twice."""
    return People(20261122, today=local_date(datetime.now(UTC)))


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """The shared system's folder."""
    folder = Path(tempfile.mkdtemp(prefix="pinjam-journeys-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shared_system(state: Path) -> Iterator[LocalSystem]:
    """The system of this worker; its sweep comes only when it is called."""
    with LocalSystem(state, 0, push=QUICK, sweep_every_s=3600, durable=False, hasher=LIGHT) as running:
        yield running


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
    assert shared_system.broker.dead_letters() == []
    assert shared_system.tasks.dead_letters() == []


@pytest.fixture(scope="module")
def empty_books(shared_system: LocalSystem) -> None:
    """Nobody owes anything when the module begins: a sweep weeks later would remind all who borrowed in others."""
    assert shared_system.wait_until_quiet(WAIT_S)
    tables = [sql.Identifier(kind.collection) for kind in KINDS.values()]
    # Messages that wait for a working day go with the people whom they are for.
    tables.append(sql.Identifier("local_tasks", "tasks"))
    with psycopg.connect(shared_system.app.settings.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables)))


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
def verified_person() -> dict[str, Walker]:
    """Keeps one verified borrower for the whole module, on whatever system the worker has."""
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
