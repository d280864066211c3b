"""What is watched is what the code says: no metric without its line, no alert without its page."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM, RUNBOOKS = ROOT / "terraform", ROOT / "docs" / "runbooks"
LEVELS = {"critical", "error", "exception", "info", "log", "warning"}
MOST_CHARACTERS = 8192
"""Of an alert's documentation, by Cloud Monitoring."""


@dataclass(frozen=True)
class Metric:
    """What metrics.tf counts: the lines' names, and the fields that are read from them."""

    name: str
    lines: Sequence[str]
    fields: frozenset[str]


def metrics() -> Iterator[Metric]:
    text = (TERRAFORM / "metrics.tf").read_text()
    for name, body in re.findall(r"^    (\w+) = \{\n(.*?)^    \}", text, re.MULTILINE | re.DOTALL):
        said = dict(re.findall(r"^      (\w+)\s+= (.*)$", body, re.MULTILINE))
        fields = set(re.findall(r"jsonPayload\.(\w+)", said["only"]))
        fields |= set(re.findall(r'= "(\w+)"', said["labels"])) | set(re.findall(r'^"(\w+)"', said["value"]))
        yield Metric(name, re.findall(r'"([\w-]+)"', said["lines"]), frozenset(fields - {"message"}))


@cache
def logged() -> Mapping[str, str]:
    """Each name that the code logs, and the source of the files that log it."""
    found: dict[str, str] = {}
    for path in (ROOT / "lib" / "pinjam").rglob("*.py"):
        if "local" in path.parts:
            continue
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                for said in node.args[:2]:
                    if isinstance(said, ast.Constant) and isinstance(said.value, str):
                        found[said.value] = found.get(said.value, "") + source
    return found


METRICS = list(metrics())


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_line_that_is_counted_is_written_with_the_fields_that_are_read(metric: Metric) -> None:
    written = logged()
    assert metric.lines
    for line in metric.lines:
        assert line in written
        unknown = [name for name in metric.fields if not re.search(rf'"{name}"|\b{name}: int\b', written[line])]
        assert unknown == []


def test_every_metric_is_read_from_the_file() -> None:
    text = (TERRAFORM / "metrics.tf").read_text()
    assert len(METRICS) == len(re.findall(r"^      lines ", text, re.MULTILINE)) > 1


def test_every_metric_is_looked_at() -> None:
    looked_at = "".join((TERRAFORM / name).read_text() for name in ("alerts.tf", "dashboards.tf"))
    named = set(re.findall(r"local\.(?:line|measured)\.(\w+)", looked_at))
    assert named == {metric.name for metric in METRICS}


def alerts() -> set[str]:
    """By the names of their pages."""
    watched = re.findall(r"^    ([a-z-]+) = \{\n      severity", (TERRAFORM / "alerts.tf").read_text(), re.MULTILINE)
    slo = (TERRAFORM / "slo.tf").read_text()
    objectives = re.findall(r'resource "google_monitoring_slo" "(\w+)"', slo)
    return {*watched, *(f"api-{name}" for name in objectives), "budget"}


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == alerts()


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_fits_into_the_alert_and_says_what_to_do(page: Path) -> None:
    text = page.read_text()
    assert len(text) <= MOST_CHARACTERS
    parts = ["**It means.**", "**Who is hurt.**", "**See.**", "**Do.**", "**It is over when.**"]
    assert [part for part in parts if part in text] == parts


def test_lines_that_pages_look_for_are_written() -> None:
    written = logged()
    for page in RUNBOOKS.glob("*.md"):
        for group in re.findall(r'jsonPayload\.message=(\([^)]*\)|"[^"]*")', page.read_text()):
            assert set(re.findall(r'"([\w-]+)"', group)) <= written.keys(), page.stem


def test_providers_that_alerts_name_are_called_so() -> None:
    names = {
        name
        for path in (ROOT / "lib" / "pinjam" / "adapters").glob("*.py")
        for name in re.findall(r'^_?SERVICE = "([\w-]+)"', path.read_text(), re.MULTILINE)
    }
    told = re.findall(r"provider=one_of\((.*?)\)", (TERRAFORM / "alerts.tf").read_text())
    assert told
    assert set(re.findall(r'\\"([\w-]+)\\"', " ".join(told))) <= names
