"""What a decision learns from earlier loans."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from pinjam.domain.history import History, history_of
from pinjam.domain.loan import Application, Instalment, Loan, LoanStatus

TODAY = date(2026, 6, 15)


def at(day: date) -> datetime:
    """Ten in the morning in Jakarta."""
    return datetime(day.year, day.month, day.day, 3, tzinfo=UTC)


def loan(id: str, status: str, created: date, *instalments: Instalment) -> Loan:
    application = Application(
        amount=1_000_000,
        tenor_months=2,
        purpose="home",
        monthly_income=9_000_000,
        other_instalments=0,
        consented_at=at(created),
    )
    return Loan(
        id=id,
        user_id="usr_1",
        status=LoanStatus(status),
        amount=1_000_000,
        tenor_months=2,
        purpose="home",
        application=application,
        open_for=None,
        created_at=at(created),
        updated_at=at(created),
        instalments=instalments,
    )


def instalment(due: date, paid: date | None) -> Instalment:
    return Instalment(number=1, due_date=due, principal=500_000, interest=25_000, paid_on=paid)


CURRENT = loan("loan_now", "submitted", TODAY)


def history(*loans: Loan) -> History:
    return history_of([*loans, CURRENT], application_id="loan_now", on=TODAY, window_days=30)


def test_a_first_application_has_no_history() -> None:
    assert history() == History(
        applications_in_window=1, active_loans=0, settled_days_late=(), worst_days_past_due=None
    )


def test_applications_count_in_the_last_30_days_whatever_became_of_them() -> None:
    found = history(
        loan("a", "declined", TODAY - timedelta(days=29)),
        loan("b", "withdrawn", TODAY),
        loan("c", "declined", TODAY - timedelta(days=30)),
    )
    assert found.applications_in_window == 3


def test_the_application_itself_counts_however_late_it_is_decided() -> None:
    old = replace(CURRENT, created_at=at(TODAY - timedelta(days=45)))
    assert history_of([old], application_id="loan_now", on=TODAY, window_days=30).applications_in_window == 1


def test_a_debt_and_a_loan_on_its_way_are_active() -> None:
    long_ago = date(2026, 1, 1)
    statuses = ("active", "accepted", "disbursing", "settled", "expired", "declined", "written_off")
    assert history(*[loan(status, status, long_ago) for status in statuses]).active_loans == 3


def test_each_settled_loan_tells_how_late_its_latest_instalment_was() -> None:
    in_time = loan("a", "settled", date(2026, 1, 1), instalment(date(2026, 2, 1), date(2026, 1, 20)))
    late = loan(
        "b",
        "settled",
        date(2026, 3, 1),
        instalment(date(2026, 4, 1), date(2026, 4, 8)),
        instalment(date(2026, 5, 1), date(2026, 5, 3)),
    )
    found = history(late, in_time)
    assert found.settled_days_late == (0, 7)
    assert found.worst_days_past_due == 7


def test_an_unpaid_instalment_is_as_late_as_today() -> None:
    running = loan(
        "a", "written_off", date(2026, 1, 1), instalment(date(2026, 5, 1), None), instalment(date(2026, 7, 1), None)
    )
    assert history(running).worst_days_past_due == 45


def test_an_instalment_that_has_not_fallen_due_says_nothing() -> None:
    assert history(loan("a", "active", date(2026, 6, 1), instalment(TODAY, None))).worst_days_past_due is None
