"""When a borrower may be reminded of a debt or offered another loan: by day, hour in their own zone, how often."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pinjam.domain.calendar import JAKARTA


@dataclass(frozen=True, slots=True)
class Window:
    """From when until when messages of a kind may go out, in the borrower's zone, Monday to Saturday.

    `most_a_day` counts them on all channels together, on one day of that zone.
    """

    opens: time
    closes: time
    most_a_day: int


COLLECTION = Window(time(8), time(20), most_a_day=3)
"""For what asks for money."""
MARKETING = Window(time(8), time(18), most_a_day=3)
"""For what invites, to those who consented."""

WINDOWS: Mapping[str, Window] = {
    "instalment-upcoming": COLLECTION,
    "instalment-due": COLLECTION,
    "instalment-overdue": COLLECTION,
    "loan-invitation": MARKETING,
}
"""By the kind of notification. What tells of a fact (a decision, a receipt) is not here: it goes out at any hour."""

HORIZON_DAYS = 28
"""How far ahead a window is looked for; so many days without a working day do not happen.

Cloud Tasks keeps no message for more than 30 days.
"""

_SUNDAY = 6
_WIB, _WITA, _WIT = JAKARTA, ZoneInfo("Asia/Makassar"), ZoneInfo("Asia/Jayapura")

ZONES: Mapping[str, ZoneInfo] = {
    str(province): zone
    for zone, provinces in (
        (_WIB, (*range(11, 20), 21, *range(31, 37), 61, 62)),
        (_WITA, (*range(51, 55), 63, 64, 65, *range(71, 77))),
        (_WIT, (81, 82, *range(91, 97))),
    )
    for province in provinces
}
"""The zone of each province by its code in the NIK, after presidential decree (Keputusan Presiden) 41 of 1987.

West: Sumatra, Java, West and Central Kalimantan. Middle: the rest of Kalimantan, Bali, Nusa Tenggara, Sulawesi, and
54, which was East Timor. East: Maluku and Papua. A province made since then has the zone of the one it was part of.
"""


def local_instant(instant: datetime, province: str) -> datetime:
    """The same instant on the clocks of a province. KeyError for a code that is none."""
    return instant.astimezone(ZONES[province])


def may_contact(
    instant: datetime, province: str, holidays: Container[date], sent_today: int, *, window: Window = COLLECTION
) -> bool:
    """Whether one more message may go out now.

    `sent_today` counts those under the same window, of this day in the borrower's zone.
    """
    local = local_instant(instant, province)
    return (
        _is_open(local.date(), holidays)
        and window.opens <= local.time() < window.closes
        and sent_today < window.most_a_day
    )


def next_window(
    instant: datetime, province: str, holidays: Container[date], sent_today: int, *, window: Window = COLLECTION
) -> datetime:
    """The first instant from now on at which one more may go out, in the zone of `instant`.

    ValueError if there is none within `HORIZON_DAYS`.
    """
    if may_contact(instant, province, holidays, sent_today, window=window):
        return instant
    local = local_instant(instant, province)
    for ahead in range(HORIZON_DAYS):
        day = local.date() + timedelta(days=ahead)
        opens = datetime.combine(day, window.opens, tzinfo=local.tzinfo)
        if _is_open(day, holidays) and opens > local and (ahead > 0 or sent_today < window.most_a_day):
            return opens.astimezone(instant.tzinfo)
    raise ValueError(f"no day within {HORIZON_DAYS} on which a borrower may be contacted")


def _is_open(day: date, holidays: Container[date]) -> bool:
    return day.weekday() != _SUNDAY and day not in holidays
