"""What is known about a borrower, gathered for an answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pinjam.domain.document import Document
from pinjam.domain.loan import Loan
from pinjam.domain.session import is_trusted
from pinjam.domain.user import User
from pinjam.services.errors import NotFound, StateForbids, Unauthenticated
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.services.recording import Actor
    from pinjam.services.sealing import Safe, Vault
    from pinjam.services.store import Reader

MOST = 100
"""How many of a borrower's newest loans and documents are looked at; nobody has more within five years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrower:
    """A borrower with their papers and loans, newest first."""

    user: User
    documents: tuple[Document, ...]
    loans: tuple[Loan, ...]


def known(tx: Reader, user_id: str) -> User:
    """The user behind a genuine token; NotFound if the account has no borrower."""
    user = tx.get(User, user_id)
    if user is None:
        raise NotFound("user-not-found")
    return user


def unrestricted(tx: Reader, user_id: str) -> User:
    """As `known`, for what changes something: StateForbids for a borrower who has asked for erasure."""
    return changeable(known(tx, user_id))


def changeable(user: User) -> User:
    """The borrower; StateForbids for one who has asked for erasure."""
    if user.restricted_at is not None:
        raise StateForbids("account-restricted")
    return user


def safe_of(vault: Vault, user_id: str) -> Safe:
    """The borrower's safe; NotFound if the account has no borrower, or has one no longer. Not for transactions."""
    try:
        return vault.safe(user_id)
    except LookupError:  # KeyDestroyed is one.
        raise NotFound("user-not-found") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed:
    """What is sealed of a borrower, readable; `account_number` is that of the bank account."""

    nik: str
    birth_date: date
    address: str | None
    account_number: str | None


def reveal(user: User, safe: Safe) -> Revealed:
    """The borrower's sealed values; `safe` is the borrower's own."""
    account = user.bank_account
    return Revealed(
        nik=safe.open(user.nik, field="nik"),
        birth_date=date.fromisoformat(safe.open(user.birth_date, field="birth_date")),
        address=safe.open(user.address, field="address") if user.address else None,
        account_number=safe.open(account.account_number, field="account_number") if account else None,
    )


def trusted(tx: Reader, user_id: str, actor: Actor) -> User:
    """As `known`, for what moves money or opens the account.

    Unauthenticated `token-revoked` if the borrower's sessions were ended since the token was issued.
    """
    user = known(tx, user_id)
    if not is_trusted(user, actor.token_issued_at):
        raise Unauthenticated("token-revoked")
    return user


def documents_by(user_id: str) -> Find[Document]:
    """What finds the borrower's documents, newest first."""
    return Find(kind=Document, where={"user_id": user_id}, descending=True, limit=MOST)


def documents_of(tx: Reader, user_id: str) -> tuple[Document, ...]:
    """The borrower's documents, newest first."""
    return tx.find(documents_by(user_id)).items


def loans_by(user_id: str) -> Find[Loan]:
    """What finds the borrower's loans, newest first."""
    return Find(kind=Loan, where={"user_id": user_id}, descending=True, limit=MOST)


def loans_of(tx: Reader, user_id: str) -> tuple[Loan, ...]:
    """The borrower's loans, newest first."""
    return tx.find(loans_by(user_id)).items


def gather(tx: Reader, user_id: str) -> Borrower:
    """Everything about a borrower, as of one moment."""
    tx.prefetch((User, user_id), documents_by(user_id), loans_by(user_id))
    return Borrower(user=known(tx, user_id), documents=documents_of(tx, user_id), loans=loans_of(tx, user_id))
