"""What a borrower chooses to hear, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.domain.preferences import Preferences
from pinjam.services.borrowers import known, unrestricted
from pinjam.services.recording import last_record

if TYPE_CHECKING:
    from pinjam.domain.notification import Channel
    from pinjam.services.ports import Clock
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.store import Reader, Store, Transaction


@dataclass(frozen=True, slots=True)
class Preferring:
    """Shows and changes a borrower's preferences."""

    store: Store
    clock: Clock
    recorder: Recorder

    def show(self, user_id: str) -> Preferences:
        """What was chosen, or what counts until something is."""

        def work(tx: Reader) -> Preferences | None:
            known(tx, user_id)
            return tx.get(Preferences, user_id)

        return self.store.read(work) or Preferences(id=user_id, updated_at=self.clock.now())

    def choose(self, user_id: str, *, channels: Mapping[Channel, bool], marketing: bool, actor: Actor) -> Preferences:
        """Replace the whole choice; choosing the same again changes nothing. Every channel must be there.

        StateForbids once erasure was asked for.
        """

        def work(tx: Transaction) -> Preferences:
            unrestricted(tx, user_id)
            before = tx.get(Preferences, user_id)
            previous = last_record(tx, user_id)
            chosen = Preferences(
                id=user_id,
                updated_at=self.clock.now(),
                push=channels["push"],
                email=channels["email"],
                sms=channels["sms"],
                whatsapp=channels["whatsapp"],
                marketing=marketing,
            )
            if before is not None and _facts(before) == _facts(chosen):
                return before
            if before is None:
                tx.insert(chosen)
            else:
                tx.update(chosen)
            self.recorder.audit(
                tx,
                previous,
                subject=user_id,
                action="preferences-chosen",
                actor=actor,
                before=_facts(before) if before else None,
                after=_facts(chosen),
            )
            return chosen

        return self.store.transact(work)


def _facts(chosen: Preferences) -> dict[str, object]:
    return {
        "push": chosen.push,
        "email": chosen.email,
        "sms": chosen.sms,
        "whatsapp": chosen.whatsapp,
        "marketing": chosen.marketing,
    }
