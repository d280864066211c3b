"""Fills PostgreSQL with a believable book of loans: `python -m pinjam.generate --loans 10000`.

A few borrowers' lives are walked on a throw-away local system, and copies of all their rows, under ids, addresses,
numbers and hashes of their own, are written into the database: by default that of the running local system. Ten
applications a borrower, of which two or three became loans; for every four borrowers there is one who never applied.
Books balance and the audit log's chains hold. What is sealed of a copy cannot be read, as its key is that of another:
lists, the dashboard and repayments work, the profile and a new decision do not.

Nothing is committed before all is written, so that a run that is cut off leaves nothing. Each adds borrowers anew.
"""

import argparse
import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import psycopg
from psycopg import sql

from pinjam.domain.calendar import local_date
from pinjam.domain.trail import AuditRecord
from pinjam.local.lives import ULID, Life, lives
from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings, SettingsError
from pinjam.services.recording import GENESIS, audit_text
from pinjam.services.store import KINDS

MOST_LOANS = 10_000_000
SHARES = ("debtor", "done", "debtor", "done", "new")
"""Whose copies follow each other, again and again."""
BATCH = 250
WRITERS = 2
SAMPLES = 1_000
TOLD_EVERY_S = 1
_NUMBER = "@@@@@@@@@@"
"""Stands in a copied text for the copy's own number, in ten digits."""
_PHONE = "########"
Connection: TypeAlias = "psycopg.Connection[tuple[object, ...]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What was added, and some of those who can be asked about: their ids, evenly from all of them.

    `pending` are payments whose orders are open, by who began them; nothing at the gateway knows of them.
    """

    borrowers: int
    loans: int
    debtors: tuple[str, ...]
    pending: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Generate; 0 when it is done, 2 when it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m pinjam.generate", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--loans", type=int, required=True, help=f"how many at least, from 1 to {MOST_LOANS:,}")
    parser.add_argument("--to", metavar="URL", help="the database; by default that of the running local system")
    parser.add_argument("--seed", type=int, default=1, help="whose lives they are")
    asked = parser.parse_args(arguments)
    if not 1 <= asked.loans <= MOST_LOANS:
        parser.error(f"--loans is {asked.loans}; it must be from 1 to {MOST_LOANS}")
    errors = logging.StreamHandler()
    errors.setLevel(logging.ERROR)  # Of what the throw-away system does.
    logging.basicConfig(level=logging.ERROR, handlers=[errors])
    try:
        settings = Settings.read(os.environ)
        if settings.profile == "gcp":
            raise SettingsError("PINJAM_PROFILE is 'gcp'; made-up loans are for the profiles of one machine")  # noqa: TRY301 - told like the others
        if settings.store != "postgres" and not asked.to:
            raise SettingsError(f"PINJAM_STORE is {settings.store!r}; loans are generated in postgres only")  # noqa: TRY301 - as above
        today = local_date(App(settings).clock.now())
        url = asked.to or settings.database_url
        psycopg.connect(url).close()  # Before anybody walks for nothing.
        told = _Teller().tell
        made = generate(url, lives(today=today, seed=asked.seed, told=told), loans=asked.loans, told=told)
    except (SettingsError, psycopg.Error, LookupError) as fault:
        print(f"pinjam.generate: {str(fault).splitlines()[0]}; nothing was written", file=sys.stderr)
        return 2
    print(f"{made.borrowers} borrowers with {made.loans} loans and applications were added.")
    return 0


def generate(url: str, walked: Mapping[str, Life], *, loans: int, told: Callable[[str], None]) -> Generated:
    """Add copies of lives until there are at least so many loans more; psycopg.Error, and no copy, if that fails."""
    stamps = {name: _Stamp.of(life) for name, life in walked.items()}
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM users").fetchone()
        planned = list(_plan(stamps, loans=loans, first=int(row[0]) + 1 if row else 1))
        _add(url, stamps, planned, told)
        told("gathering statistics")
        connection.execute("ANALYZE")
    debtors = [number for name, number in planned if name == "debtor"]
    sample = debtors[:: max(1, len(debtors) // SAMPLES)][:SAMPLES]
    stamp = stamps["debtor"]
    return Generated(
        borrowers=len(planned),
        loans=sum(stamps[name].life.loans for name, _ in planned),
        debtors=tuple(stamp.named(stamp.life.user_id, number) for number in sample),
        pending=tuple(stamp.named(stamp.life.pending or "", number) for number in sample),
    )


def _add(url: str, stamps: "dict[str, _Stamp]", planned: list[tuple[str, int]], told: Callable[[str], None]) -> None:
    """Write all copies, each writer its part on a connection of its own; none commits before all have written."""
    parts = [planned[start : start + BATCH] for start in range(0, len(planned), BATCH)]
    began, done = time.monotonic(), 0
    with ExitStack() as held:
        connections = [held.enter_context(psycopg.connect(url)) for _ in range(WRITERS)]
        for connection in connections:
            _prepare(connection)
        writers = held.enter_context(ThreadPoolExecutor(WRITERS))
        for start in range(0, len(parts), WRITERS):
            turn = parts[start : start + WRITERS]
            list(writers.map(partial(_write, stamps), connections, turn))
            done += sum(map(len, turn))
            told(f"{done} of {len(planned)} borrowers, {done / (time.monotonic() - began):.0f} a second")
        for connection in connections:
            connection.commit()


def _plan(stamps: "dict[str, _Stamp]", *, loans: int, first: int) -> Iterator[tuple[str, int]]:
    """Which life each copy is of, and its number, until there are enough loans."""
    number, left = first, loans
    while left > 0:
        name = SHARES[(number - first) % len(SHARES)]
        yield name, number
        number, left = number + 1, left - stamps[name].life.loans


def _prepare(connection: Connection) -> None:
    """Spare the look-up of each reference: those among the copied rows are those of the rows they were copied from."""
    may = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if may is not None and may[0]:
        connection.execute("SET LOCAL session_replication_role = replica")


def _write(stamps: "dict[str, _Stamp]", connection: Connection, part: list[tuple[str, int]]) -> None:
    for kind in KINDS.values():
        table = kind.collection
        copying = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            for name, number in part:
                copy.write(stamps[name].rows(table, number))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """A life's rows with places for a copy's own number.

    `trail` has of each audit record the text that is hashed, and its row, with places for both hashes.
    """

    life: Life
    places: "_Places"
    blocks: dict[str, str]
    trail: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, life: Life) -> "_Stamp":
        """The stamp of a life."""
        places = _Places(life)
        return cls(
            life=life,
            places=places,
            blocks={table: places.put("".join(lines)) for table, lines in life.lines.items() if table != "audit_log"},
            trail=tuple(map(places.put_link, life.trail, life.lines["audit_log"])),
        )

    def named(self, id_: str, number: int) -> str:
        """What an id of the life is in a copy."""
        return self.places.put(id_).replace(_NUMBER, f"{number:010}")

    def rows(self, table: str, number: int) -> str:
        """A copy's rows of a table."""
        own = f"{number:010}"
        if table != "audit_log":
            return self.blocks[table].replace(_NUMBER, own).replace(_PHONE, own[2:])
        rows, previous = [], ""
        for text, row in self.trail:
            before = previous if "{previous}" in text else ""
            numbered = text.replace(_NUMBER, own).replace("{previous}", before)
            previous = hashlib.sha256(numbered.encode()).hexdigest()
            rows.append(row.replace(_NUMBER, own).replace("{previous}", before).replace("{hash}", previous))
        return "".join(rows)


class _Places:
    """Puts places for what each copy has of its own into the texts of a life."""

    def __init__(self, life: Life) -> None:
        # One millisecond may have made several ids, which differ in their last letters alone.
        known = sorted({ulid for lines in life.lines.values() for line in lines for ulid in ULID.findall(line)})
        self._ulids = {ulid: f"{ulid[:10]}{order:06}{_NUMBER}" for order, ulid in enumerate(known)}
        self._others = {
            life.email: f"{life.user_id[4:14].lower()}{_NUMBER}@example.com",
            life.phone: f"{life.phone[:-8]}{_PHONE}",
            life.nik_hash: f"{hashlib.sha256(life.user_id.encode()).hexdigest()[:54]}{_NUMBER}",
            **{reference: f"{reference}-{_NUMBER}" for reference in life.references},
        }

    def put(self, text: str) -> str:
        """The text with its places."""
        for own, place in self._others.items():
            text = text.replace(own, place)
        return ULID.sub(lambda found: self._ulids[found[0]], text)

    def put_link(self, record: AuditRecord, line: str) -> tuple[str, str]:
        """An audit record's text and row, with places for the hashes; the first of a chain has none before it."""
        text, row = self.put(audit_text(record)), self.put(line).replace(record.hash, "{hash}")
        if record.previous == GENESIS:
            return text, row
        return text.replace(record.previous, "{previous}"), row.replace(record.previous, "{previous}")


class _Teller:
    """Tells on standard error how far it has come, not more often than can be read."""

    def __init__(self) -> None:
        self._last = 0.0

    def tell(self, what: str) -> None:
        """Say it, unless something was said a moment ago."""
        if time.monotonic() - self._last >= TOLD_EVERY_S:
            self._last = time.monotonic()
            print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
