"""Sessions: refresh tokens of our own, each good for one use, around those of the identity provider."""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.session import Session, distrusted, signed_out
from pinjam.domain.user import User
from pinjam.services.errors import Unauthenticated
from pinjam.services.ports import WrongCredentials
from pinjam.services.recording import last_record
from pinjam.services.sealing import KeyDestroyed

if TYPE_CHECKING:
    from pinjam.domain.session import Standing
    from pinjam.domain.user import Sealed
    from pinjam.services.ports import Accounts, Clock, Ids, Tokens
    from pinjam.services.recording import Actor, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store, Transaction

log = logging.getLogger(__name__)

MOST_DIGITS = 9
"""Of a generation; an app that refreshes every hour needs four in a year."""


@dataclass(frozen=True, slots=True)
class Refreshing:
    """Opens sessions, goes on with them, and ends them. `clock` gives real time, which ID tokens are dated with.

    A refresh token is `<session>.<generation>.<MAC>`. The MAC shows that we gave it out, so no token is kept: not the
    current one, nor those that were used up, and yet each of them is known again.
    """

    store: Store
    accounts: Accounts
    vault: Vault
    clock: Clock
    ids: Ids
    recorder: Recorder

    def open(self, user_id: str, tokens: Tokens) -> Tokens:
        """Begin a session with what the provider gave at a login. The refresh token that is answered is ours."""
        now = self.clock.now()
        session = Session(
            id=self.ids.new("ses"),
            user_id=user_id,
            generation=1,
            provider_token=self.vault.safe(user_id).seal(tokens.refresh_token, field="provider_token"),
            opened_at=now,
            rotated_at=now,
        )
        self.store.transact(lambda tx: tx.insert(session))
        return replace(tokens, refresh_token=self._token(session.id, session.generation))

    def refresh(self, refresh_token: str, *, actor: Actor) -> Tokens:
        """A new ID token, and the next refresh token. Unauthenticated if the session is over, or never was.

        A token that was used up before ends its session, as one of the two who hold its tokens is a thief. Twice at
        once, and again within `GRACE`, gives the same next token.
        """
        session_id, generation = self._read(refresh_token)
        found = self.store.read(lambda tx: self._find(tx, session_id, generation))
        if found is None:
            raise _over()
        session, _, standing = found
        if standing == "reused":
            self.store.transact(lambda tx: self._distrust(tx, session_id, generation, actor))
            log.warning("refresh-token-reused", extra={"user": session.user_id})
        if standing in ("reused", "over"):
            raise _over()
        try:
            safe = self.vault.safe(session.user_id)
            given = self.accounts.refresh(safe.open(session.provider_token, field="provider_token"))
        except (KeyDestroyed, WrongCredentials):
            raise _over() from None
        sealed = safe.seal(given.refresh_token, field="provider_token")
        if not self.store.transact(lambda tx: self._rotate(tx, session_id, generation, sealed)):
            raise _over()
        return replace(given, refresh_token=self._token(session_id, generation + 1))

    def end_all(self, user_id: str, *, actor: Actor) -> None:
        """End every session of a borrower, and let no ID token issued so far move money any more.

        Here first, where all go through: a repetition completes what died in between.
        """

        def work(tx: Transaction) -> None:
            user = tx.get(User, user_id)
            previous = last_record(tx, user_id)
            if user is None:
                return
            tx.update(signed_out(user, self.clock.now()))
            self.recorder.audit(
                tx, previous, subject=user_id, action="sessions-ended", actor=actor, before=None, after={}
            )

        self.store.transact(work)
        self.accounts.revoke(user_id)

    def _find(self, tx: Reader, session_id: str, generation: int) -> tuple[Session, User, Standing] | None:
        session = tx.get(Session, session_id)
        user = tx.get(User, session.user_id) if session else None
        if session is None or user is None:
            return None
        return session, user, session.standing(generation, user, self.clock.now())

    def _rotate(self, tx: Transaction, session_id: str, generation: int, provider_token: Sealed) -> bool:
        """Put the successor of this generation in its place, unless it is there already; whether it may be used."""
        found = self._find(tx, session_id, generation)
        if found is None:
            return False
        session, _, standing = found
        if standing == "current":
            tx.update(session.rotated(provider_token, self.clock.now()))
        return standing in ("current", "repeated")

    def _distrust(self, tx: Transaction, session_id: str, generation: int, actor: Actor) -> None:
        """End one session. The borrower's others go on, with new ID tokens."""
        found = self._find(tx, session_id, generation)
        if found is None or found[2] != "reused":
            return
        session, user, _ = found
        previous = last_record(tx, user.id)
        now = self.clock.now()
        tx.update(replace(session, ended_at=now))
        tx.update(distrusted(user, now))
        self.recorder.audit(
            tx,
            previous,
            subject=user.id,
            action="refresh-token-reused",
            actor=actor,
            before={"generation": session.generation},
            after={"session": session.id, "generation": generation, "ended": True},
        )

    def _token(self, session_id: str, generation: int) -> str:
        text = f"{session_id}.{generation}"
        return f"{text}.{self.vault.fingerprint(text, field='refresh_token')}"

    def _read(self, refresh_token: str) -> tuple[str, int]:
        """Which token of which session it is. Unauthenticated for one that we did not give out."""
        session_id, _, rest = refresh_token.partition(".")
        generation = rest.partition(".")[0]
        if not (generation.isascii() and generation.isdecimal() and len(generation) <= MOST_DIGITS):
            raise _over()
        genuine = self._token(session_id, int(generation))
        if not hmac.compare_digest(genuine.encode(), refresh_token.encode(errors="surrogatepass")):
            raise _over()
        return session_id, int(generation)


def _over() -> Unauthenticated:
    return Unauthenticated("invalid-refresh-token")
