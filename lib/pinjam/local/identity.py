"""The part of Google's Identity Toolkit and Secure Token API that this system uses, served locally.

Same paths, bodies, tokens and error codes as Firebase Auth, so that the adapter which talks to it is the
one that talks to Firebase. Time is real time: a moved business date must not end anybody's session.
"""

import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias
from wsgiref.types import WSGIApplication

from argon2 import PasswordHasher
from flask import Flask, Response, jsonify, request
from psycopg_pool import ConnectionPool
from werkzeug.exceptions import HTTPException

from pinjam.local.identity_accounts import Account, IdentityAccounts, IdentityError, Session, owasp_hasher
from pinjam.local.identity_tokens import ID_TOKEN_LIFE_S, ServiceAccount, SigningKey, TokenIssuer

JWKS_PATH = "/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
MIN_PASSWORD = 6
_NO_KEY = "The request is missing a valid API key."
_NO_CREDENTIALS = "Request had invalid authentication credentials."
_Call: TypeAlias = Callable[[Mapping[str, object]], dict[str, object]]
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class _Calls:
    """The protocol's calls: JSON in, JSON out."""

    def __init__(self, accounts: IdentityAccounts, tokens: TokenIssuer, service: ServiceAccount) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._service = service

    def own(self) -> Mapping[str, _Call]:
        """By path, what any holder of the API key may call."""
        return {
            "/v1/accounts:signInWithPassword": self.sign_in,
            "/v1/accounts:signInWithCustomToken": self.sign_in_by_token,
            "/v1/accounts:lookup": self.lookup_own,
            "/v1/accounts:update": self.update_own,
            "/v1/accounts:delete": self.delete_own,
            "/v1/token": self.refresh,
        }

    def managing(self) -> Mapping[str, _Call]:
        """By path, what only the project's admin may call."""
        accounts = "/v1/projects/<named>/accounts"
        return {
            accounts: self.create,
            f"{accounts}:lookup": self.lookup,
            f"{accounts}:update": self.update,
            f"{accounts}:delete": self.delete,
        }

    def create(self, body: Mapping[str, object]) -> dict[str, object]:
        local_id = _text(body, "localId", "MISSING_LOCAL_ID")
        # What is taken is told before what is wrong with the rest, as there.
        if self._accounts.find(local_id=local_id) is not None:
            raise IdentityError("DUPLICATE_LOCAL_ID")
        email = _email(body)
        if self._accounts.find(email=email) is not None:
            raise IdentityError("EMAIL_EXISTS")
        account = self._accounts.create(local_id=local_id, email=email, password=_new_password(body))
        return {
            "kind": "identitytoolkit#SignupNewUserResponse",
            "localId": account.local_id,
            "email": account.email,
        }

    def sign_in(self, body: Mapping[str, object]) -> dict[str, object]:
        session = self._accounts.sign_in(email=_email(body), password=_text(body, "password", "MISSING_PASSWORD"))
        return {
            "kind": "identitytoolkit#VerifyPasswordResponse",
            "localId": session.account.local_id,
            "email": session.account.email,
            "registered": True,
            **self._session(session),
        }

    def sign_in_by_token(self, body: Mapping[str, object]) -> dict[str, object]:
        """Makes an account for a uid that has none, as Firebase does."""
        uid, claims = self._service.custom_token(_text(body, "token", "MISSING_CUSTOM_TOKEN"))
        account, made = self._accounts.find_or_create(uid)
        if account.disabled:
            raise IdentityError("USER_DISABLED")
        session = self._accounts.open_session(account, provider="custom", claims=claims)
        return {"kind": "identitytoolkit#VerifyCustomTokenResponse", "isNewUser": made, **self._session(session)}

    def sign_jwt(self, body: Mapping[str, object]) -> dict[str, object]:
        """The one call of the IAM Credentials API that is needed: a service account signs."""
        key_id, signed = self._service.sign(_text(body, "payload", "INVALID_ARGUMENT"))
        return {"keyId": key_id, "signedJwt": signed}

    def lookup_own(self, body: Mapping[str, object]) -> dict[str, object]:
        return {"kind": "identitytoolkit#GetAccountInfoResponse", "users": [_shown(self._own(body))]}

    def lookup(self, body: Mapping[str, object]) -> dict[str, object]:
        found = [self._accounts.find(local_id=local_id) for local_id in _texts(body, "localId")]
        found += [self._accounts.find(email=email) for email in _texts(body, "email")]
        users = [_shown(account) for account in found if account is not None]
        answer: dict[str, object] = {"kind": "identitytoolkit#GetAccountInfoResponse"}
        return {**answer, "users": users} if users else answer

    def update_own(self, body: Mapping[str, object]) -> dict[str, object]:
        account = self._change(self._own(body).local_id, body)
        answer: dict[str, object] = {"localId": account.local_id, "email": account.email}
        if body.get("returnSecureToken"):
            answer |= self._session(self._accounts.open_session(account))
        return {"kind": "identitytoolkit#SetAccountInfoResponse", **answer}

    def update(self, body: Mapping[str, object]) -> dict[str, object]:
        valid_since = body.get("validSince")
        if valid_since is not None and not str(valid_since).isdigit():
            raise IdentityError("INVALID_ARGUMENT")
        disabled = body.get("disableUser")
        account = self._change(
            _text(body, "localId", "MISSING_LOCAL_ID"),
            body,
            valid_since=None if valid_since is None else int(str(valid_since)),
            disabled=disabled if isinstance(disabled, bool) else None,
        )
        return {
            "kind": "identitytoolkit#SetAccountInfoResponse",
            "localId": account.local_id,
            "email": account.email,
        }

    def delete_own(self, body: Mapping[str, object]) -> dict[str, object]:
        self._accounts.delete(self._own(body).local_id)
        return {"kind": "identitytoolkit#DeleteAccountResponse"}

    def delete(self, body: Mapping[str, object]) -> dict[str, object]:
        self._accounts.delete(_text(body, "localId", "MISSING_LOCAL_ID"))
        return {"kind": "identitytoolkit#DeleteAccountResponse"}

    def refresh(self, body: Mapping[str, object]) -> dict[str, object]:
        if body.get("grant_type") != "refresh_token":
            raise IdentityError("INVALID_GRANT_TYPE")
        session = self._accounts.session(_text(body, "refresh_token", "MISSING_REFRESH_TOKEN"))
        id_token = self._tokens.id_token(session)
        return {
            "access_token": id_token,
            "expires_in": str(ID_TOKEN_LIFE_S),
            "token_type": "Bearer",
            "refresh_token": session.refresh_token,
            "id_token": id_token,
            "user_id": session.account.local_id,
            "project_id": "0",
        }

    def _session(self, session: Session) -> dict[str, object]:
        return {
            "idToken": self._tokens.id_token(session),
            "refreshToken": session.refresh_token,
            "expiresIn": str(ID_TOKEN_LIFE_S),
        }

    def _own(self, body: Mapping[str, object]) -> Account:
        local_id, issued_at = self._tokens.subject(_text(body, "idToken", "MISSING_ID_TOKEN"))
        account = self._accounts.find(local_id=local_id)
        if account is None:
            raise IdentityError("USER_NOT_FOUND")
        if account.disabled:
            raise IdentityError("USER_DISABLED")
        if issued_at < account.valid_since:
            raise IdentityError("TOKEN_EXPIRED")
        return account

    def _change(
        self,
        local_id: str,
        body: Mapping[str, object],
        *,
        valid_since: int | None = None,
        disabled: bool | None = None,
    ) -> Account:
        return self._accounts.update(
            local_id,
            email=_email(body) if "email" in body else None,
            password=_new_password(body) if "password" in body else None,
            valid_since=valid_since,
            disabled=disabled,
        )


def service_account(project: str) -> str:
    """The e-mail address of the service account in whose name custom tokens are signed."""
    return f"pinjam@{project}.iam.gserviceaccount.com"


def create_identity(
    pool: ConnectionPool,
    *,
    key_file: Path,
    project: str,
    api_key: str,
    admin_token: str,
    clock: Callable[[], float] = time.time,
    hasher: PasswordHasher | None = None,
) -> WSGIApplication:
    """The identity server, with the service account's key beside `key_file`.

    `clock` gives seconds since 1970; the hasher is OWASP's argon2id unless given.
    """
    key = SigningKey(key_file)
    accounts = IdentityAccounts(pool, hasher=hasher or owasp_hasher(), clock=clock)
    service = ServiceAccount(key_file.with_name("service-key.pem"), email=service_account(project), clock=clock)
    calls = _Calls(accounts, TokenIssuer(key, project=project, clock=clock), service)
    app = Flask("identity")
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it

    def with_key(call: _Call) -> Callable[[], Response]:
        def view() -> Response:
            _check_key(api_key)
            return jsonify(call(_body()))

        return view

    def as_admin(call: _Call, allowed: str) -> Callable[[str], Response]:
        def view(named: str) -> Response:
            _check_admin(admin_token)
            if named != allowed:
                raise IdentityError("INSUFFICIENT_PERMISSION", status="PERMISSION_DENIED")
            return jsonify(call(_body()))

        return view

    for path, call in calls.own().items():
        app.add_url_rule(path, endpoint=path, view_func=with_key(call), methods=["POST"])
    for path, call in calls.managing().items():
        app.add_url_rule(path, endpoint=path, view_func=as_admin(call, project), methods=["POST"])
    app.add_url_rule(
        "/v1/projects/-/serviceAccounts/<named>:signJwt",
        endpoint="sign_jwt",
        view_func=as_admin(calls.sign_jwt, service.email),
        methods=["POST"],
    )
    app.add_url_rule(JWKS_PATH, endpoint="jwks", view_func=lambda: _jwks(key))
    app.register_error_handler(IdentityError, _refused)
    app.register_error_handler(HTTPException, _not_found)
    return app


def _check_key(api_key: str) -> None:
    sent = request.args.get("key", "")
    if not sent:
        raise IdentityError(_NO_KEY, status="PERMISSION_DENIED")
    if not hmac.compare_digest(sent.encode(), api_key.encode()):
        raise IdentityError("API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT")


def _check_admin(admin_token: str) -> None:
    sent = request.headers.get("Authorization", "")
    if not sent:
        raise IdentityError(_NO_KEY, status="PERMISSION_DENIED")
    if not hmac.compare_digest(sent.encode(), f"Bearer {admin_token}".encode()):
        raise IdentityError(_NO_CREDENTIALS, status="UNAUTHENTICATED")


def _jwks(key: SigningKey) -> Response:
    answer = jsonify(key.jwks)
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer


def _refused(error: IdentityError) -> tuple[Response, int]:
    code = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}.get(error.status or "", 400)
    return _error(code, error.code, error.status), code


def _not_found(error: HTTPException) -> tuple[Response, int]:
    code = error.code or 500
    return _error(code, error.name, None), code


def _error(code: int, message: str, status: str | None) -> Response:
    """Google's error; only those that come before the service itself carry a `status`."""
    detail = {"message": message, "domain": "global", "reason": "invalid"}
    error: dict[str, object] = {"code": code, "message": message, "errors": [detail]}
    return jsonify({"error": error | ({"status": status} if status else {})})


def _body() -> Mapping[str, object]:
    """The JSON object or the form that was sent."""
    if request.mimetype == "application/x-www-form-urlencoded":
        return dict(request.form.items())
    try:
        parsed = json.loads(request.get_data() or b"{}")
    except ValueError as error:
        raise IdentityError("Invalid JSON payload received.", status="INVALID_ARGUMENT") from error
    if not isinstance(parsed, dict):
        raise IdentityError("Invalid JSON payload received.", status="INVALID_ARGUMENT")
    return parsed


def _text(body: Mapping[str, object], name: str, missing: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise IdentityError(missing)
    return value


def _texts(body: Mapping[str, object], name: str) -> list[str]:
    value = body.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _email(body: Mapping[str, object]) -> str:
    email = body.get("email")
    if email is None:
        raise IdentityError("MISSING_EMAIL")
    if not isinstance(email, str) or "\0" in email:
        raise IdentityError("INVALID_EMAIL")
    if not _EMAIL.fullmatch(email):
        raise IdentityError("INVALID_EMAIL")
    return email


def _new_password(body: Mapping[str, object]) -> str:
    password = _text(body, "password", "MISSING_PASSWORD")
    if len(password) < MIN_PASSWORD:
        raise IdentityError(f"WEAK_PASSWORD : Password should be at least {MIN_PASSWORD} characters")
    return password


def _shown(account: Account) -> dict[str, object]:
    return {
        "localId": account.local_id,
        "email": account.email,
        "emailVerified": account.email_verified,
        "disabled": account.disabled,
        "validSince": str(account.valid_since),
        "createdAt": str(account.created_at * 1000),
    }
