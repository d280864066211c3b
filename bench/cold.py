"""Cold starts: from the start of a process to its first answer, of every function over an empty one."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from bench.deployed import EMPTY, FUNCTIONS, Call
from bench.figures import Found, Progress, Row, median, times
from bench.stage import Stage

from pinjam.local.functions import EVENT_FUNCTIONS

ROUNDS = 3
READY = Call(method="GET", path="/nothing", headers={}, status=404)
"""What each function refuses by itself, once it is there."""
EVENT_READY = Call(method="GET", path="/", headers={}, status=405)
EMPTY_CALL = Call(method="GET", path="/", headers={})

Good = Callable[[Stage], Call]

GOOD: dict[str, tuple[str, Good]] = {
    "loans quote": ("loans", lambda on: on.quote(on.borrower)),
    "loans quote, token proven": ("loans", lambda on: on.quote(on.borrower, token=True)),
    "loans dashboard": ("loans", lambda on: on.get(on.borrower, "/api/loans")),
    "loans dashboard, token proven": ("loans", lambda on: on.get(on.borrower, "/api/loans", token=True)),
    "pay": ("pay", lambda on: on.get(on.borrower, "/api/payments")),
    "pay, token proven": ("pay", lambda on: on.get(on.borrower, "/api/payments", token=True)),
    "profile": ("profile", lambda on: on.get(on.borrower, "/api/users/profile")),
    "upload_doc": ("upload_doc", lambda on: on.get(on.borrower, "/api/documents")),
    "notifications": ("notifications", lambda on: on.get(on.borrower, "/api/notifications")),
    "login": ("login", lambda on: on.log_in(on.borrower)),
    "register": ("register", lambda on: on.register()),
    "apply_loan": ("apply_loan", lambda on: on.apply(on.verified())),
    "sweep": ("sweep", lambda _: Call(method="POST", path="/", headers={})),
    **{
        name: (name, lambda on, name=name: on.event_again(name))  # type: ignore[misc]  # bound per name
        for name in sorted(EVENT_FUNCTIONS)
    },
}
"""The first good answer of each: what it is asked for. Those of HTTP come first."""


FIRST = frozenset({name: label for label, (name, _) in reversed(GOOD.items())}.values())
"""Of each function, the label with which it is also measured how soon it is ready."""


class Start(NamedTuple):
    """What a round saw of one function; `ready_ms` only with its first label."""

    good_ms: float
    memory_mb: float
    ready_ms: float | None = None


Pair: TypeAlias = tuple[Start, Start]
"""A function's start, and what an empty one took around it: the mean of the one before and the one after."""


def measure(on: Stage, progress: Progress) -> Found:
    """Milliseconds to the first answer and to the first good one, and megabytes then; medians of rounds."""
    progress("packing and installing the functions")
    on.deployed  # noqa: B018 - made when it is first asked for
    if {name for name, _ in GOOD.values()} != set(FUNCTIONS):
        raise LookupError("a function is not measured")
    seen: dict[str, list[Pair]] = {name: [] for name in GOOD}
    for turn in range(1, ROUNDS + 1):
        progress(f"round {turn} of {ROUNDS}")
        before = _started(on, EMPTY, EMPTY_CALL)
        for label, (name, good) in GOOD.items():
            ready_ms = None
            if label in FIRST:
                ready_ms = _started(on, name, EVENT_READY if name in EVENT_FUNCTIONS else READY).good_ms
            start = _started(on, name, good(on))._replace(ready_ms=ready_ms)
            on.quiet()
            after = _started(on, EMPTY, EMPTY_CALL)
            seen[label].append((start, _mean(before, after)))
            before = after
    empties = [empty for pairs in seen.values() for _, empty in pairs]
    return {
        EMPTY: _summary([(empty, empty) for empty in empties]),
        **{label: _summary(pairs) for label, pairs in seen.items()},
    }


def _started(on: Stage, name: str, call: Call) -> Start:
    """One start for one answer."""
    with on.deployed.starting(name, on.state) as (process, port):
        status, ms = process.first(port, call)
        _must(name, call, status)
        return Start(ms, process.memory_mb())


def _must(name: str, call: Call, status: int) -> None:
    if status != call.status:
        raise ValueError(f"{name}: {call.method} {call.path} answered {status}, not {call.status}")


def _mean(one: Start, other: Start) -> Start:
    return Start((one.good_ms + other.good_ms) / 2, (one.memory_mb + other.memory_mb) / 2)


def _summary(pairs: list[Pair]) -> Found:
    """Each ratio is a median of ratios: a function and the empty ones around it met the machine in the same moment."""
    good = {
        "good_ms": round(median(start.good_ms for start, _ in pairs)),
        "good_ratio": round(median(start.good_ms / empty.good_ms for start, empty in pairs), 2),
        "memory_mb": round(median(start.memory_mb for start, _ in pairs)),
        "memory_ratio": round(median(start.memory_mb / empty.memory_mb for start, empty in pairs), 2),
    }
    ready = [(start.ready_ms, empty.good_ms) for start, empty in pairs if start.ready_ms is not None]
    if not ready:
        return good
    return {
        "ready_ms": round(median(ms for ms, _ in ready)),
        "ready_ratio": round(median(ms / base for ms, base in ready), 2),
        **good,
    }


def rows(found: Found) -> list[Row]:
    """The table."""
    heading = ("function", "ready ms", "over empty", "good ms", "over empty", "MB", "over empty")
    return [
        heading,
        *(
            (
                label,
                str(one.get("ready_ms", "-")),
                times(one.get("ready_ratio")),
                str(one["good_ms"]),
                times(one["good_ratio"]),
                str(one["memory_mb"]),
                times(one["memory_ratio"]),
            )
            for label, one in found.items()
        ),
    ]
