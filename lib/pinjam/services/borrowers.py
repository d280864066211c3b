"""What is known about a borrower, gathered for an answer."""

from dataclasses import dataclass
from datetime import date

from pinjam.domain.decision import credit_limit
from pinjam.domain.document import Document
from pinjam.domain.history import history_of
from pinjam.domain.loan import Loan
from pinjam.domain.policy import Policy
from pinjam.domain.user import User
from pinjam.services.errors import NotFound
from pinjam.services.store import Find, Reader

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


def documents_of(tx: Reader, user_id: str) -> tuple[Document, ...]:
    """The borrower's documents, newest first."""
    return tx.find(Find(kind=Document, where={"user_id": user_id}, descending=True, limit=MOST)).items


def loans_of(tx: Reader, user_id: str) -> tuple[Loan, ...]:
    """The borrower's loans, newest first."""
    return tx.find(Find(kind=Loan, where={"user_id": user_id}, descending=True, limit=MOST)).items


def credit_limit_of(loans: tuple[Loan, ...], policy: Policy, on: date) -> int:
    """The most that the borrower may owe, in rupiah, by how earlier loans were repaid."""
    return credit_limit(history_of(loans, application_id="", on=on, window_days=1), policy)


def gather(tx: Reader, user_id: str) -> Borrower:
    """Everything about a borrower, as of one moment."""
    return Borrower(user=known(tx, user_id), documents=documents_of(tx, user_id), loans=loans_of(tx, user_id))
