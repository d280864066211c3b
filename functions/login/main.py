"""Login, refresh, logout; forgotten passwords; passkeys, and the apps that share them with our domain."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.identity import (
    Authenticated,
    ForgotRequest,
    LoginRequest,
    Refreshed,
    RefreshRequest,
    ResetRequest,
    TokensShown,
    UserShown,
)
from pinjam.runtime.models.passkeys import (
    AppleAssociation,
    AssetLinks,
    EnrollOptions,
    EnrollRequest,
    PasskeyEnrolled,
    PasskeyList,
    PasskeyLoginOptions,
    PasskeyLoginOptionsRequest,
    PasskeyLoginRequest,
    PasskeyShown,
)

CACHED = {"Cache-Control": "public, max-age=3600"}
"""Apps' systems fetch what follows often, and it is no secret."""

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
    """Get a new ID token for a refresh token, which is used up: the next one comes with it."""
    tokens = call.app.refreshing.refresh(call.body.refresh_token, actor=call.actor)
    return Answer(200, Refreshed(tokens=TokensShown.of(tokens)))


@api.route("POST", "/api/auth/logout", status=204)
def log_out(call: Call[None, None]) -> Answer:
    """End every session: refresh tokens are revoked."""
    call.app.refreshing.end_all(call.user_id, actor=call.actor)
    return Answer(204)


@api.route("POST", "/api/auth/password/forgot", body=ForgotRequest, status=202, public=True, problems=(422, 429))
def forgot(call: Call[ForgotRequest, None]) -> Answer:
    """Ask for a code by e-mail with which to set a new password. The answer is the same for an unknown account."""
    call.app.recovery.ask(call.body.identifier, address=call.address, request_id=call.request_id)
    return Answer(202)


@api.route("POST", "/api/auth/password/reset", body=ResetRequest, status=204, public=True, problems=(409, 422, 429))
def reset(call: Call[ResetRequest, None]) -> Answer:
    """Set a new password with the code. Every session ends."""
    call.app.recovery.reset(
        identifier=call.body.identifier,
        code=call.body.code,
        new_password=call.body.new_password,
        address=call.address,
        request_id=call.request_id,
    )
    return Answer(204)


@api.route(
    "POST", "/api/auth/biometric/enroll/options", answer=EnrollOptions, problems=(404, 409, 429), limit="passkey"
)
def enroll_options(call: Call[None, None]) -> Answer:
    """Get a challenge for a new passkey."""
    return Answer(200, EnrollOptions.of(call.app.passkeys.begin(call.user_id), call.app))


@api.route(
    "POST",
    "/api/auth/biometric/enroll",
    status=201,
    body=EnrollRequest,
    answer=PasskeyEnrolled,
    problems=(404, 409, 422, 429),
    limit="passkey",
)
def enroll(call: Call[EnrollRequest, None]) -> Answer:
    """Keep a new passkey; the borrower is told of it."""
    passkey = call.app.passkeys.enroll(
        call.user_id,
        challenge_id=call.body.challenge_id,
        credential=call.body.credential.plain,
        device_name=call.body.device_name,
        actor=call.actor,
    )
    return Answer(201, PasskeyEnrolled.of(passkey))


@api.route("GET", "/api/auth/biometric/credentials", answer=PasskeyList)
def passkeys(call: Call[None, None]) -> Answer:
    """List the borrower's passkeys."""
    shown = [PasskeyShown.of(one) for one in call.app.passkeys.list(call.user_id)]
    return Answer(200, PasskeyList(credentials=shown))


@api.route("DELETE", "/api/auth/biometric/credentials/{id}", status=204, problems=(404,))
def remove(call: Call[None, None]) -> Answer:
    """Remove a passkey; the password goes on working."""
    call.app.passkeys.remove(call.user_id, call.path["id"], actor=call.actor)
    return Answer(204)


@api.route(
    "POST",
    "/api/auth/biometric/login/options",
    body=PasskeyLoginOptionsRequest,
    answer=PasskeyLoginOptions,
    public=True,
    problems=(422, 429),
    limit="passkey",
)
def passkey_options(call: Call[PasskeyLoginOptionsRequest, None]) -> Answer:
    """Get a challenge for a login by passkey; an unknown identifier is answered like a known one."""
    return Answer(200, PasskeyLoginOptions.of(call.app.passkey_login.begin(call.body.identifier), call.app))


@api.route(
    "POST",
    "/api/auth/biometric/login",
    body=PasskeyLoginRequest,
    answer=Authenticated,
    public=True,
    problems=(401, 422, 429),
    limit="passkey",
)
def log_in_by_passkey(call: Call[PasskeyLoginRequest, None]) -> Answer:
    """Log in with a passkey's signature."""
    borrower, tokens = call.app.passkey_login.login(
        challenge_id=call.body.challenge_id,
        credential=call.body.credential.plain,
        address=call.address,
        actor=call.actor,
    )
    user = UserShown.of(borrower, call.app, call.locale)
    return Answer(200, Authenticated(user=user, tokens=TokensShown.of(tokens)))


@api.route("GET", "/.well-known/assetlinks.json", answer=AssetLinks, public=True)
def asset_links(call: Call[None, None]) -> Answer:
    """Tell Android which app shares passkeys with this domain."""
    return Answer(200, AssetLinks.of(call.app), CACHED)


@api.route("GET", "/.well-known/apple-app-site-association", answer=AppleAssociation, public=True)
def apple_association(call: Call[None, None]) -> Answer:
    """Tell iOS which app shares passkeys with this domain."""
    return Answer(200, AppleAssociation.of(call.app), CACHED)


login = api.entry()
