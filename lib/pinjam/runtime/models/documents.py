"""Papers."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pinjam.runtime.models.fields import Given, Instant, Shown

if TYPE_CHECKING:
    from pinjam.domain.document import Document


class DocumentShown(Shown):
    """A paper that was received."""

    id: str
    kind: Literal["ktp", "selfie", "income"]
    status: Literal["received", "accepted", "rejected", "replaced"]
    content_type: str
    size: Annotated[int, Field(description="Bytes, as kept.")]
    sha256: Annotated[str, Field(description="Of the bytes as kept.")]
    created_at: Instant

    @classmethod
    def of(cls, document: "Document") -> "DocumentShown":
        """The document as the API shows it."""
        return cls(
            id=document.id,
            kind=document.kind.value,
            status=document.status.value,
            content_type=document.content_type,
            size=document.size,
            sha256=document.sha256,
            created_at=document.created_at,
        )


class DocumentWithLink(DocumentShown):
    """A paper, and where to get it."""

    download_url: Annotated[str, Field(description="Valid for five minutes, for whoever holds it.")]


class LinkQuery(Given):
    """What a link to a paper carries."""

    expires: Annotated[int, Field(ge=0, le=2**40, description="Seconds since 1970.")]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DocumentList(Shown):
    """The borrower's papers, newest first."""

    documents: list[DocumentShown]
    next_cursor: str | None
