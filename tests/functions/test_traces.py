"""One request is followed through the functions that it leads to, whoever carries its events."""

import io
import json
import logging
from collections.abc import Iterator, Mapping

import pytest
from tests.functions.conftest import Functions, envelope

from pinjam.domain.trail import Event
from pinjam.runtime import logs, tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLED = f"00-{TRACE}-00f067aa0ba902b7-01"
PUSHED = "00-ffffffffffffffffffffffffffffffff-00f067aa0ba902b7-01"


@pytest.fixture
def written(lines: pytest.LogCaptureFixture) -> Iterator[io.StringIO]:
    """The log as Cloud Logging gets it."""
    assert lines is not None
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def traces(written: io.StringIO) -> dict[str, object]:
    found = map(json.loads, written.getvalue().splitlines())
    return {line["message"]: line.get("logging.googleapis.com/trace") for line in found}


def bring(functions: Functions, event: Event, attributes: Mapping[str, str], **headers: str) -> None:
    usual, body = envelope(event)
    message = json.loads(body)
    message["message"]["attributes"] = attributes
    answer = functions.post("decide_loan", {**usual, **headers}, json.dumps(message).encode())
    assert answer.status_code == 200


def test_every_line_of_a_request_is_in_its_trace_and_nothing_after_it(
    functions: Functions, written: io.StringIO
) -> None:
    functions.call("profile", "GET", "/api/users/profile", headers={"traceparent": CALLED})
    assert set(traces(written).values()) == {f"projects/{functions.world.app.settings.project}/traces/{TRACE}"}
    assert tracing.traceparent() is None


@pytest.mark.parametrize("attributes", [{}, {"traceparent": CALLED}], ids=["header", "message"])
def test_an_event_is_worked_on_in_the_trace_of_whoever_published_it(
    functions: Functions, written: io.StringIO, attributes: Mapping[str, str]
) -> None:
    functions.world.apply(functions.world.verified())
    event = functions.world.publisher.events[-1]
    bring(functions, event, attributes, traceparent=PUSHED)
    # What is published now is in the same trace: the publisher asks for it as the line does.
    named = traces(written)["event-published"]
    assert named == f"projects/{functions.world.app.settings.project}/traces/{TRACE if attributes else 'f' * 32}"
    assert tracing.traceparent() is None


def test_an_event_that_nobody_traces_leads_nowhere(functions: Functions, written: io.StringIO) -> None:
    functions.world.apply(functions.world.verified())
    bring(functions, functions.world.publisher.events[-1], {"traceparent": "nonsense"})
    assert set(traces(written).values()) == {None}


def test_a_function_begins_once(lines: pytest.LogCaptureFixture) -> None:
    beginning = logs.Beginning("loans")
    for _ in range(3):
        beginning.tell()
    (line,) = [one for one in lines.records if one.message == "cold-start"]
    assert line.__dict__["function"] == "loans"
    assert line.__dict__["since_load_ms"] >= 0
