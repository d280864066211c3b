"""Log in, stay in, log out."""

from dataclasses import dataclass

from pinjam.domain.phone import InvalidPhone, parse_phone
from pinjam.domain.user import User
from pinjam.services.borrowers import Borrower, gather
from pinjam.services.errors import TooMany, Unauthenticated
from pinjam.services.ports import Accounts, Tokens, TooManyAttempts, WrongCredentials
from pinjam.services.store import Find, Store

NOBODY = "nobody@unknown.invalid"
"""Stands in for an unknown phone number, so that the identity provider does the same work for it."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Passwords and tokens, kept by the identity provider; who they belong to, by the store."""

    store: Store
    accounts: Accounts

    def login(self, *, identifier: str, password: str) -> tuple[Borrower, Tokens]:
        """By e-mail address, or by phone number in any Indonesian spelling.

        Unauthenticated alike for an unknown identifier and a wrong password; TooMany when guessed at.
        """
        user = self._find(identifier)
        try:
            tokens = self.accounts.sign_in(email=user.email if user else NOBODY, password=password)
        except WrongCredentials:
            raise Unauthenticated from None
        except TooManyAttempts as too_many:
            raise TooMany(too_many.retry_after_s, "too-many-attempts") from None
        if user is None:
            raise Unauthenticated
        return self.store.read(lambda tx: gather(tx, user.id)), tokens

    def refresh(self, refresh_token: str) -> Tokens:
        """A new ID token. Unauthenticated if the refresh token is not, or no longer, good."""
        try:
            return self.accounts.refresh(refresh_token)
        except WrongCredentials:
            raise Unauthenticated("invalid-refresh-token") from None

    def logout(self, user_id: str) -> None:
        """End every session of this borrower."""
        self.accounts.revoke(user_id)

    def _find(self, identifier: str) -> User | None:
        if "@" in identifier:
            field, value = "email", identifier.strip().lower()
        else:
            try:
                field, value = "phone", parse_phone(identifier)
            except InvalidPhone:
                return None
        page = self.store.read(lambda tx: tx.find(Find(kind=User, where={field: value}, limit=1)))
        return page.items[0] if page.items else None
