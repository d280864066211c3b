"""Login by passkey.

Two things must not be told to who only guesses: whether an identifier has an account, and whether a credential
is known, removed or blocked. So an unknown identifier gets made-up credentials that stay the same, and what we
know of a credential is told only to who proved to hold its key.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.passkey import NOBODY, Passkey
from pinjam.services.borrowers import gather
from pinjam.services.ceremonies import CeremonyRefused
from pinjam.services.errors import TooMany, Unauthenticated
from pinjam.services.passkeys import passkeys_of
from pinjam.services.ports import TooManyAttempts, WrongCredentials
from pinjam.services.recording import last_record
from pinjam.services.sessions import find_user, identify
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.domain.passkey import Challenge
    from pinjam.domain.trail import AuditRecord, Event
    from pinjam.services.borrowers import Borrower
    from pinjam.services.ceremonies import Asserted, Ceremonies, Credential, Presented
    from pinjam.services.challenges import Challenges
    from pinjam.services.limits import Limits
    from pinjam.services.ports import Accounts, Clock, Tokens
    from pinjam.services.recording import Actor, Outbox, Recorder
    from pinjam.services.refreshing import Refreshing
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A credential that may answer: its id in base64url, and how to reach its authenticator."""

    credential_id: str
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What a client needs to log in. No credential named means any that the device has for us."""

    challenge_id: str
    challenge: bytes
    allowed: tuple[Allowed, ...]


@dataclass(frozen=True, slots=True)
class PasskeyLogin:
    """Turns a proven passkey into the tokens that a password gives."""

    store: Store
    accounts: Accounts
    ceremonies: Ceremonies
    challenges: Challenges
    limits: Limits
    vault: Vault
    clock: Clock
    recorder: Recorder
    outbox: Outbox
    refreshing: Refreshing

    def begin(self, identifier: str | None) -> Invitation:
        """A challenge for a login, of the borrower with this e-mail address or phone number if one is given.

        TooMany for an identifier that is asked for too often, whether or not anybody has it.
        """
        if identifier is None:
            challenge_id, challenge = self.challenges.issue("login", None)
            return Invitation(challenge_id=challenge_id, challenge=challenge, allowed=())

        field, value = identify(identifier)
        self.limits.check("passkey", account=value)

        def work(tx: Reader) -> tuple[str, tuple[Passkey, ...]]:
            user = find_user(tx, field, value)
            user_id = user.id if user else NOBODY
            return user_id, passkeys_of(tx, user_id)

        user_id, present = self.store.read(work)
        challenge_id, challenge = self.challenges.issue("login", user_id)
        made_up = self._made_up(value)
        allowed = tuple(
            Allowed(credential_id=one.credential_id, transports=one.transports) for one in present if one.usable
        )
        return Invitation(challenge_id=challenge_id, challenge=challenge, allowed=allowed or (made_up,))

    def login(
        self, *, challenge_id: str, credential: Credential, address: str, actor: Actor
    ) -> tuple[Borrower, Tokens]:
        """The borrower and new tokens. Unauthenticated, with the reason's code, if the passkey is not let through.

        Wrong passwords from this address were the owner's own: they are forgotten.
        """
        spent, passkey = self.challenges.spend(challenge_id), None
        try:
            presented = self.ceremonies.read(credential, purpose="login")
            passkey = self.store.read(lambda tx: _with_credential(tx, presented.credential_id))
            passkey, asserted = self._verify(spent, presented, passkey, credential)
            self._use(passkey, asserted, actor)
            tokens = self._sign_in(passkey)
        except CeremonyRefused as refused:
            about = passkey.user_id if passkey else spent.user_id if spent else None
            self.challenges.note_refusal(
                about, refused.code, purpose="login", passkey_id=passkey.id if passkey else None, actor=actor
            )
            raise Unauthenticated(refused.code) from None
        borrower = self.store.read(lambda tx: gather(tx, passkey.user_id))
        for account in (borrower.user.email, borrower.user.phone):
            self.limits.welcome(account=account, address=address)
        return borrower, self.refreshing.open(passkey.user_id, tokens)

    def _verify(
        self, spent: Challenge | None, presented: Presented, passkey: Passkey | None, credential: Credential
    ) -> tuple[Passkey, Asserted]:
        self.challenges.check(spent, "login", presented.challenge)
        key = passkey.public_key if passkey else None
        asserted = self.ceremonies.assert_use(credential, challenge=presented.challenge, public_key=key)
        if passkey is None or spent is None or asserted.backup_eligible != passkey.backup_eligible:
            raise CeremonyRefused("passkey-refused")
        # An authenticator that chose the account by itself has to say which.
        handle = presented.user_handle or spent.user_id
        if handle != passkey.user_id or spent.user_id not in (None, passkey.user_id):
            raise CeremonyRefused("passkey-wrong-user")
        return passkey, asserted

    def _use(self, passkey: Passkey, asserted: Asserted, actor: Actor) -> None:
        """Count the use. CeremonyRefused for a passkey that may not be used, or shows here that it has a copy."""
        copied = self.store.transact(lambda tx: self._count(tx, passkey, asserted, actor))
        if copied is not None:
            self.outbox.publish(copied)
            raise CeremonyRefused("passkey-copied")

    def _count(self, tx: Transaction, passkey: Passkey, asserted: Asserted, actor: Actor) -> Event | None:
        kept = tx.get(Passkey, passkey.id)
        if kept is None or kept.removed_at is not None:
            raise CeremonyRefused("passkey-removed")
        if kept.blocked_at is not None:
            raise CeremonyRefused("passkey-blocked")
        previous, now = last_record(tx, kept.user_id), self.clock.now()
        if not kept.is_copied(asserted.sign_count):
            used = replace(kept, sign_count=asserted.sign_count, backed_up=asserted.backed_up, last_used_at=now)
            tx.update(used)
            self._audit(tx, previous, kept, used, "passkey-login", actor)
            return None
        blocked = replace(kept, blocked_at=now)
        tx.update(blocked)
        self._audit(tx, previous, kept, blocked, "passkey-blocked", actor)
        return self.recorder.event(
            tx,
            "account-changed",
            subject=kept.user_id,
            actor=actor,
            change="passkey-blocked",
            device=kept.device_name,
        )

    def _sign_in(self, passkey: Passkey) -> Tokens:
        try:
            return self.accounts.sign_in_as(passkey.user_id, claims={"passkey": passkey.id})
        except WrongCredentials:
            raise CeremonyRefused("passkey-refused") from None
        except TooManyAttempts as too_many:
            raise TooMany(too_many.retry_after_s, "too-many-attempts") from None

    def _audit(
        self,
        tx: Transaction,
        previous: AuditRecord | None,
        before: Passkey,
        after: Passkey,
        action: str,
        actor: Actor,
    ) -> None:
        self.recorder.audit(
            tx,
            previous,
            subject=after.user_id,
            action=action,
            actor=actor,
            before=_facts(before),
            after=_facts(after),
        )

    def _made_up(self, value: str) -> Allowed:
        """A credential that nobody has, always the same for the same identifier."""
        made_up = bytes.fromhex(self.vault.fingerprint(value, field="passkey"))
        return Allowed(
            credential_id=base64.urlsafe_b64encode(made_up).rstrip(b"=").decode(), transports=("hybrid", "internal")
        )


def _with_credential(tx: Reader, credential_id: str) -> Passkey | None:
    page = tx.find(Find(kind=Passkey, where={"credential_id": credential_id}, limit=1))
    return page.items[0] if page.items else None


def _facts(passkey: Passkey) -> dict[str, object]:
    return {"passkey": passkey.id, "sign_count": passkey.sign_count, "blocked": passkey.blocked_at is not None}
