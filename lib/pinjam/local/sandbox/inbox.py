"""What the providers "sent": one inbox for all channels."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pinjam.domain.notification import Channel
from pinjam.local.sandbox.state import SandboxState

MAX_SHOWN = 200


class Inbox:
    """Messages, newest first."""

    def __init__(self, state: SandboxState, now: Callable[[], datetime]) -> None:
        self._state = state
        self._now = now

    def deliver(self, *, channel: Channel, to: str, subject: str, body: str, repeat_key: str | None = None) -> None:
        """Keep a message.

        A repeat (same recipient and `repeat_key`) goes as with the real thing: a mailbox drops an e-mail
        whose Message-ID it has, and a device shows a push message in the place of the one with its tag.
        """
        with self._state.transaction() as cursor:
            cursor.execute(
                """
                INSERT INTO inbox (channel, recipient, address, subject, body, repeat_key, at)
                VALUES (%s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (channel, address, repeat_key) DO UPDATE
                SET subject = EXCLUDED.subject, body = EXCLUDED.body, at = EXCLUDED.at
                WHERE EXCLUDED.channel = 'push'
                """,
                (channel, to, _address(to), subject, body, repeat_key, self._now()),
            )

    def find(self, *, to: str | None = None, channel: str | None = None) -> list[Mapping[str, str]]:
        """At most MAX_SHOWN messages, of a recipient (a number in any spelling), of a channel, or all."""
        with self._state.transaction() as cursor:
            rows = cursor.execute(
                """
                SELECT channel, recipient, subject, body, at FROM inbox
                WHERE (%(address)s::text IS NULL OR address = %(address)s)
                AND (%(channel)s::text IS NULL OR channel = %(channel)s)
                ORDER BY at DESC, id DESC LIMIT %(limit)s
                """,
                {"address": None if to is None else _address(to), "channel": channel, "limit": MAX_SHOWN},
            ).fetchall()
        return [
            {
                "channel": row["channel"],
                "to": row["recipient"],
                "subject": row["subject"],
                "body": row["body"],
                "at": row["at"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
            for row in rows
        ]


def _address(to: str) -> str:
    """One spelling for each recipient. A + in a query string arrives as a space."""
    if "@" in to:
        return to.strip().replace(" ", "+").lower()
    plain = "".join(sign for sign in to if sign not in " +-")
    return f"62{plain[1:]}" if plain.startswith("0") else plain
