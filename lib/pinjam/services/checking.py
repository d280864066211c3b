"""What must never be otherwise, looked at by the clock: the ledger balances, and the audit log is whole."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.services.auditing import verify
from pinjam.services.books import trial_balance_of

if TYPE_CHECKING:
    from pinjam.services.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How many audit records were read, how many chains are broken, and debits less credits, in rupiah."""

    records: int
    broken_chains: int
    difference: int


@dataclass(frozen=True, slots=True)
class Checking:
    """Reads everything: its time grows with the books."""

    store: Store

    def check(self) -> Checked:
        """Each fault is a line in the log, and the end of the check is another: no line is no check."""
        found, balance = verify(self.store), trial_balance_of(self.store)
        for one in found.findings:
            log.error("audit-chain-broken", extra={"record": one.record.id, "subject": one.record.subject})
        difference = balance.debits - balance.credits
        if difference:
            log.error("ledger-unbalanced", extra={"difference": difference})
        checked = Checked(records=found.records, broken_chains=len(found.findings), difference=difference)
        log.info("books-checked", extra={"records": checked.records})
        return checked
