"""The borrower's own data."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.export import Export, Restricted
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


@api.route("POST", "/api/users/export", answer=Export, problems=(404,))
def export(call: Call[None, None]) -> Answer:
    """Give all data held about the borrower, nothing masked."""
    held = call.app.exporting.export(call.user_id, actor=call.actor)
    return Answer(200, Export.of(held, call.app, call.locale))


@api.route("POST", "/api/users/erasure", answer=Restricted, status=202, problems=(404, 409))
def erase(call: Call[None, None]) -> Answer:
    """Ask to be forgotten: the account is restricted at once, and erased when the law no longer asks to keep it."""
    return Answer(202, Restricted(erased_after=call.app.erasing.ask(call.user_id, actor=call.actor)))


profile = api.entry()
