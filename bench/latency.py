"""Latency of one call after another: the function by itself, behind its server, and behind the local gateway.

Over the very statements that the call sent to PostgreSQL, sent again by bare psycopg to a copy of the database that was
made before; and over those with the call's requests to other services, sent again by bare httpx. A quote sends nothing:
its baseline is the same request to an empty function.
"""

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication

import functions_framework
import httpx
import psycopg
from bench.deployed import EMPTY, EMPTY_SOURCE, REPOSITORY, Call, run
from bench.figures import Found, Progress, Row, percentile, ratio, times
from bench.machine import PROGRAMS
from bench.replaying import Sent, again, ask_again, taking_down
from bench.stage import Stage
from psycopg.conninfo import make_conninfo
from werkzeug.test import EnvironBuilder

from pinjam.local.functions import load_functions
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
WAYS = ("in process", "server", "gateway")

Send = Callable[[str, Call], bytes]
"""Makes a call to a function and gives the answer's body. ValueError for an answer of another status."""


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
        for way, opened in _ways(on).items():
            progress(f"{way}: {', '.join(KINDS)}")
            with opened() as send:
                seen[way] = _called(on, cast, send, record=way == WAYS[0], has_empty=way != "gateway")
        progress("the same statements and requests by themselves")
        sql, services = _by_themselves(copy, seen[WAYS[0]].sent)
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
            took = _timed(once)
        else:
            with taking_down() as sent:
                took = _timed(once)
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


def _timed(work: Callable[..., object], *given: object) -> float:
    began = time.perf_counter()
    work(*given)
    return (time.perf_counter() - began) * 1e6


# Ways


def _ways(on: Stage) -> Mapping[str, Callable[[], AbstractContextManager[Send]]]:
    return {
        "in process": _in_process,
        "server": lambda: _behind_servers(on),
        "gateway": lambda: _behind_the_gateway(on),
    }


@contextmanager
def _in_process() -> Iterator[Send]:
    apps = dict(load_functions(REPOSITORY / "functions"))
    apps[EMPTY] = _empty_app()

    def send(function: str, call: Call) -> bytes:
        environ = EnvironBuilder(
            path=call.path, method=call.method, headers=list(call.headers.items()), data=call.body
        ).get_environ()
        environ["wsgi.input"] = io.BytesIO(call.body or b"")
        return _answered(apps[function], environ, call)

    yield send


def _empty_app() -> WSGIApplication:
    with TemporaryDirectory() as folder:
        source = Path(folder) / "main.py"
        source.write_bytes(EMPTY_SOURCE)
        made: WSGIApplication = functions_framework.create_app(EMPTY, str(source), "http")  # type: ignore[no-untyped-call]  # it has no types
        return made


def _answered(app: WSGIApplication, environ: Any, call: Call) -> bytes:
    statuses: list[str] = []

    def start(status: str, *_: object) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _: None

    parts = app(environ, start)
    body = b"".join(parts)
    close = getattr(parts, "close", None)
    if close:
        close()
    _must(call, int(statuses[0].split()[0]), body)
    return body


@contextmanager
def _behind_servers(on: Stage) -> Iterator[Send]:
    with ExitStack() as held:
        connections = {}
        for name in (EMPTY, *sorted(set(FUNCTION_OF.values()))):
            port = held.enter_context(on.deployed.running(name, on.state))
            connections[name] = HTTPConnection("127.0.0.1", port, timeout=30)
            held.callback(connections[name].close)
        yield lambda function, call: _over(connections[function], call, call.headers)


@contextmanager
def _behind_the_gateway(on: Stage) -> Iterator[Send]:
    address = urlsplit(on.system.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)

    def send(_: str, call: Call) -> bytes:
        headers = {name: value for name, value in call.headers.items() if name != "X-Apigateway-Api-Userinfo"}
        return _over(connection, call, headers | ({"Authorization": f"Bearer {call.token}"} if call.token else {}))

    try:
        yield send
    finally:
        connection.close()


def _over(connection: HTTPConnection, call: Call, headers: Mapping[str, str]) -> bytes:
    """One exchange on a connection that is kept; one that the server gave up meanwhile is made anew."""
    try:
        connection.request(call.method, call.path, call.body, dict(headers))
        answer = connection.getresponse()
    except ConnectionError:
        connection.close()
        connection.request(call.method, call.path, call.body, dict(headers))
        answer = connection.getresponse()
    body = answer.read()
    _must(call, answer.status, body)
    return body


def _must(call: Call, status: int, body: bytes) -> None:
    if status != call.status:
        raise ValueError(f"{call.method} {call.path} answered {status}, not {call.status}: {body[:200]!r}")


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
            sql[kind].append(_timed(again, connection, one.groups))
            services[kind].append(_timed(ask_again, client, one.requests))
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
