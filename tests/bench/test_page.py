"""The page on performance shows what the last whole run found."""

import json
from importlib import import_module

import pytest
from bench.__main__ import RESULTS, SECTIONS
from bench.deployed import REPOSITORY
from bench.figures import table


@pytest.mark.parametrize("name", SECTIONS)
def test_each_table_of_the_page_is_that_of_the_results(name: str) -> None:
    module, title = SECTIONS[name]
    found = json.loads(RESULTS.read_text())[name]
    shown = table(title, import_module(f"bench.{module}").rows(found))
    assert shown in (REPOSITORY / "docs" / "performance.md").read_text()
