"""The borrower's list of notifications: shown, and marked as read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.notification import Notification
from pinjam.services.errors import NotFound
from pinjam.services.queueing import BATCH
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.services.ports import Clock
    from pinjam.services.store import Page, Store, Transaction


@dataclass(frozen=True, slots=True)
class Notices:
    """What a borrower has been told."""

    store: Store
    clock: Clock

    def list(self, user_id: str, *, unread: bool, limit: int, after: str | None) -> tuple[Page[Notification], int]:
        """The borrower's notifications, newest first, and how many are unread."""
        where: dict[str, str | None] = {"user_id": user_id}
        mine_unread: dict[str, str | None] = {"user_id": user_id, "read_at": None}
        query = Find(
            kind=Notification,
            where=mine_unread if unread else where,
            descending=True,
            limit=limit,
            after=after,
        )
        return self.store.read(lambda tx: (tx.find(query), tx.count(Notification, mine_unread)))

    def read(self, user_id: str, notification_id: str) -> None:
        """Mark one of the borrower's notifications as read; reading again keeps the first time."""

        def work(tx: Transaction) -> None:
            notification = tx.get(Notification, notification_id)
            if notification is None or notification.user_id != user_id:
                raise NotFound
            if notification.read_at is None:
                tx.update(replace(notification, read_at=self.clock.now()))

        self.store.transact(work)

    def read_all(self, user_id: str) -> None:
        """Mark all of the borrower's notifications as read, a batch at a time."""
        unread = Find(kind=Notification, where={"user_id": user_id, "read_at": None}, limit=BATCH)

        def work(tx: Transaction) -> bool:
            page = tx.find(unread)
            for notification in page.items:
                tx.update(replace(notification, read_at=self.clock.now()))
            return page.next_cursor is not None

        while self.store.transact(work):
            pass
