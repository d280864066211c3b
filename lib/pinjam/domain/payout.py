"""Money on its way to a borrower's bank account: one attempt, with the facts it was begun with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pinjam.domain.user import BankAccount

PayoutPurpose = Literal["loan", "refund"]
Hold = Literal["name-mismatch", "account-unknown", "too-many-failures"]

PAUSES: tuple[timedelta, ...] = (
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
)
"""How long to wait after the first, second, ... failure to the same account before it is tried again."""
MOST_FAILURES = len(PAUSES) + 1
"""After so many failures to the same account a person decides."""


class PayoutStatus(StrEnum):
    """`held -> sending -> paid | failed`; most begin as `sending`. A hold that was overtaken is `void`."""

    HELD = "held"
    SENDING = "sending"
    PAID = "paid"
    FAILED = "failed"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """One attempt to send `amount` rupiah for a loan or a refund (`subject_id`).

    `id` is ours, and what makes the gateway pay once. `account` and `notes` are as they were when the payout
    was begun: whatever changes since, asking again asks for the same. `open_for` is the subject while the
    payout is held or sending, and unique: nothing is ever on its way twice. `hold` says why it was held, and
    `released_at` when a person let it go all the same. `reference` is the gateway's. `sent_at` is when it was
    first handed over, `ended_at` when it was paid, failed or void. A `failure` of a paid one says that the
    bank sent the money back afterwards.
    """

    id: str
    purpose: PayoutPurpose
    subject_id: str
    loan_id: str
    user_id: str
    amount: int
    account: BankAccount
    notes: str
    status: PayoutStatus
    open_for: str | None
    created_at: datetime
    updated_at: datetime
    hold: Hold | None = None
    released_at: datetime | None = None
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    reference: str | None = None
    failure: str | None = None

    def audit_facts(self) -> dict[str, object]:
        """What its audit records keep: its state and its money, and no personal data."""
        return {
            "status": self.status.value,
            "purpose": self.purpose,
            "subject": self.subject_id,
            "amount": self.amount,
            "hold": self.hold,
            "reference": self.reference,
            "failure": self.failure,
        }


def sent(payout: Payout, at: datetime) -> Payout:
    """The payout on its way to the gateway."""
    return replace(payout, status=PayoutStatus.SENDING, sent_at=at, updated_at=at)


def ended(payout: Payout, status: PayoutStatus, at: datetime, *, failure: str | None = None) -> Payout:
    """The payout at its end: paid, failed or void."""
    return replace(payout, status=status, open_for=None, ended_at=at, updated_at=at, failure=failure)


def failures_to(account: BankAccount, past: Sequence[Payout]) -> list[Payout]:
    """Those of a subject's payouts that failed on their way to this account, in the order given."""
    return [one for one in past if one.status is PayoutStatus.FAILED and one.account == account]


def next_try(failures: Sequence[Payout]) -> datetime | None:
    """When a subject may be tried again whose payouts to its account all failed; None for at once.

    After `MOST_FAILURES` there is nothing to wait for: the next one is held for a person.
    """
    if not failures or len(failures) >= MOST_FAILURES:
        return None
    return max(one.updated_at for one in failures) + PAUSES[len(failures) - 1]
