"""WebAuthn's ceremonies by the `webauthn` package (py_webauthn).

The package has one exception for every reason. What a client needs to be told apart (purpose, origin, relying
party, user verification) is looked at here first; the package then checks all of it again, and the signature.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    encode_cbor,
    parse_attestation_object,
    parse_authenticator_data,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AttestationFormat, AuthenticatorData

from pinjam.services.ceremonies import Asserted, CeremonyRefused, Presented, Registered

if TYPE_CHECKING:
    from pinjam.domain.passkey import Purpose
    from pinjam.services.ceremonies import Credential

T = TypeVar("T")

ALGORITHMS: Final = (COSEAlgorithmIdentifier.ECDSA_SHA_256, COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256)
TYPES: Final[Mapping[Purpose, str]] = {"enroll": "webauthn.create", "login": "webauthn.get"}
TRANSPORTS: Final = frozenset({"ble", "cable", "hybrid", "internal", "nfc", "smart-card", "usb"})
FORMATS: Final = frozenset({AttestationFormat.NONE, AttestationFormat.PACKED})
"""We ask for no attestation; an authenticator may still sign with the new key itself, but shows no certificates."""
MOST_ID_BYTES = 1023
"""WebAuthn's own limit of a credential's id."""

BROKEN: Final = (
    WebAuthnException,
    UnsupportedAlgorithm,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What the package and the decoders under it raise for bytes that are not what they must be."""


class WebAuthnCeremonies:
    """`ceremonies.Ceremonies` for one relying party. `origins` are the web origins and apps that may ask for it."""

    def __init__(self, *, rp_id: str, origins: Sequence[str]) -> None:
        self._rp_id = rp_id
        self._rp_id_hash = hashlib.sha256(rp_id.encode()).digest()
        self._origins = list(origins)
        self._nobodys_key = _nobodys_key()

    def read(self, credential: Credential, *, purpose: Purpose) -> Presented:
        """What the credential says of itself."""
        client = _client_data(credential)
        if client.get("type") != TYPES[purpose]:
            raise CeremonyRefused("passkey-wrong-purpose")
        try:
            handle = _response(credential).get("userHandle")
            return Presented(
                credential_id=_text(credential, "id"),
                challenge=_bytes(_text(client, "challenge")),
                user_handle=_bytes(handle).decode() if isinstance(handle, str) and handle else None,
            )
        except ValueError as error:
            raise CeremonyRefused("passkey-malformed") from error

    def register(self, credential: Credential, *, challenge: bytes) -> Registered:
        """The new credential."""
        response = _response(credential)
        try:
            attestation = parse_attestation_object(_bytes(_text(response, "attestationObject")))
            attested = attestation.fmt not in FORMATS or bool(attestation.att_stmt.x5c)
        except BROKEN as error:
            raise CeremonyRefused("passkey-malformed") from error
        self._check(credential, attestation.auth_data)
        if attested:
            raise CeremonyRefused("passkey-malformed")
        try:
            proven = verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                require_user_verification=True,
                supported_pub_key_algs=list(ALGORITHMS),
            )
            # A key that no signature can be checked with would be found out too late.
            decoded_public_key_to_cryptography(decode_credential_public_key(proven.credential_public_key))
        except BROKEN as error:
            raise CeremonyRefused("passkey-refused") from error
        credential_id = _unpadded(proven.credential_id)
        if credential_id != credential.get("id") or len(proven.credential_id) > MOST_ID_BYTES:
            raise CeremonyRefused("passkey-malformed")
        return Registered(
            credential_id=credential_id,
            public_key=_unpadded(proven.credential_public_key),
            sign_count=proven.sign_count,
            backup_eligible=attestation.auth_data.flags.be,
            backed_up=proven.credential_backed_up,
            transports=_transports(response),
            aaguid=proven.aaguid,
        )

    def assert_use(self, credential: Credential, *, challenge: bytes, public_key: str | None) -> Asserted:
        """The use of a credential."""
        try:
            data = parse_authenticator_data(_bytes(_text(_response(credential), "authenticatorData")))
        except BROKEN as error:
            raise CeremonyRefused("passkey-malformed") from error
        self._check(credential, data)
        try:
            proven = verify_authentication_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                credential_public_key=self._nobodys_key if public_key is None else _bytes(public_key),
                # Judged by the use case, once the signature is known to be genuine: by 0 every count is good.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except BROKEN as error:
            raise CeremonyRefused("passkey-refused") from error
        return Asserted(
            sign_count=proven.new_sign_count, backup_eligible=data.flags.be, backed_up=proven.credential_backed_up
        )

    def _check(self, credential: Credential, data: AuthenticatorData) -> None:
        """The reasons that are told apart."""
        client = _client_data(credential)
        if client.get("origin") not in self._origins or client.get("crossOrigin") not in (None, False):
            raise CeremonyRefused("passkey-wrong-origin")
        if data.rp_id_hash != self._rp_id_hash:
            raise CeremonyRefused("passkey-wrong-rp")
        if not (data.flags.up and data.flags.uv):
            raise CeremonyRefused("passkey-not-verified")


def _client_data(credential: Credential) -> Mapping[str, object]:
    try:
        parsed = json.loads(_bytes(_text(_response(credential), "clientDataJSON")))
    except (ValueError, RecursionError) as error:
        raise CeremonyRefused("passkey-malformed") from error
    if not isinstance(parsed, dict):
        raise CeremonyRefused("passkey-malformed")
    return parsed


def _response(credential: Credential) -> Mapping[str, object]:
    response = credential.get("response")
    if not isinstance(response, dict):
        raise CeremonyRefused("passkey-malformed")
    return cast("Mapping[str, object]", response)


def _transports(response: Mapping[str, object]) -> tuple[str, ...]:
    """How the authenticator can be reached, as far as this is known; hints for the next login."""
    named = response.get("transports")
    return tuple(sorted(one for one in TRANSPORTS if one in named)) if isinstance(named, list) else ()


def _text(part: Mapping[str, object], name: str) -> str:
    value = part.get(name)
    if not isinstance(value, str):
        raise CeremonyRefused("passkey-malformed")
    return value


def _bytes(text: str) -> bytes:
    """ValueError for what is no base64url; padding is optional."""
    return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def _unpadded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _nobodys_key() -> bytes:
    """A public key (COSE) whose private half is thrown away."""
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    x, y = (part.to_bytes(32, "big") for part in (numbers.x, numbers.y))
    return encode_cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})
