"""Ports: how personal values are kept unreadable at rest. Adapters are in `pinjam.adapters`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pinjam.domain.keys import UserKey
    from pinjam.domain.user import Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A data key as it may be stored: `wrapped` is opaque text, `wrapping_key` the id of the key that wrapped it."""

    wrapped: str
    wrapping_key: str


class KeyWrapper(Protocol):
    """Wraps data keys under keys that never leave it. Every call raises Unavailable when it does not answer."""

    def current(self) -> str:
        """The id of the key that wraps now."""
        ...

    def wrap(self, data_key: bytes, *, owner: str) -> WrappedKey:
        """The data key, readable only through `unwrap` and for the same owner."""
        ...

    def unwrap(self, wrapped: str, *, owner: str) -> bytes:
        """The data key again, also where an earlier key wrapped it.

        ValueError if it was wrapped for another owner, changed, or wrapped by a key that is gone.
        """
        ...

    def renew(self) -> str:
        """Make a key that wraps from now on; its id. Earlier ones still unwrap."""
        ...


class KeyDestroyed(LookupError):
    """The owner's key was destroyed: what it sealed is gone for good."""


class Safe(Protocol):
    """Seals and opens one owner's values. Needs nothing from outside, so that a transaction may use it."""

    def seal(self, value: str, *, field: str) -> Sealed:
        """Encrypt a field; the same owner and field are needed to open it."""
        ...

    def open(self, sealed: Sealed, *, field: str) -> str:
        """The value again. ValueError if it was sealed for another owner or field, or changed."""
        ...

    def seal_bytes(self, content: bytes, *, field: str) -> bytes:
        """Encrypt a file, as `seal`."""
        ...

    def open_bytes(self, sealed: bytes, *, field: str) -> bytes:
        """The file again, as `open`."""
        ...


class Vault(Protocol):
    """Keeps personal values unreadable at rest, each owner's under a key of their own.

    To get at a key may ask the store and the key service (Unavailable): do it before a transaction, not inside.
    """

    def issue(self, owner: str, *, at: datetime) -> tuple[UserKey, Safe]:
        """A new key for an owner who has none; it counts once the caller has stored the record."""
        ...

    def safe(self, owner: str) -> Safe:
        """What the owner's key opens. LookupError if there is none, KeyDestroyed if there is none any more."""
        ...

    def forget(self, owner: str) -> None:
        """Hold the owner's key in this process no longer."""
        ...

    def fingerprint(self, value: str, *, field: str) -> str:
        """A keyed hash (hex) that finds an equal value and tells nothing else."""
        ...
