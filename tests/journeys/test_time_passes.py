"""The servicing clock: each reminder is told once, whatever days are swept, and what is old expires."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from pinjam.adapters.holidays_id import IndonesianHolidays
from pinjam.domain.contact import ZONES
from pinjam.domain.money import format_rupiah
from pinjam.domain.retention import RETENTION, Passing, may_go
from pinjam.domain.session import Session
from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem
from pinjam.services.auditing import verify
from pinjam.services.books import trial_balance_of
from pinjam.services.store import Find, each

pytestmark = pytest.mark.usefixtures("empty_books")

Check = Callable[..., dict[str, Any]]
WAIT_S = 30
LONGEST_WAIT = 20
"""Days: holidays in a row, and then three messages a day."""
REMINDERS = {"Cicilan segera jatuh tempo", "Cicilan jatuh tempo hari ini", "Cicilan lewat jatuh tempo"}
DEBT = re.compile("instalment_|Pinjam: cicilan")
UPCOMING, DUE, OVERDUE = "instalment-upcoming", "instalment-due", "instalment-overdue"


class Days:
    """Moves to a day, sweeps it, and tells how often the borrower has heard of each kind since the loan."""

    def __init__(self, walker: Walker, system: LocalSystem, due: date) -> None:
        self.walker = walker
        self.system = system
        self.due = due
        self.waiting = False

    def sweep(self, days_past_due: int) -> Counter[str]:
        self.walker.road.set_date(self.due + timedelta(days=days_past_due), hour=9).expect(200)
        self.walker.road.sweep().expect(200)
        assert self.system.wait_until_quiet(WAIT_S)
        found = self.walker.notifications(limit=100).expect(200)["notifications"]
        self.waiting = {one["status"] for each in found for one in each["deliveries"]} != {"sent"}
        return Counter(one["kind"] for one in found if one["kind"].startswith("instalment-"))

    def sweep_until_all_is_sent(self, days_past_due: int) -> int:
        """Sweep day after day until no message waits for a working day; the last one, in days past due."""
        for day in range(days_past_due, days_past_due + LONGEST_WAIT):
            self.sweep(day)
            if not self.waiting:
                return day
        raise AssertionError(f"messages still wait on day {day}")


@pytest.fixture
def days(walker: Walker, system: LocalSystem) -> Days:
    loan_id = walker.become_borrower()
    return Days(walker, system, date.fromisoformat(walker.loan(loan_id).expect(200)["next_due"]["due_date"]))


def test_every_reminder_is_told_once_even_when_each_day_is_swept_twice(days: Days, road: Road) -> None:
    expected: Counter[str] = Counter()
    milestones = {-3: UPCOMING, 0: DUE, 1: OVERDUE, 7: OVERDUE, 30: OVERDUE}
    for day in (-4, -3, -2, -1, 0, 1, 2, 6, 7, 8, 29, 30, 31, 45):
        if day in milestones:
            expected[milestones[day]] += 1
        assert days.sweep(day) == expected, day
        assert days.sweep(day) == expected, day
    assert expected == {UPCOMING: 1, DUE: 1, OVERDUE: 3}
    days.sweep_until_all_is_sent(46)
    person = days.walker.person
    # One of each channel for each; what had to wait for a working day says what was true then.
    emails = [one for one in road.inbox(person.email) if one["subject"] in REMINDERS]
    others = [one for one in road.inbox(person.phone_e164) if DEBT.search(one["subject"] + one["body"])]
    assert (len(emails), Counter(one["channel"] for one in others)) == (5, {"whatsapp": 5, "sms": 4})
    local = [datetime.fromisoformat(one["at"]).astimezone(ZONES[person.nik[:2]]) for one in (*emails, *others)]
    assert all(8 <= at.hour < 20 and at.weekday() != 6 for at in local)
    free = IndonesianHolidays().between(min(local).date(), max(local).date())
    assert not free & {at.date() for at in local}
    assert max(Counter(at.date() for at in local).values()) <= 3


def test_a_week_without_a_sweep_loses_the_newest_reminder_no_more_than_it_doubles_one(days: Days) -> None:
    assert days.sweep(-1) == {UPCOMING: 1}
    # Away from the day before until ten days after: what is said is what is true now.
    assert days.sweep(10) == {UPCOMING: 1, OVERDUE: 1}
    assert days.sweep(11) == {UPCOMING: 1, OVERDUE: 1}
    assert days.sweep(40) == {UPCOMING: 1, OVERDUE: 2}


def test_an_overdue_message_names_the_sum_with_its_late_fee(days: Days, road: Road) -> None:
    days.sweep(7)
    loan = days.walker.call("GET", "/api/loans").expect(200)["loans"][0]
    assert (loan["days_past_due"], loan["bucket"]) == (7, "1-30")
    # Days 4 to 7 cost 0.1 % each of 544,650: 2,178.6, rounded half up.
    assert loan["next_due"]["late_fee"] == 2_179
    assert loan["next_due"]["amount"] == 544_650 + 2_179
    assert loan["schedule"][0]["status"] == "overdue"
    days.sweep_until_all_is_sent(7)
    now = days.walker.call("GET", "/api/loans").expect(200)["loans"][0]["next_due"]["amount"]
    newest = road.inbox(days.walker.person.email)[0]
    assert newest["subject"] == "Cicilan lewat jatuh tempo"
    assert format_rupiah(now) in newest["body"]


def test_who_pays_in_time_is_reminded_of_the_next_instalment_only(days: Days) -> None:
    loan_id = days.walker.call("GET", "/api/loans").expect(200)["loans"][0]["id"]
    payment = days.walker.start_payment(loan_id, key="pay").expect(201)
    days.walker.road.pay_at_bank(payment["id"]).expect(200)
    assert days.sweep(1) == {}
    assert days.sweep(30) == {UPCOMING: 1}


def test_a_late_payment_pays_the_fee_first_then_interest_then_principal(days: Days, road: Road) -> None:
    loan_id = days.walker.call("GET", "/api/loans").expect(200)["loans"][0]["id"]
    days.sweep(7)
    payment = days.walker.start_payment(loan_id, key="late").expect(201)
    assert payment["amount"] == 546_829
    road.pay_at_bank(payment["id"]).expect(200)
    settled = days.walker.payment(payment["id"]).expect(200)
    assert settled["allocation"] == [{"number": 1, "late_fee": 2_179, "interest": 75_000, "principal": 469_650}]
    after = days.walker.loan(loan_id).expect(200)
    assert (after["days_past_due"], after["bucket"]) == (0, "current")
    assert after["outstanding"] == 3_267_899 - 544_650


def test_a_loan_is_settled_by_its_last_instalment_and_another_may_follow(
    walker: Walker, road: Road, problem: Check
) -> None:
    loan_id = walker.become_borrower(1_000_000, 2)
    problem(walker.apply(1_000_000, 2, key="too-early"), 409, "loan-active")
    for number in (1, 2):
        payment = walker.start_payment(loan_id, key=f"pay-{number}", bank="permata").expect(201)
        road.pay_at_bank(payment["id"]).expect(200)
    loan = walker.loan(loan_id).expect(200)
    assert (loan["status"], loan["outstanding"], loan["next_due"]) == ("settled", 0, None)
    assert loan["settled_at"] is not None
    assert {row["status"] for row in loan["schedule"]} == {"paid"}
    told = Counter(one["kind"] for one in walker.told("loan-settled", "payment-received", "payment-received"))
    assert (told["loan-settled"], told["payment-received"]) == (1, 2)
    board = walker.call("GET", "/api/loans").expect(200)
    assert board["summary"]["due_date"] is None
    assert board["summary"]["credit_limit"] == 8_000_000
    problem(walker.start_payment(loan_id, key="too-late"), 409, "loan-not-active")
    assert walker.apply(2_000_000, 3, key="second").expect(202)["loan"]["status"] == "submitted"


def test_after_forty_days_nothing_is_kept_that_nobody_needs(walker: Walker, road: Road, system: LocalSystem) -> None:
    loan_id = walker.become_borrower()
    paid = walker.repay(loan_id, key="first")
    road.call("POST", "/api/auth/password/forgot", body={"identifier": walker.person.email}).expect(202)
    road.call("POST", "/api/auth/biometric/login/options", body={}).expect(200)
    assert system.wait_until_quiet(WAIT_S)
    store, clock = system.app.store, system.app.clock

    kinds = {kind for kind, retention in RETENTION.items() if not retention.real}

    def every(kind: type[Passing]) -> list[Passing]:
        return list(each(store, Find(kind=kind, order=RETENTION[kind].field, limit=100)))

    def old() -> list[Passing]:
        """What may go by the business clock; sessions are dated in real time, which nobody moves."""
        return [one for kind in kinds for one in every(kind) if may_go(one, clock.now())]

    sessions = every(Session)
    # Others here leave something at nine, which would be old two days later to the second.
    road.set_date(road.today() + timedelta(days=40), hour=10).expect(200)
    found = old()
    assert {type(one) for one in found} == kinds
    assert road.sweep().expect(200)["forgotten"] == len(found)
    assert system.wait_until_quiet(WAIT_S)
    assert old() == []
    assert road.sweep().expect(200)["forgotten"] == 0
    assert every(Session) == sessions != []
    assert verify(store).findings == ()
    rows = trial_balance_of(store).rows
    assert sum(row.debits for row in rows) == sum(row.credits for row in rows) > 0
    # The same key is a new one by now.
    assert walker.payment(paid["id"]).expect(200)["status"] == "settled"
    walker.repay(loan_id, kind="settlement", key="first")
    assert walker.loan(loan_id).expect(200)["status"] == "settled"
    assert walker.apply(3_000_000, 6, key="another").expect(202)["loan"]["status"] == "submitted"


def test_an_offer_can_be_accepted_for_seven_days_and_then_expires(walker: Walker, road: Road, problem: Check) -> None:
    loan_id = walker.become_approved()
    today = road.today()
    road.set_date(today + timedelta(days=7)).expect(200)
    road.sweep().expect(200)
    assert walker.loan(loan_id).expect(200)["status"] == "approved"
    road.set_date(today + timedelta(days=8)).expect(200)
    # Even before a sweep comes by.
    problem(walker.accept(loan_id, key="late"), 409, "offer-expired")
    # Others' offers may be as old, at the first sweep.
    for most in (100, 0):
        assert (most > 0) <= road.sweep().expect(200)["offers_expired"] <= most
        assert walker.loan(loan_id).expect(200)["status"] == "expired"
    problem(walker.accept(loan_id, key="later"), 409, "no-offer")
    assert walker.apply(3_000_000, 6, key="again").expect(202)["loan"]["status"] == "submitted"


def test_a_payment_that_nobody_pays_expires_and_another_may_be_started(walker: Walker, road: Road) -> None:
    loan_id = walker.become_borrower()
    payment = walker.start_payment(loan_id, key="one").expect(201)
    road.sweep().expect(200)
    assert walker.payment(payment["id"]).expect(200)["status"] == "pending"
    road.set_date(road.today() + timedelta(days=2)).expect(200)
    road.sweep().expect(200)
    assert walker.payment(payment["id"]).expect(200)["status"] == "expired"
    assert road.pay_at_bank(payment["id"]).status == 409
    second = walker.start_payment(loan_id, key="two").expect(201)
    assert second["status"] == "pending"
    assert second["id"] != payment["id"]


def test_money_that_arrives_for_a_debt_already_paid_goes_to_the_next_and_then_is_owed_back(
    walker: Walker, road: Road
) -> None:
    loan_id = walker.become_borrower(1_000_000, 1)
    kinds = ("instalment", "settlement")
    payments = [walker.start_payment(loan_id, kind=kind, key=f"pay-{kind}").expect(201) for kind in kinds]
    for payment in payments:
        road.pay_at_bank(payment["id"]).expect(200)
    first, second = (walker.payment(payment["id"]).expect(200) for payment in payments)
    assert (first["surplus"], sum(part["principal"] for part in first["allocation"])) == (0, 1_000_000)
    assert (second["status"], second["surplus"], second["allocation"]) == ("settled", second["amount"], [])
    assert walker.loan(loan_id).expect(200)["status"] == "settled"
    told = Counter(one["kind"] for one in walker.told("payment-surplus", "payment-received", "loan-settled"))
    assert (told["payment-surplus"], told["payment-received"], told["loan-settled"]) == (1, 1, 1)
