"""Login by password, refresh, logout."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.identity import (
    Authenticated,
    LoginRequest,
    Refreshed,
    RefreshRequest,
    TokensShown,
    UserShown,
)

api = Api("login", tag="Identity")


@api.route("POST", "/api/auth/login", body=LoginRequest, answer=Authenticated, public=True, problems=(401, 422, 429))
def log_in(call: Call[LoginRequest, None]) -> Answer:
    """Log in with an e-mail address or phone number and the password."""
    borrower, tokens = call.app.sessions.login(
        identifier=call.body.identifier, password=call.body.password, address=call.address
    )
    user = UserShown.of(borrower, call.app, call.locale)
    return Answer(200, Authenticated(user=user, tokens=TokensShown.of(tokens)))


@api.route("POST", "/api/auth/refresh", body=RefreshRequest, answer=Refreshed, public=True, problems=(401, 422))
def refresh(call: Call[RefreshRequest, None]) -> Answer:
    """Get a new ID token for a refresh token."""
    return Answer(200, Refreshed(tokens=TokensShown.of(call.app.sessions.refresh(call.body.refresh_token))))


@api.route("POST", "/api/auth/logout", status=204)
def log_out(call: Call[None, None]) -> Answer:
    """End every session: refresh tokens are revoked."""
    call.app.sessions.logout(call.user_id)
    return Answer(204)


login = api.entry()
