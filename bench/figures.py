"""Figures of a run: medians and percentiles, ratios, and the lines of a table."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[str], None]
"""Is told what is being measured."""
Found: TypeAlias = dict[str, Any]
"""What a section found, as JSON can hold it."""
Row: TypeAlias = tuple[str, ...]
"""A line of a table; the first is its heading."""

__all__ = ["Found", "Progress", "Row", "median", "percentile", "ratio", "table", "times"]


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least so many percent of them do not exceed (nearest rank). ValueError for none."""
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]


def ratio(value: float, baseline: float) -> float:
    """How many times the baseline, to two decimals."""
    return round(value / baseline, 2)


def times(value: float | None) -> str:
    """A ratio as a table shows it; a dash where there is none."""
    return "-" if value is None else f"{value:.2f} x"


def table(title: str, rows: Sequence[Row]) -> str:
    """Rows of one length under a title, in columns as wide as their widest cell: words to the left, figures right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join([title, *(f"  {line.rstrip()}" for line in lines)])
