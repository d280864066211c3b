"""What a local system keeps in its folder beside the data: its lock, its secrets, its addresses."""

import base64
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_TOKENS = (
    "gateway_token",
    "push_token",
    "identity_api_key",
    "identity_admin_token",
    "ekyc_app_id",
    "ekyc_api_key",
    "midtrans_server_key",
    "iris_creator_key",
    "iris_approver_key",
    "iris_merchant_key",
    "smtp_password",
    "whatsapp_token",
    "whatsapp_app_secret",
    "whatsapp_verify_token",
    "zenziva_userkey",
    "zenziva_passkey",
    "twilio_auth_token",
    "fcm_token",
)
_KEYS = ("hash_key", "links_key")
_EMPTIED = "emptied-at-every-start"
_LOCKS = frozenset({"system.lock", "postgres.lock", "postgres.users"})


class AlreadyRunning(Exception):
    """Another process runs a local system on the same folder."""


class KeptData(Exception):
    """A folder that would be emptied holds what is to be kept."""


class StateLock:
    """Held by the one local system that uses a folder; the system frees it however the process ends."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._state.mkdir(parents=True, exist_ok=True)
        file = (self._state / "system.lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise AlreadyRunning(
                f"A local system runs on {self._state} already (process {holder}). "
                "Stop it, or choose another folder with PINJAM_STATE."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def empty(state: Path) -> None:
    """Remove what an earlier system of the same kind left in its folder, which is marked as such a one's.

    KeptData for a folder with anything in it and without the mark. Whoever calls this holds the folder's lock.
    """
    mark = state / _EMPTIED
    found = [path for path in state.iterdir() if path.name not in _LOCKS]
    if found and not mark.exists():
        raise KeptData(
            f"{state} is not empty. A system with emulators keeps nothing, and empties its folder when it starts:"
            " choose a folder of its own with PINJAM_STATE."
        )
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    mark.touch()


def read_secrets(state: Path) -> Mapping[str, str]:
    """The system's secrets, made at the first start and kept; `hash_key` and `links_key` are 32 bytes in base64."""
    path = state / "secrets.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    fresh = {name: secrets.token_urlsafe(24) for name in _TOKENS}
    fresh |= {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in _KEYS}
    if fresh.keys() - kept.keys():
        kept = fresh | kept
        write_private(path, json.dumps(kept, indent=2))
    return kept


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; a crash leaves the old one or the new one, never a part."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
