"""The servicing clock: what must happen because time has passed. Safe to run twice, or not for a week."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar

from pinjam.domain.lifecycle import move
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.payout import Payout, PayoutStatus
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.retention import RETENTION
from pinjam.domain.trail import Consumption
from pinjam.services.errors import Denied
from pinjam.services.ports import Refused, Unavailable
from pinjam.services.queueing import waiting_since
from pinjam.services.recording import Actor, last_record
from pinjam.services.repaying import OPEN_FOR
from pinjam.services.store import Contention, Find, Record, each

if TYPE_CHECKING:
    from pinjam.domain.payout import PayoutPurpose
    from pinjam.domain.trail import Event
    from pinjam.services.collecting import Collecting
    from pinjam.services.erasing import Erasing
    from pinjam.services.forgetting import Forgetting
    from pinjam.services.paying_out import PayingOut
    from pinjam.services.ports import Clock
    from pinjam.services.queueing import Queueing
    from pinjam.services.recording import Outbox, Recorder
    from pinjam.services.store import Store, Transaction

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)

NAME = "sweep"
BATCH = 100
RELAY_AFTER = timedelta(seconds=5)
"""A younger event is still being published by the request that made it."""
ASK_AFTER = timedelta(minutes=15)
"""A younger payment's notification is still to be expected."""
ASK_PAYOUT_AFTER = timedelta(minutes=5)
"""A younger payout's notification is still to be expected."""
RETRY_PAYOUT_AFTER = timedelta(minutes=15)
RENEW_AFTER = timedelta(days=7)
"""A mark that still counts is renewed so often, or it would be forgotten and its reminder told again."""
RESUME_AFTER = timedelta(minutes=5)
"""What is due for less is still being brought by its task."""

MILESTONES: tuple[tuple[int, str], ...] = (
    (-3, "upcoming"),
    (0, "due"),
    (1, "overdue"),
    (7, "overdue"),
    (30, "overdue"),
)
"""Days past due at which a borrower hears of an instalment, and as what."""


@dataclass(slots=True)
class Swept:
    """What one run did, in numbers; `faults` counts what could not be done and stays for the next run."""

    relayed: int = 0
    offers_expired: int = 0
    payments_checked: int = 0
    payouts_checked: int = 0
    payouts_retried: int = 0
    refunds_retried: int = 0
    reminders: int = 0
    messages_resumed: int = 0
    erased: int = 0
    forgotten: int = 0
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Servicing:
    """Runs what the scheduler calls."""

    store: Store
    collecting: Collecting
    paying_out: PayingOut
    queueing: Queueing
    erasing: Erasing
    forgetting: Forgetting
    clock: Clock
    recorder: Recorder
    outbox: Outbox

    def sweep(self, *, request_id: str) -> Swept:
        """Relay, expire, ask and remind, in batches. One item that fails does not keep the others waiting."""
        swept, actor = Swept(), Actor(id=NAME, request_id=request_id)
        jobs: tuple[Callable[[Swept, Actor], None], ...] = (
            self._relay,
            self._expire_offers,
            self._check_payments,
            self._check_payouts,
            self._retry_payouts,
            self._remind,
            self._resume_messages,
            self._erase,
            self._forget,  # Last: what the others still count on has been renewed.
        )
        for job in jobs:
            before = asdict(swept)
            try:
                job(swept, actor)
            except (Unavailable, Contention) as fault:
                swept.faults += 1
                log.warning("sweep-job-failed", extra={"job": job.__name__.strip("_"), "fault": str(fault)})
            done = {name: count - before[name] for name, count in asdict(swept).items() if count != before[name]}
            if done:
                log.info("sweep-progress", extra={"job": job.__name__.strip("_"), **done})
        log.info("swept", extra=asdict(swept))
        return swept

    def _relay(self, swept: Swept, _: Actor) -> None:
        swept.relayed = self.outbox.relay(older_than=self.clock.now() - RELAY_AFTER)

    def _expire_offers(self, swept: Swept, actor: Actor) -> None:
        today = self.clock.today()
        query = Find(
            kind=Loan, where={"status": LoanStatus.APPROVED}, order="offer_expires_on", below=today, limit=BATCH
        )
        for loan in self._each(query):
            try:
                swept.offers_expired += self.store.transact(
                    lambda tx, loan_id=loan.id: self._expire(tx, loan_id, today, actor)  # type: ignore[misc]  # bound
                )
            except Contention as fault:
                swept.faults += 1
                log.warning("offer-expiry-failed", extra={"loan": loan.id, "fault": str(fault)})

    def _expire(self, tx: Transaction, loan_id: str, today: date, actor: Actor) -> int:
        loan = tx.get(Loan, loan_id)
        previous = last_record(tx, loan_id)
        if loan is None or loan.status is not LoanStatus.APPROVED:
            return 0
        if loan.offer_expires_on is None or loan.offer_expires_on >= today:
            return 0
        expired = move(loan, LoanStatus.EXPIRED, updated_at=self.clock.now())
        tx.update(expired)
        self.recorder.change(tx, previous, loan, expired, "offer-expired", actor)
        return 1

    def _check_payments(self, swept: Swept, actor: Actor) -> None:
        query = Find(
            kind=Payment,
            where={"status": PaymentStatus.PENDING},
            order="expires_at",
            below=self.clock.now() + OPEN_FOR - ASK_AFTER,
            limit=BATCH,
        )
        for payment in self._each(query):
            try:
                self.collecting.check(payment.id, actor=actor)
                swept.payments_checked += 1
            except (Denied, Refused, Unavailable, Contention) as fault:
                swept.faults += 1
                log.warning("payment-check-failed", extra={"payment": payment.id, "fault": str(fault)})

    def _check_payouts(self, swept: Swept, actor: Actor) -> None:
        """Payouts on their way that nobody has told of for a while."""
        before = self.clock.now() - ASK_PAYOUT_AFTER
        on_the_way = {"status": PayoutStatus.SENDING}
        for payout in self._each(Find(kind=Payout, where=on_the_way, order="updated_at", below=before, limit=BATCH)):
            try:
                self.paying_out.check(payout.id, actor=actor)
                swept.payouts_checked += 1
            except (Unavailable, Contention) as fault:
                swept.faults += 1
                log.warning("payout-check-failed", extra={"payout": payout.id, "fault": str(fault)})

    def _retry_payouts(self, swept: Swept, actor: Actor) -> None:
        """What is owed and not on its way: loans and refunds whose payout failed, was held, or lost its event."""
        before = self.clock.now() - RETRY_PAYOUT_AFTER
        for loan in self._each(Find(kind=Loan, where={"status": LoanStatus.ACCEPTED}, limit=BATCH)):
            if loan.updated_at < before:
                swept.payouts_retried += self._pay("loan", loan.id, swept, actor)
        for refund in self._each(Find(kind=Refund, where={"status": RefundStatus.OWED}, limit=BATCH)):
            if refund.updated_at < before:
                swept.refunds_retried += self._pay("refund", refund.id, swept, actor)

    def _pay(self, purpose: PayoutPurpose, subject_id: str, swept: Swept, actor: Actor) -> bool:
        try:
            return self.paying_out.pay(purpose, subject_id, actor=actor)
        except (Unavailable, Contention) as fault:
            swept.faults += 1
            log.warning("payout-retry-failed", extra={"subject": subject_id, "fault": str(fault)})
            return False

    def _remind(self, swept: Swept, actor: Actor) -> None:
        today = self.clock.today()
        farthest = today - timedelta(days=MILESTONES[0][0]) + timedelta(days=1)
        query = Find(kind=Loan, where={"status": LoanStatus.ACTIVE}, order="next_due_on", below=farthest, limit=BATCH)
        for loan in self._each(query):
            try:
                events = self.store.transact(
                    lambda tx, loan_id=loan.id: self._remind_of(tx, loan_id, today, actor)  # type: ignore[misc]  # bound
                )
            except Contention as fault:
                swept.faults += 1
                log.warning("reminder-failed", extra={"loan": loan.id, "fault": str(fault)})
                continue
            self.outbox.publish(*events)
            swept.reminders += len(events)

    def _remind_of(self, tx: Transaction, loan_id: str, today: date, actor: Actor) -> tuple[Event, ...]:
        """The newest milestone that the oldest unpaid instalment has passed, told once."""
        loan = tx.get(Loan, loan_id)
        if loan is None or loan.status is not LoanStatus.ACTIVE or loan.next_due_on is None:
            return ()
        past = (today - loan.next_due_on).days
        reached = [(days, name) for days, name in MILESTONES if days <= past]
        if not reached:
            return ()
        days, name = reached[-1]
        marker = f"{NAME}:{loan.id}:{loan.next_due_on.isoformat()}:{days}"
        told, now = tx.get(Consumption, marker), self.clock.now()
        if told is not None:
            if now - told.consumed_at > RENEW_AFTER:
                tx.update(replace(told, consumed_at=now))
            return ()
        tx.insert(Consumption(id=marker, consumed_at=now))
        event = self.recorder.event(
            tx,
            "instalment-reminder",
            subject=loan.id,
            actor=actor,
            user_id=loan.user_id,
            milestone=name,
            due_date=loan.next_due_on.isoformat(),
        )
        return (event,)

    def _resume_messages(self, swept: Swept, actor: Actor) -> None:
        """Messages whose task was lost, or whose sender died."""
        for waiting in self._each(waiting_since(self.clock.now() - RESUME_AFTER)):
            try:
                self.queueing.schedule(waiting, actor.request_id, anew=True)
                swept.messages_resumed += 1
            except Unavailable as fault:
                swept.faults += 1
                log.warning("message-resume-failed", extra={"notification": waiting.id, "fault": str(fault)})

    def _erase(self, swept: Swept, actor: Actor) -> None:
        for user in self._each(self.erasing.due()):
            try:
                swept.erased += self.erasing.erase(user.id, actor=actor)
            except (Unavailable, Contention) as fault:
                swept.faults += 1
                log.warning("erasure-failed", extra={"user": user.id, "fault": str(fault)})

    def _forget(self, swept: Swept, _: Actor) -> None:
        for kind in RETENTION:
            try:
                for gone in self.forgetting.forget(kind):
                    swept.forgotten += gone
            except Contention as fault:
                swept.faults += 1
                log.warning("forgetting-failed", extra={"kind": kind.__name__, "fault": str(fault)})

    def _each(self, query: Find[R]) -> Iterator[R]:
        return each(self.store, query)
