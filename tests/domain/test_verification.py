"""What an e-KYC result leads to, and how a borrower's status may change."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import product
from typing import get_args

import pytest

from pinjam.domain.nik import parse_nik
from pinjam.domain.user import CheckName, CheckOutcome, Kyc, KycCheck, Sealed, User, UserStatus
from pinjam.domain.verification import IllegalUserMove, attempts_left, judge, move_user, nik_flags
from pinjam.policy import load_policies

RULES = load_policies().get("2026-01-01").verification
NAMES: tuple[CheckName, ...] = get_args(CheckName)
NOW = datetime(2026, 3, 1, 3, tzinfo=UTC)


def result(outcomes: Mapping[CheckName, CheckOutcome] | None = None, *, score: int | None = 95) -> list[KycCheck]:
    """All checks passed but those named; `score` is that of the selfie."""
    return [
        KycCheck(name=name, outcome=(outcomes or {}).get(name, "pass"), score=score if name == "selfie" else None)
        for name in NAMES
    ]


def test_an_identity_with_every_check_passed_is_verified() -> None:
    assert judge(result(), RULES) == (UserStatus.VERIFIED, ())


@pytest.mark.parametrize(
    ("score", "status", "reasons"),
    [
        (100, "verified", ()),
        (80, "verified", ()),
        (79, "review", ("KYC_SELFIE_UNSURE",)),
        (75, "review", ("KYC_SELFIE_UNSURE",)),
        (70, "review", ("KYC_SELFIE_UNSURE",)),
        (69, "rejected", ("KYC_SELFIE",)),
        (0, "rejected", ("KYC_SELFIE",)),
    ],
)
def test_the_face_is_judged_by_its_score(score: int, status: str, reasons: tuple[str, ...]) -> None:
    assert judge(result(score=score), RULES) == (status, reasons)


@pytest.mark.parametrize("name", ["nik", "name", "liveness"])
def test_a_failed_check_rejects(name: CheckName) -> None:
    assert judge(result({name: "fail"}), RULES) == (UserStatus.REJECTED, (f"KYC_{name.upper()}",))


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_or_absent_check_is_for_a_person(name: CheckName) -> None:
    assert judge(result({name: "unknown"}, score=None if name == "selfie" else 95), RULES)[0] == UserStatus.REVIEW
    assert judge([check for check in result() if check.name != name], RULES)[0] == UserStatus.REVIEW


def test_a_provider_that_is_down_never_rejects() -> None:
    assert judge([], RULES) == (UserStatus.REVIEW, ("KYC_UNANSWERED",))


def test_a_birth_date_that_differs_from_the_card_is_a_flag_and_no_refusal() -> None:
    assert judge(result({"birth_date": "fail"}), RULES) == (UserStatus.REVIEW, ("KYC_BIRTH_DATE",))


def test_a_face_without_a_score_is_never_accepted() -> None:
    assert judge(result(score=None), RULES) == (UserStatus.REVIEW, ("KYC_UNANSWERED",))
    assert judge(result({"selfie": "fail"}, score=None), RULES) == (UserStatus.REJECTED, ("KYC_SELFIE",))


def test_a_high_score_that_the_provider_does_not_call_a_match_is_for_a_person() -> None:
    assert judge(result({"selfie": "fail"}, score=90), RULES) == (UserStatus.REVIEW, ("KYC_SELFIE_UNSURE",))


def test_a_refusal_tells_all_that_was_found() -> None:
    status, reasons = judge(result({"nik": "fail", "birth_date": "fail", "liveness": "unknown"}, score=75), RULES)
    assert status == UserStatus.REJECTED
    assert reasons == ("KYC_NIK", "KYC_BIRTH_DATE", "KYC_SELFIE_UNSURE", "KYC_UNANSWERED")


def test_three_attempts_a_day_are_allowed() -> None:
    today = date(2026, 3, 2)
    assert attempts_left(Kyc(), RULES, today) == 3
    assert attempts_left(Kyc(attempts=2, attempted_on=today), RULES, today) == 1
    assert attempts_left(Kyc(attempts=3, attempted_on=today), RULES, today) == 0
    assert attempts_left(Kyc(attempts=3, attempted_on=date(2026, 3, 1)), RULES, today) == 3


def test_a_nik_that_differs_from_the_card_is_flagged() -> None:
    nik = parse_nik("3171056005900001", today=date(2026, 3, 1))
    assert nik_flags(nik, birth_date=date(1990, 5, 20), gender="female") == ()
    assert nik_flags(nik, birth_date=date(1990, 5, 21)) == ("NIK_BIRTH_DATE_DIFFERS",)
    assert nik_flags(nik, gender="male") == ("NIK_GENDER_DIFFERS",)


USER_MOVES = {
    ("registered", "verifying"),
    ("verifying", "verified"),
    ("verifying", "rejected"),
    ("verifying", "review"),
    ("review", "verified"),
    ("review", "rejected"),
    ("review", "verifying"),
    ("review", "review"),
    ("rejected", "verifying"),
}


@pytest.mark.parametrize(("came_from", "to"), list(product(UserStatus, UserStatus)))
def test_a_borrower_moves_only_as_the_table_says(came_from: UserStatus, to: UserStatus) -> None:
    user = User(
        id="usr_1",
        full_name="Siti Aminah",
        email="siti@example.com",
        phone="+628121234567",
        nik=Sealed("sealed"),
        nik_hash="hash",
        nik_masked="3171********0001",
        birth_date=Sealed("sealed"),
        gender="female",
        status=came_from,
        locale="id",
        consents=(),
        account_created=True,
        created_at=NOW,
        updated_at=NOW,
    )
    if (came_from, to) in USER_MOVES:
        assert move_user(user, to, updated_at=NOW).status == to
    else:
        with pytest.raises(IllegalUserMove, match=f"usr_1 cannot go from {came_from} to {to}"):
            move_user(user, to, updated_at=NOW)
