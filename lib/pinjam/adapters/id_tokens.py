"""The proof of Firebase Auth's ID tokens: PyJWT, over the keys that Google publishes.

The keys come by the standard library's client. Most functions ask nobody else by HTTP before their first answer, and
httpx would be a seventh of their start.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import jwt

from pinjam.adapters.authorities import trusted_authorities
from pinjam.adapters.faults import unavailable
from pinjam.services.ports import WrongCredentials

SERVICE = "identity"
LEEWAY_S = 60
JWKS_TTL_S = 300
REFETCH_INTERVAL_S = 30
FIRST_FETCH_INTERVAL_S = 1
MAX_ANSWER_BYTES = 100_000
"""A few keys are some thousand bytes."""
REQUIRED = ["exp", "iat", "sub", "iss", "aud"]
"""What every ID token must say."""

_log = logging.getLogger(__name__)


class SigningKeys:
    """The public keys of a JWKS address, by key id; safe to share between threads.

    Kept five minutes. An unknown id fetches again, but never more than one fetch in 30 seconds, so that
    made-up ids cannot turn this service against the key server. `clock` is monotonic seconds.
    """

    def __init__(self, url: str, *, timeout_s: float = 5, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def get(self, kid: str) -> jwt.PyJWK | None:
        """The key, None if the server has no such key. Unavailable when no keys could ever be fetched."""
        with self._lock:
            now = self._clock()
            stale = self._fetched_at is None or now - self._fetched_at >= JWKS_TTL_S
            interval = FIRST_FETCH_INTERVAL_S if self._fetched_at is None else REFETCH_INTERVAL_S
            tried_lately = self._tried_at is not None and now - self._tried_at < interval
            if (stale or kid not in self._keys) and not tried_lately:
                self._fetch(now)
            if self._fetched_at is None:
                raise unavailable(SERVICE, "no keys yet", retry_after_s=1)
            return self._keys.get(kid)

    def _fetch(self, now: float) -> None:
        self._tried_at = now
        try:
            keys = jwt.PyJWKSet.from_dict(_keys_in(self._download())).keys
        except (OSError, HTTPException, jwt.PyJWTError, ValueError) as error:
            # Keys that were good a moment ago serve on while the key server is away.
            if self._fetched_at is None:
                raise unavailable(SERVICE, f"keys: {type(error).__name__}") from error
            _log.warning("identity.keys_not_refreshed", extra={"reason": type(error).__name__})
            return
        self._keys = {key.key_id: key for key in keys if key.key_id is not None}
        self._fetched_at = now

    def _download(self) -> bytes:
        """What the address answers. OSError, HTTPException or ValueError if that is no 200 of a sensible length."""
        where = urlsplit(self._url)
        to = where.netloc
        with closing(
            HTTPSConnection(to, timeout=self._timeout_s, context=trusted_authorities())
            if where.scheme == "https"
            else HTTPConnection(to, timeout=self._timeout_s)
        ) as connection:
            connection.request("GET", where._replace(scheme="", netloc="", fragment="").geturl() or "/")
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES + 1)
        if answer.status != HTTPStatus.OK or len(content) > MAX_ANSWER_BYTES:
            raise ValueError(f"answered {answer.status} with {len(content)} bytes")
        return content


def _keys_in(content: bytes) -> dict[str, object]:
    found = json.loads(content)
    if isinstance(found, dict):
        return found
    raise ValueError("no set of keys")


class FirebaseTokenVerifier:
    """`ports.TokenVerifier` for a project's ID tokens: RS256, issuer, audience, subject, 60 s of skew.

    `clock` is seconds since 1970.
    """

    def __init__(
        self,
        *,
        project: str,
        jwks_url: str,
        timeout_s: float = 5,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer_of(project)
        self._project = project
        self._clock = clock
        self._keys = SigningKeys(jwks_url, timeout_s=timeout_s, clock=monotonic)

    def verify(self, id_token: str) -> Mapping[str, object]:
        """The claims. WrongCredentials if anything about the token is not right; Unavailable without keys."""
        if not id_token.isascii():
            raise WrongCredentials("not a token")
        try:
            header = jwt.get_unverified_header(id_token)
            key = self._keys.get(str(header.get("kid", ""))) if header.get("alg") == "RS256" else None
            if key is None:
                raise WrongCredentials("no key for this token")
            claims: Mapping[str, object] = jwt.decode(
                id_token,
                key,
                algorithms=["RS256"],
                issuer=self._issuer,
                audience=self._project,
                # Times are checked below, by the injected clock.
                options={"require": REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.InvalidTokenError as error:
            raise WrongCredentials(type(error).__name__) from error
        check_times_and_subject(claims, now=self._clock())
        return claims


def issuer_of(project: str) -> str:
    """Who a project's ID tokens say that they are from."""
    return f"https://securetoken.google.com/{project}"


def check_times_and_subject(claims: Mapping[str, object], *, now: float) -> None:
    """WrongCredentials unless a token with these claims runs and names somebody. `now` is seconds since 1970."""
    if not now - LEEWAY_S < _seconds(claims, "exp"):
        raise WrongCredentials("expired")
    if not _seconds(claims, "iat") <= now + LEEWAY_S:
        raise WrongCredentials("issued in the future")
    if not claims["sub"]:
        raise WrongCredentials("no subject")


def _seconds(claims: Mapping[str, object], name: str) -> int:
    value = claims[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongCredentials(f"{name} is not a number")
    return value
