"""Identity verification: asks the e-KYC provider, and judges what it answers by the policy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pinjam.domain.document import Document, DocumentKind, DocumentStatus
from pinjam.domain.policy import Policies
from pinjam.domain.trail import AuditRecord, Event
from pinjam.domain.user import Kyc, KycCheck, User, UserStatus
from pinjam.domain.verification import UNANSWERED, judge, move_user
from pinjam.services.borrowers import documents_of, known
from pinjam.services.ports import Clock, IdentityCheck, IdentityClaim, ObjectStore, Refused, Unavailable, Vault
from pinjam.services.recording import Actor, Outbox, Recorder, consume, consumed, last_record
from pinjam.services.store import Store, Transaction

CONSUMER = "verify_identity"
MOST_FAULTS = 3
"""So many times a provider may fail to answer before a person looks at the case."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Proves who a borrower is."""

    store: Store
    objects: ObjectStore
    provider: IdentityCheck
    vault: Vault
    policies: Policies
    clock: Clock
    recorder: Recorder
    outbox: Outbox

    def verify(self, event: Event) -> None:
        """Carry out the verification that an event asks for; a repetition of the event changes nothing.

        Unavailable (so that the event comes again) while the provider gives no answer; after
        `MOST_FAULTS` times the case goes to review, never to rejection.
        """
        user, documents = self.store.read(lambda tx: (known(tx, event.subject), documents_of(tx, event.subject)))
        if user.status is not UserStatus.VERIFYING or user.kyc.reference != event.data.get("reference"):
            return
        papers = {one.kind: one for one in documents if one.status is DocumentStatus.RECEIVED}
        try:
            checks = self.provider.check(self._claim(user, papers))
        except Unavailable:
            if not self._give_up(event):
                raise
            return
        except Refused:
            self._conclude(event, UserStatus.REVIEW, (), (UNANSWERED,))
            return
        status, reasons = judge(checks, self.policies.on(self.clock.today()).verification)
        self._conclude(event, status, checks, reasons)

    def _claim(self, user: User, papers: dict[DocumentKind, Document]) -> IdentityClaim:
        return IdentityClaim(
            reference=user.kyc.reference or user.id,
            nik=self.vault.open(user.nik, owner=user.id, field="nik"),
            full_name=user.full_name,
            birth_date=user.birth_date,
            email=user.email,
            phone=user.phone,
            ktp_image=self.objects.get(papers[DocumentKind.KTP].object_key),
            selfie_image=self.objects.get(papers[DocumentKind.SELFIE].object_key),
        )

    def _give_up(self, event: Event) -> bool:
        """Count a fault of the provider; true when there were enough and the case went to review."""

        def work(tx: Transaction) -> int:
            user = known(tx, event.subject)
            if user.status is not UserStatus.VERIFYING or consumed(tx, CONSUMER, event):
                return 0
            faults = user.kyc.faults + 1
            tx.update(replace(user, kyc=replace(user.kyc, faults=faults), updated_at=self.clock.now()))
            return faults

        if self.store.transact(work) < MOST_FAULTS:
            return False
        self._conclude(event, UserStatus.REVIEW, (), (UNANSWERED,))
        return True

    def _conclude(
        self, event: Event, status: UserStatus, checks: tuple[KycCheck, ...], reasons: tuple[str, ...]
    ) -> None:
        actor = Actor(id=CONSUMER, request_id=event.request_id)

        def work(tx: Transaction) -> tuple[Event, ...]:
            user = known(tx, event.subject)
            documents = documents_of(tx, event.subject)
            previous = last_record(tx, event.subject)
            if user.status is not UserStatus.VERIFYING or consumed(tx, CONSUMER, event):
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
                facts={"checks": {check.name: check.outcome for check in checks}},
                at=self.clock.now(),
            )
            return told

        self.outbox.publish(*self.store.transact(work))


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
