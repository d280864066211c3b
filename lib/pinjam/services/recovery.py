"""Back in without the password: a code by e-mail, and with it a new password.

Whoever asks does not learn whether there is an account. Both calls do the same work for an unknown identifier as for
a known one, in the same order: an unknown one has an id of its own made up, which never becomes a borrower's.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.password import Personal, check_password
from pinjam.domain.recovery import ResetCode, code_of
from pinjam.domain.session import signed_out
from pinjam.domain.task import Task
from pinjam.domain.trail import Event
from pinjam.services.borrowers import known, safe_of
from pinjam.services.errors import Invalid, StateForbids, TooMany
from pinjam.services.ports import (
    Refused,
    TooManyAttempts,
    Unavailable,
    WrongCredentials,
)
from pinjam.services.queueing import FUNCTION
from pinjam.services.recording import Actor, last_record
from pinjam.services.sessions import find_user, identify

if TYPE_CHECKING:
    from pinjam.domain.recovery import Verdict
    from pinjam.domain.trail import AuditRecord
    from pinjam.domain.user import User
    from pinjam.services.limits import Limits
    from pinjam.services.ports import (
        Accounts,
        Clock,
        CommonPasswords,
        Ids,
        Tasks,
    )
    from pinjam.services.recording import Outbox, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store, Transaction

ANYBODY = Personal(full_name="", email="", phone="", nik="")


@dataclass(frozen=True, slots=True)
class Recovery:
    """Sets forgotten passwords anew. `real_clock` gives real time, which sessions are dated with."""

    store: Store
    accounts: Accounts
    vault: Vault
    clock: Clock
    real_clock: Clock
    ids: Ids
    recorder: Recorder
    outbox: Outbox
    tasks: Tasks
    limits: Limits
    common: CommonPasswords

    def ask(self, identifier: str, *, address: str, request_id: str) -> None:
        """Have a code sent to the account's e-mail address, if there is an account. TooMany when asked too often.

        The code is made by whoever sends it, after the answer.
        """
        field, value = identify(identifier)
        self.limits.check("forgot", account=value, address=address)
        _, subject = self.store.read(lambda tx: self._holder(tx, field, value))
        now = self.clock.now()
        event = Event(
            id=self.ids.new("evt"),
            topic="reset-code-due",
            subject=subject,
            data={},
            request_id=request_id,
            occurred_at=now,
        )
        self.tasks.schedule(
            Task(id=f"{event.id}-reset-code", queue="email", function=FUNCTION, due_at=now, event=event)
        )

    def reset(self, *, identifier: str, code: str, new_password: str, address: str, request_id: str) -> None:
        """Set the password, which is normalised, and end every session.

        Invalid, with `new_password` as its field, for a password that others would try first; whether it is made of
        what they know of this borrower is told to those only who have the code. Invalid `invalid-code` for whatever
        else is wrong.

        A repetition completes what died in between; once all is done, it is harmless. StateForbids while the same
        code is at work. TooMany when guessed at.
        """
        _refuse(check_password(new_password, personal=ANYBODY, common=self.common, field="new_password"))
        field, value = identify(identifier)
        with self.limits.attempt("reset", account=value, address=address):
            user, verdict = self.store.transact(lambda tx: self._try(tx, field, value, code, request_id))
            if user is None or verdict in ("wrong", "void"):
                raise _invalid_code()
            if verdict == "running":
                raise StateForbids("request-running")
            if verdict == "done":
                self._check_done(user, new_password)
                return
            self._set_password(user, new_password)
            actor = Actor(id=user.id, request_id=request_id)
            event = self.store.transact(lambda tx: self._finish(tx, user.id, actor))
        self.outbox.publish(event)

    def _holder(self, tx: Reader, field: str, value: str) -> tuple[User | None, str]:
        """The account's borrower and their id, or nobody and an id made up for the identifier."""
        nobody = f"nobody_{self.vault.fingerprint(value, field='nobody')[:26]}"
        user = find_user(tx, field, value)
        return user, user.id if user else nobody

    def _try(self, tx: Transaction, field: str, value: str, code: str, request_id: str) -> tuple[User | None, Verdict]:
        """Count a try that is not right, and begin the reset of one that is."""
        user, subject = self._holder(tx, field, value)
        there = tx.get(ResetCode, subject)
        previous = last_record(tx, subject)
        if there is None:
            return user, "void"
        now = self.clock.now()
        genuine = hmac.compare_digest(secret_code(self.vault, there).encode(), code.encode()) and user is not None
        verdict = there.judge(genuine=genuine, now=now)
        if verdict == "right":
            tx.update(there.leased(now))
        elif verdict in ("wrong", "done"):
            tx.update(there.tried())
            if verdict == "wrong":
                actor = Actor(id="anonymous", request_id=request_id)
                self._audit(tx, previous, subject, "reset-code-wrong", actor, tries=there.tries + 1)
        return user, verdict

    def _set_password(self, user: User, password: str) -> None:
        nik = safe_of(self.vault, user.id).open(user.nik, field="nik")
        personal = Personal(full_name=user.full_name, email=user.email, phone=user.phone, nik=nik)
        try:
            _refuse(check_password(password, personal=personal, common=self.common, field="new_password"))
            self.accounts.set_password(user.id, password=password)
        except Refused:
            self._release(user.id)
            _refuse(FieldProblem(field="new_password", code="password-refused", params={}))
        except WrongCredentials:
            # A sign-up that was never finished: there is nothing to log in to.
            self._release(user.id)
            raise _invalid_code() from None
        except (Invalid, Unavailable):
            self._release(user.id)
            raise

    def _check_done(self, user: User, password: str) -> None:
        """The answer to a reset got lost, if this is the password that it set."""
        try:
            self.accounts.sign_in(email=user.email, password=password)
        except WrongCredentials:
            raise _invalid_code() from None
        except TooManyAttempts as too_many:
            raise TooMany(too_many.retry_after_s, "too-many-attempts") from None

    def _release(self, user_id: str) -> None:
        def work(tx: Transaction) -> None:
            there = tx.get(ResetCode, user_id)
            if there is not None:
                tx.update(there.released())

        self.store.transact(work)

    def _finish(self, tx: Transaction, user_id: str, actor: Actor) -> Event:
        user = known(tx, user_id)
        there = tx.get(ResetCode, user_id)
        previous = last_record(tx, user_id)
        if there is not None:
            tx.update(there.used(self.clock.now()))
        tx.update(signed_out(user, self.real_clock.now()))
        self._audit(tx, previous, user_id, "password-reset", actor, sessions="ended")
        return self.recorder.event(tx, "account-changed", subject=user_id, actor=actor, change="password-changed")

    def _audit(
        self,
        tx: Transaction,
        previous: AuditRecord | None,
        subject: str,
        action: str,
        actor: Actor,
        **after: int | str,
    ) -> None:
        self.recorder.audit(tx, previous, subject=subject, action=action, actor=actor, before=None, after=after)


def secret_code(vault: Vault, code: ResetCode) -> str:
    """The digits of a code."""
    return code_of(vault.fingerprint(f"{code.id}:{code.request}", field="reset_code"))


def _refuse(problem: FieldProblem | None) -> None:
    if problem is not None:
        raise Invalid(problem)


def _invalid_code() -> Invalid:
    return Invalid(FieldProblem(field="code", code="code-invalid", params={}), code="invalid-code")
