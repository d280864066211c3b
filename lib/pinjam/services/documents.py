"""Papers: taken in, looked into, kept, shown; both KTP and selfie in, the identity check starts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pinjam.domain.calendar import JAKARTA
from pinjam.domain.document import Document, DocumentKind, DocumentStatus
from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.user import Kyc, UserStatus
from pinjam.domain.verification import attempts_left, move_user
from pinjam.services.borrowers import documents_of, known, unrestricted
from pinjam.services.errors import Denied, Invalid, NotFound, StateForbids, TooMany
from pinjam.services.messaging import Attachment
from pinjam.services.ports import UnreadablePaper
from pinjam.services.recording import last_record
from pinjam.services.store import Conflict, Find

if TYPE_CHECKING:
    from pinjam.domain.policy import Policies, Policy
    from pinjam.domain.trail import AuditRecord, Event
    from pinjam.domain.user import User
    from pinjam.services.links import Links
    from pinjam.services.ports import Clock, Ids, ObjectStore, Paper, PaperReader
    from pinjam.services.recording import Actor, Outbox, Recorder
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Page, Reader, Store, Transaction

IDENTITY_KINDS = frozenset({DocumentKind.KTP, DocumentKind.SELFIE})
SEALED = "application/octet-stream"
SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "application/pdf": "pdf"}


@dataclass(frozen=True, slots=True)
class Documents:
    """Takes in and shows papers. Their bytes are sealed before they leave for the object store."""

    store: Store
    vault: Vault
    objects: ObjectStore
    links: Links
    papers: PaperReader
    policies: Policies
    clock: Clock
    ids: Ids
    recorder: Recorder
    outbox: Outbox

    def upload(self, user_id: str, *, kind: DocumentKind, content: bytes, actor: Actor) -> Document:
        """Keep a paper. The same bytes again are the same document.

        Invalid if it is not a paper of its kind; StateForbids while, and after, the identity is proven, and once
        erasure was asked for; TooMany when today's attempts are used up.
        """
        try:
            paper = self.papers.read(content, pdf_allowed=kind is DocumentKind.INCOME)
        except UnreadablePaper as wrong:
            raise Invalid(FieldProblem(field="file", code=wrong.code, params=wrong.params)) from None
        new = self._describe(user_id, kind, content, paper)
        earlier = self.store.read(lambda tx: self._earlier(tx, new))
        if earlier is None:
            # The bytes go first: a row without bytes would be a paper that cannot be shown. Where a crash leaves bytes
            # without a row, the file is sent again under another key, and those end with the borrower's key.
            sealed = self.vault.safe(user_id).seal_bytes(paper.content, field=field_of(new))
            self.objects.put(new.object_key, sealed, content_type=SEALED)
        try:
            document, events = self._kept(new, actor)
        except Denied:
            if earlier is None:
                self.objects.delete(new.object_key)  # Nobody would ever find, or erase, what no row names.
            raise
        if document.id != new.id and earlier is None:
            self.objects.delete(new.object_key)
        self.outbox.publish(*events)
        return document

    def list(self, user_id: str, *, limit: int, after: str | None) -> Page[Document]:
        """The borrower's papers, newest first."""
        query = Find(kind=Document, where={"user_id": user_id}, descending=True, limit=limit, after=after)
        return self.store.find(query)

    def show(self, user_id: str, document_id: str) -> tuple[Document, str]:
        """One paper, and an address that gives its bytes for five minutes. NotFound if it is not the borrower's."""
        document = self.store.get(Document, document_id)
        if document is None or document.user_id != user_id:
            raise NotFound("document-not-found")
        return document, self.links.to(document.id)

    def content(self, document_id: str, *, expires: int, signature: str) -> Attachment:
        """The bytes behind such an address. Forbidden if it is not, or no longer, good; NotFound if they are gone."""
        self.links.check(document_id, expires=expires, signature=signature)
        document = self.store.get(Document, document_id)
        if document is None:
            raise NotFound("document-not-found")
        try:
            safe = self.vault.safe(document.user_id)
            content = safe.open_bytes(self.objects.get(document.object_key), field=field_of(document))
        except LookupError:  # KeyDestroyed is one.
            raise NotFound("document-not-found") from None
        return Attachment(
            filename=f"{document.id}.{SUFFIXES[document.content_type]}",
            content_type=document.content_type,
            content=content,
        )

    def _earlier(self, tx: Reader, new: Document) -> Document | None:
        known(tx, new.user_id)
        return _same(documents_of(tx, new.user_id), new)

    def _describe(self, user_id: str, kind: DocumentKind, content: bytes, paper: Paper) -> Document:
        document_id = self.ids.new("doc")
        return Document(
            id=document_id,
            user_id=user_id,
            kind=kind,
            status=DocumentStatus.RECEIVED,
            content_type=paper.content_type,
            size=len(paper.content),
            sha256=hashlib.sha256(paper.content).hexdigest(),
            source_sha256=hashlib.sha256(content).hexdigest(),
            object_key=f"{user_id}/{document_id}",
            created_at=self.clock.now(),
        )

    def _kept(self, new: Document, actor: Actor) -> tuple[Document, tuple[Event, ...]]:
        try:
            return self.store.transact(lambda tx: self._keep(tx, new, actor))
        except Conflict:
            # The same file, sent twice at the same moment: the other one is kept.
            return self.store.transact(lambda tx: self._keep(tx, new, actor))

    def _keep(self, tx: Transaction, new: Document, actor: Actor) -> tuple[Document, tuple[Event, ...]]:
        user = unrestricted(tx, new.user_id)
        documents = documents_of(tx, new.user_id)
        previous = last_record(tx, new.user_id)
        earlier = _same(documents, new)
        if earlier is not None and earlier.status in (DocumentStatus.RECEIVED, DocumentStatus.ACCEPTED):
            return earlier, ()
        policy = self.policies.on(self.clock.today())
        if new.kind in IDENTITY_KINDS:
            self._check_may_verify(user, policy)
        document = replace(earlier, status=DocumentStatus.RECEIVED) if earlier is not None else new
        for old in documents:
            if old.kind is new.kind and old.status is DocumentStatus.RECEIVED:
                tx.update(replace(old, status=DocumentStatus.REPLACED))
        if earlier is not None:
            tx.update(document)
        else:
            tx.insert(document)
        previous = self.recorder.audit(
            tx,
            previous,
            subject=user.id,
            action="document-received",
            actor=actor,
            before=None,
            after={"document": document.id, "kind": document.kind.value, "sha256": document.sha256},
        )
        others = {one.kind for one in documents if one.status is DocumentStatus.RECEIVED}
        if new.kind in IDENTITY_KINDS and others | {new.kind} >= IDENTITY_KINDS:
            return document, (self._start_verification(tx, user, previous, actor),)
        return document, ()

    def _check_may_verify(self, user: User, policy: Policy) -> None:
        if user.status is UserStatus.VERIFIED:
            raise StateForbids("identity-already-verified")
        if user.status is UserStatus.VERIFYING:
            raise StateForbids("verification-running")
        today = self.clock.today()
        if attempts_left(user.kyc, policy.verification, today) == 0:
            midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), tzinfo=JAKARTA)
            seconds = int((midnight - self.clock.now()).total_seconds()) + 1
            raise TooMany(seconds, "too-many-verifications")

    def _start_verification(self, tx: Transaction, user: User, previous: AuditRecord, actor: Actor) -> Event:
        today = self.clock.today()
        attempts = user.kyc.attempts + 1 if user.kyc.attempted_on == today else 1
        kyc = Kyc(attempted_on=today, attempts=attempts, reference=f"{user.id}-{today:%Y%m%d}-{attempts}")
        tx.update(move_user(user, UserStatus.VERIFYING, updated_at=self.clock.now(), kyc=kyc))
        self.recorder.audit(
            tx,
            previous,
            subject=user.id,
            action="verification-started",
            actor=actor,
            before={"status": user.status.value},
            after={"status": UserStatus.VERIFYING.value, "attempt": attempts},
        )
        return self.recorder.event(
            tx, "user-documents-completed", subject=user.id, actor=actor, reference=kyc.reference
        )


def field_of(document: Document) -> str:
    """What a document's bytes are sealed as."""
    return f"document:{document.id}"


def _same(documents: tuple[Document, ...], new: Document) -> Document | None:
    """The document that was made from the same bytes, if there is one."""
    for document in documents:
        if document.kind is new.kind and document.source_sha256 == new.source_sha256:
            return document
    return None
