"""Identity verification: asks the e-KYC provider until it answers, and judges what it answers by the policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pinjam.domain.document import DocumentKind, DocumentStatus
from pinjam.domain.task import MOST_TRIES, Task, pause_after
from pinjam.domain.user import UserStatus
from pinjam.domain.verification import UNANSWERED, judge, move_user
from pinjam.services.borrowers import documents_of, known, reveal
from pinjam.services.documents import field_of
from pinjam.services.ports import IdentityClaim, Refused, Unavailable
from pinjam.services.recording import Actor, consume, consumed, last_record

if TYPE_CHECKING:
    from pinjam.domain.document import Document
    from pinjam.domain.policy import Policies
    from pinjam.domain.trail import AuditRecord, Event
    from pinjam.domain.user import Kyc, KycCheck, User
    from pinjam.services.ports import Clock, IdentityCheck, ObjectStore, Tasks
    from pinjam.services.recording import Outbox, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Store, Transaction

CONSUMER = "verify_identity"


@dataclass(frozen=True, slots=True)
class Verification:
    """Proves who a borrower is. `chance` gives numbers from 0 to 1, which spread the tries."""

    store: Store
    objects: ObjectStore
    provider: IdentityCheck
    vault: Vault
    policies: Policies
    clock: Clock
    recorder: Recorder
    outbox: Outbox
    tasks: Tasks
    chance: Callable[[], float]

    def verify(self, event: Event) -> None:
        """Carry out the verification that an event asks for; a repetition of the event changes nothing.

        While the provider gives no answer a task brings the event again, `MOST_TRIES` tries in all. After the
        policy's `faults_before_review` of them the case is in review, never rejected, and an answer that comes
        later is judged all the same, unless a person has decided or a new attempt has begun.
        """
        user, documents, done = self.store.read(
            lambda tx: (known(tx, event.subject), documents_of(tx, event.subject), consumed(tx, CONSUMER, event))
        )
        if done or not _awaits(user, event):
            return
        if _tries(event) < user.kyc.faults:
            self._ask_again(event, user.kyc.faults)  # Whoever counted that fault may have died before this.
            return
        papers = {one.kind: one for one in documents if one.status is DocumentStatus.RECEIVED}
        claim = self._claim(user, papers)
        try:
            checks = self.provider.check(claim)
        except Unavailable as fault:
            self._count_fault(event, fault)
        except Refused:
            self._conclude(event, UserStatus.REVIEW, (), (UNANSWERED,))
        else:
            status, reasons = judge(checks, self.policies.on(self.clock.today()).verification)
            self._conclude(event, status, checks, reasons)

    def _claim(self, user: User, papers: dict[DocumentKind, Document]) -> IdentityClaim:
        safe = self.vault.safe(user.id)
        private = reveal(user, safe)

        def picture(kind: DocumentKind) -> bytes:
            return safe.open_bytes(self.objects.get(papers[kind].object_key), field=field_of(papers[kind]))

        return IdentityClaim(
            reference=user.kyc.reference or user.id,
            nik=private.nik,
            full_name=user.full_name,
            birth_date=private.birth_date,
            email=user.email,
            phone=user.phone,
            ktp_image=picture(DocumentKind.KTP),
            selfie_image=picture(DocumentKind.SELFIE),
        )

    def _count_fault(self, event: Event, fault: Unavailable) -> None:
        """Remember that the provider gave no answer, and ask again later; at the limit the case is in review."""
        faults, events = self.store.transact(lambda tx: self._fault(tx, event))
        self.outbox.publish(*events)
        if faults:
            self._ask_again(event, faults, at_least=timedelta(seconds=fault.retry_after_s or 0))

    def _fault(self, tx: Transaction, event: Event) -> tuple[int, tuple[Event, ...]]:
        """How many faults there were, 0 when no answer is awaited any more; and what is to be told."""
        user, documents = known(tx, event.subject), documents_of(tx, event.subject)
        previous = last_record(tx, event.subject)
        if consumed(tx, CONSUMER, event) or not _awaits(user, event):
            return 0, ()
        if user.kyc.faults > _tries(event):
            return user.kyc.faults, ()
        actor, now = Actor(id=CONSUMER, request_id=event.request_id), self.clock.now()
        kyc = replace(user.kyc, faults=user.kyc.faults + 1)
        facts = {"reference": kyc.reference, "faults": kyc.faults}
        limit = self.policies.on(self.clock.today()).verification.faults_before_review
        if user.status is UserStatus.VERIFYING and kyc.faults >= limit:
            _, told = conclude(
                tx,
                self.recorder,
                previous,
                user,
                documents,
                UserStatus.REVIEW,
                kyc=replace(kyc, checks=(), reasons=(UNANSWERED,)),
                action="verification-concluded",
                actor=actor,
                facts=facts,
                at=now,
            )
            return kyc.faults, told
        tx.update(replace(user, kyc=kyc, updated_at=now))
        self.recorder.audit(
            tx,
            previous,
            subject=user.id,
            action="verification-unanswered",
            actor=actor,
            before={"status": user.status.value},
            after={"status": user.status.value, **facts},
        )
        return kyc.faults, ()

    def _ask_again(self, event: Event, faults: int, *, at_least: timedelta = timedelta()) -> None:
        """Have the event brought again after so many faults; once, however often this is called."""
        if faults >= MOST_TRIES:
            return
        pause = max(pause_after(faults, self.chance()), at_least)
        task = Task(
            id=f"ekyc-{event.id}-{faults}",
            queue="ekyc",
            function=CONSUMER,
            due_at=self.clock.now() + pause,
            event=replace(event, data={**event.data, "tries": faults}),
        )
        self.tasks.schedule(task)

    def _conclude(
        self, event: Event, status: UserStatus, checks: tuple[KycCheck, ...], reasons: tuple[str, ...]
    ) -> None:
        actor = Actor(id=CONSUMER, request_id=event.request_id)

        def work(tx: Transaction) -> tuple[Event, ...]:
            user = known(tx, event.subject)
            documents = documents_of(tx, event.subject)
            previous = last_record(tx, event.subject)
            if consumed(tx, CONSUMER, event) or not _awaits(user, event):
                return ()
            consume(tx, CONSUMER, event, self.clock.now())
            _, told = conclude(
                tx,
                self.recorder,
                previous,
                user,
                documents,
                status,
                kyc=replace(user.kyc, checks=checks, reasons=reasons),
                action="verification-concluded",
                actor=actor,
                facts={
                    "reference": user.kyc.reference,
                    "checks": {check.name: check.outcome for check in checks},
                },
                at=self.clock.now(),
            )
            return told

        self.outbox.publish(*self.store.transact(work))


def _awaits(user: User, event: Event) -> bool:
    """Whether the borrower's latest attempt is the one that the event asks for, and is without an answer."""
    unanswered = user.status is UserStatus.REVIEW and user.kyc.reasons == (UNANSWERED,)
    running = user.status is UserStatus.VERIFYING or unanswered
    return running and user.kyc.reference == event.data.get("reference")


def _tries(event: Event) -> int:
    """How often the provider had been asked in vain when this event was sent off."""
    return int(event.data.get("tries") or 0)


def conclude(
    tx: Transaction,
    recorder: Recorder,
    previous: AuditRecord | None,
    user: User,
    documents: tuple[Document, ...],
    status: UserStatus,
    *,
    kyc: Kyc,
    action: str,
    actor: Actor,
    facts: Mapping[str, object],
    at: datetime,
) -> tuple[User, tuple[Event, ...]]:
    """End a verification, by the machine or by a person: the borrower's status, the outcome on the papers, the

    audit record with `facts`, and the event that tells of it, unless the status is what it was.
    """
    judged = move_user(user, status, updated_at=at, kyc=replace(kyc, concluded_at=at))
    tx.update(judged)
    for document in documents:
        if document.status is DocumentStatus.RECEIVED and document.kind is not DocumentKind.INCOME:
            _stamp(tx, document, status)
    recorder.audit(
        tx,
        previous,
        subject=user.id,
        action=action,
        actor=actor,
        before={"status": user.status.value},
        after={"status": status.value, "reasons": list(kyc.reasons), **facts},
    )
    if status is user.status:
        return judged, ()
    return judged, (recorder.event(tx, "user-verified", subject=user.id, actor=actor, status=status.value),)


def _stamp(tx: Transaction, document: Document, status: UserStatus) -> None:
    """The outcome on the paper; papers of a case in review stay as they are, somebody will look at them."""
    outcome = {UserStatus.VERIFIED: DocumentStatus.ACCEPTED, UserStatus.REJECTED: DocumentStatus.REJECTED}.get(status)
    if outcome is not None:
        tx.update(replace(document, status=outcome))
