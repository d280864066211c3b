"""The business clock of the local system: real time, moved by what a file holds."""

import json
import os
import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pinjam.domain.calendar import JAKARTA, local_date

MAX_OFFSET_DAYS = 3660
"""Ten years: more than any loan and its retention."""


class TooFar(ValueError):
    """The date is further from the real one than MAX_OFFSET_DAYS."""


class ClockFile:
    """Reads and moves the business date. The file is `{"offset_days": n, "offset_s": m}`; without it, time is real.

    `moved` is called after each move.
    """

    def __init__(
        self,
        path: Path,
        *,
        real_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._real_now = real_now
        self._moved = moved

    def now(self) -> datetime:
        """This instant as the business sees it, in UTC."""
        return self._real_now() + self._offset()

    def today(self) -> date:
        """The business date, in Asia/Jakarta."""
        return local_date(self.now())

    def advance(self, days: int = 0, *, minutes: int = 0) -> date:
        """Move the time on and answer the date. TooFar leaves it."""
        return self._move(self._offset() + timedelta(days=days, minutes=minutes))

    def set(self, day: date, *, hour: int | None = None) -> date:
        """Make it this date, at the real time of day or at this hour in Jakarta. TooFar leaves it."""
        real = self._real_now()
        if hour is None:
            return self._move(day - local_date(real))
        wanted = datetime.combine(day, time(hour), tzinfo=JAKARTA)
        return self._move(timedelta(seconds=int((wanted - real).total_seconds())))

    def _offset(self) -> timedelta:
        try:
            kept = json.loads(self._path.read_text())
        except FileNotFoundError:
            return timedelta()
        return timedelta(days=int(kept["offset_days"]), seconds=int(kept.get("offset_s", 0)))

    def _move(self, offset: timedelta) -> date:
        if abs(offset) > timedelta(days=MAX_OFFSET_DAYS):
            raise TooFar(f"more than {MAX_OFFSET_DAYS} days from the real date")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{secrets.token_hex(8)}")
        with draft.open("w") as file:
            json.dump({"offset_days": offset.days, "offset_s": offset.seconds}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._moved()
        return self.today()
