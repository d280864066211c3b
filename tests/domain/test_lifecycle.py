"""A loan moves only as the table says."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product

import pytest

from pinjam.domain.lifecycle import HELD_OPEN, MOVES, IllegalMove, move
from pinjam.domain.loan import Application, Loan, LoanStatus

APPLIED = datetime(2026, 3, 1, 3, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 3, tzinfo=UTC)

LEGAL = {
    ("submitted", "approved"),
    ("submitted", "referred"),
    ("submitted", "declined"),
    ("referred", "approved"),
    ("referred", "declined"),
    ("approved", "accepted"),
    ("approved", "expired"),
    ("approved", "withdrawn"),
    ("accepted", "disbursing"),
    ("disbursing", "active"),
    ("disbursing", "accepted"),
    ("active", "settled"),
    ("active", "written_off"),
    ("settled", "active"),
}


def loan(status: LoanStatus) -> Loan:
    application = Application(
        amount=3_000_000,
        tenor_months=6,
        purpose="home",
        monthly_income=9_000_000,
        other_instalments=0,
        consented_at=APPLIED,
    )
    return Loan(
        id="loan_1",
        user_id="usr_1",
        status=status,
        amount=3_000_000,
        tenor_months=6,
        purpose="home",
        application=application,
        open_for="usr_1" if status in HELD_OPEN else None,
        created_at=APPLIED,
        updated_at=APPLIED,
    )


@pytest.mark.parametrize(("came_from", "to"), sorted(LEGAL))
def test_a_legal_move_changes_status_and_time(came_from: str, to: str) -> None:
    moved = move(loan(LoanStatus(came_from)), LoanStatus(to), updated_at=LATER)
    assert (moved.status, moved.updated_at, moved.created_at) == (to, LATER, APPLIED)


@pytest.mark.parametrize(("came_from", "to"), [pair for pair in product(LoanStatus, LoanStatus) if pair not in LEGAL])
def test_any_other_move_is_refused(came_from: LoanStatus, to: LoanStatus) -> None:
    with pytest.raises(IllegalMove, match=f"loan_1 cannot go from {came_from} to {to}") as refused:
        move(loan(came_from), to, updated_at=LATER)
    assert (refused.value.loan_id, refused.value.came_from, refused.value.to) == ("loan_1", came_from, to)


def test_the_borrower_is_held_while_an_application_is_open_or_a_debt_lives() -> None:
    for came_from, to in LEGAL:
        moved = move(loan(LoanStatus(came_from)), LoanStatus(to), updated_at=LATER)
        over = to in {"declined", "expired", "withdrawn", "settled", "written_off"}
        assert moved.open_for == (None if over else "usr_1"), to


def test_a_move_carries_other_changes() -> None:
    moved = move(loan(LoanStatus.DISBURSING), LoanStatus.ACTIVE, updated_at=LATER, disbursed_on=date(2026, 3, 2))
    assert moved.disbursed_on == date(2026, 3, 2)


def test_a_settled_loan_whose_payment_was_taken_back_is_a_live_debt_again() -> None:
    settled = replace(loan(LoanStatus.SETTLED), settled_at=LATER)
    reopened = move(settled, LoanStatus.ACTIVE, updated_at=LATER)
    assert (reopened.status, reopened.open_for, reopened.settled_at) == ("active", "usr_1", None)


def test_a_loan_can_be_reopened_beside_another_and_settled_again() -> None:
    settled = replace(loan(LoanStatus.SETTLED), settled_at=LATER)
    reopened = move(settled, LoanStatus.ACTIVE, updated_at=LATER, holds_borrower=False)
    assert (reopened.status, reopened.open_for, reopened.settled_at) == ("active", None, None)
    again = move(reopened, LoanStatus.SETTLED, updated_at=LATER, settled_at=LATER)
    assert (again.status, again.open_for, again.settled_at) == ("settled", None, LATER)


def test_no_other_loan_lives_without_holding_its_borrower() -> None:
    with pytest.raises(ValueError, match="loan_1 must hold its borrower when it goes from disbursing to active"):
        move(loan(LoanStatus.DISBURSING), LoanStatus.ACTIVE, updated_at=LATER, holds_borrower=False)


def test_every_status_can_be_reached_and_every_road_ends() -> None:
    def reached(status: LoanStatus, seen: frozenset[LoanStatus]) -> Iterator[LoanStatus]:
        yield status
        for following in MOVES[status] - seen:
            yield from reached(following, seen | {following})

    assert set(reached(LoanStatus.SUBMITTED, frozenset())) == set(LoanStatus)
    assert set(MOVES) == set(LoanStatus)
