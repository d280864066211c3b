"""Latency of one call after another: the function by itself, behind its server, and behind the local gateway.

Over the very statements that the call sent to PostgreSQL, sent again by bare psycopg to a copy of the database that was
made before; and over those with the call's requests to other services, sent again by bare httpx. A quote sends nothing:
its baseline is the same request to an empty function.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psycopg
from bench.deployed import EMPTY, Call, run
from bench.figures import Found, Progress, Row, percentile, ratio, times
from bench.machine import PROGRAMS
from bench.replaying import Sent, again, ask_again, taking_down
from bench.stage import Stage
from bench.ways import GATEWAY, IN_PROCESS, SERVER, Send, ways
from psycopg.conninfo import make_conninfo

from pinjam.local.road import Walker

BORROWERS, APPLICANTS = 10, 45
EACH = 60
"""Calls of each kind and way, but for applications, of which an applicant makes one each way."""
WARM = 10
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
    """Microseconds of each call by kind, and what it sent."""

    us: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in (EMPTY, *KINDS)})
    sent: list[tuple[str, Sent]] = field(default_factory=list)


@dataclass
class Cast:
    """Who calls: each borrower's newest loan, and who may apply."""

    borrowers: list[tuple[Walker, str]]
    applicants: list[Walker]


def measure(on: Stage, progress: Progress) -> Found:
    """p50 and p99 in microseconds by kind of call and by way, and ratios to what the baselines took."""
    cast = _cast(on, progress)
    seen: dict[str, Seen] = {}
    with _copied(on.system.app.settings.database_url) as copy:
        for way, opened in ways(on, frozenset(FUNCTION_OF.values())).items():
            progress(f"{way}: {', '.join(KINDS)}")
            with opened() as send:
                seen[way] = _called(on, cast, send, record=way == IN_PROCESS, has_empty=way != GATEWAY)
        progress("the same statements and requests by themselves")
        sql, services = _by_themselves(copy, seen[IN_PROCESS].sent)
    return {kind: _summary(kind, seen, sql, services) for kind in KINDS}


_EMPTY_CALL = Call(method="GET", path="/", headers={})


def _cast(on: Stage, progress: Progress) -> Cast:
    progress(f"{BORROWERS} borrowers and {APPLICANTS} who may apply sign up")
    on.borrower  # noqa: B018 - made when it is first asked for
    borrowers = [on.walker() for _ in range(BORROWERS)]
    for one in borrowers:
        one.become_borrower()
    applicants = [on.verified() for _ in range(APPLICANTS)]
    on.quiet()
    return Cast([(one, on.loan_of(one)) for one in borrowers], applicants)


def _called(on: Stage, cast: Cast, send: Send, *, record: bool, has_empty: bool) -> Seen:
    """Every kind of call by one way."""
    seen = Seen()

    def call(kind: str, one: Call, *, warm: bool = False) -> bytes:
        function, answer = FUNCTION_OF.get(kind, EMPTY), b""

        def once() -> None:
            nonlocal answer
            answer = send(function, one)

        if warm or not record or kind == EMPTY:
            took = timed(once)
        else:
            with taking_down() as sent:
                took = timed(once)
            seen.sent.append((kind, sent))
        if not warm:
            seen.us[kind].append(took)
        return answer

    for turn in range(-WARM, EACH):
        walker, loan_id = cast.borrowers[turn % len(cast.borrowers)]
        warm = turn < 0
        if has_empty:
            call(EMPTY, _EMPTY_CALL, warm=warm)
        call("quote", on.quote(walker), warm=warm)
        call("dashboard", on.get(walker, "/api/loans"), warm=warm)
        call("login", on.log_in(walker), warm=warm)
        # What is not measured again on the copy has to be paid all the same, so that each order is its loan's only one.
        payment = json.loads(call("pay", on.pay(walker, loan_id), warm=warm and not record))["id"]
        call("webhook", on.settled(payment), warm=warm and not record)
        on.quiet()
    for turn, walker in enumerate(cast.applicants):
        call("apply", on.apply(walker), warm=turn < WARM // 2 and not record)
        on.quiet()
        walker.call("POST", f"/api/loans/{on.loan_of(walker)}/withdraw").expect(200)
    return seen


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


def _by_themselves(url: str, sent: list[tuple[str, Sent]]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Microseconds of each call's statements, and of its requests, sent again in the same order."""
    sql: dict[str, list[float]] = {kind: [] for kind in KINDS}
    services: dict[str, list[float]] = {kind: [] for kind in KINDS}
    options = "-c timezone=UTC"
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=0, options=options) as connection,
        httpx.Client(trust_env=False, timeout=30) as client,
    ):
        for kind, one in sent:
            sql[kind].append(timed(again, connection, one.groups))
            services[kind].append(timed(ask_again, client, one.requests))
    return sql, services


def _summary(
    kind: str,
    seen: Mapping[str, Seen],
    sql: Mapping[str, list[float]],
    services: Mapping[str, list[float]],
) -> Found:
    found: Found = {
        way: {"p50_us": round(percentile(one.us[kind], 50)), "p99_us": round(percentile(one.us[kind], 99))}
        for way, one in seen.items()
    }
    p50 = {way: found[way]["p50_us"] for way in WAYS}
    if kind == "quote":
        found["over_empty"] = {
            way: ratio(p50[way], percentile(one.us[EMPTY], 50)) for way, one in seen.items() if one.us[EMPTY]
        }
        return found
    bare = percentile(sql[kind], 50)
    both = percentile([a + b for a, b in zip(sql[kind], services[kind], strict=True)], 50)
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
