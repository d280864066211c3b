import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from pinjam.adapters.pubsub import PubSubPublisher
from pinjam.domain.nik import parse_nik
from pinjam.domain.trail import Event
from pinjam.local.__main__ import WELCOME
from pinjam.local.database import DatabaseError, EmbeddedDatabase
from pinjam.local.dispatch import PushSettings
from pinjam.local.functions import load_functions
from pinjam.local.scheduler import Scheduler
from pinjam.local.servers import PortInUse, WsgiServer
from pinjam.local.state import AlreadyRunning, StateLock, read_secrets, write_private
from pinjam.local.system import LocalSystem, MissingFile
from pinjam.runtime import composition
from pinjam.runtime.models.identity import RegisterRequest
from pinjam.runtime.settings import Settings

WAIT_S = 60
HTTP_FUNCTION = """
import functions_framework
from pinjam.runtime.composition import current

@functions_framework.http
def ping(request):
    settings = current().settings
    return {
        "path": request.path,
        "project": settings.project,
        "userinfo": request.headers.get("X-Apigateway-Api-Userinfo"),
        "database": settings.database_url,
    }
"""
SWEEP_FUNCTION = """
import pathlib
import functions_framework

@functions_framework.http
def sweep(request):
    with (pathlib.Path(__file__).parent / "calls").open("a") as file:
        file.write("x")
    return {"swept": True}
"""
EVENT_FUNCTION = """
import base64, json, pathlib
import functions_framework

@functions_framework.cloud_event
def notify(event):
    data = base64.b64decode(event.data["message"]["data"]).decode()
    (pathlib.Path(__file__).parent / "seen").write_text(data)
"""


def backend(function: str) -> dict[str, object]:
    return {"address": f"https://functions.example/{function}", "path_translation": "APPEND_PATH_TO_ADDRESS"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkout: a function of each kind, and documents that lead to one of them."""
    root = tmp_path_factory.mktemp("repository")
    for name, source in (("ping", HTTP_FUNCTION), ("sweep", SWEEP_FUNCTION), ("notify", EVENT_FUNCTION)):
        (root / "functions" / name).mkdir(parents=True)
        (root / "functions" / name / "main.py").write_text(source)
    paths = {
        "/api/open": {"get": {"security": [], "x-google-backend": backend("ping")}},
        "/api/mine": {"get": {"security": [{"firebase": []}], "x-google-backend": backend("ping")}},
    }
    (root / "gateway").mkdir()
    (root / "gateway" / "openapi.json").write_text(json.dumps({"swagger": "2.0", "paths": paths}))
    reference = {"openapi": "3.1.0", "info": {"title": "Small", "version": "1"}, "paths": {"/api/open": {"get": {}}}}
    (root / "openapi.json").write_text(json.dumps(reference))
    return root


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def system(repository: Path, state: Path) -> Iterator[LocalSystem]:
    with LocalSystem(
        state, 0, repository=repository, push=PushSettings(first_pause_s=0.01, deliveries=2), durable=False
    ) as running:
        yield running
    assert composition._current is None


@pytest.fixture
def client(system: LocalSystem) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.url, trust_env=False, timeout=WAIT_S) as made:
        yield made


def test_a_function_behind_the_gateway_finds_the_systems_settings(client: httpx.Client, system: LocalSystem) -> None:
    answer = client.get("/api/open")
    assert answer.json()["project"] == "pinjam-local"
    assert answer.json()["database"] == system.environment["PINJAM_DATABASE_URL"]
    assert answer.json()["path"] == "/api/open"


def test_a_login_gives_a_token_that_the_gateway_takes(client: httpx.Client, system: LocalSystem) -> None:
    accounts = system.app.accounts
    accounts.create(uid="usr_1", email="siti@example.id", password="correct horse battery")
    token = accounts.sign_in(email="siti@example.id", password="correct horse battery").id_token
    assert client.get("/api/mine").json() == {"code": 401, "message": "Jwt is missing"}
    answer = client.get("/api/mine", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["userinfo"] == token.split(".")[1]


def test_a_published_event_reaches_its_function(system: LocalSystem, repository: Path) -> None:
    publisher = PubSubPublisher(project="pinjam-local", url=system.app.settings.pubsub_url)
    publisher.publish(
        [
            Event(
                id="evt_1",
                topic="loan-decided",
                subject="loan_1",
                data={},
                request_id="req_1",
                occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
            )
        ]
    )
    publisher.close()
    assert system.wait_until_quiet(WAIT_S)
    assert list(system.carrier.dead_letters()) == []
    assert json.loads((repository / "functions" / "notify" / "seen").read_text())["id"] == "evt_1"


def test_the_sandbox_runs_the_sweep(client: httpx.Client, repository: Path) -> None:
    calls = repository / "functions" / "sweep" / "calls"
    before = calls.stat().st_size if calls.exists() else 0
    assert client.post("/sandbox/sweep").json() == {"swept": True}
    assert calls.stat().st_size > before


def test_what_is_not_in_the_document_is_not_reachable(client: httpx.Client) -> None:
    for path in ("/notify", "/sweep", "/ping", "/api/notify"):
        assert client.post(path).status_code == 404


def test_the_local_pages_answer(client: httpx.Client, system: LocalSystem) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert "<h1>Small" in client.get("/docs").text
    assert client.get("/openapi.json").json()["servers"] == [{"url": system.url}]
    assert client.get("/sandbox/inbox").json() == []
    assert client.get("/sandbox/clock").status_code == 200


def test_a_function_run_alone_finds_the_system_beside_it(system: LocalSystem, state: Path) -> None:
    file = state / "system.json"
    assert file.stat().st_mode & 0o777 == 0o600
    alone = Settings.read({"PINJAM_STATE": str(state)})
    assert alone.public_url == system.url
    assert alone.hash_key == system.app.settings.hash_key
    assert len(alone.hash_key) == len(alone.links_key) == 32
    assert alone.key_file.stat().st_mode & 0o777 == 0o600
    assert alone.smtp.starttls is False


def test_every_group_of_settings_can_be_read(system: LocalSystem) -> None:
    settings = system.app.settings
    for group in (
        "identity",
        "ekyc",
        "midtrans",
        "iris",
        "smtp",
        "whatsapp",
        "sms",
        "objects_path",
        "key_file",
        "clock_file",
    ):
        assert getattr(settings, group)


def test_a_second_system_on_the_same_folder_refuses_to_start(
    system: LocalSystem, repository: Path, state: Path
) -> None:
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        LocalSystem(state, 0, repository=repository).start()
    assert httpx.get(f"{system.url}/healthz", trust_env=False).status_code == 200


def test_a_taken_port_is_refused_and_leaves_nothing_behind(
    system: LocalSystem, repository: Path, tmp_path: Path
) -> None:
    port = int(system.url.rpartition(":")[2])
    with pytest.raises(PortInUse):
        LocalSystem(tmp_path, port, repository=repository).start()
    assert not (tmp_path / "postgres").exists()
    with StateLock(tmp_path):
        pass


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="checkout"):
        LocalSystem(tmp_path / "state", 0, repository=tmp_path).start()


def test_a_function_that_does_not_load_stops_the_start_and_all_that_had_started(
    repository: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "repository"
    (broken / "functions" / "ping").mkdir(parents=True)
    (broken / "functions" / "ping" / "main.py").write_text("raise RuntimeError('no')")
    (broken / "gateway").symlink_to(repository / "gateway")
    (broken / "openapi.json").symlink_to(repository / "openapi.json")
    with pytest.raises(RuntimeError, match="no"):
        LocalSystem(tmp_path / "state", 0, repository=broken, durable=False).start()
    with StateLock(tmp_path / "state"):
        assert not (tmp_path / "state" / "system.json").exists()


def test_loading_functions_leaves_the_process_as_it_was(repository: Path) -> None:
    environment, path = dict(os.environ), list(sys.path)
    assert set(load_functions(repository / "functions")) == {"ping", "sweep", "notify"}
    assert dict(os.environ) == environment
    assert sys.path == path


def test_secrets_are_made_once_kept_and_private(tmp_path: Path) -> None:
    first = read_secrets(tmp_path)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert read_secrets(tmp_path) == first
    assert len(set(first.values())) == len(first)


def test_a_secret_that_is_new_in_this_version_is_added_to_the_kept_ones(tmp_path: Path) -> None:
    first = read_secrets(tmp_path)
    write_private(tmp_path / "secrets.json", json.dumps({"hash_key": first["hash_key"]}))
    later = read_secrets(tmp_path)
    assert later["hash_key"] == first["hash_key"]
    assert later.keys() == first.keys()


def wait_for(condition: Callable[[], bool]) -> None:
    gate = threading.Event()
    for _ in range(WAIT_S * 100):
        if condition():
            return
        gate.wait(0.01)
    raise AssertionError("it did not come about")


def test_the_scheduler_calls_at_once_and_again_whatever_the_answer() -> None:
    calls: list[str] = []

    def sweep(environ: Mapping[str, object], start_response: Callable[..., object]) -> list[bytes]:
        calls.append(str(environ["HTTP_AUTHORIZATION"]))
        start_response("500 Internal Server Error", [("Content-Length", "0")])
        return [b""]

    with WsgiServer(sweep) as server:
        scheduler = Scheduler(server.url, token="t", every_s=0.01).start()
        wait_for(lambda: len(calls) >= 3)
        scheduler.stop()
    assert set(calls) == {"Bearer t"}


def test_the_scheduler_outlives_a_sweep_that_is_away() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        scheduler = Scheduler(f"http://127.0.0.1:{closed.getsockname()[1]}", token="t", every_s=0.001).start()
        assert scheduler._thread.is_alive()
        scheduler.stop()
    assert not scheduler._thread.is_alive()


def run(state: Path, repository: Path, **environment: str) -> subprocess.Popen[str]:
    """The program itself, on the small checkout."""
    program = (
        "import os, sys, pathlib, pinjam.local.__main__ as program, pinjam.local.system as system\n"
        f"system.LocalSystem.__init__.__kwdefaults__['repository'] = pathlib.Path({str(repository)!r})\n"
        "sys.exit(program.main(os.environ))\n"
    )
    return subprocess.Popen(  # noqa: S603  # this interpreter, with a constant program
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PINJAM_STATE": str(state), "PORT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_says_where_it_runs_and_a_signal_to_all_its_processes_ends_it_cleanly(
    repository: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = run(tmp_path, repository)
    assert process.stdout is not None
    said = ""
    while "curl" not in said:
        line = process.stdout.readline()
        assert line, process.communicate()
        said += line
    assert "/docs" in said
    os.killpg(process.pid, number)
    rest, complaints = process.communicate(timeout=WAIT_S)
    assert "Stopping" in rest
    assert "Traceback" not in complaints
    assert process.returncode == 0
    assert not (tmp_path / "system.json").exists()


def test_the_sign_up_that_the_program_suggests_is_a_valid_one() -> None:
    said = WELCOME.format(url="http://127.0.0.1:8080", seconds=1.0, state="/state", keeping="")
    suggested = RegisterRequest.model_validate_json(said.partition("-d '")[2].partition("'")[0])
    assert parse_nik(suggested.nik, today=date(2026, 1, 1)).gender == "female"


@pytest.mark.usefixtures("system")
def test_the_program_says_in_one_line_why_it_cannot_start(repository: Path, state: Path) -> None:
    for environment, words in (({}, "runs on"), ({"PORT": "http"}, "PORT is 'http'")):
        process = run(state, repository, **environment)
        said, complaints = process.communicate(timeout=WAIT_S)
        assert process.returncode == 1
        assert said == ""
        assert words in complaints
        assert len(complaints.splitlines()) == 1


def test_borrowers_from_before_they_had_keys_stop_the_start_with_what_to_do(repository: Path, tmp_path: Path) -> None:
    database = EmbeddedDatabase(tmp_path, durable=False)
    with psycopg.connect(database.start(), autocommit=True) as connection:
        # As much of the schema of then as the step that refuses looks at.
        connection.execute("CREATE TABLE users AS SELECT 'usr_1' AS id")
        connection.execute("CREATE TABLE alembic_version AS SELECT '0008' AS version_num")
    database.stop()
    with pytest.raises(DatabaseError, match="make clean"):
        LocalSystem(tmp_path, 0, repository=repository, durable=False).start()
