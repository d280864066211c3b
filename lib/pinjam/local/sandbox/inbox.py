"""What the providers "sent": one inbox for all channels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pinjam.domain.notification import Channel
from pinjam.local.sandbox.state import SandboxState

MAX_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message as it arrived; `html` only where an e-mail came as a page too."""

    channel: str
    to: str
    subject: str
    body: str
    at: datetime
    html: str | None


class Inbox:
    """Messages, newest first."""

    def __init__(self, state: SandboxState, now: Callable[[], datetime]) -> None:
        self._state = state
        self._now = now

    def deliver(
        self,
        *,
        channel: Channel,
        to: str,
        subject: str,
        body: str,
        repeat_key: str | None = None,
        html: str | None = None,
    ) -> None:
        """Keep a message.

        A repeat (same recipient and `repeat_key`) goes as with the real thing: a mailbox drops an e-mail
        whose Message-ID it has, and a device shows a push message in the place of the one with its tag. Copies are
        counted all the same.
        """
        with self._state.transaction() as cursor:
            cursor.execute(
                """
                INSERT INTO inbox (channel, recipient, address, subject, body, repeat_key, at, html)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (channel, address, repeat_key) DO UPDATE
                SET copies = inbox.copies + 1,
                    subject = CASE WHEN EXCLUDED.channel = 'push' THEN EXCLUDED.subject ELSE inbox.subject END,
                    body = CASE WHEN EXCLUDED.channel = 'push' THEN EXCLUDED.body ELSE inbox.body END,
                    at = CASE WHEN EXCLUDED.channel = 'push' THEN EXCLUDED.at ELSE inbox.at END
                """,
                (channel, to, _address(to), subject, body, repeat_key, self._now(), html),
            )

    def find(self, *, to: str | None = None, channel: str | None = None) -> list[Mapping[str, str]]:
        """What `received` answers, as the API shows it."""
        return [
            {
                "channel": one.channel,
                "to": one.to,
                "subject": one.subject,
                "body": one.body,
                "at": one.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
            for one in self.received(to=to, channel=channel)
        ]

    def copies(self) -> Mapping[str, int]:
        """How many messages came on each channel, each repeat counted."""
        with self._state.transaction() as cursor:
            rows = cursor.execute("SELECT channel, sum(copies)::int AS copies FROM inbox GROUP BY channel").fetchall()
        return {row["channel"]: row["copies"] for row in rows}

    def recipients(self) -> list[str]:
        """Everybody who got a message, in order of their addresses."""
        with self._state.transaction() as cursor:
            rows = cursor.execute("SELECT DISTINCT recipient FROM inbox ORDER BY recipient").fetchall()
        return [row["recipient"] for row in rows]

    def received(self, *, to: str | None = None, channel: str | None = None) -> list[Received]:
        """At most MAX_SHOWN messages, of a recipient (a number in any spelling), of a channel, or all."""
        with self._state.transaction() as cursor:
            rows = cursor.execute(
                """
                SELECT channel, recipient, subject, body, at, html FROM inbox
                WHERE (%(address)s::text IS NULL OR address = %(address)s)
                AND (%(channel)s::text IS NULL OR channel = %(channel)s)
                ORDER BY at DESC, id DESC LIMIT %(limit)s
                """,
                {"address": None if to is None else _address(to), "channel": channel, "limit": MAX_SHOWN},
            ).fetchall()
        return [
            Received(
                channel=row["channel"],
                to=row["recipient"],
                subject=row["subject"],
                body=row["body"],
                at=row["at"].astimezone(UTC),
                html=row["html"],
            )
            for row in rows
        ]


def _address(to: str) -> str:
    """One spelling for each recipient. A + in a query string arrives as a space."""
    if "@" in to:
        return to.strip().replace(" ", "+").lower()
    plain = "".join(sign for sign in to if sign not in " +-")
    return f"62{plain[1:]}" if plain.startswith("0") else plain
