"""Indonesia's public holidays, from the `holidays` package.

It knows the decreed dates of past and present years, and reckons those of years for which no decree is out.
"""

from datetime import date
from functools import cache


class IndonesianHolidays:
    """`ports.Holidays` for the whole country; days of collective leave are working days here."""

    def between(self, first: date, last: date) -> frozenset[date]:
        """The public holidays from the first to the last day, both included."""
        days = (day for year in range(first.year, last.year + 1) for day in _of(year))
        return frozenset(day for day in days if first <= day <= last)


@cache
def _of(year: int) -> tuple[date, ...]:
    # Takes a while to load, and only messages that ask for money need it.
    from holidays.countries.indonesia import Indonesia

    return tuple(Indonesia(years=year))
