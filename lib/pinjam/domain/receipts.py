"""Payments as they arrive, and a loan rebuilt from them: how one is undone, or put where it belongs.

A payment's allocation depends on those before it, so that taking one back, or hearing late of one, changes
where the later ones went. Nothing is patched: the loan is rebuilt from its contract and its payout, and
every payment that stands is received again, in business order: by the day that counts for it, and within
a day as it was heard of.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from pinjam.domain.loan import Loan
from pinjam.domain.payment import Allocation
from pinjam.domain.payoff import close, payoff
from pinjam.domain.repayment import Allocated, allocate, open_instalments, outstanding

Posted = tuple[tuple[Allocation, ...], int]
"""Where a payment went: its allocations, and the surplus in rupiah."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Money that arrived for a loan, in rupiah, on a business day.

    `closes` says that the borrower was quoted a payoff and paid it in time; `on` is then the day of that
    quote. `refunded` is how much of it was paid back to the borrower as surplus since: that money is gone
    and pays nothing any more, whatever happens to the payments before.
    """

    payment_id: str
    amount: int
    on: date
    closes: bool
    refunded: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.refunded <= self.amount or self.amount < 1:
            raise ValueError(f"{self.payment_id}: amount {self.amount} of which {self.refunded} refunded")


class Replayed(NamedTuple):
    """A loan rebuilt from its payments, and where each of them went, by its id, in business order."""

    loan: Loan
    postings: Mapping[str, Posted]


def receive(loan: Loan, receipt: Receipt) -> Allocated:
    """The loan after money arrived, where it went, and what exceeded the debt.

    The quoted payoff closes the loan; so does anything above it that was meant to. When it no longer
    suffices, because a payment before it was taken back, it is a payment like any other. Where nothing is
    owed, as on a settled loan, everything is surplus. The status stays, as with `allocate`. ValueError for
    a day before one of which money is allocated already: such a receipt belongs into a `replay`.
    """
    if comes_before_others(loan, receipt.on):
        raise ValueError(f"{receipt.payment_id} of {receipt.on} comes after money of a later day")
    spendable = receipt.amount - receipt.refunded
    if spendable == 0 or outstanding(loan, receipt.on) == 0:
        return Allocated(loan, (), receipt.amount)
    if receipt.closes and spendable >= payoff(loan, receipt.on).total:
        after, allocations, surplus = close(loan, spendable, receipt.on)
    else:
        after, allocations, surplus = allocate(loan, spendable, receipt.on)
    return Allocated(after, allocations, surplus + receipt.refunded)


def comes_before_others(loan: Loan, on: date) -> bool:
    """Whether money of a later business day than this is allocated to the loan already."""
    return any(each.fee_from is not None and each.fee_from > on for each in loan.instalments)


def replay(loan: Loan, receipts: Iterable[Receipt]) -> Replayed:
    """Rebuild a loan from its contract and payout, and receive these payments in business order.

    They are given as they were heard of; a day's payments keep that order among themselves.
    Only the instalments and `next_due_on` are rebuilt: the status is the lifecycle's. ValueError for a loan
    that was not paid out, or a payment that comes twice.
    """
    if loan.contract is None or loan.disbursed_on is None:
        raise ValueError(f"{loan.id} was not paid out")
    instalments = open_instalments(loan.contract.quote, loan.disbursed_on)
    rebuilt = replace(loan, instalments=instalments, next_due_on=instalments[0].due_date)
    postings: dict[str, Posted] = {}
    for receipt in sorted(receipts, key=lambda each: each.on):
        if receipt.payment_id in postings:
            raise ValueError(f"{receipt.payment_id} comes twice")
        rebuilt, allocations, surplus = receive(rebuilt, receipt)
        postings[receipt.payment_id] = allocations, surplus
    return Replayed(rebuilt, postings)


def changed(before: Mapping[str, Posted], after: Mapping[str, Posted]) -> tuple[str, ...]:
    """The payments of `after`, in its order, that went elsewhere in `before` (or were not there)."""
    return tuple(payment_id for payment_id, posted in after.items() if before.get(payment_id) != posted)
