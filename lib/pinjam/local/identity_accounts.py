"""Accounts of the local identity server: password hashes, refresh tokens and failed attempts, in PostgreSQL."""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from psycopg import Connection, errors
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool

MAX_FAILURES = 100
"""More than our own limits let through: this lock is the provider's last net, and holds whoever knows the password."""
WINDOW_S = 15 * 60
LOCK_S = 60

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS local_identity;
CREATE TABLE IF NOT EXISTS local_identity.accounts (
    local_id text PRIMARY KEY,
    email text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    email_verified boolean NOT NULL DEFAULT false,
    disabled boolean NOT NULL DEFAULT false,
    valid_since bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS local_identity.refresh_tokens (
    token_hash text PRIMARY KEY,
    local_id text NOT NULL REFERENCES local_identity.accounts ON DELETE CASCADE,
    auth_time bigint NOT NULL,
    revoked boolean NOT NULL DEFAULT false
);
ALTER TABLE local_identity.refresh_tokens ADD COLUMN IF NOT EXISTS provider text NOT NULL DEFAULT 'password';
ALTER TABLE local_identity.refresh_tokens ADD COLUMN IF NOT EXISTS claims jsonb NOT NULL DEFAULT '{}';
ALTER TABLE local_identity.accounts ALTER COLUMN email DROP NOT NULL;
ALTER TABLE local_identity.accounts ALTER COLUMN password_hash DROP NOT NULL;
CREATE INDEX IF NOT EXISTS refresh_tokens_by_account ON local_identity.refresh_tokens (local_id);
CREATE TABLE IF NOT EXISTS local_identity.failures (
    email_hash text PRIMARY KEY,
    failures integer NOT NULL,
    since double precision NOT NULL,
    locked_until double precision
);
"""


Provider: TypeAlias = Literal["password", "custom"]


class IdentityError(Exception):
    """A refusal, in the service's own code such as EMAIL_EXISTS.

    `status` is Google's canonical code, where the refusal comes before the service itself.
    """

    def __init__(self, code: str, *, status: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who can log in. `valid_since` and `created_at` in seconds since 1970.

    One that a custom token made has neither an address nor a password.
    """

    local_id: str
    email: str | None
    password_hash: str | None
    email_verified: bool
    disabled: bool
    valid_since: int
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A running session and its refresh token; `auth_time` in seconds since 1970.

    `provider` is how it began; `claims` are those of the custom token that it began with.
    """

    account: Account
    refresh_token: str
    auth_time: int
    provider: Provider = "password"
    claims: Mapping[str, object] = field(default_factory=dict)


def owasp_hasher() -> PasswordHasher:
    """argon2id with 19 MiB, 2 passes and 1 lane: the first choice of OWASP's Password Storage Cheat Sheet."""
    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


class IdentityAccounts:
    """The accounts, as the protocol's calls need them. `clock` gives seconds since 1970 (real time)."""

    def __init__(self, pool: ConnectionPool, *, hasher: PasswordHasher, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._hasher = hasher
        self._clock = clock
        # An unknown address costs one verification too, so that time does not tell who has an account.
        self._nobody = hasher.hash(secrets.token_urlsafe(16))
        with pool.connection() as connection:
            connection.execute(_SCHEMA)

    def create(self, *, local_id: str, email: str, password: str) -> Account:
        """DUPLICATE_LOCAL_ID or EMAIL_EXISTS when taken."""
        account = self._fresh(local_id, email=email.lower(), password_hash=self._hasher.hash(password))
        try:
            with self._pool.connection() as connection:
                _insert(connection, account)
        except errors.UniqueViolation as error:
            taken = error.diag.constraint_name or ""
            raise IdentityError("EMAIL_EXISTS" if "email" in taken else "DUPLICATE_LOCAL_ID") from error
        return account

    def find_or_create(self, local_id: str) -> tuple[Account, bool]:
        """The account with this id, and whether it was made here, without address and password."""
        with self._pool.connection() as connection:
            made = _insert(connection, self._fresh(local_id, email=None, password_hash=None), unless_there=True)
            account = _select(connection, "local_id", local_id)
        if account is None:
            raise IdentityError("USER_NOT_FOUND")
        return account, made

    def sign_in(self, *, email: str, password: str) -> Session:
        """A new session. INVALID_LOGIN_CREDENTIALS, USER_DISABLED or TOO_MANY_ATTEMPTS_TRY_LATER otherwise."""
        email = email.lower()
        with self._pool.connection() as connection:
            self._refuse_locked(connection, email)
            account = _select(connection, "email", email)
        genuine = self._verify((account and account.password_hash) or self._nobody, password)
        with self._pool.connection() as connection:
            if account is None or not genuine:
                self._note_failure(connection, email)
            else:
                connection.execute("DELETE FROM local_identity.failures WHERE email_hash = %s", (_digest(email),))
        if account is not None and account.disabled:
            raise IdentityError("USER_DISABLED")
        if account is None or not genuine:
            raise IdentityError("INVALID_LOGIN_CREDENTIALS")
        return self.open_session(account)

    def open_session(
        self, account: Account, *, provider: Provider = "password", claims: Mapping[str, object] | None = None
    ) -> Session:
        """A new session for an account that has proven itself."""
        session = Session(
            account=account,
            refresh_token=secrets.token_urlsafe(48),
            auth_time=int(self._clock()),
            provider=provider,
            claims=claims or {},
        )
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO local_identity.refresh_tokens (token_hash, local_id, auth_time, provider, claims)"
                " VALUES (%s, %s, %s, %s, %s)",
                (
                    _digest(session.refresh_token),
                    account.local_id,
                    session.auth_time,
                    provider,
                    json.dumps(session.claims),
                ),
            )
        return session

    def session(self, refresh_token: str) -> Session:
        """The session of a refresh token. INVALID_REFRESH_TOKEN, TOKEN_EXPIRED or USER_DISABLED otherwise."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT local_id, auth_time, revoked, provider, claims FROM local_identity.refresh_tokens"
                " WHERE token_hash = %s",
                (_digest(refresh_token),),
            ).fetchone()
            if row is None:
                raise IdentityError("INVALID_REFRESH_TOKEN")
            local_id, auth_time, revoked, provider, claims = row
            account = _select(connection, "local_id", local_id)
        if revoked:
            raise IdentityError("TOKEN_EXPIRED")
        if account is None:
            raise IdentityError("USER_NOT_FOUND")
        if account.disabled:
            raise IdentityError("USER_DISABLED")
        return Session(
            account=account, refresh_token=refresh_token, auth_time=auth_time, provider=provider, claims=claims
        )

    def find(self, *, local_id: str | None = None, email: str | None = None) -> Account | None:
        """The account with this id, or else with this address."""
        with self._pool.connection() as connection:
            if local_id is not None:
                return _select(connection, "local_id", local_id)
            return _select(connection, "email", (email or "").lower())

    def update(
        self,
        local_id: str,
        *,
        email: str | None = None,
        password: str | None = None,
        disabled: bool | None = None,
        valid_since: int | None = None,
    ) -> Account:
        """Change what is given. USER_NOT_FOUND or EMAIL_EXISTS otherwise.

        A new password or a `valid_since` ends the sessions opened until then; one opened in that very
        second, but before this call, ends too.
        """
        if password is not None:
            valid_since = int(self._clock())
        try:
            with self._pool.connection() as connection:
                connection.execute(
                    "UPDATE local_identity.accounts SET email = coalesce(%s, email),"
                    " password_hash = coalesce(%s, password_hash), disabled = coalesce(%s, disabled),"
                    " valid_since = coalesce(%s, valid_since) WHERE local_id = %s",
                    (
                        email.lower() if email else None,
                        self._hasher.hash(password) if password is not None else None,
                        disabled,
                        valid_since,
                        local_id,
                    ),
                )
                if valid_since is not None:
                    connection.execute(
                        "UPDATE local_identity.refresh_tokens SET revoked = true"
                        " WHERE local_id = %s AND auth_time <= %s",
                        (local_id, valid_since),
                    )
                account = _select(connection, "local_id", local_id)
        except errors.UniqueViolation as error:
            raise IdentityError("EMAIL_EXISTS") from error
        if account is None:
            raise IdentityError("USER_NOT_FOUND")
        return account

    def delete(self, local_id: str) -> None:
        """Remove the account and its sessions. USER_NOT_FOUND if there is none."""
        with self._pool.connection() as connection:
            removed = connection.execute("DELETE FROM local_identity.accounts WHERE local_id = %s", (local_id,))
            if removed.rowcount == 0:
                raise IdentityError("USER_NOT_FOUND")

    def _fresh(self, local_id: str, *, email: str | None, password_hash: str | None) -> Account:
        now = int(self._clock())
        return Account(
            local_id=local_id,
            email=email,
            password_hash=password_hash,
            email_verified=False,
            disabled=False,
            valid_since=now,
            created_at=now,
        )

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def _refuse_locked(self, connection: Connection, email: str) -> None:
        row = connection.execute(
            "SELECT locked_until FROM local_identity.failures WHERE email_hash = %s", (_digest(email),)
        ).fetchone()
        if row is not None and row[0] is not None and self._clock() < row[0]:
            raise IdentityError("TOO_MANY_ATTEMPTS_TRY_LATER")

    def _note_failure(self, connection: Connection, email: str) -> None:
        """Count a failure; too many within the window lock the address, and the count starts anew after it."""
        now = self._clock()
        connection.execute(
            "INSERT INTO local_identity.failures AS f (email_hash, failures, since) VALUES (%(key)s, 1, %(now)s)"
            " ON CONFLICT (email_hash) DO UPDATE SET"
            " failures = CASE WHEN f.since < %(start)s OR f.locked_until <= %(now)s THEN 1 ELSE f.failures + 1 END,"
            " since = CASE WHEN f.since < %(start)s OR f.locked_until <= %(now)s THEN %(now)s ELSE f.since END,"
            " locked_until = CASE WHEN f.locked_until <= %(now)s THEN NULL ELSE f.locked_until END",
            {"key": _digest(email), "now": now, "start": now - WINDOW_S},
        )
        connection.execute(
            "UPDATE local_identity.failures SET locked_until = %s"
            " WHERE email_hash = %s AND failures >= %s AND locked_until IS NULL",
            (now + LOCK_S, _digest(email), MAX_FAILURES),
        )


def _insert(connection: Connection, account: Account, *, unless_there: bool = False) -> bool:
    """Whether it was added."""
    statement = (
        "INSERT INTO local_identity.accounts (local_id, email, password_hash, valid_since, created_at)"
        " VALUES (%(local_id)s, %(email)s, %(password_hash)s, %(valid_since)s, %(created_at)s)"
    )
    if unless_there:
        statement += " ON CONFLICT (local_id) DO NOTHING"
    return connection.execute(statement, asdict(account)).rowcount == 1


def _select(connection: Connection, column: str, value: str) -> Account | None:
    query = {
        "local_id": "SELECT * FROM local_identity.accounts WHERE local_id = %s",
        "email": "SELECT * FROM local_identity.accounts WHERE email = %s",
    }[column]
    with connection.cursor(row_factory=class_row(Account)) as cursor:
        return cursor.execute(query, (value,)).fetchone()


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
