"""Nothing is kept that nobody needs: what has passed is deleted, a little at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from pinjam.domain.notification import Notification, notification_of
from pinjam.domain.retention import RETENTION, may_go
from pinjam.domain.trail import Event
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.domain.retention import Passing
    from pinjam.services.ports import Clock
    from pinjam.services.store import Reader, Store, Transaction

log = logging.getLogger(__name__)

BATCH = 50
"""Records of one transaction: few enough to be in nobody's way."""
BATCHES = 40
"""Transactions of one run, for each kind: at a run a minute, 33 records a second."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Deletes what `domain.retention` lets go. `real_clock` gives real time, which sessions are dated with."""

    store: Store
    clock: Clock
    real_clock: Clock

    def forget(self, kind: type[Passing]) -> Iterator[int]:
        """Delete what may go of a kind, the oldest first; how many, one transaction after the other.

        Whether a record may go is decided in the transaction that deletes it: one that is used at that moment stays.
        What is left after `BATCHES` is for the next run.
        """
        retention = RETENTION[kind]
        now = (self.real_clock if retention.real else self.clock).now()
        query = Find(kind=kind, order=retention.field, below=now - retention.kept, limit=BATCH)
        for _ in range(BATCHES):
            gone, cursor = self.store.transact(lambda tx, query=query: _forget(tx, query, now))  # type: ignore[misc]  # bound per turn
            yield gone
            if cursor is None:
                return
            query = replace(query, after=cursor)
        log.info("more-to-forget", extra={"kind": kind.__name__})


def _forget(tx: Transaction, query: Find[Passing], now: datetime) -> tuple[int, str | None]:
    """How many of one page went, and where the next one begins."""
    page = tx.find(query)
    going = [record for record in page.items if may_go(record, now) and not _is_waited_for(tx, record)]
    for record in going:
        tx.delete(query.kind, record.id)
    return len(going), page.next_cursor


def _is_waited_for(tx: Reader, record: Passing) -> bool:
    """Whether a message waits for its hour, or for its provider, that will look up what it tells of."""
    if not isinstance(record, Event):
        return False
    message = tx.get(Notification, notification_of(record.id))
    return message is not None and message.waiting_until is not None
