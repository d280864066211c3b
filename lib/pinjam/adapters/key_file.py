"""Wrapping keys in a file of this machine: the local twin of Cloud KMS."""

import base64
import binascii
import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pinjam.services.ports import Unavailable
from pinjam.services.sealing import WrappedKey

SERVICE = "keys"
KEY_BYTES = 32
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class _Ring:
    current: str
    ciphers: Mapping[str, AESGCM]


class KeyFile:
    """`sealing.KeyWrapper` over a JSON file of AES-256 keys: `{"current": id, "keys": {id: base64}}`.

    The file is read again whenever it has changed, so that a running system takes up a new key at once. A wrapped
    key is `<id>.<base64url(nonce + ciphertext + tag)>`; owner and id are its associated data.
    """

    def __init__(self, path: Path, *, random: Callable[[int], bytes] = os.urandom) -> None:
        self._path = path
        self._random = random
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._ring = _Ring("", {})

    def current(self) -> str:
        """The id of the key that wraps now."""
        return self._read().current

    def wrap(self, data_key: bytes, *, owner: str) -> WrappedKey:
        """The data key under the current key."""
        ring = self._read()
        nonce = self._random(NONCE_BYTES)
        body = nonce + ring.ciphers[ring.current].encrypt(nonce, data_key, _binding(owner, ring.current))
        return WrappedKey(
            wrapped=f"{ring.current}.{base64.urlsafe_b64encode(body).decode()}", wrapping_key=ring.current
        )

    def unwrap(self, wrapped: str, *, owner: str) -> bytes:
        """The data key again, whichever key of the file wrapped it."""
        name, _, text = wrapped.partition(".")
        cipher = self._read().ciphers.get(name)
        if cipher is None:
            raise ValueError(f"no key {name!r} in the key file")
        try:
            body = base64.urlsafe_b64decode(text)
            if len(body) <= NONCE_BYTES:
                raise ValueError("not a wrapped key")
            return cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], _binding(owner, name))
        except InvalidTag:
            raise ValueError("wrapped for another owner, or changed") from None

    def renew(self) -> str:
        """Add a key that wraps from now on, the first one to a file that is not there; its id.

        The others stay, for what they wrapped. A crash leaves the old file or the new one, never a part.
        """
        with self._alone():
            kept: dict[str, Any] = {"current": "", "keys": {}}
            if self._path.exists():
                kept = json.loads(self._path.read_text())
            # Not by counting: older ones may have been taken out by hand.
            name = f"local-{int(kept['current'].rpartition('-')[2] or 0) + 1}"
            kept["keys"][name] = base64.b64encode(self._random(KEY_BYTES)).decode()
            kept["current"] = name
            draft = self._path.with_suffix(".new")
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(kept, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        return name

    def _read(self) -> _Ring:
        with self._lock:
            try:
                stat = self._path.stat()
                seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                if seen != self._seen:
                    self._ring, self._seen = _parsed(self._path.read_text()), seen
            except (OSError, ValueError, KeyError) as error:
                raise Unavailable(SERVICE, f"{type(error).__name__} at {self._path.name}") from error
            return self._ring

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else renews the same file."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _parsed(text: str) -> _Ring:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("no object")  # noqa: TRY004 - as whatever else is wrong with the file
    try:
        ciphers = {name: AESGCM(base64.b64decode(key, validate=True)) for name, key in content["keys"].items()}
    except binascii.Error as error:
        raise ValueError("a key is not base64") from error
    if content["current"] not in ciphers:
        raise ValueError("the current key is not there")
    return _Ring(content["current"], ciphers)


def _binding(owner: str, name: str) -> bytes:
    return f"pinjam user key\0{owner}\0{name}".encode()
