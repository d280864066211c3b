"""The JWT check of API Gateway, with its order and its words (those of the Envoy proxy inside it)."""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Protocol

import jwt

from pinjam.services.ports import Unavailable

SKEW_S = 60


class JwtRefused(Exception):
    """The gateway's answer to a token that it does not let through."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Keys(Protocol):
    """The issuer's public keys."""

    def get(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id. Unavailable when the issuer could not be asked."""
        ...


class JwtCheck:
    """Lets RS256 tokens of one issuer for one audience through. `clock` is seconds since 1970."""

    def __init__(self, *, issuer: str, audience: str, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._clock = clock
        self._jws = jwt.PyJWS(algorithms=["RS256"])

    def payload(self, authorization: str | None) -> str:
        """The payload segment of the genuine token in an Authorization header. JwtRefused otherwise."""
        if authorization is None or not authorization.startswith("Bearer "):
            raise JwtRefused("Jwt is missing")
        token = authorization.removeprefix("Bearer ").strip()
        if not token:
            raise JwtRefused("Jwt is missing")
        segments = token.split(".")
        if len(segments) != 3 or not all(segments[:2]):  # noqa: PLR2004  # header, payload, signature
            raise JwtRefused("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")
        header = _object(segments[0], "header")
        claims = _object(segments[1], "payload")
        self._check_claims(claims)
        self.check_signature(token, header)
        return segments[1]

    def _check_claims(self, claims: Mapping[str, object]) -> None:
        if claims.get("iss") != self._issuer:
            raise JwtRefused("Jwt issuer is not configured")
        now = self._clock()
        if _seconds(claims, "nbf", missing=0) > now + SKEW_S:
            raise JwtRefused("Jwt not yet valid")
        if now > _seconds(claims, "exp", missing=0) + SKEW_S:
            raise JwtRefused("Jwt is expired")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise JwtRefused("Audiences in Jwt are not allowed", 403)

    def check_signature(self, token: str, header: Mapping[str, object]) -> None:
        """JwtRefused unless one of the issuer's keys signed the token with this header."""
        if header.get("alg") != "RS256":
            raise JwtRefused("Jwks doesn't have key to match kid or alg from Jwt")
        try:
            key = self._keys.get(str(header.get("kid", "")))
        except Unavailable as error:
            raise JwtRefused("Jwks remote fetch is failed") from error
        if key is None:
            raise JwtRefused("Jwks doesn't have key to match kid or alg from Jwt")
        try:
            self._jws.decode(token, key, algorithms=["RS256"])
        except jwt.InvalidTokenError as error:
            raise JwtRefused("Jwt verification fails") from error


def _object(segment: str, part: str) -> Mapping[str, object]:
    try:
        decoded = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError as error:
        raise JwtRefused(f"Jwt {part} is an invalid Base64url encoded") from error
    try:
        value = json.loads(decoded)
    except (ValueError, RecursionError) as error:
        raise JwtRefused(f"Jwt {part} is an invalid JSON") from error
    if not isinstance(value, dict):
        raise JwtRefused(f"Jwt {part} is an invalid JSON")
    return value


def _seconds(claims: Mapping[str, object], name: str, *, missing: int) -> int:
    value = claims.get(name, missing)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise JwtRefused(f"Jwt payload [{name}] field is not a positive integer")
    return value
