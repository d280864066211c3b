"""The borrower's own data."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.identity import ProfileChanges, UserShown
from pinjam.services.profiles import Changes, NewBankAccount

api = Api("profile", tag="Profile")


@api.route("GET", "/api/users/profile", answer=UserShown, problems=(404,))
def show(call: Call[None, None]) -> Answer:
    """Show the borrower, with documents and the state of the identity verification."""
    return Answer(200, UserShown.of(call.app.profiles.show(call.user_id), call.app, call.locale))


@api.route("PATCH", "/api/users/profile", body=ProfileChanges, answer=UserShown, problems=(404, 409, 422))
def change(call: Call[ProfileChanges, None]) -> Answer:
    """Change what is given and nothing else; the name is fixed once it is verified."""
    changes: Changes = {}
    body = call.body
    # A field that is null is left as it is, like one that is not there.
    if body.full_name is not None:
        changes["full_name"] = body.full_name
    if body.locale is not None:
        changes["locale"] = body.locale
    if body.monthly_income is not None:
        changes["monthly_income"] = body.monthly_income
    if body.other_instalments is not None:
        changes["other_instalments"] = body.other_instalments
    if body.occupation is not None:
        changes["occupation"] = body.occupation
    if body.address is not None:
        changes["address"] = body.address
    if body.bank_account is not None:
        changes["bank_account"] = NewBankAccount(
            bank_code=body.bank_account.bank_code,
            account_number=body.bank_account.account_number,
            account_name=body.bank_account.account_name,
        )
    borrower = call.app.profiles.change(call.user_id, actor=call.actor, **changes)
    return Answer(200, UserShown.of(borrower, call.app, call.locale))


profile = api.entry()
