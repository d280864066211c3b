"""An authenticator in software: makes passkeys and signs with them, and can be told to do one thing wrong."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

UP, UV, BE, BS, AT = 1, 4, 8, 16, 64
Json = dict[str, Any]


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Key:
    """One passkey's private half. `count` goes up with each signature, unless it stays 0."""

    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    user_handle: str
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0

    @property
    def cose(self) -> bytes:
        if isinstance(self.private, rsa.RSAPrivateKey):
            numbers = self.private.public_key().public_numbers()
            return cbor2.dumps({1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")})
        point = self.private.public_key().public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))


@dataclass
class Authenticator:
    """A device of one person, as the browser or app at `origin` uses it for the relying party `rp_id`.

    `flags` are those of the authenticator data; `counts` whether it counts its signatures.
    """

    origin: str = "https://app.example"
    rp_id: str = "pinjam.example"
    flags: int = UP | UV | BE | BS
    counts: bool = True
    keys: list[Key] = field(default_factory=list)

    @staticmethod
    def fresh(user_id: str) -> Key:
        """A key that nobody enrolled."""
        return Key(ec.generate_private_key(ec.SECP256R1()), user_handle=encoded(user_id.encode()))

    def create(self, options: Json, *, algorithm: int = -7, key_id: bytes = b"", **client: Any) -> Json:
        """A new passkey for creation options; `client` changes what the client says."""
        present = {one["id"] for one in options["excludeCredentials"]}
        assert not present & {encoded(key.id) for key in self.keys}, "this authenticator has a passkey already"
        made = ec.generate_private_key(ec.SECP256R1()) if algorithm == -7 else rsa.generate_private_key(65537, 2048)
        key = Key(made, user_handle=options["user"]["id"], id=key_id or secrets.token_bytes(32))
        self.keys.append(key)
        attested = bytes(16) + len(key.id).to_bytes(2, "big") + key.id + key.cose
        data = self._data(key, self.flags | AT) + attested
        response = {
            "clientDataJSON": self._client("webauthn.create", options, client)[0],
            "attestationObject": encoded(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal", "hybrid"],
        }
        return self._credential(key, response)

    def get(self, options: Json, *, key: Key | None = None, **client: Any) -> Json:
        """A signature for request options, by the first key that they allow."""
        allowed = {one["id"] for one in options["allowCredentials"]}
        key = key or next(one for one in self.keys if not allowed or encoded(one.id) in allowed)
        client_data, digest = self._client("webauthn.get", options, client)
        data = self._data(key, self.flags)
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": encoded(data),
            "signature": encoded(key.sign(data + digest)),
            "userHandle": key.user_handle,
        }
        return self._credential(key, response)

    def _data(self, key: Key, flags: int) -> bytes:
        key.count += 1 if self.counts else 0
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + key.count.to_bytes(4, "big")

    def _client(self, kind: str, options: Json, changes: Json) -> tuple[str, bytes]:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False} | changes
        text = json.dumps(said).encode()
        return encoded(text), hashlib.sha256(text).digest()

    def _credential(self, key: Key, response: Json) -> Json:
        return {
            "id": encoded(key.id),
            "rawId": encoded(key.id),
            "type": "public-key",
            "response": response,
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
        }
