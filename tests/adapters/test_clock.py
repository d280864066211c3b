"""Clocks: the machine's, one that a local system moves, and one that stands."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pinjam.adapters.clock import FixedClock, MovableClock, SystemClock


def test_the_systems_clock_goes_on_in_utc() -> None:
    clock = SystemClock()
    first = clock.now()
    assert first.tzinfo is UTC
    assert datetime.now(UTC) >= first
    assert clock.now() >= first


@pytest.mark.parametrize(("hour", "minute", "day"), [(0, 0, 24), (16, 59, 24), (17, 0, 25), (23, 59, 25)], ids=str)
def test_the_business_day_begins_at_midnight_in_jakarta(hour: int, minute: int, day: int) -> None:
    clock = FixedClock(datetime(2026, 11, 24, hour, minute, tzinfo=UTC))
    assert clock.today() == date(2026, 11, day)


def test_a_fixed_clock_stands_until_it_is_moved() -> None:
    clock = FixedClock(datetime(2026, 11, 24, tzinfo=UTC))
    assert clock.now() == clock.now()
    clock.advance(days=1, hours=2)
    assert clock.now() == datetime(2026, 11, 25, 2, tzinfo=UTC)


def test_a_movable_clock_is_the_machines_until_it_is_moved(tmp_path: Path) -> None:
    clock = MovableClock(tmp_path / "clock.json")
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.offset_days() == 0


@pytest.mark.parametrize("days", [1, 400, -3])
def test_a_movable_clock_runs_whole_days_ahead(tmp_path: Path, days: int) -> None:
    path = tmp_path / "clock.json"
    path.write_text(json.dumps({"offset_days": days}))
    one, other = MovableClock(path), MovableClock(path)
    before = datetime.now(UTC) + timedelta(days=days)
    assert before <= one.now() <= other.now() <= datetime.now(UTC) + timedelta(days=days)
    path.unlink()
    assert one.now() <= datetime.now(UTC)


def test_what_the_local_system_writes_is_what_the_functions_read(tmp_path: Path) -> None:
    from pinjam.local.sandbox.clock import ClockFile  # noqa: PLC0415 - the other side of the file

    path = tmp_path / "clock.json"
    written = ClockFile(path, real_now=lambda: datetime.now(UTC))
    written.advance(5)
    assert MovableClock(path).offset_days() == 5
