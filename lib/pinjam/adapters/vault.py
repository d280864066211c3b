"""Envelope encryption: AES-256-GCM under a key for each borrower, which is kept wrapped; HMAC-SHA256 for finding."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pinjam.domain.keys import UserKey
from pinjam.domain.user import Sealed
from pinjam.services.sealing import KeyDestroyed

if TYPE_CHECKING:
    from pinjam.services.sealing import KeyWrapper, Safe
    from pinjam.services.store import Store

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 4
MARK = b"v2."
MOST_KEPT = 1000
KEPT_S = 300.0


class EnvelopeVault:
    """`sealing.Vault` over the store's `UserKey` records.

    Unwrapped keys stay in the process for five minutes, at most a thousand of them, so that what a request needs of
    one borrower costs one call to the key service at most. `hash_key` is apart from all of them. `clock` gives
    monotonic seconds.
    """

    def __init__(
        self,
        *,
        store: Store,
        keys: KeyWrapper,
        hash_key: bytes,
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.monotonic,
        most_kept: int = MOST_KEPT,
        kept_s: float = KEPT_S,
    ) -> None:
        if len(hash_key) != KEY_BYTES:
            raise ValueError(f"the hash key has {len(hash_key)} bytes, not {KEY_BYTES}")
        self._store = store
        self._keys = keys
        self._hash_key = hash_key
        self._random = random
        self._clock = clock
        self._most_kept = most_kept
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, AesSafe]] = OrderedDict()

    def issue(self, owner: str, *, at: datetime) -> tuple[UserKey, Safe]:
        """A new key for an owner who has none, and what it opens; the record is the caller's to store."""
        data_key = self._random(KEY_BYTES)
        wrapped = self._keys.wrap(data_key, owner=owner)
        safe = AesSafe(owner, data_key, self._random)
        record = UserKey(id=owner, wrapped=wrapped.wrapped, wrapping_key=wrapped.wrapping_key, created_at=at)
        return record, self._keep(safe)

    def safe(self, owner: str) -> Safe:
        """What the owner's key opens, from the store unless it is at hand."""
        with self._lock:
            until, kept = self._kept.get(owner, (0.0, None))
            if kept is not None and self._clock() < until:
                return kept
        record = self._store.get(UserKey, owner)
        if record is None:
            raise LookupError(owner)
        if record.wrapped is None:
            raise KeyDestroyed(owner)
        return self._keep(AesSafe(owner, self._keys.unwrap(record.wrapped, owner=owner), self._random))

    def forget(self, owner: str) -> None:
        """Keep the owner's key no longer."""
        with self._lock:
            self._kept.pop(owner, None)

    def fingerprint(self, value: str, *, field: str) -> str:
        """HMAC-SHA256 (hex) of the value, of its own kind for each field."""
        return hmac.digest(self._hash_key, f"{field}\0{value}".encode(), hashlib.sha256).hex()

    def _keep(self, safe: AesSafe) -> AesSafe:
        with self._lock:
            self._kept[safe.owner] = (self._clock() + self._kept_s, safe)
            self._kept.move_to_end(safe.owner)
            while len(self._kept) > self._most_kept:
                self._kept.popitem(last=False)
        return safe


class AesSafe:
    """`ports.Safe` of one data key.

    What is sealed reads `v2.`, then the key's id (the beginning of its SHA-256), a random nonce, and ciphertext with
    tag; in a text, base64url from the id on. Owner, field and key id are the associated data.
    """

    def __init__(self, owner: str, data_key: bytes, random: Callable[[int], bytes]) -> None:
        self.owner = owner
        self._cipher = AESGCM(data_key)
        self._key_id = hashlib.sha256(b"pinjam key id" + data_key).digest()[:KEY_ID_BYTES]
        self._random = random

    def seal(self, value: str, *, field: str) -> Sealed:
        """Encrypt a field."""
        return Sealed(MARK.decode() + base64.urlsafe_b64encode(self._encrypt(value.encode(), field)).decode())

    def open(self, sealed: Sealed, *, field: str) -> str:
        """The value again."""
        text = sealed.removeprefix(MARK.decode())
        body = base64.urlsafe_b64decode(text)
        # Decoding passes over foreign characters and loose bits: only the one true spelling is unchanged.
        if text == sealed or base64.urlsafe_b64encode(body).decode() != text:
            raise ValueError("not a sealed value")
        return self._decrypt(body, field).decode()

    def seal_bytes(self, content: bytes, *, field: str) -> bytes:
        """Encrypt a file."""
        return MARK + self._encrypt(content, field)

    def open_bytes(self, sealed: bytes, *, field: str) -> bytes:
        """The file again."""
        if not sealed.startswith(MARK):
            raise ValueError("not sealed")
        return self._decrypt(sealed.removeprefix(MARK), field)

    def _encrypt(self, plain: bytes, field: str) -> bytes:
        nonce = self._random(NONCE_BYTES)
        return self._key_id + nonce + self._cipher.encrypt(nonce, plain, self._binding(field))

    def _decrypt(self, body: bytes, field: str) -> bytes:
        if body[:KEY_ID_BYTES] != self._key_id:
            raise ValueError("sealed under another key")
        nonce, ciphertext = body[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES], body[KEY_ID_BYTES + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, ciphertext, self._binding(field))
        except (InvalidTag, ValueError):
            raise ValueError("sealed for another owner or field, or changed") from None

    def _binding(self, field: str) -> bytes:
        return f"{self.owner}\0{field}\0".encode() + self._key_id
