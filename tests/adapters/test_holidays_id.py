"""Indonesia's public holidays. Dates after the joint decree of three ministers on the holidays of 2026."""

from datetime import date

from pinjam.adapters.holidays_id import IndonesianHolidays


def test_fixed_and_movable_feasts_are_known() -> None:
    found = IndonesianHolidays().between(date(2026, 1, 1), date(2026, 12, 31))
    assert {date(2026, 1, 1), date(2026, 3, 19), date(2026, 3, 21), date(2026, 3, 22)} <= found
    assert {date(2026, 5, 1), date(2026, 6, 1), date(2026, 8, 17), date(2026, 12, 25)} <= found


def test_a_span_has_both_its_ends_and_may_cross_the_year() -> None:
    holidays = IndonesianHolidays()
    assert holidays.between(date(2026, 12, 25), date(2027, 1, 1)) == {date(2026, 12, 25), date(2027, 1, 1)}
    assert holidays.between(date(2026, 12, 26), date(2026, 12, 31)) == frozenset()
