"""The decision on an application: once, kept in full, and replayed from what was kept."""

from dataclasses import replace
from typing import Any

import pytest
from tests.world import START, World, picture

from pinjam.domain.decision import replay
from pinjam.domain.loan import LoanStatus, Outcome
from pinjam.domain.user import UserStatus

CASES: list[tuple[dict[str, Any], LoanStatus, Outcome, tuple[str, ...]]] = [
    ({}, LoanStatus.APPROVED, "approved", ()),
    (
        {"amount": 5_000_000, "tenor_months": 3, "monthly_income": 3_100_000},
        LoanStatus.APPROVED,
        "counter_offer",
        ("DSR_MAX",),
    ),
    ({"amount": 5_100_000, "tenor_months": 12}, LoanStatus.REFERRED, "referred", ("INCOME_EVIDENCE", "LIMIT_MAX")),
    ({"monthly_income": 2_000_000}, LoanStatus.DECLINED, "declined", ("INCOME_MIN", "SCORE_MIN")),
]


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.mark.parametrize(("asked", "status", "outcome", "reasons"), CASES, ids=[case[2] for case in CASES])
def test_the_decision_and_its_offer_are_kept(
    world: World, user_id: str, asked: dict[str, Any], status: LoanStatus, outcome: Outcome, reasons: tuple[str, ...]
) -> None:
    loan = world.decide(world.apply(user_id, **asked))
    assert loan.decision is not None
    assert (loan.status, loan.decision.outcome) == (status, outcome)
    assert set(reasons) <= set(loan.decision.reasons)
    assert (loan.offer is not None) == (loan.offer_expires_on is not None) == (status is LoanStatus.APPROVED)
    if loan.offer is not None:
        assert loan.offer.amount == loan.decision.offered_amount
        assert loan.offer.policy_id == loan.decision.policy_id
    assert (loan.open_for is None) == (status is LoanStatus.DECLINED)
    (event,) = world.events("loan-decided")
    assert (event.subject, event.data["outcome"]) == (loan.id, outcome)
    assert world.actions(loan.id) == ["loan-submitted", "loan-decided"]


@pytest.mark.parametrize("asked", [case[0] for case in CASES], ids=[case[2] for case in CASES])
def test_the_kept_decision_replays_identically(world: World, user_id: str, asked: dict[str, Any]) -> None:
    kept = world.decide(world.apply(user_id, **asked)).decision
    assert kept is not None
    policy = world.app.policies.get(kept.policy_id)
    assert policy.hash == kept.policy_hash
    assert replay(kept.snapshot, policy) == kept


def test_a_decision_replays_after_the_borrower_has_changed(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    kept = world.loan(loan_id).decision
    world.put(replace(world.user(user_id), monthly_income=1, occupation="student", status=UserStatus.REJECTED))
    world.pass_days(400)
    assert kept is not None
    assert replay(kept.snapshot, world.app.policies.get(kept.policy_id)) == kept


def test_the_event_again_changes_nothing(world: World, user_id: str) -> None:
    loan_id = world.apply(user_id)
    first = world.decide(loan_id)
    world.pass_days(1)
    assert world.decide(loan_id) == first
    assert len(world.events("loan-decided")) == 1


def test_an_event_without_a_loan_is_done_with(world: World, user_id: str) -> None:
    world.apply(user_id)
    (event,) = world.events("loan-submitted")
    world.app.deciding.decide(replace(event, subject="loan_nothing"))
    assert world.events("loan-decided") == []


def test_an_income_paper_is_evidence(world: World, user_id: str) -> None:
    world.upload(user_id, "income", picture())
    loan = world.decide(world.apply(user_id, amount=5_100_000, tenor_months=12))
    assert loan.decision is not None
    assert "INCOME_EVIDENCE" not in loan.decision.reasons


def test_too_many_applications_are_declined(world: World, user_id: str) -> None:
    for _ in range(3):
        loan_id = world.apply(user_id)
        assert world.decide(loan_id).status is LoanStatus.APPROVED
        world.app.lending.withdraw(user_id, loan_id, actor=world.actor(user_id))
    fourth = world.decide(world.apply(user_id))
    assert fourth.decision is not None
    assert (fourth.status, fourth.decision.reasons) == (LoanStatus.DECLINED, ("VELOCITY",))
    world.pass_days(30)
    assert world.decide(world.apply(user_id)).status is LoanStatus.APPROVED


def test_the_offer_counts_from_the_day_of_the_decision(world: World, user_id: str) -> None:
    loan_id = world.apply(user_id)
    world.pass_days(3)
    loan = world.decide(loan_id)
    assert loan.decision is not None
    assert (loan.decision.decided_at, loan.decision.decided_on.day) == (world.clock.instant, 27)
    assert loan.offer_expires_on is not None
    assert (loan.offer_expires_on.month, loan.offer_expires_on.day) == (12, 4)
    assert loan.created_at == START
