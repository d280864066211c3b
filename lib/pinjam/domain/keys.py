"""The key under which one borrower's personal values are sealed."""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserKey:
    """A borrower's data key, wrapped: `id` is the borrower's. What it sealed is gone once it is destroyed.

    `wrapping_key` names the key that wrapped it. Both are None from `destroyed_at` on.
    """

    id: str
    wrapped: str | None
    wrapping_key: str | None
    created_at: datetime
    destroyed_at: datetime | None = None

    def destroyed(self, at: datetime) -> "UserKey":
        """The record that there was a key."""
        return replace(self, wrapped=None, wrapping_key=None, destroyed_at=at)
