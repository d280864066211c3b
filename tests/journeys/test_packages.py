"""Each function's package in an empty environment with only its requirements, beside a running system."""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pinjam.adapters.event_messages import event_message
from pinjam.domain.trail import Event
from pinjam.local.emulators.process import ServerProcess, free_port
from pinjam.local.functions import EVENT_FUNCTIONS
from pinjam.local.needs import needs_of
from pinjam.local.packages import pack, write_zip
from pinjam.local.road import Road, Walker
from pinjam.local.system import REPOSITORY, LocalSystem
from pinjam.services.store import Find
from pinjam.services.subscriptions import SUBSCRIPTIONS

FUNCTIONS = sorted(path.parent.name for path in (REPOSITORY / "functions").glob("*/main.py"))
UV = str(Path(sys.executable).with_name("uv"))

PLAIN = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": "", "PYTHONPYCACHEPREFIX": ""}
"""The compiled code of packages and libraries counts, not what this run's environment says of any."""

Ask = Callable[[Road, Walker], int]


def ask(road: Road, walker: Walker, path: str) -> int:
    return road.call("GET", path, token=walker.token).status


def log_in(road: Road, walker: Walker) -> int:
    body = {"identifier": walker.person.email, "password": walker.person.password}
    return road.call("POST", "/api/auth/login", body=body).status


CALLS: Mapping[str, tuple[Ask, int]] = {
    "register": (lambda road, _: road.call("POST", "/api/auth/register", body={}).status, 422),
    "login": (log_in, 200),
    "profile": (lambda road, walker: ask(road, walker, "/api/users/profile"), 200),
    "upload_doc": (lambda road, walker: ask(road, walker, "/api/documents"), 200),
    "apply_loan": (
        lambda road, walker: road.call("POST", "/api/loans/apply", token=walker.token, key="p", body={}).status,
        422,
    ),
    "loans": (lambda road, walker: ask(road, walker, "/api/loans/quote?amount=3000000&tenor_months=6"), 200),
    "pay": (lambda road, walker: ask(road, walker, "/api/payments"), 200),
    "notifications": (lambda road, walker: ask(road, walker, "/api/notifications"), 200),
    "sweep": (lambda road, _: road.call("POST", "/").status, 200),
}
"""A call that each function for HTTP answers from the store, and with what status."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Turns one environment into that of each package: it takes out what the last one had and this one did not ask for.

    What all of them ask for is installed, and compiled at its first import, only once.
    """
    folder = tmp_path_factory.mktemp("environment") / "venv"
    python = folder / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, str(folder))

    def prepared(requirements: Path) -> Path:
        run(UV, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(requirements))
        return python

    return prepared


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked_for(requirements: Path) -> set[str]:
    """The distributions that a package asks for on this machine."""
    lines = [line.removesuffix("\\").strip() for line in requirements.read_text().splitlines() if "==" in line]
    found = map(Requirement, lines)
    return {canonicalize_name(one.name) for one in found if one.marker is None or one.marker.evaluate()}


def installed(python: Path) -> set[str]:
    """The distributions that a Python has."""
    frozen = run(UV, "pip", "freeze", "--python", str(python)).splitlines()
    return {canonicalize_name(Requirement(line).name) for line in frozen}


@contextmanager
def unpacked(name: str, folder: Path, python: Path, state: Path) -> Iterator[str]:
    """The address of the function as Google starts it, from its package, once it answers.

    Most libraries are imported on first use, and one call uses few: here all are imported before it starts.
    """
    port = free_port()
    libraries = sorted(needs_of(REPOSITORY / "functions" / name / "main.py").libraries)
    started = (
        f"import {', '.join(libraries)}; import runpy; runpy.run_module('functions_framework', run_name='__main__')"
    )
    program = ServerProcess(
        name,
        [
            *("env", f"--chdir={folder}", str(python), "-c", started, "--source=main.py", f"--target={name}"),
            *("--signature-type=http", "--host=127.0.0.1", f"--port={port}"),
        ],
        log=folder / "output.log",
        ready=lambda: answers(port),
        environment={"PINJAM_STATE": str(state), **PLAIN},
    )
    with program:
        yield f"http://127.0.0.1:{port}"


def answers(port: int) -> bool:
    """Whether it answers anything at all; once it listens, this waits for it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/nothing")
        return connection.getresponse().status >= 400
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@pytest.fixture
def package(
    request: pytest.FixtureRequest, tmp_path: Path, environment: Callable[[Path], Path]
) -> tuple[str, Path, Path]:
    """The function's name, the folder that its zip was unpacked into, and the Python that has its libraries."""
    name: str = request.param
    write_zip(pack(name), tmp_path / "package.zip")
    with zipfile.ZipFile(tmp_path / "package.zip") as archive:
        archive.extractall(tmp_path / "package")
    (tmp_path / "package.zip").unlink()
    return name, tmp_path / "package", environment(tmp_path / "package" / "requirements.txt")


@pytest.fixture(scope="module")
def borrowers() -> dict[str, Walker]:
    """Keeps one borrower for all packages."""
    return {}


@pytest.fixture
def borrower(borrowers: dict[str, Walker], walker: Walker) -> Walker:
    """Somebody who has a loan, so that every event function has had an event."""
    if not borrowers:
        walker.repay(walker.become_borrower(), key="packages")
        borrowers["one"] = walker
    return borrowers["one"]


def told_again(url: str, system: LocalSystem, name: str) -> int:
    """Brings an event that the function has had before, as a push subscription does."""
    topic = next(topic for topic, names in SUBSCRIPTIONS.items() if name in names)
    (event,) = system.app.store.read(lambda tx: tx.find(Find(kind=Event, where={"topic": topic}, limit=1))).items
    message = {**event_message(event), "messageId": "1", "publishTime": "2026-11-24T02:00:00Z"}
    reply = httpx.post(url, json={"message": message, "subscription": "s"}, trust_env=False, timeout=30)
    return reply.status_code


@pytest.mark.parametrize("package", FUNCTIONS, indirect=True, ids=FUNCTIONS)
def test_a_package_starts_with_only_its_requirements_and_answers(
    package: tuple[str, Path, Path], borrower: Walker, system: LocalSystem, state: Path
) -> None:
    name, folder, python = package
    assert installed(python) == asked_for(folder / "requirements.txt")
    with unpacked(name, folder, python, state) as url:
        if name in EVENT_FUNCTIONS:
            assert told_again(url, system, name) == 200
        else:
            call, status = CALLS[name]
            with Road(url) as road:
                assert call(road, borrower) == status
