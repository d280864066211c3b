"""The one-time code with which a borrower who forgot the password sets a new one."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

DIGITS = 8
"""A hundred times safer than six: whoever asks for one code after another has some 1,500 tries a day."""
LIFE = timedelta(minutes=15)
ASKED_LIFE = timedelta(hours=1)
"""A code that could not be made by then is not made any more: whoever waits for one has asked again."""
MOST_TRIES = 5
LEASE = timedelta(seconds=30)
"""A reset that has not reported by then has died; longer than the provider's timeout and the gateway's deadline."""

Verdict = Literal["right", "running", "done", "wrong", "void"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetCode:
    """The last code that was asked for; `id` is the borrower's. A new code replaces the old one.

    The code itself is nowhere: it follows from `request`, the id of what asked for it, under a secret key. There is
    such a record for nobody too, when an unknown address was given, so that a try at it is counted alike.
    `tries` counts those that were not right. While `leased_until` has not come a reset is at work.
    """

    id: str
    request: str
    asked_at: datetime
    expires_at: datetime
    tries: int = 0
    leased_until: datetime | None = None
    used_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether it can still set a password."""
        return self.used_at is None and self._is_alive(now)

    def judge(self, *, genuine: bool, now: datetime) -> Verdict:
        """What a try comes to: "void" ones are not even counted, "done" says that the right code was used already."""
        if not self._is_alive(now):
            return "void"
        if not genuine:
            return "wrong"
        if self.used_at is not None:
            return "done"
        return "running" if self.leased_until is not None and self.leased_until > now else "right"

    def tried(self) -> "ResetCode":
        """After one more try that did not set the password."""
        return replace(self, tries=self.tries + 1)

    def leased(self, now: datetime) -> "ResetCode":
        """With a reset at work."""
        return replace(self, leased_until=now + LEASE)

    def released(self) -> "ResetCode":
        """With nobody at work, because the one that was had no success."""
        return replace(self, leased_until=None)

    def used(self, now: datetime) -> "ResetCode":
        """Used up."""
        return replace(self, leased_until=None, used_at=now)

    def _is_alive(self, now: datetime) -> bool:
        return now < self.expires_at and self.tries < MOST_TRIES


def code_of(digest: str) -> str:
    """A code of `DIGITS` digits out of a secret digest (hex, 64 digits): every code is as likely as another."""
    return f"{int(digest, 16) % 10**DIGITS:0{DIGITS}}"
