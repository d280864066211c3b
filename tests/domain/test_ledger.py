"""What each event posts, and that the books balance whatever is posted."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain.loans import lent

from pinjam.domain.ledger import (
    Account,
    EntryKind,
    JournalEntry,
    Posting,
    balances,
    claim,
    disbursement,
    mirrored,
    payout_returned,
    payout_sent,
    refund,
    repayment,
    trial_balance,
    unpaid_principal,
    write_off,
)
from pinjam.domain.payment import Allocation
from pinjam.domain.repayment import allocate

PAID_OUT = date(2026, 3, 16)
AT = datetime(2026, 3, 16, 3, tzinfo=UTC)
LOAN = lent(3_000_000, 6, PAID_OUT)
ALLOCATIONS = (
    Allocation(number=1, late_fee=14_706, interest=75_000, principal=469_650),
    Allocation(number=2, late_fee=0, interest=40_644, principal=0),
)

AMOUNTS = st.integers(0, 10**9)
POSTED = st.builds(
    lambda pair, amount: Posting(debit=pair[0], credit=pair[1], amount=amount),
    st.tuples(st.sampled_from(Account), st.sampled_from(Account)).filter(lambda pair: pair[0] is not pair[1]),
    st.integers(1, 10**9),
)


def posted(postings: tuple[Posting, ...]) -> list[tuple[str, str, int]]:
    return [(each.debit.value, each.credit.value, each.amount) for each in postings]


def entry(*postings: Posting, kind: EntryKind = "repayment", reverses: str | None = None) -> JournalEntry:
    return JournalEntry(
        id="jrn_1",
        key=f"{kind}:pay_1",
        kind=kind,
        loan_id="loan_1",
        subject="pay_1",
        on=PAID_OUT,
        at=AT,
        postings=postings,
        reverses=reverses,
    )


def postings_of_payout() -> tuple[tuple[Posting, ...], tuple[Posting, ...], tuple[Posting, ...]]:
    assert LOAN.contract is not None
    price = LOAN.contract.quote
    return payout_sent(price), payout_returned(price), disbursement(price)


def test_a_payout_leaves_the_gateway_and_becomes_a_debt_with_the_admin_fee() -> None:
    sent, returned, confirmed = postings_of_payout()
    assert posted(sent) == [("payouts_in_transit", "cash_at_gateway", 2_970_000)]
    assert posted(returned) == [("cash_at_gateway", "payouts_in_transit", 2_970_000)]
    assert posted(confirmed) == [
        ("loans_receivable", "payouts_in_transit", 2_970_000),
        ("loans_receivable", "fee_income", 30_000),
    ]
    books = balances([entry(*sent), entry(*returned), entry(*sent), entry(*confirmed)])
    assert {account: balance for account, balance in books.items() if balance} == {
        Account.LOANS_RECEIVABLE: 3_000_000,
        Account.FEE_INCOME: -30_000,
        Account.CASH_AT_GATEWAY: -2_970_000,
    }


def test_a_loan_without_an_admin_fee_posts_no_zero() -> None:
    assert LOAN.contract is not None
    free = replace(LOAN.contract.quote, admin_fee=0, disbursed_amount=500_000)
    assert posted(disbursement(free)) == [("loans_receivable", "payouts_in_transit", 500_000)]


def test_a_repayment_posts_each_part_to_its_account() -> None:
    assert posted(repayment(ALLOCATIONS, 250)) == [
        ("cash_at_gateway", "late_fee_income", 14_706),
        ("interest_receivable", "interest_income", 115_644),
        ("cash_at_gateway", "interest_receivable", 115_644),
        ("cash_at_gateway", "loans_receivable", 469_650),
        ("cash_at_gateway", "refunds_owed", 250),
    ]


def test_what_a_written_off_loan_pays_back_makes_the_loss_smaller() -> None:
    assert ("cash_at_gateway", "write_offs", 469_650) in posted(repayment(ALLOCATIONS, 0, written_off=True))
    books = balances([entry(*write_off(3_000_000)), entry(*repayment(ALLOCATIONS, 0, written_off=True))])
    assert books[Account.WRITE_OFFS] == 3_000_000 - 469_650
    assert books[Account.LOANS_RECEIVABLE] == -3_000_000


def test_a_payment_that_is_all_surplus_is_owed_back_until_it_is_refunded() -> None:
    assert posted(repayment((), 500)) == [("cash_at_gateway", "refunds_owed", 500)]
    assert posted(refund(500)) == [("refunds_owed", "cash_at_gateway", 500)]
    assert set(balances([entry(*repayment((), 500)), entry(*refund(500))]).values()) == {0}


def test_a_refund_of_money_that_was_taken_back_is_owed_by_the_borrower() -> None:
    gone = repayment((), 500)
    undone = mirrored(gone)
    assert posted(claim(500)) == [("refunds_receivable", "refunds_owed", 500)]
    books = balances([entry(*gone), entry(*refund(500)), entry(*undone), entry(*claim(500))])
    assert {account: balance for account, balance in books.items() if balance} == {
        Account.REFUNDS_RECEIVABLE: 500,
        Account.CASH_AT_GATEWAY: -500,
    }


def test_a_write_off_gives_up_the_principal() -> None:
    assert posted(write_off(2_530_350)) == [("write_offs", "loans_receivable", 2_530_350)]


def test_a_mirrored_entry_undoes_what_it_mirrors() -> None:
    original = repayment(ALLOCATIONS, 250)
    books = balances([entry(*original), entry(*mirrored(original), kind="reversal", reverses="jrn_1")])
    assert set(books.values()) == {0}
    assert posted(mirrored(original))[0] == ("refunds_owed", "cash_at_gateway", 250)
    assert mirrored(mirrored(original)) == original


def test_principal_that_is_taken_back_after_a_write_off_is_a_loss_at_once() -> None:
    """469,650 of 3,000,000 were paid, the rest written off; then the payment was taken back."""
    _, _, confirmed = postings_of_payout()
    original = repayment(ALLOCATIONS, 0)
    books = balances(
        [
            entry(*confirmed),
            entry(*original),
            entry(*write_off(2_530_350)),
            entry(*mirrored(original, written_off=True), kind="reversal", reverses="jrn_1"),
        ]
    )
    assert (books[Account.LOANS_RECEIVABLE], books[Account.WRITE_OFFS]) == (0, 3_000_000)
    assert (books[Account.INTEREST_INCOME], books[Account.INTEREST_RECEIVABLE]) == (0, 0)


@pytest.mark.parametrize("amount", [0, -1, 1.5, True, "1"])
def test_a_posting_moves_a_whole_rupiah_at_least(amount: object) -> None:
    with pytest.raises(ValueError, match="a posting's amount must be a whole number of at least 1"):
        Posting(debit=Account.WRITE_OFFS, credit=Account.LOANS_RECEIVABLE, amount=amount)  # type: ignore[arg-type]  # Wrong on purpose.


def test_a_posting_needs_two_accounts() -> None:
    with pytest.raises(ValueError, match="a posting cannot debit and credit write_offs alike"):
        Posting(debit=Account.WRITE_OFFS, credit=Account.WRITE_OFFS, amount=1)


def test_an_entry_posts_something() -> None:
    with pytest.raises(ValueError, match="write_off:pay_1 posts nothing"):
        entry(*write_off(0), kind="write_off")


@pytest.mark.parametrize(("kind", "reverses"), [("reversal", None), ("repayment", "jrn_0")])
def test_a_reversal_and_only_that_names_the_entry_it_mirrors(kind: EntryKind, reverses: str | None) -> None:
    with pytest.raises(ValueError, match=f"{kind}:pay_1 is a {kind} that reverses {reverses}"):
        entry(*refund(1), kind=kind, reverses=reverses)


def test_accounts_know_their_side() -> None:
    assert {account.value: (account.kind, account.normal_side) for account in Account} == {
        "loans_receivable": ("asset", "debit"),
        "interest_receivable": ("asset", "debit"),
        "interest_income": ("income", "credit"),
        "fee_income": ("income", "credit"),
        "late_fee_income": ("income", "credit"),
        "cash_at_gateway": ("asset", "debit"),
        "payouts_in_transit": ("asset", "debit"),
        "refunds_owed": ("liability", "credit"),
        "refunds_receivable": ("asset", "debit"),
        "write_offs": ("expense", "debit"),
    }


def test_a_trial_balance_shows_every_account() -> None:
    shown = trial_balance([entry(*repayment(ALLOCATIONS, 250)), entry(*refund(250))])
    rows = {row.account.value: (row.debits, row.credits, row.balance) for row in shown.rows}
    assert list(rows) == [account.value for account in Account]
    assert rows["cash_at_gateway"] == (600_250, 250, 600_000)
    assert rows["interest_receivable"] == (115_644, 115_644, 0)
    assert rows["refunds_owed"] == (250, 250, 0)
    assert rows["payouts_in_transit"] == (0, 0, 0)
    assert shown.debits == shown.credits == 600_250 + 115_644 + 250


def test_books_without_entries_are_all_zero() -> None:
    assert balances([]) == dict.fromkeys(Account, 0)


def test_the_receivable_of_a_live_loan_is_its_unpaid_principal() -> None:
    paid = allocate(LOAN, 544_650, date(2026, 4, 16)).loan
    assert (unpaid_principal(LOAN), unpaid_principal(paid)) == (3_000_000, 2_530_350)


@given(st.lists(st.lists(POSTED, min_size=1, max_size=6), max_size=6))
def test_whatever_is_posted_the_books_balance(events: list[list[Posting]]) -> None:
    entries = [entry(*postings) for postings in events]
    shown = trial_balance(entries)
    assert shown.debits == shown.credits
    assert sum(balances(entries).values()) == 0
    undone = [entry(*mirrored(each.postings), kind="reversal", reverses=each.id) for each in entries]
    assert set(balances([*entries, *undone]).values()) == {0}


ALLOCATED = st.lists(
    st.builds(Allocation, number=st.integers(1, 12), late_fee=AMOUNTS, interest=AMOUNTS, principal=AMOUNTS), max_size=5
)


@given(ALLOCATED, AMOUNTS, st.booleans())
def test_a_repayment_brings_in_what_was_allocated_and_what_is_owed_back(
    allocations: list[Allocation],
    surplus: int,
    written_off: bool,  # noqa: FBT001 - hypothesis gives it by position.
) -> None:
    postings = repayment(allocations, surplus, written_off=written_off)
    assert all(each.amount > 0 for each in postings)
    books = balances([entry(*postings)] if postings else [])
    assert books[Account.CASH_AT_GATEWAY] == sum(each.total for each in allocations) + surplus
    assert books[Account.REFUNDS_OWED] == -surplus
    assert books[Account.INTEREST_RECEIVABLE] == 0
