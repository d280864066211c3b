"""Sign-up."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.identity import Authenticated, RegisterRequest, TokensShown, UserShown
from pinjam.services.signup import SignUp

api = Api("register", tag="Identity")


@api.route(
    "POST",
    "/api/auth/register",
    body=RegisterRequest,
    answer=Authenticated,
    status=201,
    public=True,
    problems=(409, 422, 429),
    limit="register",
)
def sign_up(call: Call[RegisterRequest, None]) -> Answer:
    """Sign up: a borrower and an account to log in with."""
    body = call.body
    form = SignUp(
        full_name=body.full_name,
        email=body.email,
        phone=body.phone,
        nik=body.nik,
        password=body.password,
        terms_version=body.consent.terms_version,
        privacy_version=body.consent.privacy_version,
        locale=body.locale,
    )
    borrower, tokens = call.app.registration.register(form, request_id=call.request_id)
    user = UserShown.of(borrower, call.app, call.locale)
    return Answer(201, Authenticated(user=user, tokens=TokensShown.of(tokens)))


register = api.entry()
