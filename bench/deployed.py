"""Functions started as a deployment starts them: from their packages, compiled, under gunicorn."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar

from pinjam.local.emulators.process import ServerProcess, free_port
from pinjam.local.packages import pack, requirements, write_folder

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[1]
FUNCTIONS = tuple(sorted(path.parent.name for path in (REPOSITORY / "functions").glob("*/main.py")))
EMPTY = "empty"
EMPTY_SOURCE = b"""import functions_framework


@functions_framework.http
def empty(request):
    return "ok"
"""
SIZES = REPOSITORY / "terraform" / "system.tf"
PATIENCE_S = 30
PLAIN = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": "", "PYTHONPYCACHEPREFIX": ""}
"""Compiled code counts, and not what this run's own environment says of any."""
_UV = str(Path(sys.executable).with_name("uv"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a function, as its gateway makes it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = None
    status: int = 200
    token: str = ""
    """The caller's ID token, which the gateway wants in the place of its own word for it; empty for a public route."""


class Deployed:
    """Every function's package in a folder, and two environments: one with what all of them ask for, one for `empty`.

    Each function has an environment of its own in a deployment; here one saves minutes, and what a function does not
    import costs it nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pythons = {True: folder / "empty-venv", False: folder / "venv"}

    def prepare(self) -> None:
        """Pack everything and install what it asks for, compiled."""
        asked: dict[str, str] = {}
        for name in FUNCTIONS:
            files = pack(name)
            write_folder(files, self._folder / name)
            asked |= _entries(files["requirements.txt"].decode())
        write_folder({"main.py": EMPTY_SOURCE}, self._folder / EMPTY)
        _install(self._pythons[True], requirements(()))
        _install(self._pythons[False], "".join(asked[name] for name in sorted(asked)))

    def command(self, name: str, port: int) -> list[str]:
        """How a function is started."""
        python = self._pythons[name == EMPTY] / "bin" / "python"
        return [
            *("env", f"--chdir={self._folder / name}", str(python), "-m", "functions_framework", "--source=main.py"),
            *(f"--target={name}", "--signature-type=http", "--host=127.0.0.1", f"--port={port}"),
        ]

    @contextmanager
    def running(
        self, name: str, state: Path, *, cores: frozenset[int] | None = None, like: str | None = None
    ) -> Iterator[int]:
        """The port of a function that runs and answers, beside the local system of `state`, sized `like` another."""
        port = free_port()
        pinned = ["taskset", "-c", ",".join(map(str, sorted(cores)))] if cores and shutil.which("taskset") else []
        program = ServerProcess(
            name,
            [*pinned, *self.command(name, port)],
            log=self._folder / f"{name}-{port}.log",
            ready=lambda: answers(port),
            environment={"PINJAM_STATE": str(state), "THREADS": str(threads(like or name)), **PLAIN},
        )
        with program:
            yield port

    @contextmanager
    def starting(self, name: str, state: Path) -> Iterator[tuple["Starting", int]]:
        """A function that was started this moment, and its port."""
        port = free_port()
        environment = {**os.environ, **PLAIN, "THREADS": str(threads(name)), "PINJAM_STATE": str(state)}
        log = (self._folder / f"{name}.log").open("wb")
        started = time.perf_counter()
        process = subprocess.Popen(self.command(name, port), env=environment, stdout=log, stderr=log)  # noqa: S603 - as above
        try:
            yield Starting(process, started), port
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
            log.close()


@dataclass(frozen=True, slots=True)
class Starting:
    """A process that is on its way, and when it was started, by `time.perf_counter`."""

    process: "subprocess.Popen[bytes]"
    began: float

    def first(self, port: int, call: Call) -> tuple[int, float]:
        """The status of its first answer to a call, and the milliseconds since the start. TimeoutError without one."""
        while time.perf_counter() - self.began < PATIENCE_S:
            status = _asked(port, call)
            if status is not None:
                return status, (time.perf_counter() - self.began) * 1000
            if self.process.poll() is not None:
                break
            time.sleep(0.001)
        raise TimeoutError(f"no answer to {call.method} {call.path} on port {port}")

    def memory_mb(self) -> float:
        """What it and its workers hold, each shared page in parts (PSS), in megabytes."""
        pids = [self.process.pid]
        for pid in pids:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            pids += map(int, children)
        lines = [line for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def threads(name: str) -> int:
    """How many requests at a time an instance of a function takes, as its deployment has it."""
    named: dict[str, str] = dict(re.findall(r"^ *(\w+) += \{.*\bconcurrency = (\d+)", SIZES.read_text(), re.MULTILINE))
    return int(named.get(name) or named["usual"])


def answers(port: int) -> bool:
    """Whether anything answers there."""
    return _asked(port, Call(method="GET", path="/nothing", headers={})) is not None


def _asked(port: int, call: Call) -> int | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(call.method, call.path, call.body, dict(call.headers))
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException):
        return None
    else:
        return answer.status
    finally:
        connection.close()


def _entries(text: str) -> dict[str, str]:
    """A lock's entries by their first line."""
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if "==" in line:
            name = line.split("==")[0]
            entries[name] = ""
        entries[name] += line
    return entries


def _install(venv: Path, wanted: str) -> None:
    file = venv.with_suffix(".txt")
    file.write_text(wanted)
    run(_UV, "venv", "--quiet", "--python", sys.executable, str(venv))
    python = str(venv / "bin" / "python")
    run(_UV, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", python, str(file))


def run(*command: str | Path) -> None:
    """Run a program of ours to its end. CalledProcessError if it fails."""
    subprocess.run(command, check=True, env={**os.environ, **PLAIN})  # noqa: S603 - as above
