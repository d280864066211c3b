"""Points for what is known, and points of their own for what is not."""

from dataclasses import fields, replace
from datetime import UTC, datetime

from pinjam.domain.history import BorrowerSnapshot, History
from pinjam.domain.loan import Application
from pinjam.domain.scorecard import Attributes, attributes, points, score
from pinjam.domain.user import UserStatus
from pinjam.policy import load_policies

CARD = load_policies().get("2026-01-01").decision.scorecard
NOTHING = Attributes(
    age=None,
    monthly_income=None,
    existing_instalments_ppm=None,
    settled_loans=None,
    worst_days_past_due=None,
    applications_in_window=None,
    tenor_months=None,
    occupation=None,
)


def test_every_missing_attribute_has_its_own_points() -> None:
    assert points(NOTHING, CARD) == {
        "age": 0,
        "monthly_income": 0,
        "existing_instalments_ppm": 40,
        "settled_loans": 40,
        "worst_days_past_due": 60,
        "applications_in_window": 40,
        "tenor_months": 0,
        "occupation": 30,
    }
    assert score(NOTHING, CARD) == 210
    assert score(NOTHING, replace(CARD, base=100)) == 310


def test_a_bin_reaches_up_to_the_next_one() -> None:
    def of_age(age: int) -> int:
        return points(replace(NOTHING, age=age), CARD)["age"]

    assert [of_age(age) for age in (17, 18, 20, 21, 24, 25, 55, 56, 90)] == [0, 20, 20, 40, 40, 60, 60, 45, 45]


def test_an_occupation_is_found_however_it_is_written() -> None:
    def of_work(occupation: str | None) -> int:
        return points(replace(NOTHING, occupation=occupation), CARD)["occupation"]

    assert of_work(" Civil Servant ") == of_work("civil_servant") == 60
    assert of_work("nelayan") == 30
    assert of_work("  ") == of_work(None) == 30


def test_attributes_come_from_the_application_the_borrower_and_the_history() -> None:
    application = Application(
        amount=3_000_000,
        tenor_months=6,
        purpose="home",
        monthly_income=8_000_000,
        other_instalments=1_000_000,
        consented_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    borrower = BorrowerSnapshot(age=35, status=UserStatus.VERIFIED, has_income_document=False, occupation="student")
    history = History(applications_in_window=2, active_loans=0, settled_days_late=(0, 9), worst_days_past_due=9)
    assert attributes(application, borrower, history) == Attributes(
        age=35,
        monthly_income=8_000_000,
        existing_instalments_ppm=125_000,
        settled_loans=2,
        worst_days_past_due=9,
        applications_in_window=2,
        tenor_months=6,
        occupation="student",
    )
    without_income = attributes(replace(application, monthly_income=0), borrower, history)
    assert (without_income.monthly_income, without_income.existing_instalments_ppm) == (None, None)


def test_the_policy_has_a_scale_for_every_attribute() -> None:
    assert {field.name for field in fields(CARD)} == {field.name for field in fields(NOTHING)} | {
        "base",
        "cut",
        "refer_from",
    }
