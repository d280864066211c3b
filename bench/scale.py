"""Whether calls take longer the more loans there are: with 10, 10,000 and 1,000,000 of them in PostgreSQL."""

import base64
import itertools
import json
import random
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import psycopg
from bench.deployed import Call
from bench.figures import Found, Progress, Row, percentile, ratio, times
from bench.latency import timed
from bench.stage import DAY, PART
from bench.ways import Send, in_process

from pinjam.generate import Generated, generate
from pinjam.local.lives import lives
from pinjam.local.sandbox.midtrans import notification
from pinjam.local.system import LocalSystem
from pinjam.runtime.composition import install

SIZES = (10, 10_000, 1_000_000)
EACH = 300
WEBHOOKS = 60
WARM = 10
LISTS = {
    "dashboard": ("loans", "/api/loans"),
    "payments": ("pay", "/api/payments"),
    "notifications": ("notifications", "/api/notifications"),
}
SELECT = "SELECT 1"
PATIENCE_S = 60


def measure(progress: Progress) -> Found:
    """p50 and p99 in microseconds by size and call, asked of borrowers picked at random; and of the least query."""
    found: Found = {}
    with tempfile.TemporaryDirectory(prefix="pinjam-scale-") as folder, ExitStack() as held:
        system = held.enter_context(LocalSystem(Path(folder), 0, sweep_every_s=3600, durable=False))
        send = held.enter_context(in_process())
        url, there = system.app.settings.database_url, 0
        connection = held.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=0))
        walked = lives(today=DAY, seed=1, told=progress)
        for size in SIZES:
            progress(f"{size:,} loans")
            made = generate(url, walked, loans=size - there, told=_seldom(progress))
            there += made.loans
            install(system.app)  # The lives were walked on another one.
            us = _asked(system, send, made)
            us[SELECT] = [timed(connection.execute, b"SELECT 1") for _ in range(EACH)]
            found[f"{size}"] = {
                "loans": there,
                "calls": {
                    name: {"p50_us": round(percentile(all_, 50)), "p99_us": round(percentile(all_, 99))}
                    for name, all_ in us.items()
                },
            }
    return found


def _asked(system: LocalSystem, send: Send, made: Generated) -> dict[str, list[float]]:
    pick = random.Random(len(made.debtors))  # noqa: S311 - who is asked about is no secret
    us: dict[str, list[float]] = {}
    for name, (function, path) in LISTS.items():
        calls = [Call(method="GET", path=path, headers=_headers(pick.choice(made.debtors))) for _ in range(EACH)]
        for call in calls[:WARM]:
            send(function, call)
        us[name] = [timed(send, function, call) for call in calls]
    us["pay"], us["webhook"] = [], []
    for turn in range(-WARM, WEBHOOKS):
        pay, webhook = _paid(system, send, pick.choice(made.debtors), key=f"{made.loans}-{turn}")
        if turn >= 0:
            us["pay"].append(pay)
            us["webhook"].append(webhook)
        # What follows from it is not what is measured.
        if not system.wait_until_quiet(PATIENCE_S):
            raise TimeoutError("the system did not come to rest")
    return us


def _paid(system: LocalSystem, send: Send, user_id: str, *, key: str) -> tuple[float, float]:
    """A small payment: how long its order takes, and the notification that it was paid at the bank."""
    loans = json.loads(send("loans", Call(method="GET", path="/api/loans", headers=_headers(user_id))))["loans"]
    loan_id = next(one["id"] for one in loans if one["status"] == "active")
    method = {"type": "bank_transfer", "bank": "bca"}
    body = {"loan_id": loan_id, "kind": "partial", "amount": PART, "method": method}
    order = _posted("/api/payments", body, headers={**_headers(user_id), "Idempotency-Key": key}, status=201)
    answers: list[bytes] = []
    pay = timed(lambda: answers.append(send("pay", order)))
    moved = system.sandbox.sandbox.orders.move(json.loads(answers[0])["id"], "settlement")
    told = notification(moved, system.environment["PINJAM_MIDTRANS_SERVER_KEY"])
    return pay, timed(send, "pay", _posted("/api/payments/webhook/midtrans", told))


def _headers(user_id: str) -> dict[str, str]:
    claims = json.dumps({"sub": user_id}).encode()
    return {"X-Apigateway-Api-Userinfo": base64.urlsafe_b64encode(claims).decode().rstrip("=")}


def _posted(
    path: str, body: Mapping[str, object], *, headers: Mapping[str, str] | None = None, status: int = 200
) -> Call:
    sent = {"Content-Type": "application/json", **(headers or {})}
    return Call(method="POST", path=path, headers=sent, body=json.dumps(body).encode(), status=status)


def _seldom(progress: Progress) -> Progress:
    """Tells every tenth thing."""
    told = itertools.count()

    def tell(what: str) -> None:
        if next(told) % 10 == 0:
            progress(what)

    return tell


def rows(found: Found) -> list[Row]:
    """The table: each size over the smallest of the same run."""
    first = next(iter(found.values()))["calls"]
    heading: list[str] = ["call"]
    for size in found:
        heading += [f"{int(size):,}: p50 us", "p99 us", "over the first"]
    lines = [tuple(heading)]
    for name in first:
        line = [name]
        for one in found.values():
            call = one["calls"].get(name)
            line += [str(call["p50_us"]), str(call["p99_us"]), times(ratio(call["p50_us"], first[name]["p50_us"]))]
        lines.append(tuple(line))
    return lines
