import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pinjam.local import unprivileged
from pinjam.local.database import DatabaseError, EmbeddedDatabase, _works_in

OWNER = """
import sys
from pathlib import Path
from pinjam.local.database import EmbeddedDatabase
database = EmbeddedDatabase(Path(sys.argv[1]), durable=False)
print(database.start(), flush=True)
sys.stdin.read()
database.stop()
"""


@pytest.fixture
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pinjam-tests-"))
    yield folder
    shutil.rmtree(folder)


def another_owner(state: Path) -> tuple[subprocess.Popen[str], str]:
    """Another process that uses the database until its input ends."""
    owner = subprocess.Popen(  # noqa: S603 - this very interpreter.
        [sys.executable, "-c", OWNER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    return owner, owner.stdout.readline().strip()


def end(owner: subprocess.Popen[str], number: int | None = None) -> None:
    if number is not None:
        owner.send_signal(number)
        owner.wait(timeout=30)
    owner.communicate(timeout=30)


def query(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
        return row[0] if row else None


def postmaster(state: Path) -> int:
    return int((state / "postgres" / "postmaster.pid").read_text().split()[0])


def socket_folder(url: str) -> Path:
    with psycopg.connect(url) as connection:
        return Path(connection.info.host)


def test_data_outlive_a_stop_and_nothing_runs_after_it(state: Path) -> None:
    database = EmbeddedDatabase(state)
    url = database.start()
    assert query(url, "SHOW fsync") == "on"
    assert query(url, "SHOW synchronous_commit") == "on"
    assert query(url, "SHOW listen_addresses") == ""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (value text)")
        connection.execute("INSERT INTO kept VALUES ('é')")
    folder, server = socket_folder(url), postmaster(state)
    database.stop()
    database.stop()
    assert not folder.exists()
    assert not _works_in(server, state / "postgres")

    url = database.start()
    try:
        assert query(url, "SELECT upper(value) FROM kept") == "É"
    finally:
        database.stop()


def test_the_last_of_two_processes_ends_the_server(state: Path) -> None:
    owner, theirs = another_owner(state)
    database = EmbeddedDatabase(state, durable=False)
    url = database.start()
    assert url == theirs
    server = postmaster(state)
    end(owner)
    assert owner.returncode == 0
    assert query(url, "SELECT 1") == 1
    database.stop()
    assert not _works_in(server, state / "postgres")


def test_a_server_of_a_killed_process_is_taken_over(state: Path) -> None:
    owner, theirs = another_owner(state)
    server = postmaster(state)
    end(owner, signal.SIGKILL)
    database = EmbeddedDatabase(state, durable=False)
    url = database.start()
    assert (url, postmaster(state)) == (theirs, server)
    database.stop()
    assert not _works_in(server, state / "postgres")


def test_an_interrupt_leaves_no_server_behind(state: Path) -> None:
    owner, url = another_owner(state)
    folder, server = socket_folder(url), postmaster(state)
    end(owner, signal.SIGINT)
    assert owner.returncode != 0
    assert not _works_in(server, state / "postgres")
    assert not folder.exists()


def test_a_process_id_left_by_a_crash_is_not_mistaken_for_the_server(state: Path) -> None:
    database = EmbeddedDatabase(state, durable=False)
    folder = socket_folder(database.start())
    lines = (state / "postgres" / "postmaster.pid").read_text().splitlines()
    database.stop()
    owner = (state / "postgres").stat()
    living = subprocess.Popen(["/bin/sleep", "60"], user=owner.st_uid)
    try:
        left = state / "postgres" / "postmaster.pid"
        left.write_text("\n".join([str(living.pid), *lines[1:]]) + "\n")
        folder.mkdir()
        (folder / ".s.PGSQL.5432.lock").write_text(f"{living.pid}\n")
        url = database.start()
        assert query(url, "SELECT 1") == 1
        database.stop()
        assert living.poll() is None
    finally:
        living.kill()
        living.wait()


def test_an_initialisation_cut_short_starts_over(state: Path) -> None:
    (state / "postgres.new").mkdir()
    (state / "postgres.new" / "PG_VERSION").write_text("18\n")
    database = EmbeddedDatabase(state, durable=False)
    try:
        assert query(database.start(), "SELECT current_database()") == "pinjam"
    finally:
        database.stop()


def test_a_deep_folder_and_another_beside_it_work_at_once(state: Path) -> None:
    # One level is closed to everybody but its owner, as a home folder is.
    closed = state / "closed"
    closed.mkdir(mode=0o700)
    deep = closed.joinpath(*["a folder's name " * 3] * 6)
    first, second = EmbeddedDatabase(deep, durable=False), EmbeddedDatabase(state / "other", durable=False)
    urls = first.start(), second.start()
    try:
        folders = [socket_folder(url) for url in urls]
        assert folders[0] != folders[1]
        assert all(len(str(folder / ".s.PGSQL.5432")) < 107 for folder in folders)
        assert query(urls[0], "SHOW data_directory") == str(deep / "postgres")
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        first.stop()
        second.stop()


def test_an_ordinary_user_can_run_it(state: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(state)]
    if os.geteuid() == 0:
        ordinary = pwd.getpwnam("daemon")
        os.chown(state, ordinary.pw_uid, ordinary.pw_gid)
        # The interpreter may be in root's home.
        identity = (str(ordinary.pw_uid), str(ordinary.pw_gid), "1")
        command = [sys.executable, "-I", "-S", unprivileged.__file__, *identity, *command]
    done = subprocess.run(  # noqa: S603 - this very interpreter.
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("postgresql://")
    assert (state / "postgres").stat().st_uid == state.stat().st_uid


def test_a_server_that_cannot_start_says_why(state: Path) -> None:
    database = EmbeddedDatabase(state, durable=False)
    database.start()
    database.stop()
    (state / "postgres" / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(DatabaseError, match="nonsense"):
        database.start()
    assert not (state / "postgres" / "postmaster.pid").exists()


def test_data_of_another_version_are_left_alone(state: Path) -> None:
    (state / "postgres").mkdir()
    (state / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(DatabaseError, match="PostgreSQL 12"):
        EmbeddedDatabase(state).start()
