"""A server program of others, run as a child process: ready when it answers, and gone when this process is."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_LOOK_EVERY_S = 0.05
_GRACE_S = 10.0
_TAIL_BYTES = 2000

_KEEPER = """
import os, signal, subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda *_: child.terminate())
def watch():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
os._exit(child.wait() & 255)
"""
"""Stands between this process and the program. Its standard input is a pipe that ends with this process, however
that ends; then it takes the whole group of processes with it. It ends at once (`os._exit`): a usual end would wait
a second for the thread that reads."""


class MissingProgram(Exception):
    """This machine lacks a program that is asked for; the text names it and says how to get it."""


class ServerFailed(RuntimeError):
    """A server program ended, or did not get ready in time; the text holds its output's end."""


class ServerProcess:
    """One server program on loopback. `ready` asks it whether it answers; its output goes to `log`.

    `environment` adds to this process's own. What the program starts itself ends with it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        patience_s: float = 60.0,
    ) -> None:
        self.name = name
        self._command = tuple(command)
        self._log = log
        self._ready = ready
        self._environment = environment or {}
        self._patience_s = patience_s
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait until it answers. ServerFailed if it does not; then nothing is left running."""
        self.launch()
        self.wait_until_ready()
        return self

    def launch(self) -> None:
        """Start it without waiting, so that several can start at once."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's program
                [sys.executable, "-I", "-S", "-c", _KEEPER, *self._command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait for its first answer. ServerFailed as for `start`."""
        deadline = time.monotonic() + self._patience_s
        while not self._ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                what = "ended" if ended else f"did not answer within {self._patience_s:.0f} s"
                raise ServerFailed(f"{self.name} {what}. Its output ends so:\n{self._tail()}")
            time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        """End it and all that it started. Harmless when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _tail(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        return ""


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether something on loopback takes connections on this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
