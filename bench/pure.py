"""The rules by themselves: schedules and decisions, over a loop of divisions."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime

from bench.figures import Found, Progress, Row, median, ratio, times

from pinjam.domain.decision import decide
from pinjam.domain.history import BorrowerSnapshot, History
from pinjam.domain.loan import Application
from pinjam.domain.schedule import amortize
from pinjam.domain.user import UserStatus
from pinjam.policy import load_policies

ROUNDS = 7
SECONDS = 0.2
DIVISIONS = 1000
DAY = date(2027, 3, 1)
AT = datetime(2027, 3, 1, 2, tzinfo=UTC)
APPLICATION = Application(
    amount=3_000_000,
    tenor_months=6,
    purpose="education",
    monthly_income=9_000_000,
    other_instalments=0,
    consented_at=AT,
)
BORROWER = BorrowerSnapshot(age=37, status=UserStatus.VERIFIED, has_income_document=False, occupation="teacher")
HISTORY = History(applications_in_window=1, active_loans=0, settled_days_late=(0, 3), worst_days_past_due=3)
POLICY = load_policies().on(DAY)


def divide() -> object:
    """The baseline: whole numbers divided, with nothing around it but the loop."""
    rest = 0
    for divisor in range(2, DIVISIONS + 2):
        rest = (10**15 + rest) // divisor
    return rest


def schedule() -> object:
    """Twelve declining instalments."""
    return amortize(principal=12_000_000, annual_rate_ppm=300_000, instalments=12, start=DAY)


def decision() -> object:
    """One decision, with all its rules, the scorecard and the price."""
    return decide(APPLICATION, BORROWER, HISTORY, POLICY, DAY, decided_at=AT)


RULES = {"amortize, 12 months": schedule, "decide": decision}


def measure(progress: Progress) -> Found:
    """Calls a second, medians of rounds, each round beside one of the baseline."""
    found: Found = {}
    for label, rule in RULES.items():
        progress(label)
        seen, base = zip(*((_a_second(rule), _a_second(divide)) for _ in range(ROUNDS)), strict=True)
        found[label] = {
            "a_second": round(median(seen)),
            "baseline_a_second": round(median(base)),
            "over_baseline": ratio(median(base), median(seen)),
        }
    return found


def _a_second(work: Callable[[], object]) -> float:
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < SECONDS:
        work()
        done += 1
    return done / took


def rows(found: Found) -> list[Row]:
    """The table: a rule's time is so many times that of the baseline."""
    return [
        ("rule", "calls/s", f"{DIVISIONS:,} divisions/s", "time over it"),
        *(
            (label, str(one["a_second"]), str(one["baseline_a_second"]), times(one["over_baseline"]))
            for label, one in found.items()
        ),
    ]
