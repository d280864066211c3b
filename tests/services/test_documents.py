"""Papers, and the verification that starts when both are in."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.world import World, picture

from pinjam.domain.document import Document, DocumentKind, DocumentStatus
from pinjam.domain.user import UserStatus
from pinjam.services.documents import Documents
from pinjam.services.errors import Denied, Forbidden, Invalid, NotFound, StateForbids, TooMany
from pinjam.services.ports import Unavailable
from pinjam.services.store import Conflict, StoreUnavailable, Transaction

KTP, SELFIE = picture(1), picture(2)


def link(world: World, user_id: str, document_id: str) -> tuple[int, str]:
    """When the link expires, and its signature."""
    query = parse_qs(urlsplit(world.app.documents.show(user_id, document_id)[1]).query)
    return int(query["expires"][0]), query["signature"][0]


def content(world: World, user_id: str, document_id: str) -> bytes:
    """What the link gives."""
    expires, signature = link(world, user_id, document_id)
    return world.app.documents.content(document_id, expires=expires, signature=signature).content


def test_a_paper_is_kept_with_its_bytes(world: World) -> None:
    user = world.register()
    document = world.upload(user.id, "ktp", KTP)
    assert world.get(Document, document.id) == document
    assert (document.kind, document.status, document.content_type) == (
        DocumentKind.KTP,
        DocumentStatus.RECEIVED,
        "image/jpeg",
    )
    kept = world.objects.objects[document.object_key]
    assert b"JFIF" not in kept
    assert len(kept) > document.size
    assert hashlib.sha256(content(world, user.id, document.id)).hexdigest() == document.sha256
    assert world.actions(user.id)[-1] == "document-received"


def test_the_same_bytes_are_the_same_document(world: World) -> None:
    user = world.register()
    first = world.upload(user.id, "ktp", KTP)
    assert world.upload(user.id, "ktp", KTP) == first
    assert world.all(Document) == [first]
    assert list(world.objects.objects) == [first.object_key]


def test_the_same_bytes_of_another_person_or_kind_are_another_document(world: World) -> None:
    one, two = world.register(1), world.register(2)
    made = {
        world.upload(one.id, "ktp", KTP).id,
        world.upload(two.id, "ktp", KTP).id,
        world.upload(one.id, "income", KTP).id,
    }
    assert len(made) == 3


def test_a_newer_paper_replaces_the_one_before_it(world: World) -> None:
    user = world.register()
    old, new = world.upload(user.id, "ktp", KTP), world.upload(user.id, "ktp", picture(3))
    assert world.get(Document, old.id).status is DocumentStatus.REPLACED
    assert world.get(Document, new.id).status is DocumentStatus.RECEIVED
    again = world.upload(user.id, "ktp", KTP)
    assert (again.id, again.status) == (old.id, DocumentStatus.RECEIVED)
    assert world.get(Document, new.id).status is DocumentStatus.REPLACED


@pytest.mark.parametrize("order", [("ktp", "selfie"), ("selfie", "ktp")], ids="-".join)
def test_with_both_papers_in_the_verification_starts_once(world: World, order: tuple[str, str]) -> None:
    user = world.register()
    papers = {"ktp": KTP, "selfie": SELFIE}
    world.upload(user.id, order[0], papers[order[0]])
    assert world.publisher.events == []
    for _ in range(2):
        world.upload(user.id, order[1], papers[order[1]])
    (event,) = world.publisher.events
    assert (event.topic, event.subject) == ("user-documents-completed", user.id)
    started = world.user(user.id)
    assert started.status is UserStatus.VERIFYING
    assert event.data["reference"] == started.kyc.reference == f"{user.id}-20261124-1"
    assert world.actions(user.id)[-1] == "verification-started"


def test_an_income_paper_starts_nothing(world: World) -> None:
    user = world.register()
    world.upload(user.id, "ktp", KTP)
    world.upload(user.id, "income", SELFIE)
    assert world.user(user.id).status is UserStatus.REGISTERED


def test_while_the_identity_is_verified_no_identity_paper_is_taken(world: World) -> None:
    user = world.register()
    world.upload(user.id, "ktp", KTP)
    world.upload(user.id, "selfie", SELFIE)
    kept = dict(world.objects.objects)
    with pytest.raises(StateForbids, match="verification-running"):
        world.upload(user.id, "selfie", picture(3))
    world.deliver()
    assert world.user(user.id).status is UserStatus.VERIFIED
    with pytest.raises(StateForbids, match="identity-already-verified"):
        world.upload(user.id, "ktp", picture(3))
    assert world.objects.objects == kept
    assert world.upload(user.id, "income", picture(3)).kind is DocumentKind.INCOME


def rejected_once(world: World, user_id: str, colour: int) -> None:
    world.upload(user_id, "ktp", picture(colour))
    world.upload(user_id, "selfie", picture(colour + 1))
    world.deliver()
    assert world.user(user_id).status is UserStatus.REJECTED


def test_the_fourth_verification_of_a_day_waits_for_the_next(world: World) -> None:
    user = world.register()
    world.identity.selfie_score = 10
    for attempt in range(3):
        rejected_once(world, user.id, 10 * attempt)
    kept = dict(world.objects.objects)
    with pytest.raises(TooMany) as stopped:
        world.upload(user.id, "ktp", picture(100))
    assert stopped.value.code == "too-many-verifications"
    # 09:00 in Jakarta: midnight is 15 hours away.
    assert stopped.value.retry_after_s == 15 * 3600 + 1
    assert world.objects.objects == kept
    world.clock.advance(seconds=stopped.value.retry_after_s)
    rejected_once(world, user.id, 100)
    assert world.user(user.id).kyc.attempts == 1


def test_a_rejected_paper_can_be_sent_again(world: World) -> None:
    user = world.register()
    world.identity.selfie_score = 10
    rejected_once(world, user.id, 1)
    rejected_once(world, user.id, 1)
    assert len(world.all(Document)) == 2
    assert world.user(user.id).kyc.reference == f"{user.id}-20261124-2"


def test_of_the_same_file_sent_twice_at_once_one_is_kept_and_no_bytes_are_left_over(world: World) -> None:
    user = world.register()
    objects = world.objects

    class Slow:
        """While these bytes are on their way, the same file has come and been kept."""

        delete = objects.delete

        def put(self, key: str, content: bytes, *, content_type: str) -> None:
            world.upload(user.id, "ktp", KTP)
            objects.put(key, content, content_type=content_type)

    slow = replace(world.app.documents, objects=Slow())  # type: ignore[arg-type]  # nothing else is asked of it
    late = slow.upload(user.id, kind=DocumentKind.KTP, content=KTP, actor=world.actor(user.id))
    (document,) = world.all(Document)
    assert late == document
    assert list(objects.objects) == [document.object_key]


def test_bytes_that_cannot_be_kept_make_no_document(world: World) -> None:
    user = world.register()
    world.objects.down = True
    with pytest.raises(Unavailable):
        world.upload(user.id, "ktp", KTP)
    assert world.all(Document) == []


class Failing:
    """A store whose transactions fail as told: before they begin, or after the commit, when nobody knows of it."""

    def __init__(self, world: World, failure: BaseException, *, committed: bool) -> None:
        self.read = world.store.read
        self._transact = world.store.transact
        self._failure = failure
        self._committed = committed

    def transact(self, work: Callable[[Transaction], object]) -> object:
        if self._committed:
            self._transact(work)
        raise self._failure


def upload_with(documents: Documents, world: World, user_id: str) -> Document:
    return documents.upload(user_id, kind=DocumentKind.KTP, content=KTP, actor=world.actor(user_id))


def test_after_a_crash_between_bytes_and_row_the_file_is_sent_again_and_shown(world: World) -> None:
    user = world.register()
    crashing = Failing(world, SystemExit(), committed=False)
    with pytest.raises(SystemExit):
        upload_with(replace(world.app.documents, store=crashing), world, user.id)  # type: ignore[arg-type]  # as above
    (orphan,) = world.objects.objects
    assert world.all(Document) == []
    document = world.upload(user.id, "ktp", KTP)
    assert world.all(Document) == [document]
    assert hashlib.sha256(content(world, user.id, document.id)).hexdigest() == document.sha256
    # Nothing names what the crash left; it is sealed with the borrower's key, and ends with it.
    assert set(world.objects.objects) == {orphan, document.object_key}
    assert orphan.startswith(f"{user.id}/")


def test_bytes_stay_while_nobody_knows_whether_their_row_was_kept(world: World) -> None:
    user = world.register()
    unsure = Failing(world, StoreUnavailable("no answer"), committed=True)
    with pytest.raises(StoreUnavailable):
        upload_with(replace(world.app.documents, store=unsure), world, user.id)  # type: ignore[arg-type]  # as above
    again = world.upload(user.id, "ktp", KTP)
    assert world.all(Document) == [again]
    assert hashlib.sha256(content(world, user.id, again.id)).hexdigest() == again.sha256


def test_bytes_whose_arrival_was_not_confirmed_make_no_document_and_the_file_is_sent_again(world: World) -> None:
    user = world.register()
    objects = world.objects

    class Unconfirmed:
        def put(self, key: str, content: bytes, *, content_type: str) -> None:
            objects.put(key, content, content_type=content_type)
            raise Unavailable("objects", "ReadTimeout")

    with pytest.raises(Unavailable):
        upload_with(replace(world.app.documents, objects=Unconfirmed()), world, user.id)  # type: ignore[arg-type]  # as above
    assert world.all(Document) == []
    document = world.upload(user.id, "ktp", KTP)
    assert hashlib.sha256(content(world, user.id, document.id)).hexdigest() == document.sha256


def test_an_upload_that_is_denied_at_its_second_try_leaves_no_bytes(world: World) -> None:
    user = world.register()
    transact = world.store.transact

    class Contended:
        """Another one's row comes first, and then the wish to be forgotten."""

        read = world.store.read
        tries = 0

        def transact(self, work: Callable[[Transaction], object]) -> object:
            self.tries += 1
            if self.tries == 1:
                world.app.erasing.ask(user.id, actor=world.actor(user.id))
                raise Conflict(Document, ("source_sha256",))
            return transact(work)

    with pytest.raises(StateForbids):
        upload_with(replace(world.app.documents, store=Contended()), world, user.id)  # type: ignore[arg-type]  # as above
    assert world.objects.objects == {}


def test_a_stranger_leaves_no_bytes(world: World) -> None:
    with pytest.raises(Denied, match="user-not-found"):
        world.upload("usr_nobody", "ktp", KTP)
    assert world.objects.objects == {}


@pytest.mark.parametrize("kind", ["ktp", "selfie", "income"])
def test_what_is_no_paper_is_refused_with_its_field(world: World, kind: str) -> None:
    user = world.register()
    with pytest.raises(Invalid) as refused:
        world.upload(user.id, kind, b"<svg/>")
    (problem,) = refused.value.fields
    assert (problem.field, problem.code) == ("file", "file-type")
    assert ("PDF" in str(problem.params["allowed"])) == (kind == "income")


def test_a_paper_is_shown_to_its_owner_with_a_link_of_five_minutes(world: World) -> None:
    one, two = world.register(1), world.register(2)
    document = world.upload(one.id, "ktp", KTP)
    shown, url = world.app.documents.show(one.id, document.id)
    assert shown == document
    assert url.startswith(f"https://api.invalid/api/documents/{document.id}/content?")
    assert hashlib.sha256(content(world, one.id, document.id)).hexdigest() == document.sha256
    for user_id, document_id in ((two.id, document.id), (one.id, "doc_nothing")):
        with pytest.raises(NotFound, match="document-not-found"):
            world.app.documents.show(user_id, document_id)


def test_papers_are_listed_newest_first_page_by_page(world: World) -> None:
    user = world.register()
    made = [world.upload(user.id, "income", picture(number)).id for number in range(3)]
    page = world.app.documents.list(user.id, limit=2, after=None)
    rest = world.app.documents.list(user.id, limit=2, after=page.next_cursor)
    assert [one.id for one in (*page.items, *rest.items)] == made[::-1]
    assert rest.next_cursor is None


def test_a_link_works_for_five_minutes(world: World) -> None:
    user = world.register()
    document = world.upload(user.id, "ktp", KTP)
    expires, signature = link(world, user.id, document.id)
    world.clock.advance(seconds=299)
    found = world.app.documents.content(document.id, expires=expires, signature=signature)
    assert (found.filename, found.content_type) == (f"{document.id}.jpg", "image/jpeg")
    world.clock.advance(seconds=1)
    with pytest.raises(Forbidden, match="link-not-valid"):
        world.app.documents.content(document.id, expires=expires, signature=signature)


def test_a_link_that_was_changed_gives_nothing(world: World) -> None:
    one, two = world.register(1), world.register(2)
    mine, other = world.upload(one.id, "ktp", KTP), world.upload(two.id, "ktp", KTP)
    expires, signature = link(world, one.id, mine.id)
    for document_id, until, signed in (
        (other.id, expires, signature),
        (mine.id, expires + 1, signature),
        (mine.id, expires, "0" * 64),
        (mine.id, expires, "é"),
        (mine.id, expires, ""),
    ):
        with pytest.raises(Forbidden, match="link-not-valid"):
            world.app.documents.content(document_id, expires=until, signature=signed)


def test_a_link_to_bytes_that_are_gone_finds_nothing(world: World) -> None:
    user = world.register()
    document = world.upload(user.id, "ktp", KTP)
    world.objects.delete(document.object_key)
    with pytest.raises(NotFound, match="document-not-found"):
        content(world, user.id, document.id)


def test_bytes_of_another_paper_in_its_place_are_an_error(world: World) -> None:
    user = world.register()
    first, second = (world.upload(user.id, kind, KTP) for kind in ("ktp", "selfie"))
    world.objects.objects[first.object_key] = world.objects.objects[second.object_key]
    world.objects.sha256s[first.object_key] = world.objects.sha256s[second.object_key]
    with pytest.raises(ValueError, match="another owner or field"):
        content(world, user.id, first.id)
