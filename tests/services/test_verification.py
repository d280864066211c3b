"""Identity verification: what the provider says, and what happens when it says nothing."""

from dataclasses import replace

import pytest
from tests.world import World, picture

from pinjam.domain.document import Document, DocumentStatus
from pinjam.domain.trail import Event
from pinjam.domain.user import User, UserStatus
from pinjam.services.ports import Unavailable


@pytest.fixture
def asked(world: World) -> tuple[User, Event]:
    """A borrower whose papers are in, and the event that asks for the verification."""
    user = world.register()
    world.upload(user.id, "ktp", picture(1))
    world.upload(user.id, "selfie", picture(2))
    return world.user(user.id), world.publisher.events[-1]


@pytest.mark.parametrize(
    ("score", "status", "papers", "reasons"),
    [
        (80, UserStatus.VERIFIED, DocumentStatus.ACCEPTED, ()),
        (79, UserStatus.REVIEW, DocumentStatus.RECEIVED, ("KYC_SELFIE_UNSURE",)),
        (70, UserStatus.REVIEW, DocumentStatus.RECEIVED, ("KYC_SELFIE_UNSURE",)),
        (69, UserStatus.REJECTED, DocumentStatus.REJECTED, ("KYC_SELFIE",)),
    ],
    ids=str,
)
def test_the_face_decides(
    world: World,
    asked: tuple[User, Event],
    score: int,
    status: UserStatus,
    papers: DocumentStatus,
    reasons: tuple[str, ...],
) -> None:
    user, event = asked
    world.upload(user.id, "income", picture(3))
    world.identity.selfie_score = score
    world.app.verification.verify(event)
    judged = world.user(user.id)
    assert (judged.status, judged.kyc.reasons) == (status, reasons)
    assert [check.score for check in judged.kyc.checks if check.name == "selfie"] == [score]
    assert [one.status for one in world.all(Document)] == [papers, papers, DocumentStatus.RECEIVED]
    (told,) = world.events("user-verified")
    assert (told.subject, told.data["status"]) == (user.id, status.value)
    assert world.actions(user.id)[-1] == "verification-concluded"


def test_the_provider_is_asked_with_the_borrowers_data_and_our_reference(
    world: World, asked: tuple[User, Event]
) -> None:
    user, event = asked
    world.app.verification.verify(event)
    (claim,) = world.identity.claims
    assert (claim.nik, claim.full_name, claim.birth_date) == ("3171015508900001", user.full_name, user.birth_date)
    assert (claim.email, claim.phone, claim.reference) == (user.email, user.phone, user.kyc.reference)
    kept = {document.kind.value: world.objects.objects[document.object_key] for document in world.all(Document)}
    assert (claim.ktp_image, claim.selfie_image) == (kept["ktp"], kept["selfie"])


def test_a_provider_that_is_down_three_times_leads_to_review(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.identity.down = True
    for faults in (1, 2):
        with pytest.raises(Unavailable):
            world.app.verification.verify(event)
        assert (world.user(user.id).status, world.user(user.id).kyc.faults) == (UserStatus.VERIFYING, faults)
    world.app.verification.verify(event)
    judged = world.user(user.id)
    assert (judged.status, judged.kyc.reasons, judged.kyc.checks) == (UserStatus.REVIEW, ("KYC_UNANSWERED",), ())


def test_a_provider_that_comes_back_verifies(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.identity.down = True
    with pytest.raises(Unavailable):
        world.app.verification.verify(event)
    world.identity.down = False
    world.app.verification.verify(event)
    assert world.user(user.id).status is UserStatus.VERIFIED


def test_a_provider_that_refuses_the_request_leads_to_review(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.identity.refusing = True
    world.app.verification.verify(event)
    assert (world.user(user.id).status, world.user(user.id).kyc.reasons) == (UserStatus.REVIEW, ("KYC_UNANSWERED",))


def test_the_event_again_changes_nothing(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    for _ in range(3):
        world.app.verification.verify(event)
    assert len(world.identity.claims) == 1
    assert len(world.events("user-verified")) == 1
    assert world.actions(user.id).count("verification-concluded") == 1


def test_an_event_of_an_earlier_attempt_is_ignored(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.put(replace(user, kyc=replace(user.kyc, reference=f"{user.id}-20261124-2")))
    world.app.verification.verify(event)
    assert world.identity.claims == []
    assert world.user(user.id).status is UserStatus.VERIFYING


def test_a_second_worker_with_the_same_event_does_not_conclude_again(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    provider = world.identity

    class Slow:
        """While this one is asked, another worker gets there first."""

        def check(self, claim: object) -> object:
            world.app.verification.verify(event)
            provider.selfie_score = 10
            return provider.check(claim)  # type: ignore[arg-type]  # it is a claim

    slow = replace(world.app.verification, provider=Slow())  # type: ignore[arg-type]  # answers as the port asks
    slow.verify(event)
    assert world.user(user.id).status is UserStatus.VERIFIED
    assert len(world.events("user-verified")) == 1
