"""What must be true of the money in a world at every moment, reckoned from the records and not by the services."""

from collections import Counter
from datetime import timedelta

from tests.world import World

from pinjam.domain.ledger import Account, JournalEntry, trial_balance
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.payout import Payout, PayoutStatus
from pinjam.domain.receipts import Receipt, replay
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.repayment import bill
from pinjam.domain.trail import AuditRecord
from pinjam.services.auditing import verify
from pinjam.services.books import trial_balance_of

YEARS = timedelta(days=4000)
LEFT = (RefundStatus.SENDING, RefundStatus.PAID)


def check_money(world: World) -> None:
    """Everything of this module."""
    check_journal(world)
    check_accounts(world)
    for loan in world.all(Loan):
        check_loan(world, loan)
    check_refunds(world)
    check_payouts(world)
    check_trail(world)


def check_payouts(world: World) -> None:
    """Nothing is on its way twice or was paid twice, and what the gateway was asked for is what was kept."""
    payouts = world.all(Payout)
    open_for = [one.subject_id for one in payouts if one.status in (PayoutStatus.HELD, PayoutStatus.SENDING)]
    paid_for = [one.subject_id for one in payouts if one.status is PayoutStatus.PAID]
    assert len(set(open_for + paid_for)) == len(open_for + paid_for)
    by_id = {one.id: one for one in payouts}
    for payout_id, asked in world.payouts.sent.items():
        payout = by_id[payout_id]
        number = world.app.vault.safe(payout.user_id).open(payout.account.account_number, field="account_number")
        assert payout.sent_at is not None
        assert asked == {
            "amount": payout.amount,
            "bank_code": payout.account.bank_code,
            "account_number": number,
            "account_name": payout.account.account_name,
            "notes": payout.notes,
        }
    subjects: list[Loan | Refund] = [*world.all(Loan), *world.all(Refund)]
    on_its_way = {one.payout_id for one in subjects if one.status in (LoanStatus.DISBURSING, RefundStatus.SENDING)}
    assert on_its_way == {one.id for one in payouts if one.status is PayoutStatus.SENDING}
    arrived = {one.payout_id for one in world.all(Loan) if one.disbursed_on}
    arrived |= {one.payout_id for one in world.all(Refund) if one.status is RefundStatus.PAID}
    assert arrived == {one.id for one in payouts if one.status is PayoutStatus.PAID}


def check_journal(world: World) -> None:
    entries = world.all(JournalEntry)
    assert len({entry.key for entry in entries}) == len(entries)
    by_id = {entry.id: entry for entry in entries}
    undone = [entry.reverses for entry in entries if entry.reverses is not None]
    assert len(set(undone)) == len(undone)
    for entry in entries:
        if entry.reverses is not None:
            first = by_id[entry.reverses]
            assert (first.subject, first.loan_id) == (entry.subject, entry.loan_id)
            assert sum(one.amount for one in first.postings) == sum(one.amount for one in entry.postings)
    # Each settled payment stands in the journal once, and no other payment does.
    standing = Counter(one.subject for one in entries if one.kind == "repayment" and one.id not in undone)
    assert standing == Counter(one.id for one in world.all(Payment) if one.status is PaymentStatus.SETTLED)
    balance = trial_balance(entries)
    assert balance.debits == balance.credits
    assert sum(row.balance for row in balance.rows) == 0
    assert trial_balance_of(world.store) == balance


def check_accounts(world: World) -> None:
    """Every account says what the records say."""
    found = world.balances()
    loans, refunds = world.all(Loan), world.all(Refund)
    settled = [one for one in world.all(Payment) if one.status is PaymentStatus.SETTLED]
    parts = [part for one in settled for part in one.allocation]
    prices = [(loan, loan.contract.quote) for loan in loans if loan.contract]
    sent_out = sum(price.disbursed_amount for loan, price in prices if loan.payout_id)
    paid_back = sum(one.amount for one in refunds if one.status is RefundStatus.PAID)
    came_in, surplus = sum(one.amount for one in settled), sum(one.surplus for one in settled)
    assert came_in == sum(part.total for part in parts) + surplus
    here = {one.id for one in settled}
    claimed = sum(one.amount for one in refunds if one.status is RefundStatus.PAID and one.payment_id not in here)
    assert found[Account.CASH_AT_GATEWAY] == came_in - sent_out - paid_back
    assert -found[Account.REFUNDS_OWED] == surplus - paid_back + claimed >= 0
    assert found[Account.REFUNDS_RECEIVABLE] == claimed
    assert -found[Account.INTEREST_INCOME] == sum(part.interest for part in parts)
    assert -found[Account.LATE_FEE_INCOME] == sum(part.late_fee for part in parts)
    assert -found[Account.FEE_INCOME] == sum(price.admin_fee for loan, price in prices if loan.disbursed_on)
    assert found[Account.INTEREST_RECEIVABLE] == 0
    on_the_way = sum(price.disbursed_amount for loan, price in prices if loan.status is LoanStatus.DISBURSING)
    assert found[Account.PAYOUTS_IN_TRANSIT] == on_the_way
    given_up = [loan for loan in loans if loan.status is LoanStatus.WRITTEN_OFF]
    assert found[Account.WRITE_OFFS] == sum(unpaid(loan) for loan in given_up)
    assert found[Account.LOANS_RECEIVABLE] == sum(unpaid(loan) for loan in loans if loan not in given_up)


def unpaid(loan: Loan) -> int:
    return sum(one.principal - one.paid_principal for one in loan.instalments)


def check_loan(world: World, loan: Loan) -> None:
    """A loan owes what its payments left, its entries say the same, and it costs no more than the cap."""
    posted = [one for entry in world.entries(loan.id) for one in entry.postings]
    receivable = sum(one.amount for one in posted if one.debit is Account.LOANS_RECEIVABLE)
    receivable -= sum(one.amount for one in posted if one.credit is Account.LOANS_RECEIVABLE)
    assert receivable == (0 if loan.status is LoanStatus.WRITTEN_OFF else unpaid(loan))
    if loan.contract is None or loan.disbursed_on is None:
        return
    today = world.clock.today()
    for day in (today, today + YEARS):
        lines = bill(loan, day).lines
        assert all(min(one.owed_principal, one.owed_interest, one.owed_late_fee) >= 0 for one in lines)
        costs = sum(one.interest + one.late_fee for one in lines) + loan.contract.quote.admin_fee
        assert costs <= loan.contract.quote.amount
        if loan.status is LoanStatus.SETTLED:
            assert bill(loan, day).outstanding == 0
    if loan.status is LoanStatus.ACTIVE:
        assert bill(loan, today).outstanding > 0
    payments = [one for one in world.all(Payment) if one.loan_id == loan.id]
    if any(one.closes for one in payments) and all(one.status is not PaymentStatus.REVERSED for one in payments):
        assert loan.next_due_on is None  # A quoted payoff that was paid in time always closes the loan.
    rebuilt = replay(loan, standing_receipts(world, loan))
    assert rebuilt.loan == loan
    assert {one.id: (one.allocation, one.surplus) for one in _settled(world, loan).values()} == rebuilt.postings


def standing_receipts(world: World, loan: Loan) -> list[Receipt]:
    """The loan's payments that were not taken back, in the order in which we heard of them."""
    refunds = world.all(Refund)
    receipts = []
    for one in sorted(_settled(world, loan).values(), key=lambda one: (one.settled_at, one.id)):
        assert one.posted_on is not None
        gone = sum(refund.amount for refund in refunds if refund.payment_id == one.id and refund.status in LEFT)
        receipts.append(
            Receipt(payment_id=one.id, amount=one.amount, on=one.posted_on, closes=one.closes, refunded=gone)
        )
    return receipts


def _settled(world: World, loan: Loan) -> dict[str, Payment]:
    payments = [one for one in world.all(Payment) if one.loan_id == loan.id]
    return {one.id: one for one in payments if one.status is PaymentStatus.SETTLED}


def check_refunds(world: World) -> None:
    """What exceeded the debt has left as refunds, or is owed in one; what is owed nobody has been paid."""
    refunds = world.all(Refund)
    for payment in world.all(Payment):
        mine = [one for one in refunds if one.payment_id == payment.id]
        gone, owed = (sum(one.amount for one in mine if (one.status in LEFT) is left) for left in (True, False))
        assert len([one for one in mine if one.status is RefundStatus.OWED]) <= 1
        if payment.status is PaymentStatus.SETTLED:
            assert gone + owed == payment.surplus
        else:
            assert owed == payment.surplus == 0
    for one in refunds:
        assert (one.amount == 0) == (one.status is RefundStatus.VOID)
        if one.status is RefundStatus.PAID:
            assert one.payout_id is not None
            assert world.payouts.sent[one.payout_id]["amount"] == one.amount


def check_trail(world: World) -> None:
    """Every chain is whole, and ends with the state that the record has."""
    assert verify(world.store).findings == ()
    last: dict[str, AuditRecord] = {}
    for record in sorted(world.all(AuditRecord), key=lambda one: one.number):
        last[record.subject] = record
    for loan in world.all(Loan):
        after = last[loan.id].after
        assert (after["status"], after["unpaid_principal"]) == (loan.status.value, unpaid(loan))
    for payout in world.all(Payout):
        assert last[payout.id].after["status"] == payout.status.value
    for payment in world.all(Payment):
        after = last[payment.id].after
        allocated = sum(part.total for part in payment.allocation)
        assert (after["status"], after["allocated"], after["surplus"]) == (
            payment.status.value,
            allocated,
            payment.surplus,
        )
    for refund in world.all(Refund):
        after = last[refund.id].after
        assert (after["status"], after["amount"]) == (refund.status.value, refund.amount)
