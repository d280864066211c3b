"""No price changes unnoticed: every quote is what the page in this folder says.

Where a change is meant, `make golden` writes the pages again, and the diff says what it does to whom.
"""

from pathlib import Path

import pytest

from pinjam.local.golden import tables
from pinjam.policy import load_policies

HERE = Path(__file__).parent
TABLES = tables(load_policies().policies)
HINT = "if the price is meant to change, run `make golden` and commit the difference"


@pytest.mark.parametrize("page", TABLES, ids=str)
def test_prices_are_as_written(page: Path) -> None:
    path = HERE / page
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    assert TABLES[page].splitlines() == written.splitlines(), HINT


def test_every_page_is_of_a_policy() -> None:
    assert {path.relative_to(HERE) for path in HERE.glob("*/*.txt")} == set(TABLES), HINT
