"""Whether calls take longer the more loans there are: with 10, 10,000 and 1,000,000 of them in PostgreSQL."""

import base64
import hashlib
import itertools
import json
import random
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
from bench.deployed import Call
from bench.figures import Found, Progress, Row, percentile, ratio, times
from bench.latency import timed
from bench.stage import DAY
from bench.ways import Send, in_process

from pinjam.domain.payment import Payment
from pinjam.generate import Generated, generate
from pinjam.local.lives import lives
from pinjam.local.sandbox.midtrans import notification
from pinjam.local.sandbox.orders import SandboxOrder
from pinjam.local.system import LocalSystem
from pinjam.runtime.composition import install

SIZES = (10, 10_000, 1_000_000)
EACH = 300
WEBHOOKS = 60
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
        for call in calls[:20]:
            send(function, call)
        us[name] = [timed(send, function, call) for call in calls]
    unknown = {"order_id": "pay_none", "status_code": "200", "gross_amount": "1.00"}
    send("pay", _notified(unknown | {"signature_key": _signature(system, unknown)}, status=404))  # Warms up.
    paid = pick.sample(made.pending, min(WEBHOOKS, len(made.pending)))
    us["webhook"] = []
    for payment_id in paid:
        us["webhook"].append(timed(send, "pay", _settled(system, payment_id)))
        # What follows from it is not what is measured.
        if not system.wait_until_quiet(PATIENCE_S):
            raise TimeoutError("the system did not come to rest")
    return us


def _headers(user_id: str) -> dict[str, str]:
    claims = json.dumps({"sub": user_id}).encode()
    return {"X-Apigateway-Api-Userinfo": base64.urlsafe_b64encode(claims).decode().rstrip("=")}


def _settled(system: LocalSystem, payment_id: str) -> Call:
    """The signed notification of a generated order, which the gateway is told of first, as paid."""
    payment = system.app.store.read(lambda tx: tx.get(Payment, payment_id))
    if payment is None or payment.instructions is None:
        raise LookupError(payment_id)
    orders, now = system.sandbox.sandbox.orders, system.app.clock.now()
    orders.add(
        SandboxOrder(
            order_id=payment.id,
            transaction_id=f"generated-{payment.id}",
            payment_type="bank_transfer",
            bank=payment.method.bank,
            amount=payment.amount,
            means={"va_numbers": [{"bank": payment.method.bank, "va_number": payment.instructions.va_number}]},
            created_at=now,
            expires_at=payment.expires_at + timedelta(days=1000),
        )
    )
    body = notification(orders.move(payment.id, "settlement"), system.environment["PINJAM_MIDTRANS_SERVER_KEY"])
    return _notified(body)


def _signature(system: LocalSystem, body: Mapping[str, str]) -> str:
    """Midtrans's, over what it covers."""
    key = system.environment["PINJAM_MIDTRANS_SERVER_KEY"]
    covered = f"{body['order_id']}{body['status_code']}{body['gross_amount']}{key}"
    return hashlib.sha512(covered.encode()).hexdigest()


def _notified(body: Mapping[str, object], *, status: int = 200) -> Call:
    return Call(
        method="POST",
        path="/api/payments/webhook/midtrans",
        headers={"Content-Type": "application/json"},
        body=json.dumps(body).encode(),
        status=status,
    )


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
