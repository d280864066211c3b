"""Forgetting a borrower: restricted at once, and erased once the law no longer asks to keep."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from pinjam.domain.device import Device
from pinjam.domain.document import Document
from pinjam.domain.erasure import (
    erase_after,
    erased,
    erased_from_contract,
    erased_from_payout,
    erased_passkey,
    obstacle,
)
from pinjam.domain.keys import UserKey
from pinjam.domain.loan import Loan
from pinjam.domain.notification import Notification
from pinjam.domain.passkey import Passkey
from pinjam.domain.payout import Payout
from pinjam.domain.preferences import Preferences
from pinjam.domain.refund import Refund
from pinjam.domain.user import User
from pinjam.services.borrowers import MOST, known, loans_of, trusted
from pinjam.services.errors import StateForbids
from pinjam.services.recording import last_record
from pinjam.services.store import Find, Record, each

if TYPE_CHECKING:
    from pinjam.domain.erasure import (
        Obstacle,
    )
    from pinjam.services.ports import Accounts, Clock, ObjectStore
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store, Transaction

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Erasing:
    """Takes in and grants the wish to be forgotten. Ledger and audit log stay whole: they name ids only."""

    store: Store
    accounts: Accounts
    objects: ObjectStore
    vault: Vault
    clock: Clock
    recorder: Recorder

    def ask(self, user_id: str, *, actor: Actor) -> date:
        """Restrict a borrower and end every session; the last day on which the personal values are kept.

        Asking again is harmless. StateForbids while money is owed either way, or an application is open.
        """
        after = self.store.transact(lambda tx: self._restrict(tx, user_id, actor))
        self.accounts.revoke(user_id)
        return after

    def _restrict(self, tx: Transaction, user_id: str, actor: Actor) -> date:
        today = self.clock.today()
        user = trusted(tx, user_id, actor)
        preferences = tx.get(Preferences, user_id)
        previous = last_record(tx, user_id)
        if user.restricted_at is not None:
            return user.erase_after or today
        against = self._obstacle(tx, user_id)
        if against is not None:
            raise StateForbids(against)
        now, after = self.clock.now(), erase_after(loans_of(tx, user_id), today)
        tx.update(replace(user, restricted_at=now, erase_after=after, updated_at=now))
        if preferences is not None and preferences.marketing:
            tx.update(replace(preferences, marketing=False, updated_at=now))
        self.recorder.audit(
            tx,
            previous,
            subject=user_id,
            action="erasure-asked",
            actor=actor,
            before=None,
            after={"erase_after": after.isoformat()},
        )
        return after

    def due(self) -> Find[User]:
        """The borrowers whose values need no longer be kept."""
        return Find(kind=User, order="erase_after", below=self.clock.today(), limit=MOST)

    def erase(self, user_id: str, *, actor: Actor) -> bool:
        """Destroy what tells who a borrower was; False if it is not time, or something is owed again.

        What lies outside the store goes first, and the mark that all is done last: a run that dies is repeated.
        """
        if not self.store.read(lambda tx: self._may_go(tx, user_id)):
            return False
        for document in self._each(Document, user_id):
            self.objects.delete(document.object_key)
        self.accounts.delete(user_id)
        self._rewrite(Loan, user_id, erased_from_contract)
        self._rewrite(Payout, user_id, erased_from_payout)
        # Their words greet by name.
        self._rewrite(Notification, user_id, lambda one: replace(one, body=""))
        self._rewrite(Device, user_id, lambda one: replace(one, token=None, token_hash=None))
        self._rewrite(Passkey, user_id, lambda one: erased_passkey(one, self.clock.now()))
        done = self.store.transact(lambda tx: self._finish(tx, user_id, actor))
        self.vault.forget(user_id)
        return done

    def _may_go(self, tx: Reader, user_id: str) -> bool:
        user = tx.get(User, user_id)
        if user is None or user.erase_after is None or user.erase_after >= self.clock.today():
            return False
        against = self._obstacle(tx, user_id)
        if against is not None:
            log.warning("erasure-postponed", extra={"user": user_id, "reason": against})
        return against is None

    def _obstacle(self, tx: Reader, user_id: str) -> Obstacle | None:
        refunds = tx.find(Find(kind=Refund, where={"user_id": user_id}, limit=MOST)).items
        return obstacle(loans_of(tx, user_id), refunds, self.clock.today())

    def _finish(self, tx: Transaction, user_id: str, actor: Actor) -> bool:
        if not self._may_go(tx, user_id):
            return False
        user, key, previous = known(tx, user_id), tx.get(UserKey, user_id), last_record(tx, user_id)
        now = self.clock.now()
        if key is not None:
            tx.update(key.destroyed(now))
        tx.update(erased(user, now))
        self.recorder.audit(
            tx, previous, subject=user_id, action="user-erased", actor=actor, before=None, after={"key": "destroyed"}
        )
        return True

    def _rewrite(self, kind: type[R], user_id: str, change: Callable[[R], R]) -> None:
        """Change every record of the borrower's, each in a transaction of its own."""
        for found in self._each(kind, user_id):
            self.store.transact(lambda tx, id_=found.id: _change(tx, kind, id_, change))  # type: ignore[misc]  # bound

    def _each(self, kind: type[R], user_id: str) -> Iterator[R]:
        return each(self.store, Find(kind=kind, where={"user_id": user_id}, limit=MOST))


def _change(tx: Transaction, kind: type[R], id_: str, change: Callable[[R], R]) -> None:
    there = tx.get(kind, id_)
    if there is not None and (after := change(there)) != there:
        tx.update(after)
