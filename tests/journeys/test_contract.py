"""Whatever is sent, by whomever: every answer is one that the OpenAPI document describes.

The edges of every field once, and a few calls with anything in them. `make fuzz` sends far more.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis.core
import pytest

from pinjam.local.people import People
from pinjam.local.road import Road
from pinjam.local.system import LocalSystem

if TYPE_CHECKING:
    from tests.journeys.fuzzing import Fuzzer

pytestmark = pytest.mark.filterwarnings(
    # The system's threads, in this process, draw from `random` while a case is being made. The cases do not.
    "ignore:Do not use the `random` module inside strategies"
)
ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "openapi.json"
LONG = "PINJAM_FUZZ" in os.environ
EXAMPLES = int(os.environ.get("PINJAM_FUZZ", "3"))
"""Calls of each operation with anything in them."""
EVERY = 1 if LONG else 4
"""Which of the bad edges are tried."""
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, operations in json.loads(DOCUMENT.read_text())["paths"].items()
    for method in METHODS
    if method in operations
]
BEYOND = {"POST /api/auth/password/reset", "POST /api/payments/webhook/iris"}
"""What needs more than calls to succeed: a code from a message, and a payout that is under way."""


@pytest.fixture(scope="module")
def kept() -> "Iterator[dict[str, Fuzzer]]":
    """Keeps the fuzzer, its people and what it has seen, for the whole module."""
    found: dict[str, Fuzzer] = {}
    printer = hypothesis.core.RepresentationPrinter  # type: ignore[attr-defined]  # it is not theirs to export
    yield found
    # The tool makes hypothesis print failing examples of every other test as nothing, too.
    hypothesis.core.RepresentationPrinter = printer  # type: ignore[attr-defined]  # as above
    for one in found.values():
        one.close()
        if LONG:
            one.write_answers(sys.stdout)


@pytest.fixture
def fuzzer(kept: "dict[str, Fuzzer]", system: LocalSystem, road: Road, people: People) -> "Fuzzer":
    # Loading the tool takes a second, which only a worker that uses it should spend.
    from tests.journeys.callers import make_callers  # noqa: PLC0415 - as said above
    from tests.journeys.fuzzing import Fuzzer, Secrets  # noqa: PLC0415 - as said above

    if not kept:
        everybody = make_callers(system, road, people)
        told = system.environment
        secrets = Secrets(
            midtrans=told["PINJAM_MIDTRANS_SERVER_KEY"],
            iris=told["PINJAM_IRIS_MERCHANT_KEY"],
            whatsapp=told["PINJAM_WHATSAPP_APP_SECRET"],
        )
        kept["one"] = Fuzzer(document=DOCUMENT, url=system.url, callers=everybody, secrets=secrets)
    return kept["one"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_edge_of_every_field_is_answered_as_the_document_says(operation: str, fuzzer: "Fuzzer") -> None:
    fuzzer.cover(operation, every=EVERY)
    assert operation in BEYOND or any(status < 300 for status in fuzzer.answered(operation)), fuzzer.answers


@pytest.mark.parametrize("operation", OPERATIONS)
def test_anything_from_anybody_is_answered_as_the_document_says(operation: str, fuzzer: "Fuzzer") -> None:
    fuzzer.explore(operation, EXAMPLES, derandomize=not LONG)
