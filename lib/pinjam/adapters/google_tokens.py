"""OAuth access tokens of Google: from the metadata server of Cloud Run, or from a credentials file.

Application Default Credentials as cloud.google.com/docs/authentication/application-default-credentials describes them,
over our own HTTP client. Why not google-auth: docs/adr.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.services.ports import Unavailable

if TYPE_CHECKING:
    from pinjam.adapters.http_client import Reply

SERVICE = "google-credentials"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
"""Enough for every service that is called here, FCM and Identity Toolkit included; IAM roles say what is allowed."""

RENEW_BEFORE_S = 225.0
"""The metadata server gives a new token in the last five minutes of the old one, so this is inside of them."""

PAUSE_S = 10.0
"""After a renewal that failed, while the old token still stands."""

FAILURE_S = 1.0
"""So long a failure counts for all who ask, so that those who wait in a row do not each wait for a time-out."""


class _Grant(BaseModel):
    access_token: Annotated[str, Field(min_length=1, pattern=r"^[\x21-\x7e]+$")]
    expires_in: Annotated[int, Field(gt=0)]
    token_type: Literal["Bearer"]


class _Refusal(BaseModel):
    error: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    token: str
    renew_at: float
    expires_at: float


class GoogleTokens:
    """Gives the access token of whoever this process runs as; `bearer.RenewableToken`. Safe to share between threads.

    The account is that of the file in GOOGLE_APPLICATION_CREDENTIALS or of gcloud's login (a service account's key, or
    a user's own), else that of the machine, by its metadata server (GCE_METADATA_HOST where it is not the usual one).
    One token is kept until shortly before it expires. `clock` gives monotonic seconds, `now` seconds since 1970.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str] | None = None,
        scope: str = CLOUD_PLATFORM,
        timeout_s: float = 5,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._scope = scope
        self._clock = clock
        self._now = now
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._failure: tuple[float, str] = (0.0, "")

    def __call__(self) -> str:
        """The token. Unavailable if there is none that still stands, and none to be had."""
        kept, now = self._kept, self._clock()
        if kept is not None and now < kept.renew_at:
            return kept.token
        usable = kept is not None and now < kept.expires_at
        # While one thread renews a token that still stands, the others go on with it.
        if not self._lock.acquire(blocking=not usable) and kept is not None:
            return kept.token
        try:
            return self._renewed()
        finally:
            self._lock.release()

    def forget(self, token: str) -> None:
        """Do not give this token again: it was refused."""
        with self._lock:
            if self._kept is not None and self._kept.token == token:
                self._kept = None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _renewed(self) -> str:
        kept, now = self._kept, self._clock()
        if kept is not None and now < kept.renew_at:
            return kept.token  # Another thread was first.
        until, failure = self._failure
        if now < until:
            raise Unavailable(SERVICE, failure)
        try:
            grant = self._fetch()
        except Unavailable as error:
            if kept is None or now >= kept.expires_at:
                self._failure = (self._clock() + FAILURE_S, str(error).removeprefix(f"{SERVICE}: "))
                raise
            self._kept = _Kept(token=kept.token, renew_at=now + PAUSE_S, expires_at=kept.expires_at)
            return kept.token
        # A life that is shorter than the time before its end is used to its half.
        renew_in = max(grant.expires_in - RENEW_BEFORE_S, grant.expires_in / 2)
        self._kept = _Kept(token=grant.access_token, renew_at=now + renew_in, expires_at=now + grant.expires_in)
        return grant.access_token

    def _fetch(self) -> _Grant:
        ask = self._question()
        try:
            reply = ask()
        except Unavailable:
            # The metadata server resets a connection at times while an instance starts.
            reply = ask()
        if reply.accepted:
            return reply.read(_Grant)
        refusal = reply.read_if_shaped(_Refusal)
        raise unavailable(SERVICE, f"answered {reply.status} {refusal.error if refusal else ''}".rstrip())

    def _question(self) -> Callable[[], Reply]:
        path = self._file()
        if path is None:
            host = self._environment.get("GCE_METADATA_HOST") or "metadata.google.internal"
            url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={self._scope}"
            return lambda: self._http.send("GET", url, headers={"Metadata-Flavor": "Google"})
        # Only where there is a file: in the cloud there is none.
        from pinjam.adapters.google_credentials import NoCredentials, read

        try:
            credentials = read(path)
            form = credentials.form(scope=self._scope, now=int(self._now()))
        except NoCredentials as error:
            raise unavailable(SERVICE, str(error)) from None
        return lambda: self._http.send("POST", credentials.token_uri, form=form)

    def _file(self) -> Path | None:
        """The credentials file; None where the metadata server is to be asked."""
        named = self._environment.get("GOOGLE_APPLICATION_CREDENTIALS")
        if named:
            return Path(named)
        home = self._environment.get("HOME")
        folder = self._environment.get("CLOUDSDK_CONFIG") or (home and f"{home}/.config/gcloud")
        login = Path(folder, "application_default_credentials.json") if folder else None
        return login if login is not None and login.is_file() else None
