"""The journal: each event of money is one entry, once."""

from datetime import date

import pytest
from tests.books import check_money
from tests.world import World

from pinjam.domain.ledger import Account, JournalEntry, Posting
from pinjam.services.books import entries_of, standing, trial_balance_of
from pinjam.services.ports import PayoutAnswer, Unavailable
from pinjam.services.store import Conflict, Transaction

LENT = (Posting(debit=Account.CASH_AT_GATEWAY, credit=Account.LOANS_RECEIVABLE, amount=5),)


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


def moved(entry: JournalEntry) -> list[tuple[str, str, int]]:
    return [(one.debit.value, one.credit.value, one.amount) for one in entry.postings]


def test_a_whole_life_leaves_these_entries(world: World, user_id: str) -> None:
    loan_id = world.active(user_id, tenor_months=2)
    loan = world.loan(loan_id)
    world.go_to(date(2027, 1, 3))
    first = world.pay(user_id, loan_id)
    second = world.pay(user_id, loan_id, kind="settlement")
    late, interest, principal = (
        sum(getattr(part, name) for part in world.payment(first).allocation)
        for name in ("late_fee", "interest", "principal")
    )
    assert late > 0
    sent, lent, repaid, closed = world.entries(loan_id)
    assert loan.payout_id is not None
    assert [one.key for one in (sent, lent, repaid, closed)] == [
        f"payout_sent:{loan.payout_id}",
        f"disbursement:{loan_id}",
        f"repayment:{first}",
        f"repayment:{second}",
    ]
    assert moved(sent) == [("payouts_in_transit", "cash_at_gateway", 2_970_000)]
    assert moved(lent) == [
        ("loans_receivable", "payouts_in_transit", 2_970_000),
        ("loans_receivable", "fee_income", 30_000),
    ]
    assert moved(repaid) == [
        ("cash_at_gateway", "late_fee_income", late),
        ("interest_receivable", "interest_income", interest),
        ("cash_at_gateway", "interest_receivable", interest),
        ("cash_at_gateway", "loans_receivable", principal),
    ]
    assert {one.on for one in (sent, lent)} == {date(2026, 11, 24)}
    assert {one.on for one in (repaid, closed)} == {date(2027, 1, 3)}
    assert world.balances()[Account.LOANS_RECEIVABLE] == 0
    check_money(world)


def test_a_payout_that_fails_comes_back_and_is_sent_again(world: World, user_id: str) -> None:
    loan_id = world.accepted(user_id)
    world.payouts.outcome = PayoutAnswer(reference="", status="failed", failure="closed account")
    world.app.payout_desk.take_up(world.accepted_event(loan_id))
    assert [one.kind for one in world.entries(loan_id)] == ["payout_sent", "payout_returned"]
    assert set(world.balances().values()) == {0}
    world.payouts.outcome = PayoutAnswer(reference="", status="processing")
    world.clock.advance(minutes=15)
    for _ in range(2):
        world.app.payout_desk.take_up(world.accepted_event(loan_id))
    assert world.balances()[Account.PAYOUTS_IN_TRANSIT] == 2_970_000
    check_money(world)
    payout_id = world.loan(loan_id).payout_id
    assert payout_id is not None
    world.payouts.end(payout_id, "completed")
    for _ in range(2):
        world.app.payout_desk.take_up(world.accepted_event(loan_id))
    kinds = [one.kind for one in world.entries(loan_id)]
    assert kinds == ["payout_sent", "payout_returned", "payout_sent", "disbursement"]
    check_money(world)


def test_an_event_cannot_be_posted_twice(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)

    def post(tx: Transaction) -> None:
        world.app.books.post(
            tx, "refund", key="refund:out_1", loan_id=loan_id, subject="rfd_1", postings=LENT, on=date(2026, 11, 24)
        )

    world.store.transact(post)
    with pytest.raises(Conflict) as refused:
        world.store.transact(post)
    assert refused.value.fields == ("key",)


def test_an_entry_cannot_be_reversed_twice(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    entry = world.entries(loan_id)[-1]
    world.store.transact(lambda tx: world.app.books.reverse(tx, entry, written_off=False))
    with pytest.raises(Conflict):
        world.store.transact(lambda tx: world.app.books.reverse(tx, entry, written_off=False))
    assert [one.key for one in world.entries(loan_id)][-1] == f"reversal:{entry.id}"


def test_what_stands_is_neither_reversed_nor_a_reversal(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    sent, lent = world.entries(loan_id)
    world.store.transact(lambda tx: world.app.books.reverse(tx, lent, written_off=False))
    assert standing(world.entries(loan_id)) == (sent,)


def test_what_moves_nothing_is_no_entry(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    before = world.entries(loan_id)
    world.store.transact(
        lambda tx: world.app.books.post(
            tx, "write_off", key="k", loan_id=loan_id, subject=loan_id, postings=(), on=date(2026, 11, 24)
        )
    )
    assert world.entries(loan_id) == before


def test_the_journal_is_read_whole_whatever_its_length(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    for _ in range(103):
        world.pay(user_id, loan_id, kind="partial", amount=10_000)
    entries = world.store.read(lambda tx: entries_of(tx, loan_id))
    assert list(entries) == world.entries(loan_id)
    assert len(entries) == 105
    rows = {row.account: row for row in trial_balance_of(world.store).rows}
    assert rows[Account.CASH_AT_GATEWAY].debits == 1_030_000
    assert rows[Account.CASH_AT_GATEWAY].credits == 2_970_000
    assert rows[Account.CASH_AT_GATEWAY].balance == -1_940_000


def test_an_entry_is_written_with_its_event_or_not_at_all(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    before = world.all(JournalEntry)

    def fail(tx: Transaction) -> None:
        world.app.books.post(
            tx, "refund", key="k", loan_id=loan_id, subject="rfd_1", postings=LENT, on=date(2026, 11, 24)
        )
        raise Unavailable("a service", "down")

    with pytest.raises(Unavailable):
        world.store.transact(fail)
    assert world.all(JournalEntry) == before
