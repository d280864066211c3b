"""All that is held about a borrower, for the borrower."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pinjam.domain.device import Device
from pinjam.domain.document import Document
from pinjam.domain.loan import Loan
from pinjam.domain.notification import Notification
from pinjam.domain.passkey import Passkey
from pinjam.domain.payment import Payment
from pinjam.domain.payout import Payout
from pinjam.domain.preferences import Preferences
from pinjam.domain.refund import Refund
from pinjam.domain.trail import AuditRecord
from pinjam.services.borrowers import reveal, safe_of, trusted
from pinjam.services.recording import last_record
from pinjam.services.store import Find, Record, each

if TYPE_CHECKING:
    from pinjam.domain.user import User
    from pinjam.services.borrowers import Revealed
    from pinjam.services.ports import Clock
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Store, Transaction

R = TypeVar("R", bound=Record)

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is held. `payouts` come with the account number that each went to; `audit` has the records about the

    borrower and about what is theirs, by subject and number.
    """

    user: User
    private: Revealed
    preferences: Preferences | None
    documents: tuple[Document, ...]
    loans: tuple[Loan, ...]
    payments: tuple[Payment, ...]
    refunds: tuple[Refund, ...]
    payouts: tuple[tuple[Payout, str], ...]
    notifications: tuple[Notification, ...]
    devices: tuple[Device, ...]
    passkeys: tuple[Passkey, ...]
    audit: tuple[AuditRecord, ...]


@dataclass(frozen=True, slots=True)
class Exporting:
    """Gathers it, a page at a time, so that no read holds the store for long."""

    store: Store
    vault: Vault
    clock: Clock
    recorder: Recorder

    def export(self, user_id: str, *, actor: Actor) -> Held:
        """Everything, this export's own audit record included.

        NotFound if the account has no borrower; Unauthenticated for a token from before the sessions were ended.
        """
        safe = safe_of(self.vault, user_id)
        user = self.store.transact(lambda tx: self._noted(tx, user_id, actor))
        loans = tuple(self._each(Loan, user_id))
        payments = tuple(self._each(Payment, user_id))
        refunds = tuple(self._each(Refund, user_id))
        payouts = tuple(self._each(Payout, user_id))
        subjects = (user_id, *(one.id for group in (loans, payments, refunds, payouts) for one in group))
        return Held(
            user=user,
            private=reveal(user, safe),
            preferences=self.store.get(Preferences, user_id),
            documents=tuple(self._each(Document, user_id)),
            loans=loans,
            payments=payments,
            refunds=refunds,
            payouts=tuple((one, safe.open(one.account.account_number, field="account_number")) for one in payouts),
            notifications=tuple(self._each(Notification, user_id)),
            devices=tuple(self._each(Device, user_id)),
            passkeys=tuple(self._each(Passkey, user_id)),
            audit=tuple(record for subject in subjects for record in self._trail(subject)),
        )

    def _noted(self, tx: Transaction, user_id: str, actor: Actor) -> User:
        user, previous = trusted(tx, user_id, actor), last_record(tx, user_id)
        self.recorder.audit(
            tx, previous, subject=user_id, action="data-exported", actor=actor, before=None, after={"to": user_id}
        )
        return user

    def _each(self, kind: type[R], user_id: str) -> Iterator[R]:
        return each(self.store, Find(kind=kind, where={"user_id": user_id}, limit=PAGE))

    def _trail(self, subject: str) -> Iterator[AuditRecord]:
        return each(self.store, Find(kind=AuditRecord, where={"subject": subject}, order="number", limit=PAGE))
