"""Passkeys: the public halves of keys that borrowers' devices keep, and the challenges that such keys sign."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Purpose = Literal["enroll", "login"]

CHALLENGE_LIFE = timedelta(minutes=5)
"""How long a challenge may wait for its answer."""

MOST_PASSKEYS = 10
"""How many passkeys one borrower may have at once."""

NOBODY = "nobody"
"""Stands for the borrower in a challenge that was asked for with an unknown identifier; it is nobody's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A borrower's passkey. `credential_id` and `public_key` (COSE) are base64url without padding.

    `sign_count` is the authenticator's own count of its signatures, 0 for those that do not count. A removed
    passkey stays as a record; a blocked one is known to have a copy, and signs nobody in any more.
    """

    id: str
    user_id: str
    credential_id: str
    public_key: str
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    transports: tuple[str, ...]
    aaguid: str
    device_name: str
    created_at: datetime
    last_used_at: datetime | None = None
    blocked_at: datetime | None = None
    removed_at: datetime | None = None

    @property
    def usable(self) -> bool:
        """Whether it may still sign somebody in."""
        return self.blocked_at is None and self.removed_at is None

    def is_copied(self, sign_count: int) -> bool:
        """Whether a signature with this count shows that somebody has a copy: counts only go up."""
        return (sign_count > 0 or self.sign_count > 0) and sign_count <= self.sign_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Random bytes that one passkey may sign, once, for one purpose. `challenge_hash` is their SHA-256 (hex).

    `user_id` is whose passkey must sign, None for anybody's.
    """

    id: str
    purpose: Purpose
    user_id: str | None
    challenge_hash: str
    expires_at: datetime
    used_at: datetime | None = None
