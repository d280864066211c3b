"""Identifiers that sort by time."""

from ulid import ULID


class Ulids:
    """`<prefix>_<ULID>`: 48 bits of time and 80 of randomness."""

    def new(self, prefix: str) -> str:
        """A new identifier."""
        return f"{prefix}_{ULID()}"
