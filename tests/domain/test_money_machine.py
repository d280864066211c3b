"""Random lives of a loan: whatever happens, the books balance and say what the loan says.

`Books` does with the domain's functions what the use cases do with a store.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.domain.loans import AMOUNTS, METHODS, PAYOUT_DAYS, TENORS, accepted

from pinjam.domain.ledger import (
    Account,
    EntryKind,
    JournalEntry,
    Posting,
    balances,
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
from pinjam.domain.lifecycle import move
from pinjam.domain.loan import InterestMethod, Loan, LoanStatus, Quote
from pinjam.domain.payoff import payoff
from pinjam.domain.receipts import Posted, Receipt, changed, comes_before_others, receive, replay
from pinjam.domain.repayment import bill, instalment_amount, late_fees, open_instalments, outstanding

AT = datetime(2026, 3, 16, 3, tzinfo=UTC)


class Books:
    """A loan, the payments that stand, and the journal; `events` are all the calls that led here."""

    def __init__(self, signed: Loan, on: date, failed_payouts: int) -> None:
        assert signed.contract is not None
        self.price: Quote = signed.contract.quote
        self.journal: dict[str, JournalEntry] = {}
        self.receipts: dict[str, Receipt] = {}
        self.postings: dict[str, Posted] = {}
        self.entry_of: dict[str, JournalEntry] = {}
        self.refunded = 0
        self.events: list[Callable[[Books], None]] = []
        for attempt in range(failed_payouts):
            self._post("payout_sent", f"po_{attempt}", on, payout_sent(self.price))
            self._post("payout_returned", f"po_{attempt}", on, payout_returned(self.price))
        self._post("payout_sent", "po", on, payout_sent(self.price))
        sent = move(signed, LoanStatus.DISBURSING, updated_at=AT)
        instalments = open_instalments(self.price, on)
        self.loan = move(
            sent,
            LoanStatus.ACTIVE,
            updated_at=AT,
            disbursed_on=on,
            disbursed_at=AT,
            instalments=instalments,
            next_due_on=instalments[0].due_date,
        )
        self._post("disbursement", signed.id, on, disbursement(self.price))
        self.disbursed = self.loan

    @property
    def written_off(self) -> bool:
        return self.loan.status is LoanStatus.WRITTEN_OFF

    def arrive(self, receipt: Receipt) -> None:
        """Money arrived; the gateway may say so again, even after it was taken back."""
        if f"repayment:{receipt.payment_id}" in self.journal:
            return
        self.events.append(lambda books: books.arrive(receipt))
        self.receipts[receipt.payment_id] = receipt
        if comes_before_others(self.loan, receipt.on):
            self._reckon(receipt.on)
            return
        paid, allocations, surplus = receive(self.loan, receipt)
        self._repaid(receipt.payment_id, receipt.on, (allocations, surplus))
        self._now(paid)

    def take_back(self, payment_id: str, on: date) -> None:
        """The bank took a payment back: it is undone, and those that went elsewhere because of it are posted anew."""
        self.events.append(lambda books: books.take_back(payment_id, on))
        del self.receipts[payment_id], self.postings[payment_id]
        self._undo(payment_id, on)
        self._reckon(on)

    def _reckon(self, on: date) -> None:
        """Receive all that stands anew; what went elsewhere is undone and posted again."""
        rebuilt, postings = replay(self.loan, self.receipts.values())
        moved = changed(self.postings, postings)
        for each in moved:
            if each in self.entry_of:
                self._undo(each, on)
        for each in moved:
            again = f":{len(self.journal)}" if f"repayment:{each}" in self.journal else ""
            self._repaid(each, on, postings[each], again=again)
        self._now(rebuilt)

    def _undo(self, payment_id: str, on: date) -> None:
        undone = self.entry_of.pop(payment_id)
        undoing = mirrored(undone.postings, written_off=self.written_off)
        self._post("reversal", f"{payment_id}:{len(self.journal)}", on, undoing, reverses=undone.id)

    def pay_back(self, payment_id: str, amount: int, on: date) -> None:
        """Surplus goes back to the borrower."""
        self.events.append(lambda books: books.pay_back(payment_id, amount, on))
        receipt = self.receipts[payment_id]
        self.receipts[payment_id] = replace(receipt, refunded=receipt.refunded + amount)
        self.refunded += amount
        self._post("refund", f"{payment_id}:{len(self.journal)}", on, refund(amount))

    def give_up(self, on: date) -> None:
        """The debt is written off."""
        self.events.append(lambda books: books.give_up(on))
        self._post("write_off", self.loan.id, on, write_off(unpaid_principal(self.loan)))
        self.loan = move(self.loan, LoanStatus.WRITTEN_OFF, updated_at=AT)

    def _repaid(self, payment_id: str, on: date, posted: Posted, again: str = "") -> None:
        postings = repayment(*posted, written_off=self.written_off)
        self.postings[payment_id] = posted
        self.entry_of[payment_id] = self._post("repayment", f"{payment_id}{again}", on, postings)

    def _now(self, loan: Loan) -> None:
        if loan.status is LoanStatus.ACTIVE and loan.next_due_on is None:
            loan = move(loan, LoanStatus.SETTLED, updated_at=AT, settled_at=AT)
        elif loan.status is LoanStatus.SETTLED and loan.next_due_on is not None:
            loan = move(loan, LoanStatus.ACTIVE, updated_at=AT)
        self.loan = loan

    def _post(
        self, kind: EntryKind, subject: str, on: date, postings: tuple[Posting, ...], reverses: str | None = None
    ) -> JournalEntry:
        key = f"{kind}:{subject}"
        assert key not in self.journal
        entry = JournalEntry(
            id=f"jrn_{len(self.journal)}",
            key=key,
            kind=kind,
            loan_id="loan_1",
            subject=subject,
            on=on,
            at=AT,
            postings=postings,
            reverses=reverses,
        )
        self.journal[key] = entry
        return entry


class MoneyMachine(RuleBasedStateMachine):
    """A borrower, a bank and a lender who do anything that they can, in any order."""

    @initialize(
        amount=AMOUNTS,
        tenor=TENORS,
        on=PAYOUT_DAYS,
        method=METHODS,
        cap=st.sampled_from([300_000, 1_000_000, 1_000_000]),
        failed_payouts=st.integers(0, 2),
    )
    def disburse(
        self, amount: int, tenor: int, on: date, method: InterestMethod, cap: int, failed_payouts: int
    ) -> None:
        signed = accepted(amount, tenor, on, method=method, total_cap_ppm=cap)
        self.again: Callable[[], Books] = lambda: Books(signed, on, failed_payouts)
        self.books = self.again()
        self.today = on
        self.payments = 0
        self.quoted = 0
        self.promised: list[tuple[date, int]] = []
        self.taken_back = False

    @rule(days=st.one_of(st.integers(1, 45), st.just(30), st.integers(90, 500)))
    def wait(self, days: int) -> None:
        self.quoted = payoff(self.books.loan, self.today).total
        self.today += timedelta(days=days)

    @rule()
    def pay_an_instalment(self) -> None:
        self._pay(instalment_amount(self.books.loan, self.today))

    @rule()
    def pay_the_bill(self) -> None:
        self._pay(bill(self.books.loan, self.today).monthly_bill)

    @rule(amount=st.one_of(st.integers(1, 2_000), st.integers(1, 2_000_000)))
    def pay_a_part(self, amount: int) -> None:
        self._pay(amount)

    @rule()
    def pay_off(self) -> None:
        owed = outstanding(self.books.loan, self.today)
        self._pay(payoff(self.books.loan, self.today).total, closes=True)
        assert outstanding(self.books.loan, self.today) == 0 or owed == 0

    @rule()
    def pay_what_was_quoted_on_an_earlier_day(self) -> None:
        self._pay(self.quoted, closes=True)

    @rule(data=st.data(), amount=st.one_of(st.integers(1, 2_000), st.integers(1, 2_000_000)))
    def hear_late_of_a_part(self, data: st.DataObject, amount: int) -> None:
        self._pay(amount, on=self._earlier(data))

    @rule(data=st.data())
    def quote_a_payoff(self, data: st.DataObject) -> None:
        """It is paid on its day, and heard of on another."""
        self.promised.append((self.today, payoff(self.books.loan, self.today).total))
        if data.draw(st.booleans()):
            self.wait(data.draw(st.integers(1, 60)))

    @precondition(lambda self: self.promised)
    @rule(data=st.data())
    def hear_of_a_payoff_that_was_paid_in_time(self, data: st.DataObject) -> None:
        on, total = self.promised.pop(data.draw(st.integers(0, len(self.promised) - 1)))
        self._pay(total, closes=True, on=on)
        # What was taken back since is owed again, and only that.
        assert self.taken_back or outstanding(self.books.loan, self.today) == 0

    @rule(more=st.integers(1, 1_000_000), closes=st.booleans())
    def pay_too_much(self, more: int, closes: bool) -> None:  # noqa: FBT001 - hypothesis fills it in.
        self._pay(outstanding(self.books.loan, self.today) + more, closes=closes)
        assert outstanding(self.books.loan, self.today) == 0

    @precondition(lambda self: self.payments > 0)
    @rule(data=st.data())
    def hear_of_a_payment_again(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.payments))
        loan, entries = self.books.loan, len(self.books.journal)
        self.books.arrive(Receipt(payment_id=f"pay_{number}", amount=1_000, on=self.today, closes=False))
        assert (self.books.loan, len(self.books.journal)) == (loan, entries)

    @precondition(lambda self: self.books.receipts)
    @rule(data=st.data())
    def take_a_payment_back(self, data: st.DataObject) -> None:
        self.taken_back = True
        self.books.take_back(data.draw(st.sampled_from(list(self.books.receipts))), self.today)

    @precondition(lambda self: any(self._refundable()))
    @rule(data=st.data())
    def pay_surplus_back(self, data: st.DataObject) -> None:
        payment_id, left = data.draw(st.sampled_from(self._refundable()))
        self.books.pay_back(payment_id, data.draw(st.one_of(st.just(left), st.integers(1, left))), self.today)

    @precondition(
        lambda self: self.books.loan.status is LoanStatus.ACTIVE and bill(self.books.loan, self.today).due_now > 0
    )
    @rule()
    def give_up(self) -> None:
        self.books.give_up(self.today)

    def _pay(self, amount: int, *, closes: bool = False, on: date | None = None) -> None:
        if amount:
            self.payments += 1
            receipt = Receipt(payment_id=f"pay_{self.payments}", amount=amount, on=on or self.today, closes=closes)
            self.books.arrive(receipt)

    def _earlier(self, data: st.DataObject) -> date:
        paid_out = self.books.loan.disbursed_on or self.today
        return self.today - timedelta(days=data.draw(st.integers(0, min(90, (self.today - paid_out).days))))

    def _refundable(self) -> list[tuple[str, int]]:
        left = [(key, self.books.postings[key][1] - each.refunded) for key, each in self.books.receipts.items()]
        return [(payment_id, surplus) for payment_id, surplus in left if surplus]

    @invariant()
    def every_entry_balances(self) -> None:
        latest = list(self.books.journal.values())[-8:]
        assert [sum(balances([entry]).values()) for entry in latest] == [0] * len(latest)
        shown = trial_balance(self.books.journal.values())
        assert shown.debits == shown.credits

    @invariant()
    def the_receivable_is_the_unpaid_principal(self) -> None:
        books, unpaid = balances(self.books.journal.values()), unpaid_principal(self.books.loan)
        expected = (0, unpaid) if self.books.written_off else (unpaid, 0)
        assert (books[Account.LOANS_RECEIVABLE], books[Account.WRITE_OFFS]) == expected
        assert (books[Account.INTEREST_RECEIVABLE], books[Account.PAYOUTS_IN_TRANSIT]) == (0, 0)

    @invariant()
    def what_came_in_is_what_was_allocated_and_what_is_owed_back(self) -> None:
        books = balances(self.books.journal.values())
        came_in = sum(each.amount for each in self.books.receipts.values())
        allocated = sum(part.total for parts, _ in self.books.postings.values() for part in parts)
        surplus = sum(over for _, over in self.books.postings.values())
        assert came_in == allocated + surplus
        assert books[Account.CASH_AT_GATEWAY] == came_in - self.books.refunded - self.books.price.disbursed_amount
        assert -books[Account.REFUNDS_OWED] == surplus - self.books.refunded
        paid = [each.paid_principal + each.paid_interest + each.paid_late_fee for each in self.books.loan.instalments]
        assert sum(paid) == allocated

    @invariant()
    def surplus_that_stands_is_owed_until_it_is_refunded(self) -> None:
        for payment_id, receipt in self.books.receipts.items():
            assert self.books.postings[payment_id][1] >= receipt.refunded

    @invariant()
    def income_is_what_was_paid_and_with_what_may_come_never_exceeds_the_principal(self) -> None:
        books, loan, price = balances(self.books.journal.values()), self.books.loan, self.books.price
        assert -books[Account.INTEREST_INCOME] == sum(each.paid_interest for each in loan.instalments)
        assert -books[Account.LATE_FEE_INCOME] == sum(each.paid_late_fee for each in loan.instalments)
        assert -books[Account.FEE_INCOME] == price.admin_fee
        fees = sum(late_fees(loan, self.today + timedelta(days=2_000)))
        assert price.total_interest + price.admin_fee + fees <= price.amount

    @invariant()
    def a_loan_is_settled_exactly_when_it_owes_nothing(self) -> None:
        loan = self.books.loan
        owed = outstanding(loan, self.today)
        assert (loan.next_due_on is None) == (owed == 0)
        assert (loan.settled_at is not None) == (loan.status is LoanStatus.SETTLED)
        if loan.status is LoanStatus.SETTLED:
            assert outstanding(loan, self.today + timedelta(days=1_000)) == owed == 0
        elif not self.books.written_off:
            assert (loan.status, loan.open_for) == (LoanStatus.ACTIVE, "usr_1")
            assert owed > 0

    @invariant()
    def replaying_the_payments_that_stand_leads_here(self) -> None:
        assert replay(self.books.loan, self.books.receipts.values()) == (self.books.loan, self.books.postings)

    def teardown(self) -> None:
        """The same events lead to the same state; without its payments the loan is as it was paid out."""
        if not hasattr(self, "books"):
            return
        books, again = self.books, self.again()
        for event in books.events:
            event(again)
        assert (again.loan, again.journal, again.postings) == (books.loan, books.journal, books.postings)
        for payment_id in list(books.receipts):
            books.take_back(payment_id, self.today)
        assert (books.loan.instalments, books.loan.next_due_on) == (
            books.disbursed.instalments,
            books.disbursed.next_due_on,
        )
        expected = dict(balances([books.journal["payout_sent:po"], books.journal["disbursement:loan_1"]]))
        expected[Account.CASH_AT_GATEWAY] -= books.refunded
        expected[Account.REFUNDS_OWED] += books.refunded
        if books.written_off:
            expected[Account.LOANS_RECEIVABLE], expected[Account.WRITE_OFFS] = 0, books.price.amount
        else:
            assert books.loan == books.disbursed
        assert balances(books.journal.values()) == expected


TestMoneyMachine = MoneyMachine.TestCase
# One fault is reported at a time: making the example small takes long enough.
TestMoneyMachine.settings = settings(
    max_examples=120, stateful_step_count=20, deadline=None, report_multiple_bugs=False
)
