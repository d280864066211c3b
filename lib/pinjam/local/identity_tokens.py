"""The tokens of the local identity server: the keys that sign them, and what is in them."""

import hashlib
import json
import os
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pinjam.local.identity_accounts import IdentityError, Session

ID_TOKEN_LIFE_S = 3600
CUSTOM_TOKEN_LIFE_S = 3600
CUSTOM_TOKEN_AUDIENCE = "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"  # noqa: S105 - a name
SKEW_S = 60
MOST_UID, MOST_CLAIMS = 128, 1000
RESERVED = frozenset(
    {"acr", "amr", "at_hash", "aud", "auth_time", "azp", "cnf", "c_hash", "exp"}
    | {"firebase", "iat", "iss", "jti", "nbf", "nonce", "sub", "user_id"}
)
"""Names of claims that a custom token cannot set: Firebase's own."""


class SigningKey:
    """The RSA key of ID tokens, kept in a file so that tokens outlive a restart."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            _write_new_key(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{path} does not hold an RSA key")
        self._key = key
        numbers = key.public_key().public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")
        self.kid = hashlib.sha256(modulus).hexdigest()[:40]
        self.jwks = {
            "keys": [
                {
                    "kty": "RSA",
                    "alg": "RS256",
                    "use": "sig",
                    "kid": self.kid,
                    "n": _unpadded(modulus),
                    "e": _unpadded(exponent),
                }
            ]
        }

    def sign(self, claims: Mapping[str, object]) -> str:
        """A compact RS256 JWT of these claims."""
        return jwt.encode(dict(claims), self._key, algorithm="RS256", headers={"kid": self.kid})


class TokenIssuer:
    """Makes and reads this project's ID tokens."""

    def __init__(self, key: SigningKey, *, project: str, clock: Callable[[], float]) -> None:
        self._key = key
        self._project = project
        self._clock = clock
        self._public = jwt.PyJWK(key.jwks["keys"][0])

    def id_token(self, session: Session) -> str:
        """An ID token as Firebase makes it; a custom token's claims stand beside Firebase's own."""
        now = int(self._clock())
        account = session.account
        address = {"email": account.email, "email_verified": account.email_verified} if account.email else {}
        identities = {"email": [account.email]} if account.email else {}
        return self._key.sign(
            {
                **session.claims,
                "iss": f"https://securetoken.google.com/{self._project}",
                "aud": self._project,
                "auth_time": session.auth_time,
                "user_id": account.local_id,
                "sub": account.local_id,
                "iat": now,
                "exp": now + ID_TOKEN_LIFE_S,
                **address,
                "firebase": {"identities": identities, "sign_in_provider": session.provider},
            }
        )

    def subject(self, id_token: str) -> tuple[str, int]:
        """The account's id and the second of issue. INVALID_ID_TOKEN or TOKEN_EXPIRED otherwise."""
        try:
            claims = jwt.decode(
                id_token,
                self._public,
                algorithms=["RS256"],
                audience=self._project,
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.InvalidTokenError as error:
            raise IdentityError("INVALID_ID_TOKEN") from error
        if self._clock() >= claims["exp"]:
            raise IdentityError("TOKEN_EXPIRED")
        return str(claims["sub"]), int(claims["iat"])


class ServiceAccount:
    """The project's service account, as far as custom tokens need it: it signs what the admin asks, and knows its own.

    Its key is no key of ID tokens, so that nothing signed for one purpose passes for the other. It is made when
    it is first needed, in `key_file`. `clock` is seconds since 1970.
    """

    def __init__(self, key_file: Path, *, email: str, clock: Callable[[], float]) -> None:
        self.email = email
        self._key_file = key_file
        self._clock = clock
        self._lock = threading.Lock()
        self._made: SigningKey | None = None

    def sign(self, payload: str) -> tuple[str, str]:
        """The key's id and the JWT of a JSON object. INVALID_ARGUMENT for anything else."""
        try:
            claims = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise IdentityError("INVALID_ARGUMENT") from error
        if not isinstance(claims, dict):
            raise IdentityError("INVALID_ARGUMENT")
        return self._key.kid, self._key.sign(claims)

    def custom_token(self, token: str) -> tuple[str, Mapping[str, object]]:
        """The uid and the claims of a custom token.

        INVALID_CUSTOM_TOKEN if it is not genuine; MISSING_IDENTIFIER without a uid; INVALID_CLAIMS, FORBIDDEN_CLAIM or
        CLAIMS_TOO_LARGE for claims that cannot be set.
        """
        try:
            claims = jwt.decode(
                token,
                jwt.PyJWK(self._key.jwks["keys"][0]),
                algorithms=["RS256"],
                audience=CUSTOM_TOKEN_AUDIENCE,
                issuer=self.email,
                # Times are checked below, by the injected clock.
                options={
                    "require": ["iss", "sub", "aud", "iat", "exp"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.InvalidTokenError, UnicodeEncodeError) as error:
            raise _not_custom("its signature, issuer or audience is wrong") from error
        self._check_times(claims)
        if claims["sub"] != self.email:
            raise _not_custom("its subject is not its issuer")
        uid = claims.get("uid", "")
        if uid == "":
            raise IdentityError("MISSING_IDENTIFIER")
        if not isinstance(uid, str) or len(uid) > MOST_UID:
            raise _not_custom("its uid is none")
        return uid, _extra(claims.get("claims", {}))

    def _check_times(self, claims: Mapping[str, object]) -> None:
        issued, ends, now = claims["iat"], claims["exp"], self._clock()
        if type(issued) is not int or type(ends) is not int:
            raise _not_custom("its times are no numbers")
        if not issued <= now + SKEW_S:
            raise _not_custom("it was issued in the future")
        if not now < ends <= issued + CUSTOM_TOKEN_LIFE_S:
            raise _not_custom("it has expired, or lives too long")

    @property
    def _key(self) -> SigningKey:
        with self._lock:
            if self._made is None:
                self._made = SigningKey(self._key_file)
            return self._made


def _extra(claims: object) -> Mapping[str, object]:
    if not isinstance(claims, dict):
        raise IdentityError("INVALID_CLAIMS")
    for name in sorted(RESERVED & claims.keys()):
        raise IdentityError(f"FORBIDDEN_CLAIM : {name}")
    if len(json.dumps(claims)) > MOST_CLAIMS:
        raise IdentityError("CLAIMS_TOO_LARGE")
    return claims


def _not_custom(reason: str) -> IdentityError:
    return IdentityError(f"INVALID_CUSTOM_TOKEN : {reason}")


def _write_new_key(path: Path) -> None:
    """Write a key under another name first, so that a crash leaves a whole key or none."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    draft.replace(path)


def _unpadded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
