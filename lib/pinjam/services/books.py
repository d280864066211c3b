"""The ledger's only pen: every entry that is ever made goes through here, in the transaction of its event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pinjam.domain.ledger import JournalEntry, mirrored, trial_balance
from pinjam.services.store import Find, each

if TYPE_CHECKING:
    from pinjam.domain.ledger import EntryKind, Posting, TrialBalance
    from pinjam.services.ports import Clock, Ids
    from pinjam.services.store import Reader, Store, Transaction

BATCH = 100


@dataclass(frozen=True, slots=True)
class Books:
    """Makes journal entries. They are never changed: a mistake is corrected by its reversal."""

    clock: Clock
    ids: Ids

    def post(
        self,
        tx: Transaction,
        kind: EntryKind,
        *,
        key: str,
        loan_id: str,
        subject: str,
        postings: Sequence[Posting],
        on: date,
        reverses: str | None = None,
    ) -> None:
        """Add an entry; nothing for no postings. `key` names the event: the same event cannot be posted twice."""
        if not postings:
            return
        tx.insert(
            JournalEntry(
                id=self.ids.new("jrn"),
                key=key,
                kind=kind,
                loan_id=loan_id,
                subject=subject,
                on=on,
                at=self.clock.now(),
                postings=tuple(postings),
                reverses=reverses,
            )
        )

    def reverse(self, tx: Transaction, entry: JournalEntry, *, written_off: bool) -> None:
        """Add the mirror image of an entry, as of today; principal of a written-off loan comes back as a loss."""
        self.post(
            tx,
            "reversal",
            key=f"reversal:{entry.id}",
            loan_id=entry.loan_id,
            subject=entry.subject,
            postings=mirrored(entry.postings, written_off=written_off),
            on=self.clock.today(),
            reverses=entry.id,
        )


def entries_of(tx: Reader, loan_id: str) -> tuple[JournalEntry, ...]:
    """Every entry of a loan, oldest first."""
    entries: list[JournalEntry] = []
    cursor: str | None = None
    while True:
        page = tx.find(Find(kind=JournalEntry, where={"loan_id": loan_id}, limit=BATCH, after=cursor))
        entries += page.items
        cursor = page.next_cursor
        if cursor is None:
            return tuple(entries)


def standing(entries: Sequence[JournalEntry]) -> tuple[JournalEntry, ...]:
    """The entries that were not reversed, and are no reversals themselves."""
    undone = {entry.reverses for entry in entries}
    return tuple(entry for entry in entries if entry.id not in undone and entry.reverses is None)


def trial_balance_of(store: Store) -> TrialBalance:
    """The trial balance over the whole journal, read in batches and never held as a whole."""
    return trial_balance(each(store, Find(kind=JournalEntry, limit=BATCH)))
