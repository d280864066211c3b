"""The borrower's own data: shown to them, and changed by them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict, Unpack

from pinjam.domain.user import BankAccount, UserStatus
from pinjam.services.borrowers import (
    Borrower,
    changeable,
    documents_of,
    gather,
    loans_of,
    reveal,
    safe_of,
    trusted,
)
from pinjam.services.errors import StateForbids
from pinjam.services.owing import waiting
from pinjam.services.recording import last_record

if TYPE_CHECKING:
    from pinjam.domain.trail import Event
    from pinjam.domain.user import Locale, User
    from pinjam.services.borrowers import (
        Revealed,
    )
    from pinjam.services.ports import Clock
    from pinjam.services.recording import Actor, Outbox, Recorder
    from pinjam.services.sealing import Safe, Vault
    from pinjam.services.store import Store, Transaction

NAME_HELD = {UserStatus.VERIFIED: "name-fixed", UserStatus.VERIFYING: "verification-running"}
"""Why a name cannot change, by the borrower's status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBankAccount:
    """A bank account as the borrower gives it."""

    bank_code: str
    account_number: str
    account_name: str


class Changes(TypedDict, total=False):
    """What may change; amounts in rupiah a month."""

    full_name: str
    locale: Locale
    monthly_income: int
    other_instalments: int
    occupation: str
    address: str
    bank_account: NewBankAccount


@dataclass(frozen=True, slots=True)
class Profiles:
    """Reads and changes profiles."""

    store: Store
    vault: Vault
    clock: Clock
    recorder: Recorder
    outbox: Outbox

    def show(self, user_id: str) -> Borrower:
        """The borrower's data; NotFound if there are none."""
        return self.store.read(lambda tx: gather(tx, user_id))

    def reveal(self, user: User) -> Revealed:
        """What is sealed of the borrower, readable."""
        return reveal(user, safe_of(self.vault, user.id))

    def change(self, user_id: str, *, actor: Actor, **changes: Unpack[Changes]) -> Borrower:
        """Change what is given and nothing else.

        StateForbids `name-fixed` for another name once the identity is proven, because the name is then
        what the identity card says; `verification-running` while it is being proven for the name as it is;
        `account-restricted` once erasure was asked for. With another bank account, what is owed to the borrower is
        paid out anew, by event.
        """
        safe = safe_of(self.vault, user_id)

        def work(tx: Transaction) -> tuple[Borrower, tuple[Event, ...]]:
            user = changeable(trusted(tx, user_id, actor))
            documents, loans = documents_of(tx, user_id), loans_of(tx, user_id)
            tells = "bank_account" in changes and bool(waiting(tx, user_id))
            previous = last_record(tx, user_id)
            name = changes.get("full_name")
            if name is not None and name != user.full_name and user.status in NAME_HELD:
                raise StateForbids(NAME_HELD[user.status])
            changed = self._changed(user, changes, safe)
            tx.update(changed)
            self.recorder.audit(
                tx,
                previous,
                subject=user_id,
                action="profile-changed",
                actor=actor,
                before=None,
                after={"fields": sorted(changes)},  # The values are personal; the log keeps which, not what.
            )
            borrower = Borrower(user=changed, documents=documents, loans=loans)
            if not tells:
                return borrower, ()
            event = self.recorder.event(tx, "bank-account-changed", subject=user_id, actor=actor, user_id=user_id)
            return borrower, (event,)

        borrower, events = self.store.transact(work)
        self.outbox.publish(*events)
        return borrower

    def _changed(self, user: User, changes: Changes, safe: Safe) -> User:
        plain = {key: value for key, value in changes.items() if key not in ("address", "bank_account")}
        user = replace(user, updated_at=self.clock.now(), **plain)  # type: ignore[arg-type]  # keys are Changes' own
        if "address" in changes:
            user = replace(user, address=safe.seal(changes["address"], field="address"))
        if "bank_account" in changes:
            account = changes["bank_account"]
            number = safe.seal(account.account_number, field="account_number")
            user = replace(
                user,
                bank_account=BankAccount(
                    bank_code=account.bank_code, account_number=number, account_name=account.account_name
                ),
            )
        return user
