"""The phones and browsers that a borrower's push messages go to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pinjam.domain.user import Sealed

Platform = Literal["android", "ios", "web"]

MOST_DEVICES = 5
"""How many devices of one borrower get push messages; a further one takes the place of the oldest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A place for a device. `token` is what the push service knows it by, sealed for the borrower's id; None while

    the place is empty. A token belongs to the app on one device, so it has one owner: whoever registered it last.
    `token_hash` is a keyed hash that only finds.
    """

    id: str
    user_id: str
    token: Sealed | None
    platform: Platform
    registered_at: datetime
    token_hash: str | None = None
