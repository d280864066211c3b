"""The servicing clock. Cloud Scheduler calls it; the gateway does not know it."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.servicing import CheckedShown, SweptShown

api = Api("sweep", tag="Servicing", internal=True)


@api.route("POST", "/", answer=SweptShown, public=True)
def run(call: Call[None, None]) -> Answer:
    """Relay, expire, ask and remind: whatever is due because time has passed."""
    swept = call.app.servicing.sweep(request_id=call.request_id)
    return Answer(200, SweptShown.of(swept))


@api.route("POST", "/checks", answer=CheckedShown, public=True)
def check(call: Call[None, None]) -> Answer:
    """Look whether the ledger balances and the audit log is whole; what is not is an alert."""
    return Answer(200, CheckedShown.of(call.app.checking.check()))


sweep = api.entry()
