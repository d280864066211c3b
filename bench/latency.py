"""Latency of one call after another: the function by itself, behind its server, and behind the local gateway.

Over the very statements that the call sent to PostgreSQL, sent again by bare psycopg to a copy of the database that was
made before; and over those with the call's requests to other services, sent again by bare httpx. A quote sends nothing:
its baseline is a request to an empty function. Each turn goes in process and measures the baselines beside it,
every other one goes the other ways too, and nothing else is on its way.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import httpx
import psycopg
from bench.deployed import EMPTY, Call, run
from bench.figures import Found, Progress, Row, percentile, ratio, times
from bench.machine import PROGRAMS
from bench.replaying import Sent, again, ask_again, hold, taking_down
from bench.stage import Stage
from bench.ways import GATEWAY, IN_PROCESS, SERVER, Send, ways
from psycopg.conninfo import make_conninfo

from pinjam.local.road import Walker

EACH = 100
"""Calls of each kind in process. With fewer, the 99th percentile would be the slowest of them."""
OTHER_WAYS_EVERY = 2
"""Of so many turns, one goes the other ways too; that spares a minute. Their 99th percentile is the slowest call."""
WARM = 10
BORROWERS = 4
"""By each way: what one way writes must not be missing from the copy of the database when another reads it."""
KINDS = ("quote", "dashboard", "login", "apply", "pay", "webhook")
FUNCTION_OF = {
    "quote": "loans",
    "dashboard": "loans",
    "login": "login",
    "apply": "apply_loan",
    "pay": "pay",
    "webhook": "pay",
}
WAYS = (IN_PROCESS, SERVER, GATEWAY)


@dataclass
class Seen:
    """Microseconds of each call by way and kind, and of what it sent by itself."""

    us: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: {way: {kind: [] for kind in (EMPTY, *KINDS)} for way in WAYS}
    )
    sql: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    services: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})


@dataclass
class Cast:
    """Who calls: each way's borrowers with their newest loans, and who may apply."""

    borrowers: dict[str, list[tuple[Walker, str]]]
    applicants: list[Walker]


def measure(on: Stage, progress: Progress) -> Found:
    """p50 and p99 in microseconds by kind of call and by way, and ratios to what the baselines took."""
    cast = _cast(on, progress)
    seen = Seen()
    with ExitStack() as held:
        copy = held.enter_context(_copied(on.system.app.settings.database_url))
        bare = held.enter_context(_bare(on, copy, seen))
        sends = {way: held.enter_context(opened()) for way, opened in ways(on, frozenset(FUNCTION_OF.values())).items()}
        for turn in range(-WARM, EACH):
            if turn % 20 == 0:
                progress(f"{turn} of {EACH} turns: {', '.join(KINDS)}")
            for way, send in sends.items():
                if way != IN_PROCESS and turn % OTHER_WAYS_EVERY:
                    continue
                _turn(on, cast, _Caller(way, send, seen, bare, warm=turn < 0), turn)
    return {kind: _summary(kind, seen) for kind in KINDS}


_EMPTY_CALL = Call(method="GET", path="/", headers={})


def _cast(on: Stage, progress: Progress) -> Cast:
    progress(f"{BORROWERS * len(WAYS)} borrowers and {WARM + EACH} who may apply sign up")
    on.borrower  # noqa: B018 - made when it is first asked for
    borrowers: dict[str, list[tuple[Walker, str]]] = {way: [] for way in WAYS}
    for way in WAYS:
        for _ in range(BORROWERS):
            walker = on.walker()
            walker.become_borrower()
            borrowers[way].append((walker, on.loan_of(walker)))
    applicants = [on.verified() for _ in range(WARM + EACH)]
    on.quiet()
    return Cast(borrowers, applicants)


Bare: TypeAlias = Callable[[str, Sent, bool], None]
"""Measures by themselves the statements and requests that a kind of call sent; not if it is to warm up only."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """Makes calls by one way and keeps what they took."""

    way: str
    send: Send
    seen: Seen
    bare: Bare
    warm: bool

    def call(self, kind: str, one: Call) -> bytes:
        """The answer. What is called in process is then measured by itself, since there it can be taken down."""
        answers: list[bytes] = []
        function = FUNCTION_OF.get(kind, EMPTY)
        recorded = self.way == IN_PROCESS and kind != EMPTY
        with taking_down() if recorded else nullcontext() as sent:
            took = timed(lambda: answers.append(self.send(function, one)))
        if not self.warm:
            self.seen.us[self.way][kind].append(took)
        if sent is not None:
            self.bare(kind, sent, self.warm)
        return answers[0]


def _turn(on: Stage, cast: Cast, caller: _Caller, turn: int) -> None:
    """Every kind of call by one way, one after another, each when nothing is on its way."""
    walker, loan_id = cast.borrowers[caller.way][turn % BORROWERS]
    if caller.way != GATEWAY:
        caller.call(EMPTY, _EMPTY_CALL)
    caller.call("quote", on.quote(walker))
    caller.call("dashboard", on.get(walker, "/api/loans"))
    caller.call("login", on.log_in(walker))
    payment = json.loads(caller.call("pay", on.pay(walker, loan_id)))["id"]
    caller.call("webhook", on.settled(payment))
    on.quiet()
    # In process comes first, so that the copy of the database has not missed that an applicant withdrew.
    applicant = cast.applicants[turn + WARM]
    loan = json.loads(caller.call("apply", on.apply(applicant)))["loan"]["id"]
    on.quiet()
    applicant.call("POST", f"/api/loans/{loan}/withdraw").expect(200)
    on.quiet()


def timed(work: Callable[..., object], *given: object) -> float:
    """How many microseconds that takes."""
    began = time.perf_counter()
    work(*given)
    return (time.perf_counter() - began) * 1e6


# Baselines


@contextmanager
def _copied(url: str) -> Iterator[str]:
    """The address of a copy of a database that is in use, as it is now."""
    name = "bench_copy"
    other = make_conninfo(url, dbname=name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            with TemporaryDirectory() as folder:
                file = str(Path(folder) / "dump")
                run(PROGRAMS / "pg_dump", "--format=custom", f"--file={file}", url)
                run(PROGRAMS / "pg_restore", f"--dbname={other}", file)
            with psycopg.connect(other, autocommit=True) as copy:
                copy.execute(b"ANALYZE")
            yield other
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def _bare(on: Stage, url: str, seen: Seen) -> Iterator[Bare]:
    """Sends again to the copy of the database, and to the same services, what a call sent."""
    options = "-c timezone=UTC"
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=0, options=options) as connection,
        httpx.Client(trust_env=False, timeout=30) as client,
    ):

        def measure_bare(kind: str, sent: Sent, warm: bool) -> None:  # noqa: FBT001 - as Bare has it
            came: list[Any] = []
            # Consumers of an event that is told, and then told again, must not run while a baseline is measured.
            on.quiet()
            sql = timed(lambda: came.append(again(connection, sent.groups)))
            services = timed(lambda: came.append(ask_again(client, sent.requests, _anew)))
            on.quiet()
            hold(sent, *came)
            if not warm:
                seen.sql[kind].append(sql)
                seen.services[kind].append(services)

        yield measure_bare


def _anew(request: httpx.Request) -> bytes:
    """What a request said, but of an order that is new: one that was charged already would only be refused."""
    return request.content.replace(b'"order_id":"pay_', b'"order_id":"rep_')


def _summary(kind: str, seen: Seen) -> Found:
    found: Found = {
        way: {"p50_us": round(percentile(us[kind], 50)), "p99_us": round(percentile(us[kind], 99))}
        for way, us in seen.us.items()
    }
    p50 = {way: found[way]["p50_us"] for way in WAYS}
    if kind == "quote":
        # The gateway has no empty function behind it: what it adds is measured by the one behind the server.
        empty = {way: seen.us[SERVER if way == GATEWAY else way][EMPTY] for way in WAYS}
        found["over_empty"] = {way: ratio(p50[way], percentile(empty[way], 50)) for way in WAYS}
        return found
    bare = percentile(seen.sql[kind], 50)
    both = percentile([a + b for a, b in zip(seen.sql[kind], seen.services[kind], strict=True)], 50)
    return {
        **found,
        "sql_us": round(bare),
        "sql_and_services_us": round(both),
        "over_sql": {way: ratio(p50[way], bare) for way in WAYS},
        "over_sql_and_services": {way: ratio(p50[way], both) for way in WAYS},
    }


def rows(found: Found) -> list[Row]:
    """The table."""
    heading = (
        *("call", "way", "p50 us", "p99 us", "SQL us", "over SQL", "SQL + services us", "over both", "over empty"),
    )
    return [heading, *(_row(kind, way, one) for kind, one in found.items() for way in WAYS)]


def _row(kind: str, way: str, one: Found) -> Row:
    return (
        kind,
        way,
        str(one[way]["p50_us"]),
        str(one[way]["p99_us"]),
        str(one.get("sql_us", "-")),
        times(one.get("over_sql", {}).get(way)),
        str(one.get("sql_and_services_us", "-")),
        times(one.get("over_sql_and_services", {}).get(way)),
        times(one.get("over_empty", {}).get(way)),
    )
