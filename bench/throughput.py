"""How many calls a second one instance of each function answers, and how many roads a second the whole system walks."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.deployed import EMPTY, REPOSITORY, Call, threads
from bench.figures import Found, Progress, Row, median, ratio, times
from bench.stage import DAY, Stage

from pinjam.local.functions import EVENT_FUNCTIONS
from pinjam.local.people import People
from pinjam.local.road import Road, Walker

ROUNDS = 3
SECONDS = 0.5
CONNECTIONS = 4
WALKERS = 4
ROADS = 24
EMPTY_CALL = Call(method="GET", path="/", headers={})

AGAIN: dict[str, tuple[str, Callable[[Stage], Call]]] = {
    "loans quote": ("loans", lambda on: on.quote(on.borrower)),
    "loans dashboard": ("loans", lambda on: on.get(on.borrower, "/api/loans")),
    "pay": ("pay", lambda on: on.get(on.borrower, "/api/payments")),
    "profile": ("profile", lambda on: on.get(on.borrower, "/api/users/profile")),
    "upload_doc": ("upload_doc", lambda on: on.get(on.borrower, "/api/documents")),
    "notifications": ("notifications", lambda on: on.get(on.borrower, "/api/notifications")),
    "login": ("login", lambda on: on.log_in(on.borrower)),
    # The same key and body again: the first answer is kept.
    "apply_loan again": ("apply_loan", lambda on: on.apply(on.verified())),
    # What is refused for its address: a sign-up that is taken in can be done only once.
    "register refused": ("register", lambda on: on.taken()),
    "sweep": ("sweep", lambda _: Call(method="POST", path="/", headers={})),
    **{
        f"{name} again": (name, lambda on, name=name: on.event_again(name))  # type: ignore[misc]  # bound per name
        for name in sorted(EVENT_FUNCTIONS)
    },
}
"""What each function is asked for again and again."""


def measure(on: Stage, progress: Progress) -> Found:
    """Good answers a second by function, medians of rounds, each beside its own round of an empty function."""
    server, client = _cores()
    found: Found = {}
    with ExitStack() as running:
        empties: dict[int, int] = {}
        for label, (name, again) in AGAIN.items():
            progress(label)
            if threads(name) not in empties:
                empties[threads(name)] = running.enter_context(
                    on.deployed.running(EMPTY, on.state, cores=server, like=name)
                )
            empty_port = empties[threads(name)]
            with on.deployed.running(name, on.state, cores=server) as port:
                found[label] = _beside(empty_port, port, again(on), client)
            on.quiet()
    progress(f"{ROADS} roads by {WALKERS} walkers at once")
    return {"functions": found, "roads": _roads(on)}


def _beside(empty_port: int, port: int, call: Call, cores: frozenset[int]) -> Found:
    """A function and an empty one with as many threads, in turns."""
    seen, base = [], []
    _asked(empty_port, EMPTY_CALL, cores, seconds=0.3)
    _asked(port, call, cores, seconds=0.3)
    for _ in range(ROUNDS):
        base.append(_asked(empty_port, EMPTY_CALL, cores))
        seen.append(_asked(port, call, cores))
    return {
        "a_second": round(median(seen)),
        "empty_a_second": round(median(base)),
        "empty_over_it": ratio(median(base), median(seen)),
    }


def _cores() -> tuple[frozenset[int], frozenset[int]]:
    """The server's cores and the client's: one each of two, or all for both where there is one."""
    cores = sorted(os.sched_getaffinity(0))
    return (frozenset(cores[:1]), frozenset(cores[1:2])) if len(cores) > 1 else (frozenset(cores), frozenset(cores))


def _asked(port: int, call: Call, cores: frozenset[int], *, seconds: float = SECONDS) -> float:
    """Good answers a second. ValueError if any other came."""
    given = {
        "port": port,
        "method": call.method,
        "path": call.path,
        "headers": dict(call.headers),
        "body": (call.body or b"").decode(),
        "status": call.status,
        "seconds": seconds,
        "connections": CONNECTIONS,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    came = json.loads(done.stdout)
    if came["others"]:
        raise ValueError(f"{call.method} {call.path}: {came['others']} answers were not {call.status}")
    return float(came["a_second"])


# The whole road


def _roads(on: Stage) -> Found:
    """Roads a second from sign-up to the first repayment, on all cores, and whose processor time they take."""
    people = [People(100 + number, today=DAY) for number in range(WALKERS)]
    faults: list[BaseException] = []
    before, began = _seconds(on), time.monotonic()
    threads = [threading.Thread(target=_walk, args=(on, one, faults)) for one in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    on.quiet()
    took = time.monotonic() - began
    after = _seconds(on)
    if faults:
        raise faults[0]
    cores = len(os.sched_getaffinity(0))
    return {
        "a_second": round(ROADS / took, 2),
        "cores": cores,
        "percent_of_processors": {name: round(100 * (after[name] - before[name]) / took / cores) for name in before},
    }


def _walk(on: Stage, people: People, faults: list[BaseException]) -> None:
    try:
        with Road(on.system.url) as road:
            for _ in range(ROADS // WALKERS):
                walker = Walker(road, people.person(), people)
                walker.repay(walker.become_borrower(), key="road")
    except BaseException as fault:  # noqa: BLE001 - handed to whoever waits for this thread
        faults.append(fault)


def _seconds(on: Stage) -> dict[str, float]:
    """The processor time that this process, with its walkers, and its PostgreSQL have taken so far."""
    tick = os.sysconf("SC_CLK_TCK")
    server = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"postgres" in _read(path) and str(on.state).encode() in _read(path) + _parents_line(path.parent)
    ]
    ours = sum(os.times()[:2])
    return {"python": ours, "postgresql": sum(_ticks(pid) for pid in server) / tick}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parents_line(process: Path) -> bytes:
    """The command line of a process's parent."""
    fields = _read(process / "stat").rpartition(b") ")[2].split()
    return _read(Path("/proc") / fields[1].decode() / "cmdline") if len(fields) > 1 else b""


def _ticks(pid: int) -> int:
    """What a process and its children that have ended took."""
    fields = _read(Path("/proc") / str(pid) / "stat").rpartition(b") ")[2].split()
    return sum(map(int, fields[11:15])) if fields else 0


def rows(found: Found) -> list[Row]:
    """The table."""
    roads = found["roads"]
    shares = ", ".join(f"{name} {percent} %" for name, percent in roads["percent_of_processors"].items())
    return [
        ("function", "calls/s", "empty/s", "empty over it"),
        *(
            (label, str(one["a_second"]), str(one["empty_a_second"]), times(one["empty_over_it"]))
            for label, one in found["functions"].items()
        ),
        (f"roads, {roads['cores']} cores: {shares}", f"{roads['a_second']:.2f}", "-", "-"),
    ]
