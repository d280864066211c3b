"""Double-entry bookkeeping: accounts, postings, and what each business event posts. Append only.

A posting moves an amount from one account (credit) to another (debit), so that it balances by
construction; an event makes one entry, and a mistake is corrected by an entry that mirrors it. Interest
is recognised when a payment is allocated to it: nothing accrues in the books that nobody has paid.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pinjam.domain.loan import Loan, Quote
from pinjam.domain.payment import Allocation

AccountKind = Literal["asset", "liability", "income", "expense"]
Side = Literal["debit", "credit"]


class Account(StrEnum):
    """The chart of accounts; `kind` and `normal_side` say how to read a balance."""

    LOANS_RECEIVABLE = "loans_receivable"
    INTEREST_RECEIVABLE = "interest_receivable"
    INTEREST_INCOME = "interest_income"
    FEE_INCOME = "fee_income"
    LATE_FEE_INCOME = "late_fee_income"
    CASH_AT_GATEWAY = "cash_at_gateway"
    PAYOUTS_IN_TRANSIT = "payouts_in_transit"
    REFUNDS_OWED = "refunds_owed"
    REFUNDS_RECEIVABLE = "refunds_receivable"
    WRITE_OFFS = "write_offs"

    @property
    def kind(self) -> AccountKind:
        """What the account is."""
        return KIND_OF[self]

    @property
    def normal_side(self) -> Side:
        """The side on which the account grows."""
        return "debit" if self.kind in {"asset", "expense"} else "credit"


KIND_OF: Mapping[Account, AccountKind] = {
    Account.LOANS_RECEIVABLE: "asset",
    Account.INTEREST_RECEIVABLE: "asset",
    Account.INTEREST_INCOME: "income",
    Account.FEE_INCOME: "income",
    Account.LATE_FEE_INCOME: "income",
    Account.CASH_AT_GATEWAY: "asset",
    Account.PAYOUTS_IN_TRANSIT: "asset",
    Account.REFUNDS_OWED: "liability",
    Account.REFUNDS_RECEIVABLE: "asset",
    Account.WRITE_OFFS: "expense",
}

EntryKind = Literal[
    "payout_sent", "payout_returned", "disbursement", "repayment", "refund", "claim", "reversal", "write_off"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """An amount in rupiah, at least 1, that leaves `credit` and reaches `debit`."""

    debit: Account
    credit: Account
    amount: int

    def __post_init__(self) -> None:
        if type(self.amount) is not int or self.amount < 1:
            raise ValueError(f"a posting's amount must be a whole number of at least 1, not {self.amount!r}")
        if self.debit == self.credit:
            raise ValueError(f"a posting cannot debit and credit {self.debit} alike")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What one business event posted.

    `key` names the event, `repayment:pay_…`, and no two entries share it: that is what posts an event once.
    `subject` is the id of what the event was about (a payout, a payment, the loan); `on` the business date;
    `reverses` the id of the entry that this one mirrors.
    """

    id: str
    key: str
    kind: EntryKind
    loan_id: str
    subject: str
    on: date
    at: datetime
    postings: tuple[Posting, ...]
    reverses: str | None = None

    def __post_init__(self) -> None:
        if not self.postings:
            raise ValueError(f"{self.key} posts nothing")
        if (self.reverses is not None) != (self.kind == "reversal"):
            raise ValueError(f"{self.key} is a {self.kind} that reverses {self.reverses}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBalanceRow:
    """One account's totals in rupiah; `balance` is debits less credits."""

    account: Account
    debits: int
    credits: int
    balance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBalance:
    """Every account in the chart's order; the two totals are equal."""

    rows: tuple[TrialBalanceRow, ...]
    debits: int
    credits: int


def payout_sent(price: Quote) -> tuple[Posting, ...]:
    """The gateway was asked to pay the loan out: its money is on the way."""
    return _postings((Account.PAYOUTS_IN_TRANSIT, Account.CASH_AT_GATEWAY, price.disbursed_amount))


def payout_returned(price: Quote) -> tuple[Posting, ...]:
    """The payout failed, and the money is at the gateway again."""
    return _postings((Account.CASH_AT_GATEWAY, Account.PAYOUTS_IN_TRANSIT, price.disbursed_amount))


def disbursement(price: Quote) -> tuple[Posting, ...]:
    """The payout was confirmed: the borrower owes what arrived and the admin fee that was kept."""
    return _postings(
        (Account.LOANS_RECEIVABLE, Account.PAYOUTS_IN_TRANSIT, price.disbursed_amount),
        (Account.LOANS_RECEIVABLE, Account.FEE_INCOME, price.admin_fee),
    )


def repayment(allocations: Sequence[Allocation], surplus: int, *, written_off: bool = False) -> tuple[Posting, ...]:
    """Money arrived at the gateway and was allocated; `surplus` is owed back.

    Principal of a loan that was `written_off` before makes the loss smaller instead of a receivable.
    """
    interest = sum(part.interest for part in allocations)
    return _postings(
        (Account.CASH_AT_GATEWAY, Account.LATE_FEE_INCOME, sum(part.late_fee for part in allocations)),
        (Account.INTEREST_RECEIVABLE, Account.INTEREST_INCOME, interest),
        (Account.CASH_AT_GATEWAY, Account.INTEREST_RECEIVABLE, interest),
        (
            Account.CASH_AT_GATEWAY,
            Account.WRITE_OFFS if written_off else Account.LOANS_RECEIVABLE,
            sum(part.principal for part in allocations),
        ),
        (Account.CASH_AT_GATEWAY, Account.REFUNDS_OWED, surplus),
    )


def refund(amount: int) -> tuple[Posting, ...]:
    """Surplus was paid back to the borrower."""
    return _postings((Account.REFUNDS_OWED, Account.CASH_AT_GATEWAY, amount))


def claim(amount: int) -> tuple[Posting, ...]:
    """A refund was paid of money that was taken back: the borrower owes it, instead of being owed."""
    return _postings((Account.REFUNDS_RECEIVABLE, Account.REFUNDS_OWED, amount))


def write_off(principal: int) -> tuple[Posting, ...]:
    """The unpaid principal was given up."""
    return _postings((Account.WRITE_OFFS, Account.LOANS_RECEIVABLE, principal))


def mirrored(postings: Sequence[Posting], *, written_off: bool = False) -> tuple[Posting, ...]:
    """The postings that undo these.

    When the loan was `written_off` since, principal that comes back is a loss at once, not a receivable:
    its debit goes to write-offs.
    """
    back = Account.WRITE_OFFS if written_off else Account.LOANS_RECEIVABLE
    return tuple(
        Posting(
            debit=back if posting.credit is Account.LOANS_RECEIVABLE else posting.credit,
            credit=posting.debit,
            amount=posting.amount,
        )
        for posting in reversed(postings)
    )


def balances(entries: Iterable[JournalEntry]) -> Mapping[Account, int]:
    """Each account's debits less its credits, in rupiah; every account is there. Their sum is 0."""
    return {row.account: row.balance for row in trial_balance(entries).rows}


def trial_balance(entries: Iterable[JournalEntry]) -> TrialBalance:
    """Each account's totals over the entries."""
    debits, credited = dict.fromkeys(Account, 0), dict.fromkeys(Account, 0)
    for entry in entries:
        for posting in entry.postings:
            debits[posting.debit] += posting.amount
            credited[posting.credit] += posting.amount
    rows = tuple(
        TrialBalanceRow(
            account=account,
            debits=debits[account],
            credits=credited[account],
            balance=debits[account] - credited[account],
        )
        for account in Account
    )
    return TrialBalance(rows=rows, debits=sum(debits.values()), credits=sum(credited.values()))


def unpaid_principal(loan: Loan) -> int:
    """What a loan's receivable must equal while it lives, in rupiah; 0 before it is paid out."""
    return sum(each.principal - each.paid_principal for each in loan.instalments)


def _postings(*moves: tuple[Account, Account, int]) -> tuple[Posting, ...]:
    """(debit, credit, amount) each; what moves nothing is left out."""
    return tuple(Posting(debit=debit, credit=credit, amount=amount) for debit, credit, amount in moves if amount)
