"""Whole lives of made-up borrowers, walked on a system of their own: the rows that each leaves, table by table.

Nothing here writes a row: the system does, over months of its movable date, and forgets what it would have forgotten.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from argon2 import PasswordHasher
from psycopg import sql

from pinjam.domain.trail import AuditRecord
from pinjam.local.people import People
from pinjam.local.road import Road, Unexpected, Walker
from pinjam.local.system import LocalSystem
from pinjam.policy import load_policies
from pinjam.services.store import KINDS, Find, each

PATIENCE_S = 60
PAUSE = timedelta(days=12)
"""From one application to the next: of a month's, a policy bears three."""
LONGEST = 10 * PAUSE
AMOUNT, TENOR = 1_000_000, 2
POOR = 2_000_000
"""An income with which an application is declined, in rupiah a month."""
ULID = re.compile(r"(?<![0-9A-Z])[0-9A-HJKMNP-TV-Z]{26}(?![0-9A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One borrower's rows, as PostgreSQL copies them out, by table; and the audit records among them, by chain.

    `references` are the payout gateway's, which nobody else may have. `pending` is the id of a payment whose order is
    open at the gateway, where there is one.
    """

    user_id: str
    email: str
    phone: str
    nik_hash: str
    loans: int
    lines: Mapping[str, tuple[str, ...]]
    trail: tuple[AuditRecord, ...]
    references: tuple[str, ...]
    pending: str | None


def lives(*, today: date, seed: int, told: Callable[[str], None]) -> Mapping[str, Life]:
    """`debtor` owes on a live loan and has an open order, `done` has repaid all, `new` has never borrowed.

    LookupError if no policy was in force yet when the longest of them began.
    """
    load_policies().on(today - LONGEST)
    scripts: Mapping[str, Callable[[Road, Walker, date], str | None]] = {
        "debtor": _debtor,
        "done": _done,
        "new": _new,
    }
    found = {}
    with (
        TemporaryDirectory(prefix="pinjam-lives-") as folder,
        LocalSystem(Path(folder), 0, sweep_every_s=3600, durable=False, hasher=_light()) as system,
        Road(system.url) as road,
    ):
        people = People(seed, today=today)
        for name, script in scripts.items():
            told(f"walking the life of a borrower: {name}")
            walker = Walker(road, people.person(), people)
            pending = script(road, walker, today)
            road.sweep().expect(200)
            if not system.wait_until_quiet(PATIENCE_S):
                raise TimeoutError("the system did not come to rest")
            found[name] = _taken_out(system, walker, pending)
    return found


def _light() -> PasswordHasher:
    """Nobody logs in with these passwords again."""
    return PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


# Scripts


def _new(road: Road, walker: Walker, today: date) -> None:
    road.set_date(today - timedelta(days=7), hour=9).expect(200)
    walker.become_verified()
    road.set_date(today, hour=9).expect(200)


def _done(road: Road, walker: Walker, today: date) -> None:
    """Ten applications: two loans that were repaid early, three withdrawn, five declined."""
    _apply_often(road, walker, today - LONGEST, ("repaid", "declined", "withdrawn", "declined", "withdrawn") * 2)
    road.set_date(today, hour=9).expect(200)


def _debtor(road: Road, walker: Walker, today: date) -> str:
    """Nine applications before the loan that is owed on, of which a part is paid, and another ordered."""
    before = ("repaid", "declined", "declined", "withdrawn", "declined", "repaid", "declined", "withdrawn", "declined")
    _apply_often(road, walker, today - LONGEST, before)
    road.set_date(today - PAUSE, hour=9).expect(200)
    walker.log_in(walker.person.email).expect(200)
    loan_id = _approved(walker, "live")
    walker.accept(loan_id, key="live-accept").expect(200)
    walker.disbursed(loan_id)
    walker.repay(loan_id, key="live-part", kind="partial", amount=100_000)
    road.set_date(today, hour=9).expect(200)
    walker.log_in(walker.person.email).expect(200)
    pending: str = walker.start_payment(loan_id, key="live-open").expect(201)["id"]
    return pending


def _apply_often(road: Road, walker: Walker, first: date, outcomes: tuple[str, ...]) -> None:
    road.set_date(first, hour=9).expect(200)
    walker.become_verified()
    for number, outcome in enumerate(outcomes):
        road.set_date(first + number * PAUSE, hour=9).expect(200)
        walker.log_in(walker.person.email).expect(200)
        if outcome == "declined":
            loan_id = walker.apply(AMOUNT, TENOR, key=f"{number}", monthly_income=POOR).expect(202)["loan"]["id"]
            _must(walker.decided(loan_id)["status"], "declined")
        else:
            loan_id = _approved(walker, f"{number}")
            if outcome == "withdrawn":
                walker.call("POST", f"/api/loans/{loan_id}/withdraw").expect(200)
            else:
                walker.accept(loan_id, key=f"{number}-accept").expect(200)
                walker.disbursed(loan_id)
                walker.repay(loan_id, key=f"{number}-settle", kind="settlement")
        road.sweep().expect(200)


def _approved(walker: Walker, key: str) -> str:
    loan_id: str = walker.apply(AMOUNT, TENOR, key=key, monthly_income=9_000_000).expect(202)["loan"]["id"]
    _must(walker.decided(loan_id)["status"], "approved")
    return loan_id


def _must(came: str, expected: str) -> None:
    if came != expected:
        raise Unexpected("the decision", expected=expected, came=came)


# Rows


def _taken_out(system: LocalSystem, walker: Walker, pending: str | None) -> Life:
    """All rows there are, which then are gone: the next life begins in an empty database."""
    store, url = system.app.store, system.app.settings.database_url
    trail = tuple(sorted(each(store, Find(kind=AuditRecord)), key=lambda one: (one.subject, one.number)))
    tables = [kind.collection for kind in KINDS.values()]
    with psycopg.connect(url, autocommit=True) as connection:
        # The borrower logged in before each application, within this one hour of real time: the newest session stands.
        connection.execute("DELETE FROM sessions WHERE id <> (SELECT max(id) FROM sessions)")
        lines = {table: _lines(connection, table) for table in tables}
        row = connection.execute("SELECT id, nik_hash FROM users").fetchone()
        if row is None:
            raise LookupError("there is no borrower")
        payouts = connection.execute("SELECT reference FROM payouts WHERE reference IS NOT NULL").fetchall()
        names = sql.SQL(", ").join(map(sql.Identifier, tables))
        connection.execute(sql.SQL("TRUNCATE {}").format(names))
    return Life(
        user_id=row[0],
        email=walker.person.email,
        phone=walker.person.phone_e164,
        nik_hash=row[1],
        loans=len(lines["loans"]),
        lines=lines,
        trail=trail,
        references=tuple(reference for (reference,) in payouts),
        pending=pending,
    )


def _lines(connection: "psycopg.Connection[tuple[object, ...]]", table: str) -> tuple[str, ...]:
    order = "subject, number" if table == "audit_log" else "id"
    query = sql.SQL("COPY (SELECT * FROM {} ORDER BY {}) TO STDOUT").format(sql.Identifier(table), sql.SQL(order))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return tuple(b"".join(bytes(part) for part in copy).decode().splitlines(keepends=True))
