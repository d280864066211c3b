"""Belief in ID tokens that anybody can write: Firebase's emulator of Auth signs none of its own.

This stands where no deployed function can import it: `pinjam.runtime` may not import `pinjam.local`, which is linted.
What needs it is given it by the local system, and in the `emulators` profile only.
"""

import time
from collections.abc import Callable, Mapping

import jwt

from pinjam.adapters.id_tokens import REQUIRED, check_times_and_subject, issuer_of
from pinjam.local.gateway_jwt import JwtCheck, JwtRefused
from pinjam.services.ports import WrongCredentials


class BelievesForgeableTokens:
    """`ports.TokenVerifier` for the unsigned ID tokens of the emulator.

    All but the signature is checked as for genuine ones: issuer, audience, subject, times. A token with a signature
    is refused. `clock` is seconds since 1970.
    """

    def __init__(self, *, project: str, clock: Callable[[], float] = time.time) -> None:
        self._project = project
        self._clock = clock

    def verify(self, id_token: str) -> Mapping[str, object]:
        """The claims. WrongCredentials if anything about the token is not right."""
        if not id_token.isascii():
            raise WrongCredentials("not a token")
        try:
            if not _unsigned(jwt.get_unverified_header(id_token), id_token):
                raise WrongCredentials("a signature that nothing here can check")
            claims: Mapping[str, object] = jwt.decode(
                id_token,
                issuer=issuer_of(self._project),
                audience=self._project,
                options={
                    "require": REQUIRED,
                    "verify_signature": False,
                    "verify_iss": True,
                    "verify_aud": True,
                    "verify_sub": True,
                },
            )
        except jwt.InvalidTokenError as error:
            raise WrongCredentials(type(error).__name__) from error
        check_times_and_subject(claims, now=self._clock())
        return claims


class ForgeableJwtCheck(JwtCheck):
    """The gateway's check for the unsigned ID tokens of the emulator: all of it but the signature."""

    def __init__(self, *, issuer: str, audience: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__(issuer=issuer, audience=audience, keys=_NoKeys(), clock=clock)

    def check_signature(self, token: str, header: Mapping[str, object]) -> None:
        """JwtRefused for a token that has one."""
        if not _unsigned(header, token):
            raise JwtRefused("Jwks doesn't have key to match kid or alg from Jwt")


class _NoKeys:
    def get(self, _kid: str) -> None:
        return None


def _unsigned(header: Mapping[str, object], token: str) -> bool:
    return header.get("alg") == "none" and token.endswith(".")
