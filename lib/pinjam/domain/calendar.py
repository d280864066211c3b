"""Business dates: months that never drift, 30-day months, and the zone in which a day begins."""

from calendar import monthrange
from datetime import date, datetime
from zoneinfo import ZoneInfo

JAKARTA = ZoneInfo("Asia/Jakarta")
"""The zone of the business date."""

MONTHS_A_YEAR = 12
DAYS_A_MONTH = 30
DAYS_BEFORE_CLAMPING = 28
"""Every month has these; a later day of the month may have to be clamped."""


def months_later(start: date, months: int) -> date:
    """The same day of the month `months` later, or the month's last day where there is no such day.

    Counting always starts from the original day, so that 31 January is followed by 28 February and then
    by 31 March. ValueError when the calendar (year 9999) ends before.
    """
    ahead = start.year * MONTHS_A_YEAR + start.month - 1 + months
    year, month = ahead // MONTHS_A_YEAR, ahead % MONTHS_A_YEAR + 1
    day = start.day
    if day > DAYS_BEFORE_CLAMPING:
        day = min(day, monthrange(year, month)[1])
    return date(year, month, day)


def days_30_360(start: date, end: date, *, anchor_day: int | None = None) -> int:
    """Days between two dates when every month counts 30 days.

    This is 30E/360 (day 31 counts as 30), with one addition that keeps a clamped month at exactly 30 days:
    a month's last day that stands for a later day (28 February for the 31st) counts as that day.
    `anchor_day` is the day of the month to which a schedule keeps, by default that of `start`; between a
    period's two due dates pass the day of the disbursement.
    """
    anchor = start.day if anchor_day is None else anchor_day
    months = (end.year - start.year) * MONTHS_A_YEAR + end.month - start.month
    return months * DAYS_A_MONTH + _day_of_30(end, anchor) - _day_of_30(start, anchor)


def _day_of_30(day: date, anchor: int) -> int:
    if day.day < anchor and day.day == monthrange(day.year, day.month)[1]:
        return min(anchor, DAYS_A_MONTH)
    return min(day.day, DAYS_A_MONTH)


def years_between(start: date, end: date) -> int:
    """Completed years, as an age is counted: born on 29 February, a year older on 1 March of other years."""
    return end.year - start.year - ((end.month, end.day) < (start.month, start.day))


def local_date(instant: datetime) -> date:
    """The business date in Jakarta at an instant. ValueError for an instant without a zone."""
    if instant.tzinfo is None:
        raise ValueError("instant must carry a time zone")
    return instant.astimezone(JAKARTA).date()
