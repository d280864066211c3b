"""A borrower's passkeys: enrolled, listed, removed. The password goes on working beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.passkey import MOST_PASSKEYS, Passkey
from pinjam.services.borrowers import changeable, trusted, unrestricted
from pinjam.services.ceremonies import CeremonyRefused
from pinjam.services.errors import Invalid, NotFound, StateForbids
from pinjam.services.recording import last_record
from pinjam.services.store import Conflict, Find

if TYPE_CHECKING:
    from pinjam.domain.passkey import Challenge
    from pinjam.domain.trail import Event
    from pinjam.domain.user import User
    from pinjam.services.ceremonies import Ceremonies, Credential, Registered
    from pinjam.services.challenges import Challenges
    from pinjam.services.ports import Clock, Ids
    from pinjam.services.recording import Actor, Outbox, Recorder
    from pinjam.services.store import Reader, Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What a client needs to make a passkey. `present` are those that are there already."""

    challenge_id: str
    challenge: bytes
    user: User
    present: tuple[Passkey, ...]


def passkeys_of(tx: Reader, user_id: str) -> tuple[Passkey, ...]:
    """The borrower's passkeys that were not removed, oldest first; blocked ones too."""
    return tx.find(Find(kind=Passkey, where={"user_id": user_id, "removed_at": None}, limit=MOST_PASSKEYS)).items


@dataclass(frozen=True, slots=True)
class Passkeys:
    """Keeps the passkeys of borrowers who are logged in."""

    store: Store
    ceremonies: Ceremonies
    challenges: Challenges
    clock: Clock
    ids: Ids
    recorder: Recorder
    outbox: Outbox

    def begin(self, user_id: str) -> Enrolment:
        """A challenge for one more passkey. StateForbids `passkey-limit` when there are `MOST_PASSKEYS`.

        StateForbids too once erasure was asked for.
        """

        def work(tx: Reader) -> tuple[User, tuple[Passkey, ...]]:
            return unrestricted(tx, user_id), _with_room(passkeys_of(tx, user_id))

        user, present = self.store.read(work)
        challenge_id, challenge = self.challenges.issue("enroll", user_id)
        return Enrolment(challenge_id=challenge_id, challenge=challenge, user=user, present=present)

    def enroll(
        self, user_id: str, *, challenge_id: str, credential: Credential, device_name: str, actor: Actor
    ) -> Passkey:
        """Keep a new passkey, and tell the borrower. Invalid, with the reason's code, if it is not let through.

        Unauthenticated `token-revoked` as for money: whoever was logged out must not get back in by a new passkey.
        StateForbids `passkey-taken` when it is there already, `passkey-limit` as for `begin`.
        """
        self.store.read(lambda tx: changeable(trusted(tx, user_id, actor)))
        spent = self.challenges.spend(challenge_id)
        try:
            registered = self._verify(user_id, spent, credential)
        except CeremonyRefused as refused:
            self._note(user_id, refused.code, actor)
            raise Invalid(code=refused.code) from None
        passkey = Passkey(
            id=self.ids.new("psk"),
            user_id=user_id,
            credential_id=registered.credential_id,
            public_key=registered.public_key,
            sign_count=registered.sign_count,
            backup_eligible=registered.backup_eligible,
            backed_up=registered.backed_up,
            transports=registered.transports,
            aaguid=registered.aaguid,
            device_name=device_name,
            created_at=self.clock.now(),
        )
        try:
            event = self.store.transact(lambda tx: self._insert(tx, passkey, actor))
        except Conflict:
            self._note(user_id, "passkey-taken", actor)
            raise StateForbids("passkey-taken") from None
        self.outbox.publish(event)
        return passkey

    def list(self, user_id: str) -> tuple[Passkey, ...]:
        """The borrower's passkeys, oldest first."""
        return self.store.read(lambda tx: passkeys_of(tx, user_id))

    def remove(self, user_id: str, passkey_id: str, *, actor: Actor) -> None:
        """Let a passkey sign nobody in any more. NotFound if the borrower has no such one."""

        def work(tx: Transaction) -> None:
            trusted(tx, user_id, actor)
            passkey = tx.get(Passkey, passkey_id)
            if passkey is None or passkey.user_id != user_id or passkey.removed_at is not None:
                raise NotFound("passkey-not-found")
            previous = last_record(tx, user_id)
            tx.update(replace(passkey, removed_at=self.clock.now()))
            self.recorder.audit(
                tx,
                previous,
                subject=user_id,
                action="passkey-removed",
                actor=actor,
                before={"passkey": passkey.id},
                after={"passkey": None},
            )

        self.store.transact(work)

    def _verify(self, user_id: str, spent: Challenge | None, credential: Credential) -> Registered:
        presented = self.ceremonies.read(credential, purpose="enroll")
        self.challenges.check(spent, "enroll", presented.challenge)
        if spent is None or spent.user_id != user_id:
            raise CeremonyRefused("passkey-wrong-user")
        return self.ceremonies.register(credential, challenge=presented.challenge)

    def _insert(self, tx: Transaction, passkey: Passkey, actor: Actor) -> Event:
        trusted(tx, passkey.user_id, actor)
        _with_room(passkeys_of(tx, passkey.user_id))
        previous = last_record(tx, passkey.user_id)
        tx.insert(passkey)
        self.recorder.audit(
            tx,
            previous,
            subject=passkey.user_id,
            action="passkey-enrolled",
            actor=actor,
            before=None,
            after={"passkey": passkey.id, "aaguid": passkey.aaguid, "backup_eligible": passkey.backup_eligible},
        )
        return self.recorder.event(
            tx,
            "account-changed",
            subject=passkey.user_id,
            actor=actor,
            change="new-passkey",
            device=passkey.device_name,
        )

    def _note(self, user_id: str, code: str, actor: Actor) -> None:
        self.challenges.note_refusal(user_id, code, purpose="enroll", passkey_id=None, actor=actor)


def _with_room(present: tuple[Passkey, ...]) -> tuple[Passkey, ...]:
    if len(present) >= MOST_PASSKEYS:
        raise StateForbids("passkey-limit", {"max": MOST_PASSKEYS})
    return present
