"""Checks the audit log on a command line: `python -m pinjam.audit`, or `make audit`.

Reads every record of the store that the environment names (by default that of the running local system).
Exits with 1 and names the first record of each chain that was tampered with.
"""

import os
import sys

from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings, SettingsError
from pinjam.services.auditing import verify
from pinjam.services.store import StoreUnavailable


def main() -> int:
    """Check the whole log; 0 when every chain is whole."""
    try:
        app = App(Settings.read(os.environ))
        found = verify(app.store)
    except (SettingsError, StoreUnavailable) as fault:
        print(f"pinjam.audit: {fault}", file=sys.stderr)
        return 2
    print(f"{found.records} records of {found.subjects} subjects read.")
    for one in found.findings:
        print(f"{one.record.id} ({one.record.action} of {one.record.subject}): {one.problem}.")
    if not found.findings:
        print("Every chain is whole.")
    return 1 if found.findings else 0


if __name__ == "__main__":
    sys.exit(main())
