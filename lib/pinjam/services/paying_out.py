"""Money on its way out: each loan and each refund is paid once, to the account that it was begun with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pinjam.domain.holder import is_holder
from pinjam.domain.payout import (
    MOST_FAILURES,
    Payout,
    PayoutStatus,
    ended,
    failures_to,
    next_try,
    sent,
)
from pinjam.services.borrowers import known
from pinjam.services.errors import NotFound
from pinjam.services.ports import RESEND_FOR, PayoutAnswer, Refused, Unavailable
from pinjam.services.recording import last_record
from pinjam.services.store import Contention, Find

if TYPE_CHECKING:
    from pinjam.domain.payout import (
        Hold,
        PayoutPurpose,
    )
    from pinjam.domain.trail import AuditRecord, Event
    from pinjam.domain.user import BankAccount, User
    from pinjam.services.ports import Clock, Ids, PayoutGateway
    from pinjam.services.recording import Actor, Outbox, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store, Transaction

log = logging.getLogger(__name__)

PayoutTopic = Literal["payout-held", "payout-released", "payout-failed"]
PAST = 20
"""How many of a subject's newest payouts are looked at; a person has decided on the older ones."""
TURNS = 3
"""How often a payout is begun anew because its facts changed while the account was checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What is to be paid out, in rupiah, and the words that go with the transfer."""

    user_id: str
    loan_id: str
    amount: int
    notes: str


class Subject(Protocol):
    """A loan or a refund, read in a transaction that may then write what its payout does to it."""

    @property
    def owed(self) -> Owed | None:
        """What is to be paid out for it now; None if nothing is, or if it is on its way."""
        ...

    def sending(self, tx: Transaction, payout: Payout, actor: Actor) -> None:
        """The payout is about to be handed over."""
        ...

    def paid(self, tx: Transaction, payout: Payout, actor: Actor) -> tuple[Event, ...]:
        """The money has arrived."""
        ...

    def failed(self, tx: Transaction, payout: Payout, actor: Actor) -> None:
        """No money went: it is owed again."""
        ...


class Cause(Protocol):
    """A kind of subject."""

    def read(self, tx: Reader, subject_id: str) -> Subject | None:
        """The subject, None if there is none."""
        ...

    def reckon(self, subject_id: str, *, actor: Actor) -> None:
        """Bring what is owed up to date, before a payout is begun and after it has ended; again is harmless."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A subject before a payout is begun: the open payout, and whether what it was begun with still holds."""

    subject: Subject
    user: User
    open: Payout | None
    outdated: bool
    past: tuple[Payout, ...]
    due: tuple[Owed, BankAccount] | None


class _Overtaken(Exception):
    """The facts changed while the account was checked."""


@dataclass(frozen=True, slots=True)
class PayingOut:
    """Begins, sends and ends payouts, under an id of ours and with facts that never change: asking twice pays once."""

    store: Store
    gateway: PayoutGateway
    vault: Vault
    clock: Clock
    ids: Ids
    recorder: Recorder
    outbox: Outbox
    causes: Mapping[PayoutPurpose, Cause]

    def pay(self, purpose: PayoutPurpose, subject_id: str, *, actor: Actor) -> bool:
        """Pay what is owed, or find out about what is on its way; False if there is nothing to do now.

        The account's holder is checked first: if the bank names somebody else, knows no such account, or
        the account has failed too often, the payout is held for a person and nothing is sent. A payout that
        fails leaves its subject owed; it is tried again after a pause, or at once with another account.
        Unavailable while the gateway gives no answer.
        """
        self.causes[purpose].reckon(subject_id, actor=actor)
        for _ in range(TURNS):
            now = self.clock.now()
            seen = self.store.read(lambda tx, now=now: self._look(tx, purpose, subject_id, now))  # type: ignore[misc]  # bound per turn
            if seen is None:
                return False
            if seen.open is not None and seen.open.status is PayoutStatus.SENDING:
                self.ask(seen.open, actor=actor)
                return True
            if seen.due is None and not seen.outdated:
                return False
            hold = self._doubt(seen.user, seen.due[1], seen.past) if seen.due else None
            try:
                payout, events = self.store.transact(
                    lambda tx, seen=seen, hold=hold, now=now: self._begin(
                        tx, purpose, subject_id, seen, hold, now, actor
                    )  # type: ignore[misc]  # bound per turn
                )
            except _Overtaken:
                continue
            self.outbox.publish(*events)
            if payout is not None and payout.status is PayoutStatus.SENDING:
                self.ask(payout, actor=actor)
            return payout is not None
        raise Contention(f"{subject_id} kept changing")

    def ask(self, payout: Payout, *, actor: Actor) -> None:
        """Ask the gateway about a payout, by its own facts, and take in what it says. Safe to repeat, in any order.

        Unavailable when nothing is known: then the payout stays as it is.
        """
        answer = self._answer(payout)
        events = self.store.transact(lambda tx: self._take_in(tx, payout.id, answer, actor))
        self.outbox.publish(*events)
        if answer.status != "processing":
            self.causes[payout.purpose].reckon(payout.subject_id, actor=actor)

    def check(self, payout_id: str, *, actor: Actor) -> None:
        """Ask about a payout if it is on its way. NotFound, or Unavailable as for `ask`."""
        payout = self.store.get(Payout, payout_id)
        if payout is None:
            raise NotFound("payout-not-found")
        if payout.status is PayoutStatus.SENDING:
            self.ask(payout, actor=actor)

    def _look(self, tx: Reader, purpose: PayoutPurpose, subject_id: str, now: datetime) -> _Seen | None:
        """None if there is no such subject, or nothing to be paid for it."""
        subject = self.causes[purpose].read(tx, subject_id)
        past = tx.find(Find(kind=Payout, where={"subject_id": subject_id}, descending=True, limit=PAST)).items
        standing = next((one for one in past if one.open_for is not None), None)
        owed = subject.owed if subject else None
        who = owed or standing
        if subject is None or who is None:
            return None
        user = known(tx, who.user_id)
        account = user.bank_account
        held = standing is not None and standing.status is PayoutStatus.HELD
        outdated = standing is not None and held and _outdated(standing, owed, account)
        due = None
        if owed is not None and account is not None and (standing is None or outdated):
            again = next_try(failures_to(account, past))
            due = (owed, account) if again is None or again <= now else None
        return _Seen(subject=subject, user=user, open=standing, outdated=outdated, past=past, due=due)

    def _doubt(self, user: User, account: BankAccount, past: tuple[Payout, ...]) -> Hold | None:
        """Why a person should look at this account first; one that a person let pass is not doubted again."""
        if len(failures_to(account, past)) >= MOST_FAILURES:
            return "too-many-failures"
        if any(one.released_at is not None and one.account == account for one in past):
            return None
        holder = self.holder(user.id, account)
        if holder is None:
            return "account-unknown"
        return None if is_holder(holder, user.full_name) else "name-mismatch"

    def holder(self, user_id: str, account: BankAccount) -> str | None:
        """Whom the bank names as the holder of a borrower's account, None if it knows none. Unavailable."""
        try:
            return self.gateway.holder(bank_code=account.bank_code, account_number=self._number(user_id, account))
        except Refused as refused:
            # Not a word about the account: that the gateway will not look is for us to repair.
            raise Unavailable(refused.service, refused.code) from refused

    def _begin(
        self,
        tx: Transaction,
        purpose: PayoutPurpose,
        subject_id: str,
        checked: _Seen,
        hold: Hold | None,
        now: datetime,
        actor: Actor,
    ) -> tuple[Payout | None, tuple[Event, ...]]:
        """Keep a new payout, with its facts fixed before anything is sent; a hold that is outdated ends."""
        seen = self._look(tx, purpose, subject_id, now)
        if seen is None or (seen.open, seen.due) != (checked.open, checked.due):
            raise _Overtaken
        previous = last_record(tx, seen.open.id) if seen.open else None
        if seen.open is not None:
            void = ended(seen.open, PayoutStatus.VOID, now)
            tx.update(void)
            self.recorder.change(tx, previous, seen.open, void, "payout-void", actor)
        if seen.due is None:
            return None, ()
        owed, account = seen.due
        payout = Payout(
            id=self.ids.new("out"),
            purpose=purpose,
            subject_id=subject_id,
            loan_id=owed.loan_id,
            user_id=owed.user_id,
            amount=owed.amount,
            account=account,
            notes=owed.notes,
            status=PayoutStatus.HELD,
            open_for=subject_id,
            created_at=now,
            updated_at=now,
            hold=hold,
        )
        if hold is not None:
            tx.insert(payout)
            self.recorder.change(tx, None, None, payout, "payout-held", actor)
            log.warning("payout-held", extra={"payout": payout.id, "subject": subject_id, "hold": hold})
            return payout, (told(self.recorder, tx, "payout-held", payout, actor),)
        payout = sent(payout, now)
        tx.insert(payout)
        self.recorder.change(tx, None, None, payout, "payout-started", actor)
        seen.subject.sending(tx, payout, actor)
        return payout, ()

    def _answer(self, payout: Payout) -> PayoutAnswer:
        """What the gateway says; only before it has named its reference is the payout handed over again."""
        if payout.reference is not None:
            try:
                return self.gateway.status(payout.reference)
            except Refused as refused:
                raise Unavailable(refused.service, refused.code) from refused
        if payout.sent_at is None or self.clock.now() - payout.sent_at > RESEND_FOR:
            # The gateway no longer knows our id: handing over again could pay again.
            log.error("payout-unanswered", extra={"payout": payout.id, "subject": payout.subject_id})
            raise Unavailable("payout", f"{payout.id} was never answered: a person must look for it at the gateway")
        try:
            return self.gateway.pay_out(
                payout_id=payout.id,
                amount=payout.amount,
                bank_code=payout.account.bank_code,
                account_number=self._number(payout.user_id, payout.account),
                account_name=payout.account.account_name,
                notes=payout.notes,
            )
        except Refused as refused:
            return PayoutAnswer(reference="", status="failed", failure=refused.code)

    def _take_in(self, tx: Transaction, payout_id: str, answer: PayoutAnswer, actor: Actor) -> tuple[Event, ...]:
        payout = tx.get(Payout, payout_id)
        previous = last_record(tx, payout_id)
        subject = self.causes[payout.purpose].read(tx, payout.subject_id) if payout else None
        if payout is None or subject is None:
            raise LookupError(f"{payout_id} or what it is for is not there")
        if payout.status is PayoutStatus.PAID:
            return self._sent_back(tx, previous, payout, answer, actor)
        if payout.status is not PayoutStatus.SENDING:
            return ()
        now = self.clock.now()
        known_as = replace(payout, reference=payout.reference or answer.reference or None, updated_at=now)
        if answer.status == "processing":
            tx.update(known_as)  # Nothing to audit: it is as much on its way as before.
            return ()
        if answer.status == "failed":
            failed = ended(known_as, PayoutStatus.FAILED, now, failure=answer.failure or "unknown")
            tx.update(failed)
            self.recorder.change(tx, previous, payout, failed, "payout-failed", actor)
            subject.failed(tx, failed, actor)
            log.error("payout-failed", extra={"payout": payout.id, "failure": failed.failure})
            return (told(self.recorder, tx, "payout-failed", failed, actor),)
        paid = ended(known_as, PayoutStatus.PAID, now)
        tx.update(paid)
        self.recorder.change(tx, previous, payout, paid, "payout-paid", actor)
        return subject.paid(tx, paid, actor)

    def _sent_back(
        self, tx: Transaction, previous: AuditRecord | None, paid: Payout, answer: PayoutAnswer, actor: Actor
    ) -> tuple[Event, ...]:
        """A bank may refund a transfer that had arrived. What then becomes of the debt is for a person to say."""
        if answer.status != "failed" or paid.failure is not None:
            return ()
        back = replace(paid, failure=answer.failure or "unknown", updated_at=self.clock.now())
        tx.update(back)
        self.recorder.change(tx, previous, paid, back, "payout-sent-back", actor)
        log.error("payout-sent-back", extra={"payout": paid.id, "failure": back.failure})
        return (told(self.recorder, tx, "payout-failed", back, actor),)

    def _number(self, user_id: str, account: BankAccount) -> str:
        return self.vault.safe(user_id).open(account.account_number, field="account_number")


def told(recorder: Recorder, tx: Transaction, topic: PayoutTopic, payout: Payout, actor: Actor) -> Event:
    """An event about a payout, put into the outbox."""
    return recorder.event(
        tx,
        topic,
        subject=payout.id,
        actor=actor,
        user_id=payout.user_id,
        loan_id=payout.loan_id,
        amount=payout.amount,
        failure=payout.failure,
    )


def _outdated(held: Payout, owed: Owed | None, account: BankAccount | None) -> bool:
    """Whether a payout that nobody sent was begun with facts that are no longer so."""
    return owed is None or owed.amount != held.amount or account != held.account
