"""Whether an identity is proven: the judgement of an e-KYC result, and the moves of a borrower's status."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, get_args

from pinjam.domain.nik import Nik
from pinjam.domain.policy import VerificationPolicy
from pinjam.domain.user import CheckName, Gender, Kyc, KycCheck, User, UserStatus

USER_MOVES: Mapping[UserStatus, frozenset[UserStatus]] = {
    UserStatus.REGISTERED: frozenset({UserStatus.VERIFYING}),
    UserStatus.VERIFYING: frozenset({UserStatus.VERIFIED, UserStatus.REJECTED, UserStatus.REVIEW}),
    # A person decides, or the borrower sends new pictures.
    UserStatus.REVIEW: frozenset(
        # The provider's answer can come late, and leave it in review for another reason.
        {UserStatus.VERIFIED, UserStatus.REJECTED, UserStatus.VERIFYING, UserStatus.REVIEW}
    ),
    UserStatus.REJECTED: frozenset({UserStatus.VERIFYING}),
    UserStatus.VERIFIED: frozenset(),
}
"""From each status of a borrower, the statuses that may follow."""

FAILED: Mapping[CheckName, str] = {
    "nik": "KYC_NIK",
    "name": "KYC_NAME",
    "birth_date": "KYC_BIRTH_DATE",
    "selfie": "KYC_SELFIE",
    "liveness": "KYC_LIVENESS",
}
"""The reason code of each check that failed."""

FLAGS = frozenset({"KYC_BIRTH_DATE"})
"""Failures that a person looks at: a birth date that differs from the card is a flag, not a refusal."""

SELFIE_UNSURE = "KYC_SELFIE_UNSURE"
UNANSWERED = "KYC_UNANSWERED"


class IllegalUserMove(Exception):
    """A borrower's status cannot go from where it is (`came_from`) to where it was sent (`to`)."""

    def __init__(self, user_id: str, came_from: UserStatus, to: UserStatus) -> None:
        super().__init__(f"{user_id} cannot go from {came_from} to {to}")
        self.user_id = user_id
        self.came_from = came_from
        self.to = to


def move_user(user: User, to: UserStatus, *, updated_at: datetime, **changes: Any) -> User:
    """The borrower in the next status, with other fields changed along. IllegalUserMove if it may not follow."""
    if to not in USER_MOVES[user.status]:
        raise IllegalUserMove(user.id, user.status, to)
    return replace(user, **changes, status=to, updated_at=updated_at)


def judge(checks: Iterable[KycCheck], rules: VerificationPolicy) -> tuple[UserStatus, tuple[str, ...]]:
    """What an e-KYC result says: verified, rejected or review, and the codes of why it is not verified.

    A failed check rejects, except for a flag; a check that is unknown or absent is for a person, so that
    a provider that is down never rejects. The face is judged by its score: from `selfie_accept` on it
    matches, from `selfie_review` on a person looks, below it does not match; without a score only the
    provider's failure rejects, and nothing accepts.
    """
    found = {check.name: check for check in checks}
    refused, doubted = [], []
    for name in get_args(CheckName):
        check = found.get(name)
        code = UNANSWERED if check is None else _code(check, rules)
        if code is None:
            continue
        if code in FAILED.values() and code not in FLAGS:
            refused.append(code)
        elif code not in doubted:
            doubted.append(code)
    if refused:
        return UserStatus.REJECTED, (*refused, *doubted)
    if doubted:
        return UserStatus.REVIEW, tuple(doubted)
    return UserStatus.VERIFIED, ()


def _code(check: KycCheck, rules: VerificationPolicy) -> str | None:
    """The reason code of one check, None when it passed."""
    if check.name == "selfie" and check.score is not None:
        if check.score < rules.selfie_review:
            return FAILED["selfie"]
        # A high score that the provider itself does not call a match is for a person.
        return None if check.score >= rules.selfie_accept and check.outcome == "pass" else SELFIE_UNSURE
    if check.outcome == "fail":
        return FAILED[check.name]
    if check.outcome == "unknown" or check.name == "selfie":
        return UNANSWERED
    return None


def attempts_left(kyc: Kyc, rules: VerificationPolicy, today: date) -> int:
    """How many more verifications may start today (business date)."""
    used = kyc.attempts if kyc.attempted_on == today else 0
    return max(0, rules.attempts_per_day - used)


def nik_flags(nik: Nik, *, birth_date: date | None = None, gender: Gender | None = None) -> tuple[str, ...]:
    """What differs between a NIK and what was declared or printed on the card: for a person, never a refusal."""
    flags = []
    if birth_date is not None and birth_date != nik.birth_date:
        flags.append("NIK_BIRTH_DATE_DIFFERS")
    if gender is not None and gender != nik.gender:
        flags.append("NIK_GENDER_DIFFERS")
    return tuple(flags)
