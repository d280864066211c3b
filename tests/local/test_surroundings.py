"""What stands around a local system by profile, and the folder that a system with emulators empties."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import psycopg
import pytest
from tests.machine import given

from pinjam.local import demo
from pinjam.local.database import DatabaseError, EmbeddedDatabase
from pinjam.local.emulators.process import MissingProgram
from pinjam.local.environment import passed_on
from pinjam.local.servers import WsgiServer
from pinjam.local.state import KeptData, StateLock, empty
from pinjam.local.surroundings import Parts, Surroundings
from pinjam.runtime.settings import SettingsError

EMULATORS = {"PINJAM_PROFILE": "emulators"}


def around(folder: Path, parts: Parts, tell: Callable[[str], None]) -> Surroundings:
    return Surroundings(parts, folder=folder, tools=folder / "tools", project="pinjam-test", tell=tell)


def test_the_local_profile_has_parts_of_its_own_only() -> None:
    assert Parts.of({}) == Parts.of({"PINJAM_PROFILE": "local", "PINJAM_CACHE": "redis"}) == Parts()
    assert Parts().profile == "local"


def test_a_part_that_the_profile_does_not_have_is_refused_before_anything_starts() -> None:
    for environment, text in (
        ({"PINJAM_STORE": "firestore"}, "PINJAM_STORE is 'firestore'; the local profile has postgres only"),
        (EMULATORS | {"PINJAM_KEYS": "kms"}, "PINJAM_KEYS is 'kms'; the emulators profile has file only"),
        ({"PINJAM_PROFILE": "gcp"}, "PINJAM_PROFILE is 'gcp'; on one machine it must be local or emulators"),
    ):
        with pytest.raises(SettingsError, match=f"^{text}"):
            Parts.of(environment)


def test_the_emulators_profile_has_all_emulators_unless_somebody_chooses_otherwise() -> None:
    everything = Parts.of(EMULATORS | {"PINJAM_CACHE": "memory"})
    assert everything == Parts(store="firestore", objects="gcs", accounts="emulator", events="pubsub")
    assert everything.profile == "emulators"
    assert Parts.of(EMULATORS | {"PINJAM_STORE": "postgres"}).store == "postgres"
    assert Parts.of(EMULATORS | {"PINJAM_OBJECTS": "s3"}).objects == "s3"
    assert Parts.of(EMULATORS | {"PINJAM_OBJECTS": "folder"}).objects == "folder"
    minio = {"PINJAM_OBJECTS": "s3", "PINJAM_S3_URL": "http://minio"}
    assert Parts.of(EMULATORS | minio).objects == "folder", "whoever brings a server needs none of ours"


def test_redis_is_taken_where_it_is_there_unless_somebody_chooses_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Parts.of(EMULATORS).cache == "memory"
    assert Parts.of(EMULATORS | {"PINJAM_CACHE": "redis"}).cache == "redis"
    (tmp_path / "redis-server").touch(mode=0o755)
    assert Parts.of(EMULATORS).cache == "redis"
    assert Parts.of(EMULATORS | {"PINJAM_CACHE": "memory"}).cache == "memory"
    assert Parts.of(EMULATORS | {"PINJAM_REDIS_URL": "redis://another"}).cache == "memory"


def test_all_that_is_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    parts = Parts(store="firestore", objects="gcs", accounts="emulator", events="pubsub", cache="redis")
    surroundings = around(tmp_path, parts, pytest.fail)
    with pytest.raises(MissingProgram) as lack:
        surroundings.launch()
    lines = str(lack.value).splitlines()
    wanted = ("java is not", "component cloud-firestore-emulator", "node is not", "component pubsub", "redis-server is")
    assert len(lines) == len(wanted)
    assert all(words in line for words, line in zip(wanted, lines, strict=True)), lines
    assert surroundings.environment == {}
    surroundings.wait_until_ready()
    surroundings.stop()


def test_each_server_is_told_of_once_it_answers_and_ends_with_the_others(tmp_path: Path) -> None:
    told: list[str] = []
    surroundings = around(tmp_path, Parts(cache="redis"), told.append)
    given(surroundings.launch)
    try:
        surroundings.wait_until_ready()
        (process,) = [server.process for server in surroundings._servers]
        url = surroundings.environment["PINJAM_REDIS_URL"]
        (line,) = told
        assert line.split()[:2] == ["Redis", url.removeprefix("redis://")]
        assert process._ready()
    finally:
        surroundings.stop()
    assert not process._ready()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_folder_of_a_system_with_emulators_is_emptied_at_each_start(tmp_path: Path) -> None:
    with StateLock(tmp_path):
        empty(tmp_path)
        kept = names(tmp_path)
        (tmp_path / "secrets.json").touch()
        (tmp_path / "objects" / "usr_1").mkdir(parents=True)
        (tmp_path / "elsewhere").symlink_to(tmp_path.parent)
        empty(tmp_path)
        assert names(tmp_path) == kept
    assert tmp_path.parent.exists()


def test_a_folder_with_data_of_another_kind_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").touch()
    with StateLock(tmp_path), pytest.raises(KeptData, match="PINJAM_STATE"):
        empty(tmp_path)
    assert (tmp_path / "secrets.json").exists()


def test_a_database_is_discarded_with_the_server_that_a_crash_left_running(tmp_path: Path) -> None:
    left = EmbeddedDatabase(tmp_path, durable=False)
    left.discard()
    url = left.start()
    another = EmbeddedDatabase(tmp_path, durable=False)
    with pytest.raises(DatabaseError, match="another process uses"):
        another.discard()
    assert left._use is not None
    left._use.close()  # As the kernel does when the process dies.
    another.discard()
    assert not (tmp_path / "postgres").exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    left._use = None
    left.stop()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PINJAM_LIMITS": "strict", "PINJAM_STORE": "firestore", "PATH": "/bin"}, {"PINJAM_LIMITS": "strict"}),
        ({"PINJAM_BUCKET": "mine", "PINJAM_S3_REGION": "x"}, {}),
        (
            {"PINJAM_OBJECTS": "s3", "PINJAM_S3_URL": "http://minio", "PINJAM_BUCKET": "mine"},
            {"PINJAM_OBJECTS": "s3", "PINJAM_S3_URL": "http://minio", "PINJAM_BUCKET": "mine"},
        ),
    ],
)
def test_only_what_may_be_chosen_goes_before_the_systems_own_settings(
    given: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    assert passed_on(given) == expected


def test_a_demonstration_on_emulators_takes_no_system_of_the_other_profile(tmp_path: Path) -> None:
    def healthy(_: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "15")])
        return [b'{"status":"ok"}']

    with WsgiServer(healthy) as local:
        beside = {"PINJAM_STATE": str(tmp_path), "PORT": str(local.port)}
        assert demo.find_running(beside) == local.url
        assert demo.find_running(EMULATORS | beside) is None
        (tmp_path / "system.json").write_text(json.dumps({"PINJAM_PUBLIC_URL": local.url}))
        assert demo.find_running(EMULATORS | beside) == local.url
