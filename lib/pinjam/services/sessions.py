"""Log in by password."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pinjam.domain.phone import InvalidPhone, parse_phone
from pinjam.domain.user import User
from pinjam.services.borrowers import gather
from pinjam.services.errors import TooMany, Unauthenticated
from pinjam.services.ports import TooManyAttempts, WrongCredentials
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.services.borrowers import Borrower
    from pinjam.services.limits import Limits
    from pinjam.services.ports import Accounts, Tokens
    from pinjam.services.refreshing import Refreshing
    from pinjam.services.store import Reader, Store


@dataclass(frozen=True, slots=True)
class Sessions:
    """Passwords, kept by the identity provider; who they belong to, by the store."""

    store: Store
    accounts: Accounts
    limits: Limits
    refreshing: Refreshing

    def login(self, *, identifier: str, password: str, address: str) -> tuple[Borrower, Tokens]:
        """By e-mail address, or by phone number in any Indonesian spelling, from a caller's address.

        Unauthenticated alike for an unknown identifier and a wrong password; TooMany when guessed at.
        """
        field, value = identify(identifier)
        with self.limits.attempt("login", account=value, address=address):
            return self._log_in(field, value, password)

    def _log_in(self, field: str, value: str, password: str) -> tuple[Borrower, Tokens]:
        user = find_user(self.store, field, value)
        try:
            tokens = self.accounts.sign_in(email=user.email if user else _stand_in(value), password=password)
        except WrongCredentials:
            raise Unauthenticated from None
        except TooManyAttempts as too_many:
            raise TooMany(too_many.retry_after_s, "too-many-attempts") from None
        if user is None:
            raise Unauthenticated
        return self.store.read(lambda tx: gather(tx, user.id)), self.refreshing.open(user.id, tokens)


def find_user(tx: Reader | Store, field: str, value: str) -> User | None:
    """Whose this e-mail address or phone number is, in its one spelling; None if nobody's."""
    if "\0" in value:
        return None  # No store keeps one, nor takes it in a question.
    page = tx.find(Find(kind=User, where={field: value}, limit=1))
    return page.items[0] if page.items else None


def identify(identifier: str) -> tuple[Literal["email", "phone"], str]:
    """Which field an identifier is looked for in, and its one spelling there."""
    if "@" in identifier:
        return "email", identifier.strip().lower()
    try:
        return "phone", parse_phone(identifier)
    except InvalidPhone:
        return "phone", identifier.strip()


def _stand_in(value: str) -> str:
    """An address for an unknown identifier, so that the identity provider does the same work for it.

    Each has its own: one for all would soon be locked, and the lock would tell the unknown from the known.
    """
    return f"{hashlib.sha256(value.encode()).hexdigest()[:32]}@unknown.invalid"
