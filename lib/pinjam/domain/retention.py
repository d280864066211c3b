"""How long what passes is kept: as long as somebody could still ask for it, and no longer.

Loans, money, the journal and the audit log are not among it: the law asks for them (`erasure`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pinjam.domain.passkey import Challenge
from pinjam.domain.recovery import ASKED_LIFE, ResetCode
from pinjam.domain.session import UNUSED_LIFE, Session
from pinjam.domain.trail import Consumption, Event, KeptAnswer

SUBSCRIPTION_KEEPS = timedelta(days=7)
"""How long our subscriptions keep an event that nobody takes: Pub/Sub's default, which a deployment must not raise."""
DEAD_LETTERS_KEPT = timedelta(days=14)
"""How long a person has to bring a dead letter again; it then waits in its subscription once more."""
TASK_KEPT = timedelta(days=31)
"""The longest that Cloud Tasks keeps a task."""
BROUGHT_AGAIN = max(SUBSCRIPTION_KEEPS + DEAD_LETTERS_KEPT + SUBSCRIPTION_KEEPS, TASK_KEPT) + timedelta(days=4)
"""After so long nothing brings an event again; some days over, for clocks and queues that stood still."""

Passing = Challenge | ResetCode | Session | KeptAnswer | Consumption | Event
"""What serves for a while. Each is told by others, where it matters later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """A record goes once `kept` has passed since the instant in its `field`; one that has none there stays.

    Both together are what a store's own expiry (Firestore's TTL policy: a field and an offset) may be told, for every
    kind here: what `may_go` asks beyond them are seconds. Except for events, of which one may have a message waiting.
    `real`: the instant is real time, whatever the business date.
    """

    field: str
    kept: timedelta
    real: bool = False


RETENTION: Mapping[type[Passing], Retention] = {
    # So that whoever is a little late hears that it expired, and a replay shows as one in the audit log.
    Challenge: Retention(field="expires_at", kept=timedelta(minutes=15)),
    # Without the record, a task that comes again would make the same code anew: it comes too late to make any.
    ResetCode: Retention(field="expires_at", kept=ASKED_LIFE),
    # Ended or not: no token is good any more. A day over, as not all clocks are one.
    Session: Retention(field="rotated_at", kept=UNUSED_LIFE + timedelta(days=1), real=True),
    # Twice what the API promises.
    KeptAnswer: Retention(field="created_at", kept=timedelta(hours=48)),
    Consumption: Retention(field="consumed_at", kept=BROUGHT_AGAIN),
    # Messages look up what they tell of. One that waits longer keeps its event (`services.forgetting`).
    Event: Retention(field="published_at", kept=BROUGHT_AGAIN),
}


def may_go(record: Passing, now: datetime) -> bool:
    """Whether nobody can ask for the record any more. `now` is of the same time as its instants."""
    retention = RETENTION[type(record)]
    ended: datetime | None = getattr(record, retention.field)
    if isinstance(record, KeptAnswer) and ended is not None and record.leased_until is not None:
        ended = max(ended, record.leased_until)  # A repetition took the request up late, and is at work.
    return ended is not None and now - ended > retention.kept
