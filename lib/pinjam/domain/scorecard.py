"""Integer points for what is known of a borrower. Every attribute may be missing, and that has its points."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from pinjam.domain.history import BorrowerSnapshot, History
from pinjam.domain.loan import Application
from pinjam.domain.money import PPM
from pinjam.domain.policy import CategoryScale, NumberScale, Scorecard


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What the scorecard looks at, named as in the policy; None is missing."""

    age: int | None
    monthly_income: int | None
    existing_instalments_ppm: int | None
    settled_loans: int | None
    worst_days_past_due: int | None
    applications_in_window: int | None
    tenor_months: int | None
    occupation: str | None


def attributes(application: Application, borrower: BorrowerSnapshot, history: History) -> Attributes:
    """What is known. A first-time borrower misses `settled_loans`: no history is not a bad one."""
    income = application.monthly_income
    return Attributes(
        age=borrower.age,
        monthly_income=income or None,
        existing_instalments_ppm=application.other_instalments * PPM // income if income else None,
        settled_loans=len(history.settled_days_late) or None,
        worst_days_past_due=history.worst_days_past_due,
        applications_in_window=history.applications_in_window,
        tenor_months=application.tenor_months,
        occupation=borrower.occupation,
    )


def points(known: Attributes, scorecard: Scorecard) -> Mapping[str, int]:
    """The points of each attribute, by name."""
    given = {}
    for field in fields(known):
        scale: NumberScale | CategoryScale = getattr(scorecard, field.name)
        value = getattr(known, field.name)
        given[field.name] = _number(value, scale) if isinstance(scale, NumberScale) else _category(value, scale)
    return given


def score(known: Attributes, scorecard: Scorecard) -> int:
    """The base and all points together."""
    return scorecard.base + sum(points(known, scorecard).values())


def _number(value: int | None, scale: NumberScale) -> int:
    if value is None:
        return scale.missing
    reached = [each.points for each in scale.bins if each.at_least <= value]
    return reached[-1] if reached else scale.missing


def _category(value: str | None, scale: CategoryScale) -> int:
    word = (value or "").strip().casefold().replace(" ", "_")
    return scale.points.get(word, scale.other) if word else scale.missing
