"""What one loan costs in calls, transactions, records, events, tasks and messages, counted on the local system.

`python -m bench.one_loan` walks one road and writes bench/one_loan.json, which docs/capacity.md quotes and a test keeps
true. `python -m bench.one_loan --size 20` also says how large the database grows, from so many roads.
"""

import argparse
import json
import logging
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from argon2 import PasswordHasher

from pinjam.adapters.event_messages import event_message
from pinjam.adapters.records import canonical
from pinjam.domain.task import Task
from pinjam.domain.trail import Event
from pinjam.local.people import People
from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem
from pinjam.runtime.composition import App, install
from pinjam.runtime.settings import Settings
from pinjam.services.store import KINDS, Asked, Find, Page, R, Reader, Record, Scalar, Store, Transaction

A = TypeVar("A")
Counts = Mapping[str, Mapping[str, int]]
"""By stage of the road, then by what is counted."""

COUNTS = Path(__file__).with_suffix(".json")
DAY = date(2027, 3, 1)
"""A Monday; neither it nor the day of the reminder is a holiday, so that every message goes out at once."""
REMINDED = date(2027, 3, 29)
"""Three days before the first instalment is due."""
AMOUNT, TENOR = 3_000_000, 6
PATIENCE_S = 60
RECEIPTS = 3
"""Of each message on WhatsApp: sent, delivered, read."""


class Tally:
    """Counts, from several threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, what: str, times: int = 1) -> None:
        """Count something."""
        with self._lock:
            self._counts[what] += times

    def of(self, what: str) -> int:
        """How often that was counted since the last taking."""
        with self._lock:
            return self._counts[what]

    def take(self) -> dict[str, int]:
        """What was counted since the last time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return dict(sorted(counts.items()))


class CountedStore:
    """A store whose reads and writes are counted; of a transaction that was tried again, the last try alone."""

    def __init__(self, store: Store, tally: Tally) -> None:
        self._store = store
        self._tally = tally

    def transact(self, work: Callable[[Transaction], A]) -> A:
        """As the port says."""
        counted: list[_CountedTransaction] = []

        def working(tx: Transaction) -> A:
            counted[:] = [_CountedTransaction(tx)]
            return work(counted[0])

        result = self._store.transact(working)
        self._note(counted[0])
        return result

    def read(self, work: Callable[[Reader], A]) -> A:
        """As the port says."""
        counted: list[_CountedReader] = []

        def working(reader: Reader) -> A:
            counted[:] = [_CountedReader(reader)]
            return work(counted[0])

        result = self._store.read(working)
        self._note(counted[0])
        return result

    def get(self, kind: type[R], id: str) -> R | None:
        """As the port says."""
        return self.read(lambda tx: tx.get(kind, id))

    def find(self, query: Find[R]) -> Page[R]:
        """As the port says."""
        return self.read(lambda tx: tx.find(query))

    def close(self) -> None:
        """Close what is below."""
        closing: Any = self._store
        closing.close()

    def _note(self, seen: "_CountedReader") -> None:
        for what, times in seen.counts.items():
            self._tally.add(what, times)
        if seen.counts:
            self._tally.add("store.transactions")
        if any(seen.counts[what] for what in ("store.inserts", "store.updates", "store.deletes")):
            self._tally.add("store.writing-transactions")


class _CountedReader:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.counts: Counter[str] = Counter()

    def prefetch(self, *asked: Asked) -> None:
        self._reader.prefetch(*asked)

    def get(self, kind: type[R], id: str) -> R | None:
        self.counts["store.queries"] += 1
        self.counts["store.records-read"] += 1
        return self._reader.get(kind, id)

    def find(self, query: Find[R]) -> Page[R]:
        page = self._reader.find(query)
        self.counts["store.queries"] += 1
        # Firestore bills a query that finds nothing as one read.
        self.counts["store.records-read"] += max(1, len(page.items))
        return page

    def count(self, kind: type[R], where: Mapping[str, Scalar]) -> int:
        self.counts["store.queries"] += 1
        self.counts["store.records-read"] += 1
        return self._reader.count(kind, where)


class _CountedTransaction(_CountedReader):
    def __init__(self, tx: Transaction) -> None:
        super().__init__(tx)
        self._tx = tx

    def insert(self, record: Record) -> None:
        kind = KINDS[type(record)]
        self.counts[f"rows.{kind.collection}"] += 1
        self.counts["store.inserts"] += 1
        self.counts["bytes.rows"] += len(canonical(record))
        # In Firestore each unique value is a document of its own.
        taken = [fields for fields in kind.unique if all(getattr(record, name) is not None for name in fields)]
        if taken:
            self.counts["store.claims"] += len(taken)
        self._tx.insert(record)

    def update(self, record: Record) -> None:
        self.counts["store.updates"] += 1
        self._tx.update(record)

    def delete(self, kind: type[Record], id: str) -> None:
        self.counts["store.deletes"] += 1
        self._tx.delete(kind, id)


class _Counted:
    """Anything else, whose calls are counted under its name."""

    def __init__(self, name: str, thing: Any, tally: Tally) -> None:
        self._name = name
        self._thing = thing
        self._tally = tally

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if not callable(found) or name == "close":
            return found

        def call(*given: Any, **named: Any) -> Any:
            self._tally.add(f"{self._name}.{name}")
            return found(*given, **named)

        return call


class _CountedPublisher(_Counted):
    def publish(self, events: Sequence[Event]) -> None:
        for event in events:
            self._tally.add(f"events.{event.topic}")
            self._tally.add("bytes.events", len(json.dumps(event_message(event))))
        self._thing.publish(events)


class _CountedTasks(_Counted):
    """Each task once, however often it was asked for."""

    def __init__(self, name: str, thing: Any, tally: Tally) -> None:
        super().__init__(name, thing, tally)
        self._known: set[str] = set()

    def schedule(self, *tasks: Task) -> None:
        for task in tasks:
            if task.id not in self._known:
                self._known.add(task.id)
                self._tally.add(f"tasks.{task.queue}")
        self._thing.schedule(*tasks)


class _CountedObjects(_Counted):
    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        self._tally.add("objects.put")
        self._thing.put(key, content, content_type=content_type)

    def get(self, key: str) -> bytes:
        self._tally.add("objects.get")
        content: bytes = self._thing.get(key)
        return content

    def delete(self, key: str) -> None:
        self._tally.add("objects.delete")
        self._thing.delete(key)


class _Calls(logging.Handler):
    """Counts functions' calls by the one line that each leaves in the log."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(logging.INFO)
        self._tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        """A line: a request's, or an event's."""
        if record.getMessage() in ("request", "event"):
            self._tally.add(f"calls.{record.__dict__['function']}")


@contextmanager
def counted(system: LocalSystem, tally: Tally) -> Iterator[None]:
    """Meanwhile, all that the system's functions do is counted."""
    app = App(Settings.read(system.environment))
    app.store = CountedStore(app.store, tally)
    app.publisher = _CountedPublisher("publisher", app.publisher, tally)
    app.tasks = _CountedTasks("tasks", app.tasks, tally)
    app.objects = _CountedObjects("objects", app.objects, tally)
    for name in ("key_wrapper", "payment_gateway", "payout_gateway", "identity_check", "accounts"):
        setattr(app, name, _Counted(name.replace("_", "-"), getattr(app, name), tally))
    app.messengers = {
        channel: _Counted(f"messages.{channel}", messenger, tally) for channel, messenger in app.messengers.items()
    }
    install(app)
    try:
        with listening(tally):
            yield
    finally:
        install(system.app)
        app.close()


@contextmanager
def listening(tally: Tally) -> Iterator[None]:
    """Meanwhile, functions' calls are counted."""
    handler, loggers = _Calls(tally), [logging.getLogger(name) for name in ("pinjam.request", "pinjam.event")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def walk(system: LocalSystem, road: Road, walker: Walker, tally: Tally) -> Counts:
    """One loan as the app asks for it, never more often than it must; of its instalments the first."""

    def quiet() -> None:
        if not system.wait_until_quiet(PATIENCE_S):
            raise TimeoutError("the system did not come to rest")
        # WhatsApp's receipts come by themselves.
        awaited = RECEIPTS * tally.of("messages.whatsapp.send")
        road.until("receipts", lambda: tally.of("calls.notifications"), lambda came: came >= awaited)

    def log_in() -> None:
        walker.log_in(walker.person.email).expect(200)

    stages = {}
    road.set_date(DAY, hour=9).expect(200)
    quiet()
    tally.take()
    walker.register().expect(201)
    for kind in ("ktp", "selfie"):
        walker.upload(kind).expect(201)
    quiet()
    income = {"monthly_income": 9_000_000, "other_instalments": 0}
    walker.change(**income, bank_account=walker.person.bank_account).expect(200)
    quiet()
    stages["sign-up"] = tally.take()

    log_in()
    walker.call("GET", "/api/loans").expect(200)
    walker.quote(AMOUNT, TENOR).expect(200)
    loan_id = walker.apply(AMOUNT, TENOR, key="one-loan").expect(202)["loan"]["id"]
    quiet()
    walker.loan(loan_id).expect(200)
    walker.call("GET", f"/api/loans/{loan_id}/summary").expect(200)
    walker.accept(loan_id, key="one-loan").expect(200)
    quiet()
    walker.call("GET", "/api/loans").expect(200)
    stages["loan"] = tally.take()

    road.set_date(REMINDED, hour=9).expect(200)
    quiet()
    tally.take()
    road.sweep().expect(200)
    quiet()
    log_in()
    walker.call("GET", "/api/loans").expect(200)
    walker.bill(loan_id).expect(200)
    payment = walker.start_payment(loan_id, key="one-loan").expect(201)["id"]
    road.pay_at_bank(payment).expect(200)
    quiet()
    walker.payment(payment).expect(200)
    stages["instalment"] = tally.take()
    road.sweep().expect(200)
    quiet()
    stages["sweep"] = tally.take()
    return stages


def database_bytes(url: str) -> Mapping[str, int]:
    """How large the tables of records are, with their indexes, once nothing dead is in them."""
    names = [kind.collection for kind in KINDS.values()]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM FULL")
        found = connection.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
            " WHERE relname = ANY(%s) AND relkind = 'r' AND relnamespace = 'public'::regnamespace",
            (names,),
        ).fetchall()
    return dict(found)


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", type=int, default=0, help="also measure the database's growth, over so many roads")
    roads = parser.parse_args().size
    folder = Path(tempfile.mkdtemp(prefix="pinjam-one-loan-"))
    light = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    try:
        with (
            listening(begun := Tally()),
            LocalSystem(folder, 0, sweep_every_s=3600, durable=False, hasher=light) as system,
            Road(system.url) as road,
        ):
            road.until("the scheduler's first sweep", lambda: begun.of("calls.sweep"), bool)
            people, tally = People(1, today=DAY), Tally()
            with counted(system, tally):
                counts = walk(system, road, Walker(road, people.person(), people), tally)
                COUNTS.write_text(json.dumps(counts, indent=2) + "\n")
                print(COUNTS.read_text())
                if roads:
                    url = system.app.settings.database_url
                    before = database_bytes(url)
                    for _ in range(roads):
                        walk(system, road, Walker(road, people.person(), people), tally)
                    after = database_bytes(url)
                    grown = {name: (size - before[name]) // roads for name, size in sorted(after.items())}
                    print(json.dumps({"bytes a road": grown, "all": sum(grown.values())}, indent=2))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
