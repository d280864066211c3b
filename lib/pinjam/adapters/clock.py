"""The time: the system's own, or, in the local profile, one whose business date can be moved."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pinjam.domain.calendar import local_date


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """This instant, in UTC."""
        return datetime.now(UTC)

    def today(self) -> date:
        """The business date, in Asia/Jakarta."""
        return local_date(self.now())


@dataclass(frozen=True, slots=True)
class MovableClock:
    """The machine's clock plus an offset kept in a file, so that every process of a local system agrees."""

    path: Path

    def now(self) -> datetime:
        """This instant in business time, in UTC."""
        return datetime.now(UTC) + self._offset()

    def today(self) -> date:
        """The business date, in Asia/Jakarta."""
        return local_date(self.now())

    def offset_days(self) -> int:
        """By how many days the business date runs ahead; 0 while the file does not exist."""
        return self._offset().days

    def _offset(self) -> timedelta:
        try:
            kept = json.loads(self.path.read_text())
        except FileNotFoundError:
            return timedelta()
        return timedelta(days=int(kept["offset_days"]), seconds=int(kept.get("offset_s", 0)))


@dataclass(slots=True)
class FixedClock:
    """A clock that stands until it is set: for tests and for replays."""

    instant: datetime

    def now(self) -> datetime:
        """The instant it was set to."""
        return self.instant

    def today(self) -> date:
        """The business date of that instant."""
        return local_date(self.instant)

    def advance(self, **by: float) -> None:
        """Move on by a `timedelta` given in keywords, e.g. `days=3`."""
        self.instant += timedelta(**by)
