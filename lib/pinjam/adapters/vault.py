"""Field encryption with one key: AES-256-GCM for values, HMAC-SHA256 for finding them."""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pinjam.domain.user import Sealed

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = "v1"


class AesVault:
    """Seals values under keys derived from one secret, so that sealing and finding never share a key.

    A sealed value is `v1.<base64url(nonce + ciphertext + tag)>`; owner and field are its associated data.
    """

    def __init__(self, secret: bytes, *, random: Callable[[int], bytes] = os.urandom) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"the vault's key has {len(secret)} bytes, not {KEY_BYTES}")
        self._cipher = AESGCM(hmac.digest(secret, b"pinjam seal", hashlib.sha256))
        self._finder = hmac.digest(secret, b"pinjam find", hashlib.sha256)
        self._random = random

    def seal(self, value: str, *, owner: str, field: str) -> Sealed:
        """Encrypt a field of a record's owner."""
        nonce = self._random(NONCE_BYTES)
        body = nonce + self._cipher.encrypt(nonce, value.encode(), _binding(owner, field))
        return Sealed(f"{VERSION}.{base64.urlsafe_b64encode(body).decode()}")

    def open(self, sealed: Sealed, *, owner: str, field: str) -> str:
        """The value again. ValueError if it was sealed for another owner or field, or changed."""
        version, _, text = sealed.partition(".")
        try:
            body = base64.urlsafe_b64decode(text)
            # Decoding passes over foreign characters and loose bits: only the one true spelling is unchanged.
            genuine = base64.urlsafe_b64encode(body).decode() == text
            if version != VERSION or len(body) <= NONCE_BYTES or not genuine:
                raise ValueError("not a sealed value")
            return self._cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], _binding(owner, field)).decode()
        except InvalidTag:
            raise ValueError("sealed for another owner or field, or changed") from None

    def fingerprint(self, value: str, *, field: str) -> str:
        """HMAC-SHA256 (hex) of the value, of its own kind for each field."""
        return hmac.digest(self._finder, f"{field}\0{value}".encode(), hashlib.sha256).hex()


def _binding(owner: str, field: str) -> bytes:
    return f"{owner}\0{field}".encode()
