"""Papers: KTP, selfie, proof of income."""

from pinjam.domain.document import DocumentKind
from pinjam.domain.field_problem import FieldProblem
from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.documents import DocumentList, DocumentShown, DocumentWithLink, LinkQuery
from pinjam.runtime.models.fields import Paging
from pinjam.services.documents import SUFFIXES
from pinjam.services.errors import Invalid
from pinjam.services.links import PATH

api = Api("upload_doc", tag="Documents")

KINDS = tuple(kind.value for kind in DocumentKind)


@api.route(
    "POST",
    "/api/documents/upload",
    upload=True,
    answer=DocumentShown,
    status=201,
    problems=(404, 409, 413, 415, 422, 429),
    limit="upload",
)
def upload(call: Call[None, None]) -> Answer:
    """Send a paper. With both KTP and selfie in, the identity verification starts by itself."""
    form = call.upload
    kind = form.fields.get("kind") if form else None
    content = form.file if form else None
    problems = []
    if kind is None:
        problems.append(FieldProblem(field="kind", code="required", params={}))
    elif kind not in tuple(DocumentKind):  # A class of choices takes a plain string only from Python 3.12 on.
        problems.append(FieldProblem(field="kind", code="not-allowed", params={"limit": ", ".join(KINDS)}))
    if content is None:
        problems.append(FieldProblem(field="file", code="required", params={}))
    if problems or kind is None or content is None:
        raise Invalid(*problems)
    document = call.app.documents.upload(call.user_id, kind=DocumentKind(kind), content=content, actor=call.actor)
    return Answer(201, DocumentShown.of(document))


@api.route("GET", "/api/documents", query=Paging, answer=DocumentList, problems=(422,))
def show_all(call: Call[None, Paging]) -> Answer:
    """List the borrower's papers, newest first."""
    page = call.app.documents.list(call.user_id, limit=call.query.limit, after=call.query.cursor)
    documents = [DocumentShown.of(one) for one in page.items]
    return Answer(200, DocumentList(documents=documents, next_cursor=page.next_cursor))


@api.route("GET", "/api/documents/{id}", answer=DocumentWithLink, problems=(404,))
def show(call: Call[None, None]) -> Answer:
    """Show one paper, with a link to its bytes that works for five minutes."""
    document, url = call.app.documents.show(call.user_id, call.path["id"])
    return Answer(200, DocumentWithLink(**vars(DocumentShown.of(document)), download_url=url))


@api.route("GET", PATH, query=LinkQuery, public=True, media=tuple(SUFFIXES), problems=(403, 404, 422))
def fetch(call: Call[None, LinkQuery]) -> Answer:
    """Give a paper's bytes to whoever holds its link."""
    return Answer.file(
        call.app.documents.content(call.path["id"], expires=call.query.expires, signature=call.query.signature),
        # What a borrower uploaded must not run as a page of this origin.
        disposition="attachment",
    )


upload_doc = api.entry()
