"""What the local system needs of whoever carries events: its own broker, or Google's emulator of Pub/Sub."""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self


class DeadLetter(Protocol):
    """A message that its function did not take in all its attempts. `subscription` is that function's name."""

    @property
    def topic(self) -> str:
        """The topic that it was published to."""
        ...

    @property
    def subscription(self) -> str:
        """The function that would not take it."""
        ...

    @property
    def data(self) -> str:
        """What was published, in base64."""
        ...

    @property
    def attributes(self) -> Mapping[str, str]:
        """What was published beside it."""
        ...

    @property
    def attempts(self) -> int:
        """How often it was brought."""
        ...


class EventCarrier(Protocol):
    """Brings what is published to the functions that are subscribed."""

    def start(self) -> Self:
        """Carry events from now on."""
        ...

    def stop(self) -> None:
        """Carry no more."""
        ...

    def wait_until_quiet(self, timeout_s: float) -> bool:
        """Wait until everything published was taken or is a dead letter; False if that takes longer.

        What is in the outbox and not published is no matter of the carrier's.
        """
        ...

    def dead_letters(self) -> Sequence[DeadLetter]:
        """What no function took, oldest first; it stays."""
        ...
