"""The keys that wrap the borrowers' keys, on a command line: `python -m pinjam.keys`.

`status` (the default) counts the borrowers' keys under each wrapping key, in the store that the environment names (by
default that of the running local system). `rotate` wraps all of them under the current one, and with `--new` under one
that it makes first; it may run beside the system, be cut off and be repeated.
"""

import argparse
import os
import sys

from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings, SettingsError
from pinjam.services.ports import Unavailable
from pinjam.services.rewrapping import Rewrapping, Wrapped
from pinjam.services.store import Contention, StoreUnavailable

TOLD_EVERY = 100


def main(arguments: list[str]) -> int:
    """Run one command; 0 when all is well, 1 when `status` finds keys under an earlier wrapping key."""
    parser = argparse.ArgumentParser(prog="python -m pinjam.keys", description="The keys of borrowers' data.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("status", help="count the borrowers' keys under each wrapping key (the default)")
    rotating = commands.add_parser("rotate", help="wrap every borrower's key under the current wrapping key")
    rotating.add_argument("--new", action="store_true", help="make a new wrapping key first")
    asked = parser.parse_args(arguments)
    try:
        app = App(Settings.read(os.environ))
        if asked.command == "rotate":
            if asked.new:
                say(f"{app.key_wrapper.renew()} wraps from now on.")
            rotate(app.rewrapping)
        return show(app.rewrapping.status())
    except (SettingsError, StoreUnavailable, Contention, Unavailable) as fault:
        print(f"pinjam.keys: {fault}", file=sys.stderr)
        return 2


def rotate(rewrapping: Rewrapping) -> None:
    """Wrap anew, telling how far it has come."""
    status = rewrapping.status()
    waiting, done = sum(status.counts.values()) - status.counts[status.current], 0
    for done in rewrapping.rewrap():
        if done % TOLD_EVERY == 0:
            say(f"{done} of {waiting} wrapped anew.")
    say(f"{done} wrapped anew under {status.current}.")


def show(status: Wrapped) -> int:
    """Print the counts; 1 if an earlier key is still in use."""
    for name, count in sorted(status.counts.items()):
        say(f"{name:<24}{count:>12}{'  current' if name == status.current else ''}")
    say(f"{'destroyed':<24}{status.destroyed:>12}")
    earlier = [name for name, count in status.counts.items() if count and name != status.current]
    say(f"Keep {', '.join(sorted(earlier))} until it wraps nothing." if earlier else "No earlier key is in use.")
    return 1 if earlier else 0


def say(line: str) -> None:
    """Tell the user, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
