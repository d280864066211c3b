"""Messages that were given up, on a command line: `python -m pinjam.undelivered`, or `make undelivered`.

    python -m pinjam.undelivered                         lists them, with the reasons
    python -m pinjam.undelivered again ID --by NAME      has the message tried again on the channels that failed

Works on the store that the environment names (by default that of the running local system). Names no borrower.
Exits with 1 for an id that is not among them.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing

from pinjam.adapters.ids import Ulids
from pinjam.domain.notification import Notification
from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings, SettingsError
from pinjam.services.errors import NotFound
from pinjam.services.ports import Unavailable
from pinjam.services.recording import Actor
from pinjam.services.store import StoreUnavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """List what was given up, or have one message tried again."""
    parser = argparse.ArgumentParser(prog="pinjam.undelivered", description="Messages that were given up.")
    commands = parser.add_subparsers(dest="command")
    again = commands.add_parser("again", help="have a message tried again")
    again.add_argument("id", help="the notification's id (ntf_...)")
    again.add_argument("--by", required=True, help="who decides so, for the audit log")
    given = parser.parse_args(arguments)
    try:
        with closing(App(Settings.read(os.environ))) as app:
            return _again(app, given.id, given.by) if given.command else _list(app)
    except (SettingsError, StoreUnavailable, Unavailable) as fault:
        print(f"pinjam.undelivered: {fault}", file=sys.stderr)
        return 2


def _list(app: App) -> int:
    after, count = None, 0
    while True:
        page = app.queueing.undelivered(after=after)
        for one in page.items:
            _show(one)
        count, after = count + len(page.items), page.next_cursor
        if after is None:
            break
    print(f"{count} messages were given up." if count else "No message was given up.")
    return 0


def _show(notification: Notification) -> None:
    for one in notification.deliveries:
        if one.status == "failed":
            at = f"{notification.undelivered_at:%Y-%m-%d %H:%M}Z"
            print(f"{notification.id}  {at}  {notification.kind}  {one.channel}  {one.error} ({one.attempts} tries)")


def _again(app: App, notification_id: str, by: str) -> int:
    try:
        channels = app.queueing.again(notification_id, actor=Actor(id=f"staff:{by}", request_id=Ulids().new("cmd")))
    except NotFound:
        print(f"{notification_id} is not among the messages that were given up, or is too old.", file=sys.stderr)
        return 1
    print(f"{notification_id} is tried again: {', '.join(channels)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
