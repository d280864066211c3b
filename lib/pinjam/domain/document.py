"""Papers that a borrower sends."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DocumentKind(StrEnum):
    """What a paper shows."""

    KTP = "ktp"
    SELFIE = "selfie"
    INCOME = "income"


class DocumentStatus(StrEnum):
    """`received` until an identity check has used it; `replaced` once a newer one of its kind came."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A stored paper.

    `size` in bytes and `sha256` (hex) are of what is kept, without camera metadata and before it is sealed;
    `source_sha256` is of the bytes as sent, so that the same file sent twice is the same document.
    """

    id: str
    user_id: str
    kind: DocumentKind
    status: DocumentStatus
    content_type: str
    size: int
    sha256: str
    source_sha256: str
    object_key: str
    created_at: datetime
