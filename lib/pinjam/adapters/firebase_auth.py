"""Accounts at Firebase Auth over its REST API.

Plain REST in place of `firebase_admin`: a third of its import time at a cold start.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

import httpx
from pydantic_core import to_json

from pinjam.adapters.authorities import trusted_authorities
from pinjam.adapters.bearer import Bearer
from pinjam.adapters.faults import unavailable
from pinjam.services.ports import AccountExists, Refused, Tokens, TooManyAttempts, WrongCredentials

SERVICE = "identity"
RETRY_AFTER_S = 60
CUSTOM_TOKEN_AUDIENCE = "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"  # noqa: S105 - a name
CUSTOM_TOKEN_LIFE_S = 300
"""It is exchanged at once; Firebase takes up to an hour."""

_TAKEN = frozenset({"EMAIL_EXISTS", "DUPLICATE_LOCAL_ID"})
_WRONG = frozenset(
    {
        "INVALID_LOGIN_CREDENTIALS",
        "INVALID_PASSWORD",
        "EMAIL_NOT_FOUND",
        "INVALID_EMAIL",
        "MISSING_EMAIL",
        "MISSING_PASSWORD",
        "USER_DISABLED",
        "USER_NOT_FOUND",
        # A custom token for an account that is not there, where users may not sign up by themselves.
        "ADMIN_ONLY_OPERATION",
        "TOKEN_EXPIRED",
        "INVALID_REFRESH_TOKEN",
        "MISSING_REFRESH_TOKEN",
    }
)
_log = logging.getLogger(__name__)


class FirebaseAccounts:
    """`ports.Accounts` at Identity Toolkit and Secure Token.

    `identity_url`, `token_url` and `iam_url` are the services' addresses without `/v1`; `admin_token` gives an
    OAuth access token that may manage accounts, and sign as the service account `signer`: custom tokens are
    signed by the IAM Credentials API, so that no key file is anywhere. Without an `iam_url` they are not signed at all:
    Firebase refuses such tokens, and only its emulator takes them. The client is made on first use.
    """

    def __init__(
        self,
        *,
        project: str,
        identity_url: str,
        token_url: str,
        iam_url: str | None,
        signer: str,
        api_key: str,
        admin_token: Callable[[], str],
        timeout_s: float = 5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._accounts_url = f"{identity_url}/v1/accounts"
        self._admin_url = f"{identity_url}/v1/projects/{project}/accounts"
        self._token_url = f"{token_url}/v1/token"
        self._sign_url = f"{iam_url}/v1/projects/-/serviceAccounts/{signer}:signJwt" if iam_url else None
        self._signer = signer
        self._api_key = api_key
        self._admin = Bearer(admin_token)
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def create(self, *, uid: str, email: str, password: str) -> None:
        """Make an account with our uid. AccountExists if taken; Refused if the password is too weak."""
        self._as_admin(self._admin_url, {"localId": uid, "email": email, "password": password})

    def sign_in(self, *, email: str, password: str) -> Tokens:
        """WrongCredentials for any reason not to let in, TooManyAttempts when guessing goes on."""
        answer = self._send(
            f"{self._accounts_url}:signInWithPassword",
            params={"key": self._api_key},
            json={"email": email, "password": password, "returnSecureToken": True},
        )
        return _tokens(answer, id_token="idToken", refresh_token="refreshToken", expires_in="expiresIn")  # noqa: S106  # names of fields

    def sign_in_as(self, uid: str, *, claims: Mapping[str, str]) -> Tokens:
        """Sign in somebody by a custom token. WrongCredentials for an account that is disabled, or not there.

        Firebase makes an account for a uid that has none; here that account is removed at once.
        """
        answer = self._send(
            f"{self._accounts_url}:signInWithCustomToken",
            params={"key": self._api_key},
            json={"token": self._custom_token(uid, claims), "returnSecureToken": True},
        )
        if answer.get("isNewUser"):
            self.delete(uid)
            raise WrongCredentials("USER_NOT_FOUND")
        return _tokens(answer, id_token="idToken", refresh_token="refreshToken", expires_in="expiresIn")  # noqa: S106  # names of fields

    def refresh(self, refresh_token: str) -> Tokens:
        """A new ID token for the session. WrongCredentials if it is over."""
        answer = self._send(
            self._token_url,
            params={"key": self._api_key},
            data={"grant_type": "refresh_token", "refresh_token": refresh_token},
        )
        return _tokens(answer, id_token="id_token", refresh_token="refresh_token", expires_in="expires_in")  # noqa: S106  # names of fields

    def revoke(self, uid: str) -> None:
        """End every session; an account that is gone has none."""
        try:
            self._as_admin(f"{self._admin_url}:update", {"localId": uid, "validSince": str(int(self._clock()))})
        except WrongCredentials:
            _log.info("identity.revoke_unknown", extra={"uid": uid})

    def delete(self, uid: str) -> None:
        """Remove the account, if there is one."""
        try:
            self._as_admin(f"{self._admin_url}:delete", {"localId": uid})
        except WrongCredentials:
            _log.info("identity.delete_unknown", extra={"uid": uid})

    def set_password(self, uid: str, *, password: str) -> None:
        """Change the password and end every session, in one call."""
        changes = {"localId": uid, "password": password, "validSince": str(int(self._clock()))}
        self._as_admin(f"{self._admin_url}:update", changes)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _custom_token(self, uid: str, claims: Mapping[str, str]) -> str:
        now = int(self._clock())
        payload = {
            "iss": self._signer,
            "sub": self._signer,
            "aud": CUSTOM_TOKEN_AUDIENCE,
            "iat": now,
            "exp": now + CUSTOM_TOKEN_LIFE_S,
            "uid": uid,
            "claims": dict(claims),
        }
        if self._sign_url is None:
            import jwt  # For the emulator alone, and 40 ms of every other start.

            return jwt.encode(payload, "", algorithm="none")
        signed = self._as_admin(self._sign_url, {"payload": to_json(payload).decode()}).get("signedJwt")
        if not isinstance(signed, str):
            raise unavailable(SERVICE, "an answer without a signed token")
        return signed

    def _as_admin(self, url: str, body: Mapping[str, object]) -> Mapping[str, object]:
        return self._send(url, json=body, auth=self._admin)

    def _send(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
        data: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
    ) -> Mapping[str, object]:
        try:
            answer = self._http().post(url, params=params, json=json, data=data, auth=auth or httpx.Auth())
        except httpx.HTTPError as error:
            raise unavailable(SERVICE, type(error).__name__) from error
        body = _object(answer)
        if answer.is_success:
            return body
        raise _failure(answer.status_code, body)

    def _http(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(timeout=self._timeout_s, verify=trusted_authorities(), trust_env=False)
            return self._client


def _object(answer: httpx.Response) -> Mapping[str, object]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    raise unavailable(SERVICE, f"HTTP {answer.status_code} without a JSON object")


def _failure(status: int, body: Mapping[str, object]) -> Exception:
    """The port's exception for an error body; codes may be followed by ` : ` and an explanation."""
    detail = body.get("error")
    message = str(detail.get("message", "")) if isinstance(detail, dict) else ""
    code = message.split(" : ")[0].strip()
    if code in _TAKEN:
        return AccountExists(code)
    if code in _WRONG:
        return WrongCredentials(code)
    if code == "TOO_MANY_ATTEMPTS_TRY_LATER":
        return TooManyAttempts(RETRY_AFTER_S)
    if code.startswith("WEAK_PASSWORD"):
        return Refused(SERVICE, "WEAK_PASSWORD")
    return unavailable(SERVICE, f"HTTP {status} {code}".rstrip())


def _tokens(answer: Mapping[str, object], *, id_token: str, refresh_token: str, expires_in: str) -> Tokens:
    values = [answer.get(name) for name in (id_token, refresh_token, expires_in)]
    first, second, life = (value if isinstance(value, str) else "" for value in values)
    if not first or not second or not life.isdigit():
        raise unavailable(SERVICE, "an answer without tokens")
    return Tokens(id_token=first, refresh_token=second, expires_in=int(life))
