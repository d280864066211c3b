"""Traces: read from what calls, named in every line, handed on with what is caused."""

import io
import json
import logging

import pytest
from tests.runtime.test_logs import bare

from pinjam.runtime import logs, tracing
from pinjam.runtime.tracing import Trace, read

# The example of W3C's Trace Context, section 3.2.
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
W3C = f"00-{TRACE}-{SPAN}-01"


def test_a_trace_comes_and_goes_as_w3c_writes_it() -> None:
    trace = read({"traceparent": W3C})
    assert trace == Trace(trace_id=TRACE, span_id=SPAN, sampled=True)
    assert trace.header() == W3C


def test_googles_own_header_is_read_where_w3cs_is_missing() -> None:
    google = {"X-Cloud-Trace-Context": f"{TRACE}/{int(SPAN, 16)};o=0"}
    assert read(google) == Trace(trace_id=TRACE, span_id=SPAN, sampled=False)
    assert read({**google, "traceparent": W3C}) == Trace(trace_id=TRACE, span_id=SPAN, sampled=True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": ""},
        {"traceparent": W3C.upper()},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": W3C[:-1]},
        {"traceparent": W3C + '\n{"severity": "ERROR"}'},
        {"X-Cloud-Trace-Context": TRACE},
        {"X-Cloud-Trace-Context": f"{TRACE}/0"},
        {"X-Cloud-Trace-Context": f"{TRACE}/{2**64};o=1"},
    ],
    ids=str,
)
def test_what_is_no_trace_is_none(headers: dict[str, str]) -> None:
    assert read(headers) is None


def test_a_line_names_the_trace_as_cloud_logging_asks() -> None:
    stream = io.StringIO()
    with bare():
        logs.configure(stream)
        token = tracing.enter(lambda: "pinjam-test", {}, {"traceparent": W3C})
        logging.getLogger("pinjam").info("one")
        assert tracing.traceparent() == W3C
        tracing.working_in.reset(token)
        logging.getLogger("pinjam").info("two")
    assert tracing.traceparent() is None
    one, two = map(json.loads, stream.getvalue().splitlines())
    assert {name: value for name, value in one.items() if name.startswith("logging.")} == {
        "logging.googleapis.com/trace": f"projects/pinjam-test/traces/{TRACE}",
        "logging.googleapis.com/spanId": SPAN,
        "logging.googleapis.com/trace_sampled": True,
    }
    assert two.keys() == one.keys() - {name for name in one if name.startswith("logging.")}
