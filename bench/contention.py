"""Eight writers change one loan at once: how long it takes, and how often they try.

    .venv/bin/python bench/contention.py

Each line is one store: PostgreSQL; Firestore's emulator with all writers in one process; and the same with a store
for each, as if they were instances that know nothing of each other, which the emulator bears badly: of two that have
read, neither can write until one has waited for two seconds. Needs gcloud's Firestore emulator and Java.
"""

import tempfile
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pinjam.adapters.firestore import FirestoreStore
from pinjam.adapters.postgres import PostgresStore
from pinjam.domain.loan import Application, Loan, LoanStatus
from pinjam.domain.user import Sealed, User, UserStatus
from pinjam.local.database import EmbeddedDatabase
from pinjam.local.emulators.firestore import FirestoreEmulator
from pinjam.migrations import migrate
from pinjam.services.store import Contention, Store, Transaction

WRITERS = 8
AT = datetime(2026, 1, 1, tzinfo=UTC)
USER = User(
    id="usr_1",
    full_name="Siti",
    email="siti@example.com",
    phone="+6281234567890",
    nik=Sealed("v2.x"),
    nik_hash="0",
    nik_masked="3171********0001",
    birth_date=Sealed("v2.x"),
    gender="female",
    status=UserStatus.VERIFIED,
    locale="id",
    consents=(),
    account_created=True,
    created_at=AT,
    updated_at=AT,
)
LOAN = Loan(
    id="loan_1",
    user_id="usr_1",
    status=LoanStatus.WITHDRAWN,
    amount=1,
    tenor_months=1,
    purpose="home",
    application=Application(
        amount=1, tenor_months=1, purpose="home", monthly_income=1, other_instalments=0, consented_at=AT
    ),
    open_for=None,
    created_at=AT,
    updated_at=AT,
)


@dataclass
class Count:
    """What the writers met."""

    tries: int = 0
    contentions: int = 0


def begin(tx: Transaction) -> None:
    """The loan, and whose it is."""
    tx.insert(USER)
    tx.insert(LOAN)


def increment(tx: Transaction) -> int:
    """Add a rupiah to the loan, and tell its amount."""
    found = tx.get(Loan, LOAN.id)
    if found is None:
        raise LookupError(LOAN.id)
    tx.update(replace(found, amount=found.amount + 1))
    return found.amount


def write(store: Store, count: Count, guard: threading.Lock, *, times: int) -> None:
    """Change the record so many times, again after every Contention, as a consumer's event comes again."""

    def counted(tx: Transaction) -> int:
        with guard:
            count.tries += 1
        return increment(tx)

    done = 0
    while done < times:
        try:
            store.transact(counted)
            done += 1
        except Contention:
            with guard:
                count.contentions += 1


def measure(name: str, stores: list[Store], *, times: int = 10) -> None:
    """Print one line."""
    count, guard = Count(), threading.Lock()
    stores[0].transact(begin)
    begun = time.perf_counter()
    threads = [
        threading.Thread(target=write, args=(stores[n % len(stores)], count, guard), kwargs={"times": times})
        for n in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    kept = stores[0].transact(increment) - 1
    commits = WRITERS * times
    print(
        f"{name:32} {commits} commits, {kept} kept, {took:6.2f} s, {count.tries / commits:.2f} tries each,"
        f" {count.contentions} Contention",
        flush=True,
    )


def main() -> None:
    """Run all."""
    with tempfile.TemporaryDirectory() as folder:
        database = EmbeddedDatabase(Path(folder), durable=True)
        try:
            url = database.start()
            migrate(url)
            one = PostgresStore(url, pool_size=WRITERS)
            measure("PostgreSQL", [one])
            one.close()
        finally:
            database.stop()
        with FirestoreEmulator(Path(folder)) as emulator:
            made: list[FirestoreStore] = []

            def firestore(project: str) -> FirestoreStore:
                made.append(FirestoreStore(project=project, url=f"http://{emulator.host}"))
                return made[-1]

            firestore("warm").transact(lambda tx: tx.get(Loan, "none"))
            measure("Firestore, one process", [firestore("one")])
            measure("Firestore, eight instances", [firestore("eight") for _ in range(WRITERS)], times=2)
            for store in made:
                store.close()


if __name__ == "__main__":
    main()
