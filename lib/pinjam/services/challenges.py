"""Challenges for passkeys: made at random, kept as hashes, spent once; and the trail of what was refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.passkey import CHALLENGE_LIFE, Challenge
from pinjam.domain.user import User
from pinjam.services.ceremonies import CeremonyRefused
from pinjam.services.recording import last_record

if TYPE_CHECKING:
    from pinjam.domain.passkey import Purpose
    from pinjam.services.ports import Clock, Ids
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.store import Store, Transaction

CHALLENGE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Challenges:
    """Gives out challenges and takes them back. `random` gives so many unpredictable bytes."""

    store: Store
    clock: Clock
    ids: Ids
    recorder: Recorder
    random: Callable[[int], bytes]

    def issue(self, purpose: Purpose, user_id: str | None) -> tuple[str, bytes]:
        """The id of a new challenge, and the challenge."""
        challenge = self.random(CHALLENGE_BYTES)
        kept = Challenge(
            id=self.ids.new("chl"),
            purpose=purpose,
            user_id=user_id,
            challenge_hash=_digest(challenge),
            expires_at=self.clock.now() + CHALLENGE_LIFE,
        )
        self.store.transact(lambda tx: tx.insert(kept))
        return kept.id, challenge

    def spend(self, challenge_id: str) -> Challenge | None:
        """The challenge as it was until now; from now on it is used, whatever becomes of this try."""

        def work(tx: Transaction) -> Challenge | None:
            kept = tx.get(Challenge, challenge_id)
            if kept is not None and kept.used_at is None:
                tx.update(replace(kept, used_at=self.clock.now()))
            return kept

        return self.store.transact(work)

    def check(self, spent: Challenge | None, purpose: Purpose, signed: bytes) -> None:
        """CeremonyRefused unless this challenge was the one to be signed, for this purpose, in time and for once."""
        if spent is None or spent.challenge_hash != _digest(signed):
            raise CeremonyRefused("passkey-challenge-unknown")
        if spent.used_at is not None:
            raise CeremonyRefused("passkey-challenge-used")
        if spent.purpose != purpose:
            raise CeremonyRefused("passkey-wrong-purpose")
        if spent.expires_at <= self.clock.now():
            raise CeremonyRefused("passkey-challenge-expired")

    def note_refusal(
        self, user_id: str | None, code: str, *, purpose: Purpose, passkey_id: str | None, actor: Actor
    ) -> None:
        """Put a refusal into the trail of the borrower whom it concerns, if there is one."""
        if user_id is None:
            return

        def work(tx: Transaction) -> None:
            if tx.get(User, user_id) is None:
                return
            self.recorder.audit(
                tx,
                last_record(tx, user_id),
                subject=user_id,
                action="passkey-refused",
                actor=actor,
                before=None,
                after={"purpose": purpose, "reason": code, "passkey": passkey_id},
            )

        self.store.transact(work)


def _digest(challenge: bytes) -> str:
    return hashlib.sha256(challenge).hexdigest()
