"""Who holds a bank account, as far as the sandbox's banks know: they believe the borrowers of the local system."""

from collections.abc import Callable, Iterable

from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.user import User
from pinjam.services.sealing import Vault
from pinjam.services.store import Find, Store, each

_PAGE = 100


class BorrowersAsHolders:
    """Every account is that of the borrower who gave it; of several who wait for money, all together.

    `store` and `vault` are asked for when they are needed: the system that has them starts after its banks.
    """

    def __init__(self, store: Callable[[], Store], vault: Callable[[], Vault]) -> None:
        self._store = store
        self._vault = vault

    def __call__(self, bank: str, account: str) -> str | None:
        """The name that the bank prints, in capitals; None where nobody has given such an account."""
        holders = self._of(self._waiting(), bank, account)
        if not holders:
            holders = self._of(each(self._store(), Find(kind=User, limit=_PAGE)), bank, account)[:1]
        return " DAN/ATAU ".join(dict.fromkeys(user.full_name.upper() for user in holders)) or None

    def _of(self, users: Iterable[User], bank: str, account: str) -> list[User]:
        """Who of these holds the account, the one changed last first."""
        holders = [user for user in users if self._holds(user, bank, account)]
        return sorted(holders, key=lambda user: user.updated_at, reverse=True)

    def _waiting(self) -> Iterable[User]:
        """Who waits for a payout."""
        store = self._store()
        accepted = each(store, Find(kind=Loan, where={"status": LoanStatus.ACCEPTED}, limit=_PAGE))
        owed = each(store, Find(kind=Refund, where={"status": RefundStatus.OWED}, limit=_PAGE))
        for user_id in dict.fromkeys([*(loan.user_id for loan in accepted), *(refund.user_id for refund in owed)]):
            user = store.read(lambda tx, waiting=user_id: tx.get(User, waiting))  # type: ignore[misc]  # bound per turn
            if user is not None:
                yield user

    def _holds(self, user: User, bank: str, account: str) -> bool:
        given = user.bank_account
        return (
            given is not None
            and given.bank_code == bank
            and self._vault().safe(user.id).open(given.account_number, field="account_number") == account
        )
