"""Each function's package in an empty environment with only its requirements, beside a running system."""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

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
def environments(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], Path]:
    """An environment that has these requirements and nothing else; functions that need the same share one."""
    made: dict[bytes, Path] = {}

    def environment(requirements: bytes) -> Path:
        if requirements not in made:
            folder = tmp_path_factory.mktemp("environment")
            listed = folder / "requirements.txt"
            listed.write_bytes(requirements)
            python = folder / "venv" / "bin" / "python"
            run(UV, "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
            run(UV, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(listed))
            made[requirements] = python
        return made[requirements]

    return environment


def run(*command: str, **given: Any) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, **given)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stderr


@contextmanager
def unpacked(name: str, folder: Path, python: Path, state: Path) -> Iterator[str]:
    """The address of the function as Google starts it, from its package, once it answers."""
    port = free_port()
    program = ServerProcess(
        name,
        [
            *("env", f"--chdir={folder}", str(python.with_name("functions-framework")), "--source=main.py"),
            *(f"--target={name}", "--signature-type=http", "--host=127.0.0.1", f"--port={port}"),
        ],
        log=folder / "output.log",
        ready=lambda: answers(port),
        # The compiled code of the package counts, not what this run's environment says of any.
        environment={"PINJAM_STATE": str(state), "PYTHONPATH": "", "PYTHONPYCACHEPREFIX": ""},
    )
    with program:
        yield f"http://127.0.0.1:{port}"


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/nothing", trust_env=False).status_code >= 400
    except httpx.TransportError:
        return False


@pytest.fixture
def package(
    request: pytest.FixtureRequest, tmp_path: Path, environments: Callable[[bytes], Path]
) -> tuple[str, Path, Path]:
    """The function's name, the folder that its zip was unpacked into, and the Python that has its libraries."""
    name: str = request.param
    write_zip(pack(name), tmp_path / "package.zip")
    with zipfile.ZipFile(tmp_path / "package.zip") as archive:
        archive.extractall(tmp_path / "package")
    (tmp_path / "package.zip").unlink()
    return name, tmp_path / "package", environments((tmp_path / "package" / "requirements.txt").read_bytes())


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
    libraries = sorted(needs_of(REPOSITORY / "functions" / name / "main.py").libraries)
    run(str(python), "-c", "import " + ", ".join(libraries), cwd=folder)
    with unpacked(name, folder, python, state) as url:
        if name in EVENT_FUNCTIONS:
            assert told_again(url, system, name) == 200
        else:
            call, status = CALLS[name]
            with Road(url) as road:
                assert call(road, borrower) == status
