"""`python -m pinjam.local`: run the whole system until Ctrl-C, in the profile `local` or `emulators`."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pinjam.local.environment import passed_on
from pinjam.local.surroundings import Parts
from pinjam.local.system import CANNOT_START, LocalSystem
from pinjam.runtime import logs
from pinjam.runtime.settings import SettingsError, state_folder

DEFAULT_PORT = 8080
_PORTS = 65536

WELCOME = """
  Pinjam runs on {url}   (ready in {seconds:.1f} s; Ctrl-C stops it)

    API reference    {url}/docs
    OpenAPI          {url}/openapi.json
    Messages sent    {url}/sandbox/inbox
    Data             {state}{keeping}

  Identity, e-KYC, payments, payouts, e-mail, SMS, WhatsApp and push are sandboxes on this machine:
  nothing leaves it. Try it:

    curl -s {url}/api/auth/register -H 'Content-Type: application/json' -d '{{
      "full_name": "Siti Rahmawati", "email": "siti@example.com", "phone": "081234567890",
      "nik": "3171234507900001", "password": "correct horse battery",
      "consent": {{"terms_version": "1", "privacy_version": "1"}}}}'
"""


def main(environment: Mapping[str, str]) -> int:
    """Run until SIGINT or SIGTERM; 0 when stopped by one, 1 when it could not start."""
    with _signals() as asked_to_stop:
        return _run(environment, asked_to_stop)


def _run(environment: Mapping[str, str], asked_to_stop: socket.socket) -> int:
    port = environment.get("PORT") or str(DEFAULT_PORT)
    if not (port.isdecimal() and int(port) < _PORTS):
        return _fail(f"PORT is {port!r}; it must be a port's number.")
    try:
        parts, state = Parts.of(environment), state_folder(environment)
    except SettingsError as error:
        return _fail(str(error))
    logs.configure()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # It warns of its own deprecated attribute at each login.
    started = time.perf_counter()
    system = LocalSystem(state, int(port), parts=parts, tell=_say, overrides=passed_on(environment))
    try:
        system.start()
    except CANNOT_START as error:
        return _fail(str(error))
    try:
        seconds = time.perf_counter() - started
        keeping = "" if parts.profile == "local" else "   (emptied at every start)"
        _say(WELCOME.format(url=system.url, seconds=seconds, state=state.absolute(), keeping=keeping))
        asked_to_stop.recv(1)
        _say("  Stopping.")
    finally:
        system.stop()
    return 0


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that has a byte once SIGINT or SIGTERM came, also while the system starts.

    A lock that the main thread waits for does not tell of a signal that another thread of the process
    happened to receive: Python's handler runs in the main thread only, when something else wakes it. The
    signal's number, written to a descriptor by whichever thread has it, wakes whoever reads there.
    """
    here, there = socket.socketpair()
    with here, there:
        there.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(there.fileno())
        try:
            yield here
        finally:
            signal.set_wakeup_fd(-1)


def _fail(message: str) -> int:
    print(message, file=sys.stderr, flush=True)
    return 1


def _say(message: str) -> None:
    print(message, flush=True)


if __name__ == "__main__":
    sys.exit(main(os.environ))
