"""The e-mail with a one-time code, which leaves no copy: the code is made for the sending and kept nowhere."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pinjam.domain.recovery import ASKED_LIFE, LIFE, ResetCode
from pinjam.domain.user import User
from pinjam.services.messaging import Message
from pinjam.services.ports import Refused
from pinjam.services.recording import Actor, last_record
from pinjam.services.recovery import secret_code
from pinjam.services.store import Conflict
from pinjam.services.telling import moment
from pinjam.wording import load
from pinjam.wording.letters import letter

if TYPE_CHECKING:
    from pinjam.domain.trail import Event
    from pinjam.services.messaging import Messenger
    from pinjam.services.ports import Clock
    from pinjam.services.recording import Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Store, Transaction

log = logging.getLogger(__name__)

KIND = "password-reset-code"


@dataclass(frozen=True, slots=True)
class CodeMail:
    """Sends codes to the e-mail addresses of accounts. No notification is made: a code is in no list."""

    store: Store
    messenger: Messenger
    vault: Vault
    clock: Clock
    recorder: Recorder

    def send(self, due: Event) -> None:
        """Make the code that was asked for, in the place of an earlier one, and send it.

        Brought again, it is the same code in the same e-mail. Unavailable (so that the task comes again) while the
        provider is; until the code has expired. For nobody there is a record as well, and no e-mail.
        """
        try:
            issued = self.store.transact(lambda tx: self._issue(tx, due))
        except Conflict:
            # The same task, or an earlier one, at the same time; now it is there to be found.
            issued = self.store.transact(lambda tx: self._issue(tx, due))
        if issued is None:
            return
        user, code = issued
        try:
            self.messenger.send(self._message(user, code))
        except Refused as refused:
            log.error("reset-code-refused", extra={"user": user.id, "reason": refused.code})

    def _issue(self, tx: Transaction, due: Event) -> tuple[User, ResetCode] | None:
        """The code to be sent now; None if there is nobody to send it to, or a newer one, or it is used or expired.

        None, too, for one that was asked for so long ago that the record of its use may have been deleted.
        """
        user, there = tx.get(User, due.subject), tx.get(ResetCode, due.subject)
        previous = last_record(tx, due.subject)
        now = self.clock.now()
        if there is not None and there.request == due.id:
            return (user, there) if user is not None and there.is_open(now) else None
        if (there is not None and there.asked_at > due.occurred_at) or now - due.occurred_at > ASKED_LIFE:
            return None
        code = ResetCode(id=due.subject, request=due.id, asked_at=due.occurred_at, expires_at=now + LIFE)
        if there is None:
            tx.insert(code)
        else:
            tx.update(code)
        self.recorder.audit(
            tx,
            previous,
            subject=due.subject,
            action="reset-asked",
            actor=Actor(id="anonymous", request_id=due.request_id),
            before=None,
            after={"expires_at": code.expires_at.isoformat()},
        )
        return (user, code) if user is not None else None

    def _message(self, user: User, code: ResetCode) -> Message:
        words = cast("dict[str, str]", load("codes")[KIND][user.locale])
        facts = {"code": secret_code(self.vault, code), "until": moment(code.expires_at, user.locale)}
        body = words["body"].format(name=user.full_name)
        mail = letter(user.locale, name=user.full_name, title=words["title"], body=body, facts=facts, why="asked")
        return Message(
            id=f"{code.request}-email",
            to=user.email,
            kind=KIND,
            locale=user.locale,
            subject=words["title"],
            body=mail.text,
            html=mail.html,
        )
