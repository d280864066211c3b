"""The ledger on a command line: `python -m pinjam.ledger`, or `make ledger`.

Prints the trial balance of the store that the environment names (by default that of the running local
system), and exits with 1 if it does not balance. `write-off LOAN REASON` gives a debt up.
"""

import argparse
import os
import sys

from pinjam.domain.ledger import TrialBalance
from pinjam.domain.money import format_rupiah
from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings, SettingsError
from pinjam.services.books import trial_balance_of
from pinjam.services.errors import Denied
from pinjam.services.recording import Actor
from pinjam.services.store import StoreUnavailable


def main(arguments: list[str]) -> int:
    """Run one command; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m pinjam.ledger", description="The ledger of this system.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("balance", help="print the trial balance (the default)")
    giving_up = commands.add_parser("write-off", help="write a loan off, as a loss of its unpaid principal")
    giving_up.add_argument("loan", help="the loan's id")
    giving_up.add_argument("reason", help="why, in a few words without personal data; it goes into the audit log")
    asked = parser.parse_args(arguments)
    try:
        app = App(Settings.read(os.environ))
        if asked.command == "write-off":
            actor = Actor(id=f"staff:{os.environ.get('USER', 'unknown')}", request_id=app.ids.new("req"))
            loan = app.writing_off.write_off(asked.loan, reason=asked.reason, actor=actor)
            print(f"{loan.id} is {loan.status.value}.")
            return 0
        return show(trial_balance_of(app.store))
    except (SettingsError, StoreUnavailable, Denied) as fault:
        print(f"pinjam.ledger: {fault}", file=sys.stderr)
        return 2


def show(balance: TrialBalance) -> int:
    """Print the trial balance; 1 if debits and credits differ."""
    line = "{:<22}{:>20}{:>20}{:>20}".format
    rows = [line("account", "debits", "credits", "balance")]
    rows += [
        line(row.account.value, *(format_rupiah(part) for part in (row.debits, row.credits, row.balance)))
        for row in balance.rows
    ]
    difference = balance.debits - balance.credits
    rows.append(line("total", *(format_rupiah(part) for part in (balance.debits, balance.credits, difference))))
    print("\n".join(rows))
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
