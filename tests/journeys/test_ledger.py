"""The books beside a running system: the commands."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.journeys.records import records

from pinjam.domain.trail import AuditRecord
from pinjam.local.road import Walker
from pinjam.local.system import LocalSystem
from pinjam.services.auditing import verify
from pinjam.services.books import trial_balance_of

WAIT_S = 30


def run(state: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the project's, with nothing but the system's folder to go by."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PINJAM_")}
    return subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-m", module, *arguments],
        env=environment | {"PINJAM_STATE": str(state)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def loan_id(walker: Walker, system: LocalSystem) -> str:
    return borrow_and_take_back(walker, system)


def borrow_and_take_back(walker: Walker, system: LocalSystem) -> str:
    """A loan with two payments, one of which was taken back, and quiet around it."""
    loan_id = walker.become_borrower()
    gone = walker.repay(loan_id, key="one")
    walker.repay(loan_id, kind="partial", amount=700_000, key="two")
    walker.road.pay_at_bank(gone["id"], status="refund").expect(200)
    assert system.wait_until_quiet(WAIT_S)
    return loan_id


def test_the_trial_balance_is_printed_beside_the_running_system(
    walker: Walker, system: LocalSystem, state: Path, loan_id: str
) -> None:
    done = run(state, "pinjam.ledger", "write-off", loan_id, "cannot be found")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{loan_id} is written_off.\n", "")
    assert walker.loan(loan_id).expect(200)["status"] == "written_off"
    done = run(state, "pinjam.ledger")
    assert (done.returncode, done.stderr) == (0, "")
    heading, *lines, total = [line.split() for line in done.stdout.splitlines()]
    assert heading == ["account", "debits", "credits", "balance"]
    balance = trial_balance_of(system.app.store)
    assert [(name, *map(rupiah, rest)) for name, *rest in lines] == [
        (row.account.value, row.debits, row.credits, row.balance) for row in balance.rows
    ]
    assert [total[0], *map(rupiah, total[1:])] == ["total", balance.debits, balance.debits, 0]
    missing = run(state, "pinjam.ledger", "write-off", "loan_nothing", "x")
    assert (missing.returncode, missing.stderr) == (2, "pinjam.ledger: loan-not-found\n")


def rupiah(text: str) -> int:
    return int(text.replace("Rp", "").replace(".", ""))


@contextmanager
def tampered(system: LocalSystem, record: AuditRecord) -> Iterator[None]:
    """The record says something else for a while."""
    system.app.store.transact(lambda tx: tx.update(replace(record, after={**(record.after or {}), "amount": 1})))
    try:
        yield
    finally:
        system.app.store.transact(lambda tx: tx.update(record))


def test_a_record_that_was_tampered_with_is_named(system: LocalSystem, state: Path, loan_id: str) -> None:
    done = run(state, "pinjam.audit")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Every chain is whole.\n")
    (record,) = records(system, AuditRecord, subject=loan_id, number=3)
    with tampered(system, record):
        done = run(state, "pinjam.audit")
    assert (done.returncode, done.stderr) == (1, "")
    said = f"{record.id} ({record.action} of {loan_id}): its content does not match its hash."
    assert done.stdout.splitlines()[1:] == [said]
    assert verify(system.app.store).findings == ()


def test_without_a_system_the_commands_say_what_is_missing(tmp_path: Path) -> None:
    commands = (("pinjam.ledger",), ("pinjam.audit",), ("pinjam.undelivered",), ("pinjam.review", "list"))
    for module, *arguments in commands:
        done = run(tmp_path, module, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"{module}: ")
        assert "Traceback" not in done.stderr
