"""The identity check: who passes, who does not, and what a provider that is away may not do."""

from collections.abc import Callable
from typing import Any

import pytest

from pinjam.domain.task import MOST_TRIES
from pinjam.local.people import DOUBTFUL, REJECTED, UNANSWERED
from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem

Check = Callable[..., dict[str, Any]]
NewWalker = Callable[..., Walker]
WAIT_S = 30


def send_pictures(walker: Walker) -> None:
    for kind in ("ktp", "selfie"):
        walker.upload(kind).expect(201)


def test_somebody_elses_face_is_rejected_with_the_reason_in_words(
    new_walker: NewWalker, road: Road, problem: Check
) -> None:
    walker = new_walker(nik_ending=REJECTED)
    walker.register().expect(201)
    send_pictures(walker)
    found = walker.checked()
    assert found["status"] == found["kyc"]["status"] == "rejected"
    selfie = next(check for check in found["kyc"]["checks"] if check["name"] == "selfie")
    assert (selfie["outcome"], selfie["score"]) == ("fail", 41)
    assert [reason["code"] for reason in found["kyc"]["reasons"]] == ["KYC_SELFIE"]
    assert "Foto diri tidak cocok" in found["kyc"]["reasons"][0]["message"]
    english = walker.call("GET", "/api/users/profile", headers={"Accept-Language": "en"}).expect(200)
    assert "does not match" in english["kyc"]["reasons"][0]["message"]
    assert {document["status"] for document in found["documents"]} == {"rejected"}
    walker.told("identity-rejected")
    assert "Foto diri tidak cocok" in road.inbox(walker.person.email)[0]["body"]
    applied = walker.apply(3_000_000, 6, key="one", monthly_income=9_000_000)
    assert "rejected" in problem(applied, 409, "identity-not-verified")["detail"]


def hurried(walker: Walker, road: Road, system: LocalSystem) -> dict[str, Any]:
    """The profile once the identity check has ended, with the pauses between its tries cut short."""
    for _ in range(MOST_TRIES):
        assert system.wait_until_quiet(WAIT_S)
        if walker.profile().expect(200)["status"] != "verifying":
            break
        road.call("POST", "/sandbox/clock", body={"advance_minutes": 5}).expect(200)
    return walker.checked()


@pytest.mark.parametrize(("ending", "reason"), [(DOUBTFUL, "KYC_SELFIE_UNSURE"), (UNANSWERED, "KYC_UNANSWERED")])
def test_a_doubt_or_a_silent_provider_is_for_a_person_to_judge(
    ending: str, reason: str, new_walker: NewWalker, road: Road, system: LocalSystem
) -> None:
    walker = new_walker(nik_ending=ending)
    walker.register().expect(201)
    send_pictures(walker)
    found = hurried(walker, road, system)
    assert found["status"] == "review"
    assert [one["code"] for one in found["kyc"]["reasons"]] == [reason]
    # Papers that somebody is going to look at stay as they are.
    assert {document["status"] for document in found["documents"]} == {"received"}
    assert {one["kind"] for one in walker.told("identity-review")} == {"identity-review"}


@pytest.mark.parametrize("mode", ["down", "busy"])
def test_a_provider_that_is_away_for_a_moment_costs_nothing(
    mode: str, walker: Walker, road: Road, system: LocalSystem
) -> None:
    walker.register().expect(201)
    # Twice it gives no answer; the third time it is there.
    road.fault("ekyc", mode, times=2)
    send_pictures(walker)
    assert hurried(walker, road, system)["status"] == "verified"
    assert {one["kind"] for one in walker.told("identity-verified")} == {"identity-verified"}


def test_a_provider_that_comes_back_while_staff_may_look_is_heard(
    new_walker: NewWalker, road: Road, system: LocalSystem
) -> None:
    walker = new_walker(nik_ending=UNANSWERED)
    walker.register().expect(201)
    send_pictures(walker)
    assert hurried(walker, road, system)["status"] == "review"
    walker.told("identity-review")
    road.fault("ekyc", "ok")
    road.call("POST", "/sandbox/clock", body={"advance_minutes": 10}).expect(200)
    assert system.wait_until_quiet(WAIT_S)
    assert walker.checked()["status"] == "verified"
    walker.told("identity-review", "identity-verified")


def test_new_pictures_are_a_new_attempt_and_the_fourth_in_a_day_is_refused(
    new_walker: NewWalker, road: Road, problem: Check
) -> None:
    walker = new_walker(nik_ending=REJECTED)
    walker.register().expect(201)
    for attempt in (1, 2, 3):
        walker.upload("ktp").expect(201)
        assert walker.profile().expect(200)["status"] == ("registered" if attempt == 1 else "rejected")
        walker.upload("selfie").expect(201)
        assert walker.checked()["status"] == "rejected"
    refused = walker.upload("ktp")
    body = problem(refused, 429, "too-many-verifications")
    assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600 + 1
    assert refused.headers["retry-after"] in body["detail"].replace(".", "")
    rejections = ["identity-rejected"] * 3
    assert [one["kind"] for one in walker.told(*rejections)] == rejections
    # Tomorrow is another day.
    road.set_date(road.today().fromordinal(road.today().toordinal() + 1)).expect(200)
    send_pictures(walker)
    assert walker.checked()["status"] == "rejected"


def test_who_is_verified_needs_no_more_pictures_of_face_or_card_but_may_send_a_payslip(
    walker: Walker, problem: Check
) -> None:
    walker.become_verified()
    problem(walker.upload("ktp"), 409, "identity-already-verified")
    assert walker.upload("income").expect(201)["kind"] == "income"
    assert walker.checked()["status"] == "verified"
    problem(walker.change(full_name="Somebody Else"), 409, "name-fixed")


def test_who_has_not_finished_cannot_apply(walker: Walker, problem: Check) -> None:
    walker.register().expect(201)
    walker.upload("ktp").expect(201)
    refused = problem(walker.apply(3_000_000, 6, key="one", monthly_income=9_000_000), 409, "identity-not-verified")
    assert "registered" in refused["detail"]
    assert walker.call("GET", "/api/loans").expect(200)["loans"] == []
