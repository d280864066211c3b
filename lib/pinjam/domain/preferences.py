"""Which channels a borrower wants to hear on, and what is sent whatever they want."""

from dataclasses import dataclass
from datetime import datetime

from pinjam.domain.notification import Channel

ALWAYS: Channel = "email"
"""The channel of what the law or the contract needs: it reaches everybody, and what was sent can be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A borrower's choice. `id` is the borrower's; nobody gets marketing who did not ask for it."""

    id: str
    updated_at: datetime
    push: bool = True
    email: bool = True
    sms: bool = True
    whatsapp: bool = True
    marketing: bool = False

    def wants(self, channel: Channel) -> bool:
        """Whether the borrower wants messages on this channel."""
        return {"push": self.push, "email": self.email, "sms": self.sms, "whatsapp": self.whatsapp}[channel]


def channels_for(
    wanted: tuple[Channel, ...], preferences: Preferences | None, *, mandatory: bool
) -> tuple[Channel, ...]:
    """Of a message's channels those that it goes out on; a borrower who chose nothing hears on all.

    What is `mandatory` goes by e-mail whatever was chosen.
    """
    return tuple(
        channel
        for channel in wanted
        if preferences is None or preferences.wants(channel) or (mandatory and channel == ALWAYS)
    )
