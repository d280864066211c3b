"""Telling operations what needs a person, by e-mail, without a borrower's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.domain.money import format_rupiah
from pinjam.services.messaging import Message
from pinjam.services.recording import consume, consumed
from pinjam.services.store import Conflict
from pinjam.wording import load

if TYPE_CHECKING:
    from pinjam.domain.trail import Event
    from pinjam.services.messaging import Messenger
    from pinjam.services.ports import Clock
    from pinjam.services.store import Store, Transaction

CONSUMER = "alert"


@dataclass(frozen=True, slots=True)
class Alerting:
    """Writes to the address of operations, once for each event.

    Mail servers take a message again when their first answer was lost; its Message-ID is then the same.
    """

    store: Store
    mail: Messenger
    clock: Clock
    address: str

    def payout_failed(self, event: Event) -> None:
        """A payout failed, or was sent back by the bank. Unavailable when the mail server gives no answer."""
        if self.store.read(lambda tx: consumed(tx, CONSUMER, event)):
            return
        facts = {
            "payout": event.subject,
            "loan": event.data["loan_id"],
            "amount": format_rupiah(int(event.data["amount"] or 0)),
            "failure": event.data["failure"],
        }
        words = load("operations")[event.topic]
        self.mail.send(
            Message(
                id=f"{event.id}-operations",
                to=self.address,
                kind=event.topic,
                locale="id",
                subject=str(words["subject"]).format_map(facts),
                body=str(words["body"]).format_map(facts),
            )
        )

        def work(tx: Transaction) -> None:
            consume(tx, CONSUMER, event, self.clock.now())

        try:
            self.store.transact(work)
        except Conflict:
            return  # Somebody else was as quick: the mailbox has both, under one Message-ID.
