"""Cold starts: from the start of a process to its first answer, of every function over an empty one."""

from collections.abc import Callable

from bench.deployed import EMPTY, FUNCTIONS, Call
from bench.figures import Found, Progress, Row, median, ratio, times
from bench.stage import Stage

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
        for name in ("decide_loan", "disburse", "notify", "verify_identity")
    },
}
"""The first good answer of each: what it is asked for. Those of HTTP come first."""


def measure(on: Stage, progress: Progress) -> Found:
    """Milliseconds to the first answer and to the first good one, and megabytes then; medians of rounds."""
    progress("packing and installing the functions")
    on.deployed  # noqa: B018 - made when it is first asked for
    seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in (EMPTY, *GOOD)}
    for turn in range(1, ROUNDS + 1):
        progress(f"round {turn} of {ROUNDS}")
        seen[EMPTY].append(_started(on, EMPTY, EMPTY_CALL, EMPTY_CALL))
        for label, (name, good) in GOOD.items():
            ready = EVENT_READY if name in ("decide_loan", "disburse", "notify", "verify_identity") else READY
            seen[label].append(_started(on, name, ready, good(on)))
            on.quiet()
    if {name for name, _ in GOOD.values()} != set(FUNCTIONS):
        raise LookupError("a function is not measured")
    return {label: _summary(all_, seen[EMPTY]) for label, all_ in seen.items()}


def _started(on: Stage, name: str, ready: Call, good: Call) -> tuple[float, float, float]:
    """One start for the first answer of any kind, and another for the first good one."""
    with on.deployed.starting(name, on.state) as (process, port):
        status, ready_ms = process.first(port, ready)
        _must(name, ready, status)
    with on.deployed.starting(name, on.state) as (process, port):
        status, good_ms = process.first(port, good)
        _must(name, good, status)
        return ready_ms, good_ms, process.memory_mb()


def _must(name: str, call: Call, status: int) -> None:
    if status != call.status:
        raise ValueError(f"{name}: {call.method} {call.path} answered {status}, not {call.status}")


def _summary(seen: list[tuple[float, float, float]], empty: list[tuple[float, float, float]]) -> Found:
    (ready, good, memory), (_, base, base_memory) = (
        [median(each) for each in zip(*one, strict=True)] for one in (seen, empty)
    )
    return {
        "ready_ms": round(ready),
        "ready_ratio": ratio(ready, base),
        "good_ms": round(good),
        "good_ratio": ratio(good, base),
        "memory_mb": round(memory),
        "memory_ratio": ratio(memory, base_memory),
    }


def rows(found: Found) -> list[Row]:
    """The table."""
    heading = ("function", "ready ms", "over empty", "good ms", "over empty", "MB", "over empty")
    return [
        heading,
        *(
            (
                label,
                str(one["ready_ms"]),
                times(one["ready_ratio"]),
                str(one["good_ms"]),
                times(one["good_ratio"]),
                str(one["memory_mb"]),
                times(one["memory_ratio"]),
            )
            for label, one in found.items()
        ),
    ]
