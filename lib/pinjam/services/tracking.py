"""What became of messages after their provider had taken them, as the provider calls back to say."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, get_args

from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.notification import Channel, Notification
from pinjam.services.errors import Forbidden, Invalid
from pinjam.services.ports import ForgedNotification

if TYPE_CHECKING:
    from pinjam.domain.notification import Delivery
    from pinjam.services.messaging import MessageReceipts, MessageStatus
    from pinjam.services.ports import Clock
    from pinjam.services.queueing import Queueing
    from pinjam.services.store import Store, Transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tracking:
    """Takes in a messaging provider's callbacks. Repeats and disorder are harmless."""

    store: Store
    receipts: MessageReceipts
    queueing: Queueing
    clock: Clock

    def answer_challenge(self, *, mode: str, verify_token: str, challenge: str) -> str:
        """What proves to the provider that the address is ours. Forbidden if it does not know the token."""
        try:
            return self.receipts.answer_challenge(mode=mode, verify_token=verify_token, challenge=challenge)
        except ForgedNotification:
            raise Forbidden("bad-signature") from None

    def hear(self, raw: bytes, signature: str, *, request_id: str) -> None:
        """Take in a callback: `raw` is its body as it came, `signature` the header's value.

        A message that failed after all goes to the channel that stands in for its own. One that arrived although its
        provider's answer was lost is not sent again. Forbidden if the callback is not genuine, Invalid if it is not
        the provider's; Unavailable while the message that stands in is not safely kept (it will call again).
        """
        try:
            statuses = self.receipts.read_statuses(raw, signature)
        except ForgedNotification:
            raise Forbidden("bad-signature") from None
        except ValueError:
            raise Invalid(FieldProblem(field="entry", code="invalid", params={})) from None
        for status in statuses:
            self._take_in(status, request_id)

    def _take_in(self, status: MessageStatus, request_id: str) -> None:
        notification_id, _, name = (status.message_id or "").rpartition("-")
        channel = next((one for one in get_args(Channel) if one == name), None)
        there = self.store.get(Notification, notification_id)
        if channel is None or there is None:
            log.warning("status-of-no-message", extra={"provider_id": status.provider_id, "status": status.status})
            return
        falls_back = status.status == "failed" and self.queueing.stands_in(channel, there.user_id)

        def work(tx: Transaction) -> Notification:
            notification, now = tx.get(Notification, notification_id), self.clock.now()
            delivery = notification.delivery(channel) if notification else None
            if notification is None or delivery is None:
                raise LookupError(f"{notification_id} on {channel}")
            after = _told(notification, delivery, status, now, falls_back=falls_back)
            if after != notification:
                tx.update(after)
            return after

        self.queueing.schedule(self.store.transact(work), request_id)


def _told(
    notification: Notification, delivery: Delivery, status: MessageStatus, now: datetime, *, falls_back: bool
) -> Notification:
    """The notification, as the provider knows it."""
    if delivery.provider_id not in (None, status.provider_id) or delivery.status == "failed":
        return notification  # Of an earlier try, or told already.
    if status.status == "failed":
        reason = f"{delivery.channel}: {status.error or 'failed'}"
        log.error(
            "delivery-given-up",
            extra={"notification": notification.id, "channel": delivery.channel, "reason": reason},
        )
        return notification.given_up(delivery, reason, now, fall_back=falls_back)
    known = delivery if delivery.status == "sent" else delivery.sent(status.provider_id, status.at)
    if status.status != "sent" and known.delivered_at is None:
        known = replace(known, delivered_at=status.at)
    return notification.with_deliveries(known)
