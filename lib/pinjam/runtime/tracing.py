"""Which trace a piece of work belongs to, so that one request can be followed through every function.

Google's front end gives each request a trace (`traceparent`, as W3C's Trace Context says, or its own older
`X-Cloud-Trace-Context`) and writes the spans of functions itself. Here it is only read, named in every line of the log,
and handed on with what the work causes.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Protocol

_W3C = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?:-.*)?")
_GOOGLE = re.compile(r"(?P<trace>[0-9a-f]{32})/(?P<span>[0-9]{1,20})(?:;o=(?P<sampled>[01]))?")
_SAMPLED = 1
_SPANS = 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace (32 hexadecimal digits) and the span in it (16) that called."""

    trace_id: str
    span_id: str
    sampled: bool

    def header(self) -> str:
        """As W3C's `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


class Carrier(Protocol):
    """A request's headers, whatever their capitals, or a message's attributes."""

    def get(self, key: str, default: str, /) -> str:
        """The value under a name."""


working_in: ContextVar[tuple[str, Trace] | None] = ContextVar("working_in", default=None)
"""The project and the trace of what is being worked on."""


def enter(project: Callable[[], str], *carriers: Carrier) -> Token[tuple[str, Trace] | None]:
    """Work in the trace that the first of the carriers names, until the token resets `working_in`.

    `project` is asked only where there is a trace.
    """
    named = next(filter(None, map(read, carriers)), None)
    return working_in.set((project(), named) if named else None)


def traceparent() -> str | None:
    """What is handed on with a message or a task; None outside every trace."""
    known = working_in.get()
    return known[1].header() if known else None


def log_fields() -> Mapping[str, object]:
    """The fields by which Cloud Logging shows a line with its trace."""
    known = working_in.get()
    if known is None:
        return {}
    project, trace = known
    return {
        "logging.googleapis.com/trace": f"projects/{project}/traces/{trace.trace_id}",
        "logging.googleapis.com/spanId": trace.span_id,
        "logging.googleapis.com/trace_sampled": trace.sampled,
    }


def read(headers: Carrier) -> Trace | None:
    """The trace that headers (or a message's attributes) name; None if they name none that could be one."""
    known = _W3C.fullmatch(headers.get("traceparent", ""))
    if known is not None:
        return _trace(known["trace"], known["span"], sampled=bool(int(known["flags"], 16) & _SAMPLED))
    known = _GOOGLE.fullmatch(headers.get("X-Cloud-Trace-Context", ""))
    if known is None or int(known["span"]) >= _SPANS:
        return None
    return _trace(known["trace"], f"{int(known['span']):016x}", sampled=known["sampled"] == "1")


def _trace(trace_id: str, span_id: str, *, sampled: bool) -> Trace | None:
    """None for the ids of nothing, all zeros."""
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id=trace_id, span_id=span_id, sampled=sampled)
