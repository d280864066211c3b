"""The check of the books: silent but for its end while all is well, and loud about what is not."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest
from tests.world import World

from pinjam.domain.ledger import JournalEntry, Posting
from pinjam.domain.trail import AuditRecord
from pinjam.services.checking import Checked

LOUD = ("audit-chain-broken", "ledger-unbalanced")


class OneSided:
    """A posting that credits more than it debits, as only a damaged store can hold one."""

    def __init__(self, posting: Posting) -> None:
        self.debit, self.credit = posting.debit, posting.credit
        self._amounts: Iterator[int] = iter((posting.amount, posting.amount + 5))

    @property
    def amount(self) -> int:
        return next(self._amounts)


@pytest.fixture
def loan_id(world: World) -> str:
    return world.active(world.verified())


def test_books_that_are_whole_are_one_line(world: World, loan_id: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pinjam.services.checking")
    assert world.entries(loan_id)
    checked = world.app.checking.check()
    assert checked == Checked(records=len(world.all(AuditRecord)), broken_chains=0, difference=0)
    assert [one.message for one in caplog.records] == ["books-checked"]


def test_each_broken_chain_is_told(world: World, loan_id: str, caplog: pytest.LogCaptureFixture) -> None:
    for record in (world.trail(loan_id)[1], world.trail(world.loan(loan_id).user_id)[0]):
        rows = {**world.memory._rows[AuditRecord], record.id: replace(record, action="loan-forgiven")}
        world.memory._rows[AuditRecord] = rows
    assert world.app.checking.check().broken_chains == 2
    told = [one for one in caplog.records if one.message in LOUD]
    assert [one.message for one in told] == ["audit-chain-broken", "audit-chain-broken"]
    assert loan_id in {one.__dict__["subject"] for one in told}


def test_a_ledger_that_does_not_balance_is_told(world: World, loan_id: str, caplog: pytest.LogCaptureFixture) -> None:
    entry = world.entries(loan_id)[0]
    bad = (cast("Posting", OneSided(entry.postings[0])), *entry.postings[1:])
    world.memory._rows[JournalEntry] = {**world.memory._rows[JournalEntry], entry.id: replace(entry, postings=bad)}
    assert world.app.checking.check().difference == -5
    (told,) = [one for one in caplog.records if one.message in LOUD]
    assert (told.message, told.__dict__["difference"]) == ("ledger-unbalanced", -5)
