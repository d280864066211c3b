"""Identity verification: what the provider says, and what happens when it says nothing."""

import hashlib
from dataclasses import replace
from datetime import date, timedelta
from typing import NoReturn

import pytest
from tests.world import World, picture

from pinjam.domain.document import Document, DocumentStatus
from pinjam.domain.trail import Event
from pinjam.domain.user import KycCheck, User, UserStatus
from pinjam.policy import load_policies
from pinjam.services.errors import TooMany
from pinjam.services.ports import IdentityClaim, Unavailable
from pinjam.services.reviewing import Verdict

RULES = load_policies().get("2026-01-01").verification


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
    assert (claim.nik, claim.full_name, claim.birth_date) == ("3171015508900001", user.full_name, date(1990, 8, 15))
    assert (claim.email, claim.phone, claim.reference) == (user.email, user.phone, user.kyc.reference)
    kept = {
        one.kind.value: hashlib.sha256(image).hexdigest()
        for one, image in zip(world.all(Document), (claim.ktp_image, claim.selfie_image), strict=True)
    }
    assert kept == {one.kind.value: one.sha256 for one in world.all(Document)}


def verify_until_review(world: World, event: Event) -> None:
    """The provider is down until the case is in review; then a fourth try is waiting."""
    world.identity.down = True
    world.app.verification.verify(event)
    for _ in range(RULES.faults_before_review - 1):
        world.pass_minutes(1)
        assert world.run_tasks() == 1
    assert world.user(event.subject).status is UserStatus.REVIEW


def test_a_provider_that_gives_no_answer_is_asked_again_after_a_pause(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.identity.down = True
    world.app.verification.verify(event)
    assert (world.user(user.id).status, world.user(user.id).kyc.faults) == (UserStatus.VERIFYING, 1)
    (task,) = world.tasks.waiting.values()
    assert (task.queue, task.function, task.event.id) == ("ekyc", "verify_identity", event.id)
    # The service's own hint is longer than the first pause.
    assert task.due_at == world.clock.now() + timedelta(seconds=1)
    assert world.run_tasks() == 0
    world.identity.down = False
    world.pass_minutes(1)
    assert world.run_tasks() == 1
    assert world.user(user.id).status is UserStatus.VERIFIED
    assert world.actions(user.id)[-2:] == ["verification-unanswered", "verification-concluded"]


def test_a_provider_that_says_when_to_come_back_is_not_asked_before(world: World, asked: tuple[User, Event]) -> None:
    _, event = asked

    class Busy:
        def check(self, claim: IdentityClaim) -> NoReturn:
            raise Unavailable("ekyc", f"answered 429 to {claim.reference}", retry_after_s=600)

    replace(world.app.verification, provider=Busy()).verify(event)
    (task,) = world.tasks.waiting.values()
    assert task.due_at == world.clock.now() + timedelta(minutes=10)


def test_a_provider_that_is_down_three_times_leads_to_review(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    started = world.clock.now()
    world.identity.down = True
    world.app.verification.verify(event)
    while world.user(user.id).status is UserStatus.VERIFYING:
        world.clock.advance(seconds=1)
        world.run_tasks()
    judged = world.user(user.id)
    assert (judged.status, judged.kyc.reasons, judged.kyc.checks) == (UserStatus.REVIEW, ("KYC_UNANSWERED",), ())
    assert (judged.kyc.faults, judged.kyc.concluded_at) == (3, world.clock.now())
    assert world.clock.now() - started == timedelta(seconds=5)
    assert [one.data["status"] for one in world.events("user-verified")] == ["review"]
    assert len(world.tasks.waiting) == 1


@pytest.mark.parametrize(
    ("score", "status", "reasons"),
    [
        (95, UserStatus.VERIFIED, ()),
        (75, UserStatus.REVIEW, ("KYC_SELFIE_UNSURE",)),
        (10, UserStatus.REJECTED, ("KYC_SELFIE",)),
    ],
    ids=["verified", "review", "rejected"],
)
def test_an_answer_that_comes_after_the_review_began_is_judged_all_the_same(
    world: World, asked: tuple[User, Event], score: int, status: UserStatus, reasons: tuple[str, ...]
) -> None:
    user, event = asked
    verify_until_review(world, event)
    world.identity.down, world.identity.selfie_score = False, score
    world.pass_minutes(10)
    assert world.run_tasks() == 1
    judged = world.user(user.id)
    assert (judged.status, judged.kyc.reasons, len(judged.kyc.checks)) == (status, reasons, 5)
    # Nobody is told twice that somebody will look.
    told = [one.data["status"] for one in world.events("user-verified")]
    assert told == (["review"] if status is UserStatus.REVIEW else ["review", status.value])
    assert (world.trail(user.id)[-1].before, world.trail(user.id)[-1].action) == (
        {"status": "review"},
        "verification-concluded",
    )
    world.pass_minutes(24 * 60)
    assert world.run_tasks() == 0
    world.app.verification.verify(event)
    assert world.user(user.id) == judged


def test_after_eight_tries_the_provider_is_left_alone(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    verify_until_review(world, event)
    before = world.identity.calls
    for _ in range(10):
        world.pass_minutes(24 * 60)
        world.run_tasks()
    assert (before, world.identity.calls, world.user(user.id).kyc.faults) == (3, 8, 8)
    world.identity.down = False
    world.app.verification.verify(event)
    judged = world.user(user.id)
    assert (judged.status, judged.kyc.reasons, world.identity.calls) == (UserStatus.REVIEW, ("KYC_UNANSWERED",), 8)
    assert len(world.events("user-verified")) == 1
    assert world.actions(user.id).count("verification-unanswered") == 7
    assert world.actions(user.id).count("verification-concluded") == 1


def test_the_event_and_its_tasks_again_change_nothing(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.identity.down = True
    world.app.verification.verify(event)
    kept, tasks = world.user(user.id), dict(world.tasks.waiting)
    for _ in range(3):
        world.app.verification.verify(event)
    assert (world.user(user.id), world.tasks.waiting, world.identity.calls) == (kept, tasks, 1)
    world.pass_minutes(1)
    world.run_tasks()
    kept, waiting = world.user(user.id), dict(world.tasks.waiting)
    for task in tasks.values():
        world.consume(task.function, task.event)
    assert (world.user(user.id), world.tasks.waiting, world.identity.calls) == (kept, waiting, 2)


def test_two_workers_with_the_same_event_count_one_fault(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.identity.down = True

    class Slow:
        """While this one waits in vain, another worker has waited in vain already."""

        def check(self, claim: IdentityClaim) -> NoReturn:
            world.app.verification.verify(event)
            raise Unavailable("ekyc", f"no answer about {claim.reference}")

    replace(world.app.verification, provider=Slow()).verify(event)
    assert (world.user(user.id).kyc.faults, len(world.tasks.waiting)) == (1, 1)
    assert world.actions(user.id).count("verification-unanswered") == 1


def test_a_death_before_the_next_try_was_kept_is_made_good_by_the_event_again(
    world: World, asked: tuple[User, Event]
) -> None:
    user, event = asked
    world.identity.down = world.tasks.down = True
    with pytest.raises(Unavailable):
        world.app.verification.verify(event)
    world.tasks.down = False
    world.app.verification.verify(event)
    assert (world.identity.calls, world.user(user.id).kyc.faults, len(world.tasks.waiting)) == (1, 1, 1)


def test_documents_that_cannot_be_read_are_no_fault_of_the_provider(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.objects.down = True
    with pytest.raises(Unavailable):
        world.app.verification.verify(event)
    assert (world.user(user.id).kyc.faults, world.tasks.waiting) == (0, {})


def test_a_late_answer_does_not_touch_what_a_person_decided(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    verify_until_review(world, event)
    verdict = Verdict(approve=False, reviewer="dewi", reason="the card is somebody else's")
    world.app.reviewing.decide(user.id, verdict, request_id="req_12345678")
    decided = world.user(user.id)
    world.identity.down = False
    world.pass_minutes(10)
    assert world.run_tasks() == 1
    assert (world.user(user.id), decided.status) == (decided, UserStatus.REJECTED)


def test_a_late_answer_does_not_touch_a_new_attempt(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    verify_until_review(world, event)
    world.upload(user.id, "selfie", picture(9))
    anew = world.user(user.id)
    assert (anew.status, anew.kyc.attempts, anew.kyc.faults) == (UserStatus.VERIFYING, 2, 0)
    world.identity.down = False
    world.pass_minutes(10)
    assert world.run_tasks() == 1
    assert (world.user(user.id), world.identity.claims) == (anew, [])
    world.app.verification.verify(world.publisher.events[-1])
    assert world.user(user.id).status is UserStatus.VERIFIED


def test_a_person_who_decides_while_the_provider_is_asked_wins(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    verify_until_review(world, event)
    provider = world.identity
    provider.down = False
    verdict = Verdict(approve=False, reviewer="dewi", reason="the card is somebody else's")

    class Slow:
        def check(self, claim: IdentityClaim) -> tuple[KycCheck, ...]:
            world.app.reviewing.decide(user.id, verdict, request_id="req_12345678")
            return provider.check(claim)

    (task,) = world.tasks.waiting.values()
    replace(world.app.verification, provider=Slow()).verify(task.event)
    assert (world.user(user.id).status, len(provider.claims)) == (UserStatus.REJECTED, 1)
    assert [one.data["status"] for one in world.events("user-verified")] == ["review", "rejected"]


def test_a_provider_that_refuses_the_request_leads_to_review_at_once(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    world.identity.refusing = True
    world.app.verification.verify(event)
    assert (world.user(user.id).status, world.user(user.id).kyc.reasons) == (UserStatus.REVIEW, ("KYC_UNANSWERED",))
    world.identity.refusing = False
    world.app.verification.verify(event)
    assert (world.user(user.id).status, world.tasks.waiting, world.identity.claims) == (UserStatus.REVIEW, {}, [])


def test_three_attempts_a_day_however_they_end(world: World, asked: tuple[User, Event]) -> None:
    user, event = asked
    verify_until_review(world, event)
    for colour in (9, 10):
        world.upload(user.id, "selfie", picture(colour))
        world.app.verification.verify(world.publisher.events[-1])
        for _ in range(2):
            world.pass_minutes(1)
            world.run_tasks()
    assert (world.user(user.id).status, world.user(user.id).kyc.attempts) == (UserStatus.REVIEW, 3)
    with pytest.raises(TooMany):
        world.upload(user.id, "selfie", picture(11))


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
