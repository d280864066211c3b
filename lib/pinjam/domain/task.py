"""Work that is brought to a function later: which, when, and how long to wait between tries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pinjam.domain.trail import Event

Queue = Literal["push", "email", "sms", "whatsapp", "ekyc", "payout"]
"""One for each provider, so that one that is slow or down holds up only its own work."""

MOST_TRIES = 8
"""So often a provider is tried before a message counts as undeliverable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Brings an event (again) to one function once it is due. The same `id` again is the same task."""

    id: str
    queue: Queue
    function: str
    due_at: datetime
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast a provider may be called: tasks a second, and tasks at the same time."""

    per_second: int
    at_once: int


RATES: Mapping[Queue, Rate] = {
    "push": Rate(per_second=100, at_once=8),
    "email": Rate(per_second=20, at_once=4),
    "sms": Rate(per_second=20, at_once=4),
    "whatsapp": Rate(per_second=60, at_once=8),
    "ekyc": Rate(per_second=5, at_once=4),
    "payout": Rate(per_second=5, at_once=2),
}
"""Well under what the providers publish or contracts name; the queues of the deployment have the same."""

PAUSES: tuple[timedelta, ...] = (
    timedelta(seconds=1),
    timedelta(seconds=4),
    timedelta(seconds=20),
    timedelta(minutes=4),
    timedelta(minutes=40),
    timedelta(hours=5),
    timedelta(hours=13),
)
"""Between the tries: a hiccup costs seconds, an outage minutes or hours, and all of them cover most of a day."""


def pause_after(tries: int, chance: float) -> timedelta:
    """How long to wait after so many tries (1, 2, ...) until the next.

    `chance`, from 0 to 1, spreads it from three quarters to five quarters, so that what failed together does
    not come back together. From the first to the eighth try it is 14 to 24 hours in all.
    """
    return PAUSES[tries - 1] * (0.75 + chance / 2)
