"""What use cases need of WebAuthn: its ceremonies, checked. The adapter is in `pinjam.adapters`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from pinjam.domain.passkey import Purpose

Credential: TypeAlias = Mapping[str, object]
"""A credential as the client's `toJSON()` makes it."""


class CeremonyRefused(Exception):
    """A credential that is not let through; `code` is the API's name for the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a credential says of itself, not proven. `user_handle` is the id of the borrower, if it was told."""

    credential_id: str
    challenge: bytes
    user_handle: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A proven new credential, in the forms that `Passkey` keeps."""

    credential_id: str
    public_key: str
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    transports: tuple[str, ...]
    aaguid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asserted:
    """A proven use of a credential. Whether its count shows a copy is the use case's to say."""

    sign_count: int
    backup_eligible: bool
    backed_up: bool


class Ceremonies(Protocol):
    """Checks what authenticators sign. Every call raises CeremonyRefused, whatever the credential holds."""

    def read(self, credential: Credential, *, purpose: Purpose) -> Presented:
        """What the credential says; `passkey-malformed`, or `passkey-wrong-purpose` for the other ceremony's."""
        ...

    def register(self, credential: Credential, *, challenge: bytes) -> Registered:
        """The new credential, if it answers this challenge for one of our apps and verified its user."""
        ...

    def assert_use(self, credential: Credential, *, challenge: bytes, public_key: str | None) -> Asserted:
        """The use, if it answers this challenge for one of our apps, verified its user and is signed by this key.

        Without a key, for a credential that nobody has, it does the same work and refuses in the same ways.
        """
        ...
