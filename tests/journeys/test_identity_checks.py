"""The identity check: who passes, who does not, and what a provider that is away may not do."""

from collections.abc import Callable
from typing import Any

import pytest

from pinjam.local.people import DOUBTFUL, REJECTED, UNANSWERED
from pinjam.local.road import Road, Walker

Check = Callable[..., dict[str, Any]]
NewWalker = Callable[..., Walker]


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


@pytest.mark.parametrize(("ending", "reason"), [(DOUBTFUL, "KYC_SELFIE_UNSURE"), (UNANSWERED, "KYC_UNANSWERED")])
def test_a_doubt_or_a_silent_provider_is_for_a_person_to_judge(ending: str, reason: str, new_walker: NewWalker) -> None:
    walker = new_walker(nik_ending=ending)
    walker.register().expect(201)
    send_pictures(walker)
    found = walker.checked()
    assert found["status"] == "review"
    assert [one["code"] for one in found["kyc"]["reasons"]] == [reason]
    # Papers that somebody is going to look at stay as they are.
    assert {document["status"] for document in found["documents"]} == {"received"}
    assert {one["kind"] for one in walker.told("identity-review")} == {"identity-review"}


def test_a_provider_that_is_away_for_a_moment_costs_nothing(walker: Walker, road: Road) -> None:
    walker.register().expect(201)
    # Twice it gives no answer; the third time it is there.
    road.fault("ekyc", "down", times=2)
    send_pictures(walker)
    assert walker.checked()["status"] == "verified"


def test_a_provider_that_stays_away_sends_to_review_and_never_rejects(walker: Walker, road: Road) -> None:
    walker.register().expect(201)
    road.fault("ekyc", "down")
    send_pictures(walker)
    assert walker.checked()["status"] == "review"


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
