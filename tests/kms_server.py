"""A strict Cloud KMS for one symmetric key: real AES-256-GCM, real versions and states, Google's refusals.

After the REST reference of Cloud KMS (v1), its data integrity guidelines, and its page on consistency.
"""

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.google_server import Answer, Call, GoogleError, GoogleServer, invalid

KEY = "projects/pinjam-test/locations/asia-southeast2/keyRings/pinjam/cryptoKeys/borrowers"
MOST_BYTES = 64 * 1024
NONCE_BYTES = 12


class KmsServer(GoogleServer):
    """One key with version 1. `denied` holds permissions; `spoil` changes the answers of encrypt and decrypt."""

    def __init__(self) -> None:
        super().__init__()
        self.ciphers: dict[str, AESGCM] = {}
        self.states: dict[str, str] = {}
        self.denied: set[str] = set()
        self.born = "ENABLED"
        self.slow = False
        self.spoil: Callable[[dict[str, Any]], Mapping[str, Any]] = lambda body: body
        self.primary = self.used = self.add()

    def add(self) -> str:
        number = str(len(self.ciphers) + 1)
        self.ciphers[number] = AESGCM(os.urandom(32))
        self.states[number] = self.born
        return number

    def rotate(self) -> str:
        """What Cloud KMS does by itself when the rotation period is over."""
        self.primary = self.used = self.add()
        return self.primary

    def answer(self, call: Call) -> Answer:
        routes: Mapping[str, Callable[..., Mapping[str, Any]]] = {
            rf"GET /v1/{KEY}": self._get,
            rf"POST /v1/{KEY}(?:/cryptoKeyVersions/(\d+))?:encrypt": self._encrypt,
            rf"POST /v1/{KEY}:decrypt": self._decrypt,
            rf"POST /v1/{KEY}/cryptoKeyVersions": self._create,
            rf"POST /v1/{KEY}:updatePrimaryVersion": self._update_primary,
        }
        if call.query:
            raise invalid("Invalid JSON payload received. Unknown name in the query.")
        for pattern, route in routes.items():
            if matched := re.fullmatch(pattern, f"{call.method} {call.path}"):
                return 200, route(call, *matched.groups())
        if re.fullmatch(r"/v1/projects/.*/cryptoKeys/[^/:]+.*", call.path):
            raise GoogleError(404, "NOT_FOUND", f"{call.path.removeprefix('/v1/')} not found.")
        raise GoogleError(404, "NOT_FOUND", "Method not found.")

    def _get(self, _call: Call) -> Mapping[str, Any]:
        self._allow("cryptoKeys.get")
        version = {"name": f"{KEY}/cryptoKeyVersions/{self.primary}", "state": self.states[self.primary]}
        return {"name": KEY, "primary": version, "purpose": "ENCRYPT_DECRYPT"}

    def _create(self, call: Call) -> Mapping[str, Any]:
        self._allow("cryptoKeyVersions.create")
        call.fields(required=set())
        number = self.add()
        return {"name": f"{KEY}/cryptoKeyVersions/{number}", "state": self.states[number]}

    def _update_primary(self, call: Call) -> Mapping[str, Any]:
        self._allow("cryptoKeys.update")
        number = call.fields(required={"cryptoKeyVersionId"})["cryptoKeyVersionId"]
        self._enabled(number)
        self.primary = number
        if not self.slow:
            self.used = number
        return self._get(call)

    def _encrypt(self, call: Call, number: str | None) -> Mapping[str, Any]:
        self._allow("cryptoKeyVersions.useToEncrypt")
        plaintext, bound = self._contents(call, "plaintext")
        number = number or self.used
        self._enabled(number)
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = bytes([int(number)]) + nonce + self.ciphers[number].encrypt(nonce, plaintext, bound)
        return self.spoil(
            {
                "name": f"{KEY}/cryptoKeyVersions/{number}",
                "ciphertext": base64.b64encode(ciphertext).decode(),
                "ciphertextCrc32c": str(google_crc32c.value(ciphertext)),
                "verifiedPlaintextCrc32c": True,
                "verifiedAdditionalAuthenticatedDataCrc32c": True,
                "protectionLevel": "SOFTWARE",
            }
        )

    def _decrypt(self, call: Call) -> Mapping[str, Any]:
        self._allow("cryptoKeyVersions.useToDecrypt")
        ciphertext, bound = self._contents(call, "ciphertext")
        number = str(ciphertext[0])
        if number in self.ciphers:
            self._enabled(number)
        nonce, rest = ciphertext[1 : 1 + NONCE_BYTES], ciphertext[1 + NONCE_BYTES :]
        try:
            plaintext = self.ciphers[number].decrypt(nonce, rest, bound)
        except (KeyError, InvalidTag, ValueError):
            raise invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.") from None
        return self.spoil(
            {
                "plaintext": base64.b64encode(plaintext).decode(),
                "plaintextCrc32c": str(google_crc32c.value(plaintext)),
                "usedPrimary": number == self.primary,
                "protectionLevel": "SOFTWARE",
            }
        )

    def _contents(self, call: Call, name: str) -> tuple[bytes, bytes]:
        """The field and the associated data, with checksums: the real service would do without, we must not."""
        names = (name, "additionalAuthenticatedData")
        body = call.fields(required={*names, *(f"{one}Crc32c" for one in names)})
        contents = []
        for one in names:
            try:
                content = base64.b64decode(body[one], validate=True)
            except binascii.Error:
                raise invalid(f"Invalid value at '{one}' (TYPE_BYTES), Base64 decoding failed") from None
            if not 0 < len(content) <= MOST_BYTES:
                raise invalid(f"{one} must be no larger than 64KiB.")
            field = f"{one}Crc32c"
            if not isinstance(body[field], str) or body[field] != str(google_crc32c.value(content)):
                raise invalid(f"The checksum in field {field} did not match the data in field {one}.")
            contents.append(content)
        return contents[0], contents[1]

    def _allow(self, permission: str) -> None:
        if permission in self.denied:
            raise GoogleError(
                403, "PERMISSION_DENIED", f"Permission 'cloudkms.{permission}' denied on resource '{KEY}'."
            )

    def _enabled(self, number: str) -> None:
        if number not in self.states:
            raise GoogleError(404, "NOT_FOUND", f"CryptoKeyVersion {number} not found.")
        if self.states[number] != "ENABLED":
            message = f"{KEY}/cryptoKeyVersions/{number} is not enabled, current state is: {self.states[number]}."
            raise GoogleError(400, "FAILED_PRECONDITION", message)
