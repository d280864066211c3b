"""When a borrower may be reminded of a debt."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.contact import COLLECTION, HORIZON_DAYS, MARKETING, ZONES, Window, may_contact, next_window
from pinjam.domain.nik import PROVINCES

MONDAY = date(2026, 11, 23)
provinces = st.sampled_from(sorted(ZONES))
instants = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
days_off = st.sets(st.integers(0, 20).map(lambda days: MONDAY + timedelta(days=days)))


def at(day: date, hour: int, minute: int = 0, *, province: str = "31") -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONES[province])


def test_every_province_of_a_nik_has_a_zone() -> None:
    assert set(ZONES) == PROVINCES


@pytest.mark.parametrize(
    ("province", "hours"), [("11", 7), ("31", 7), ("62", 7), ("51", 8), ("63", 8), ("73", 8), ("81", 9), ("96", 9)]
)
def test_a_zone_is_so_many_hours_ahead(province: str, hours: int) -> None:
    assert at(MONDAY, 9, province=province).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("hour", "minute", "open_"), [(7, 59, False), (8, 0, True), (12, 0, True), (19, 59, True), (20, 0, False)]
)
def test_the_day_is_from_eight_to_eight(*, hour: int, minute: int, open_: bool) -> None:
    assert may_contact(at(MONDAY, hour, minute), "31", set(), 0) is open_


def test_the_hour_is_the_borrowers_own() -> None:
    instant = at(MONDAY, 7, province="31")
    assert [may_contact(instant, province, set(), 0) for province in ("31", "51", "94")] == [False, True, True]
    instant = at(MONDAY, 19, province="31")
    assert [may_contact(instant, province, set(), 0) for province in ("31", "51", "94")] == [True, False, False]


def test_there_is_no_contact_on_sundays_and_holidays_or_a_fourth_time() -> None:
    saturday, sunday = MONDAY + timedelta(days=5), MONDAY + timedelta(days=6)
    assert may_contact(at(saturday, 9), "31", set(), 2)
    assert not may_contact(at(saturday, 9), "31", set(), 3)
    assert not may_contact(at(sunday, 9), "31", set(), 0)
    assert not may_contact(at(MONDAY, 9), "31", {MONDAY}, 0)


def test_the_next_window_skips_what_is_closed() -> None:
    saturday = MONDAY + timedelta(days=5)
    next_monday = saturday + timedelta(days=2)
    assert next_window(at(MONDAY, 6), "31", set(), 0) == at(MONDAY, 8)
    assert next_window(at(MONDAY, 9), "31", set(), 3) == at(MONDAY + timedelta(days=1), 8)
    assert next_window(at(MONDAY, 6), "31", set(), 3) == at(MONDAY + timedelta(days=1), 8)
    assert next_window(at(saturday, 20), "31", {next_monday}, 0) == at(next_monday + timedelta(days=1), 8)


def test_a_calendar_without_working_days_is_an_error() -> None:
    closed = {MONDAY + timedelta(days=days) for days in range(HORIZON_DAYS + 1)}
    with pytest.raises(ValueError, match="no day"):
        next_window(at(MONDAY, 9), "31", closed, 0)


def test_an_invitation_goes_out_only_until_six_in_the_evening() -> None:
    assert may_contact(at(MONDAY, 17), "31", set(), 0, window=MARKETING)
    assert not may_contact(at(MONDAY, 18), "31", set(), 0, window=MARKETING)
    assert next_window(at(MONDAY, 18), "31", set(), 0, window=MARKETING) == at(MONDAY + timedelta(days=1), 8)


@given(instants, provinces, days_off, st.integers(0, 5), st.sampled_from([COLLECTION, MARKETING]))
def test_the_next_window_is_open_and_the_first(
    instant: datetime, province: str, holidays: set[date], sent_today: int, window: Window
) -> None:
    opens = next_window(instant, province, holidays, sent_today, window=window)
    local, then = instant.astimezone(ZONES[province]), opens.astimezone(ZONES[province])
    later_day = then.date() > local.date()
    assert opens >= instant
    assert (opens == instant) == may_contact(instant, province, holidays, sent_today, window=window)
    assert may_contact(opens, province, holidays, 0 if later_day else sent_today, window=window)
    assert then.weekday() < 6
    assert window.opens <= then.time() < window.closes
    assert then.date() not in holidays
    half_hour = timedelta(minutes=30)
    earlier = instant
    while earlier < opens:
        day = earlier.astimezone(ZONES[province]).date()
        assert not may_contact(earlier, province, holidays, sent_today if day == local.date() else 0, window=window)
        earlier += half_hour
