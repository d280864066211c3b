"""Money over HTTP: bills of any day, payoffs, parts, surplus, reversals, and many things at the same moment."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from tests.journeys.records import records

from pinjam.domain.ledger import Account, JournalEntry, balances
from pinjam.domain.payment import Payment
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.trail import Event
from pinjam.local.road import Reply, Road, Walker
from pinjam.local.sandbox.midtrans import notification
from pinjam.local.system import LocalSystem
from pinjam.services.books import entries_of, trial_balance_of
from pinjam.services.store import Find

WAIT_S = 30
WEBHOOK = "/api/payments/webhook/midtrans"
AtOnce = Callable[[int, Callable[[int], Any]], list[Any]]
Check = Callable[..., dict[str, Any]]
NewWalker = Callable[..., Walker]

INSTALMENT = 544_650
"""What the first instalment of Rp 3,000,000 over 6 months asks."""


@pytest.fixture
def loan_id(walker: Walker) -> str:
    """A loan of Rp 3,000,000 over 6 months that was paid out today."""
    return walker.become_borrower()


def rows(system: LocalSystem, query: str, *values: object) -> list[Any]:
    """What the sandbox keeps, which is in PostgreSQL whatever the store is."""
    with psycopg.connect(system.app.settings.database_url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def due_date(walker: Walker, loan_id: str) -> date:
    return date.fromisoformat(walker.loan(loan_id).expect(200)["schedule"][0]["due_date"])


def journal(system: LocalSystem, loan_id: str) -> tuple[JournalEntry, ...]:
    return system.app.store.read(lambda tx: entries_of(tx, loan_id))


def check_books(system: LocalSystem, walker: Walker, loan_id: str) -> None:
    """The loan's entries say what the API says; the whole journal balances."""
    balance = trial_balance_of(system.app.store)
    assert balance.debits == balance.credits
    assert sum(row.balance for row in balance.rows) == 0
    entries = journal(system, loan_id)
    assert len({one.key for one in entries}) == len(entries)
    found = balances(entries)
    payments = [one for one in payments_of(system, loan_id) if one.status == "settled"]
    loan = walker.loan(loan_id).expect(200)
    unpaid = loan["amount"] - sum(part.principal for one in payments for part in one.allocation)
    assert found[Account.LOANS_RECEIVABLE] == unpaid
    came_in, surplus = sum(one.amount for one in payments), sum(one.surplus for one in payments)
    assert came_in == surplus + sum(part.total for one in payments for part in one.allocation)
    paid = records(system, Refund, loan_id=loan_id, status=RefundStatus.PAID)
    paid_back = sum(one.amount for one in paid)
    claimed = sum(one.amount for one in paid if one.payment_id not in {payment.id for payment in payments})
    assert found[Account.REFUNDS_RECEIVABLE] == claimed
    assert -found[Account.REFUNDS_OWED] == surplus - paid_back + claimed
    assert found[Account.CASH_AT_GATEWAY] == came_in - paid_back - loan["offer"]["disbursed_amount"]


def payments_of(system: LocalSystem, loan_id: str) -> tuple[Payment, ...]:
    return system.app.store.read(lambda tx: tx.find(Find(kind=Payment, where={"loan_id": loan_id}, limit=100))).items


def test_a_bill_can_be_asked_for_on_any_day(walker: Walker, loan_id: str, problem: Check) -> None:
    loan = walker.loan(loan_id).expect(200)
    first, last = due_date(walker, loan_id), date.fromisoformat(loan["schedule"][-1]["due_date"])
    for day in (None, first, first + timedelta(days=3)):
        bill = walker.bill(loan_id, as_of=day).expect(200)
        assert (bill["amount"], bill["interest_saved"], bill["kind"]) == (INSTALMENT, 0, "instalment")
        assert bill["breakdown"] == {"principal": 469_650, "interest": 75_000, "late_fee": 0}
    # Days 4 to 10 cost 0.1 % each of 544,650: 3,812.55, rounded half up.
    late = walker.bill(loan_id, as_of=first + timedelta(days=10)).expect(200)
    assert late["breakdown"] == {"principal": 469_650, "interest": 75_000, "late_fee": 3_813}
    assert late["as_of"] == (first + timedelta(days=10)).isoformat()
    assert late["expires_at"] == f"{late['as_of']}T17:00:00.000Z"
    today = walker.bill(loan_id, kind="settlement").expect(200)
    assert (today["amount"], today["interest_saved"]) == (3_000_000, 267_899)
    due = walker.bill(loan_id, kind="settlement", as_of=first).expect(200)
    assert due["breakdown"] == {"principal": 3_000_000, "interest": 75_000, "late_fee": 0}
    assert "30/360" in due["rule"]
    whole = walker.bill(loan_id, kind="settlement", as_of=last).expect(200)
    assert (whole["breakdown"]["interest"], whole["interest_saved"]) == (267_899, 0)
    begins = date.fromisoformat(loan["disbursed_at"][:10])
    for outside in (begins - timedelta(days=2), last + timedelta(days=367)):
        refused = problem(walker.bill(loan_id, as_of=outside), 422, "invalid-fields")
        (error,) = refused["errors"]
        assert (error["field"], error["code"]) == ("as_of", "as-of-outside")
        assert (last + timedelta(days=366)).isoformat() in error["message"]
    assert walker.bill(loan_id, as_of=last + timedelta(days=366)).status == 200


@pytest.mark.parametrize("days", [0, 17, 45, 300])
def test_paying_the_quoted_payoff_closes_the_loan(
    walker: Walker, road: Road, system: LocalSystem, loan_id: str, days: int
) -> None:
    road.set_date(road.today() + timedelta(days=days)).expect(200)
    quoted = walker.bill(loan_id, kind="settlement").expect(200)
    paid = walker.repay(loan_id, kind="settlement", key="close")
    assert (paid["amount"], paid["surplus"], paid["status"]) == (quoted["amount"], 0, "settled")
    parts = {name: sum(part[name] for part in paid["allocation"]) for name in ("principal", "interest", "late_fee")}
    assert parts == quoted["breakdown"]
    loan = walker.loan(loan_id).expect(200)
    assert (loan["status"], loan["outstanding"], loan["next_due"]) == ("settled", 0, None)
    check_books(system, walker, loan_id)


def test_an_instalment_ten_days_late_pays_its_late_fee(
    walker: Walker, road: Road, system: LocalSystem, loan_id: str
) -> None:
    road.set_date(due_date(walker, loan_id) + timedelta(days=10)).expect(200)
    paid = walker.repay(loan_id, key="late")
    assert paid["amount"] == INSTALMENT + 3_813
    assert paid["allocation"] == [{"number": 1, "late_fee": 3_813, "interest": 75_000, "principal": 469_650}]
    check_books(system, walker, loan_id)


def test_a_part_pays_late_fee_interest_and_principal_of_the_oldest_first(
    walker: Walker, road: Road, system: LocalSystem, loan_id: str, problem: Check
) -> None:
    road.set_date(due_date(walker, loan_id) + timedelta(days=10)).expect(200)
    low = problem(walker.start_payment(loan_id, kind="partial", amount=9_999, key="low"), 422, "invalid-fields")
    assert (low["errors"][0]["code"], "10.000" in low["errors"][0]["message"]) == ("amount-too-low", True)
    most = walker.bill(loan_id, kind="settlement").expect(200)["amount"]
    high = problem(walker.start_payment(loan_id, kind="partial", amount=most + 1, key="high"), 422, "invalid-fields")
    assert (high["errors"][0]["code"], f"{most:,}".replace(",", ".") in high["errors"][0]["message"]) == (
        "amount-too-high",
        True,
    )
    assert walker.repay(loan_id, kind="partial", amount=50_000, key="one")["allocation"] == [
        {"number": 1, "late_fee": 3_813, "interest": 46_187, "principal": 0}
    ]
    second = walker.repay(loan_id, kind="partial", amount=600_000, key="two", bank=None)
    assert second["allocation"] == [
        {"number": 1, "late_fee": 0, "interest": 28_813, "principal": 469_650},
        {"number": 2, "late_fee": 0, "interest": 63_259, "principal": 38_278},
    ]
    check_books(system, walker, loan_id)


def test_what_is_paid_too_much_goes_back_to_the_bank_account(
    walker: Walker, road: Road, system: LocalSystem, loan_id: str
) -> None:
    extra = walker.start_payment(loan_id, key="extra").expect(201)
    walker.repay(loan_id, kind="settlement", key="close")
    road.pay_at_bank(extra["id"], duplicates=2).expect(200)
    assert walker.payment(extra["id"]).expect(200)["surplus"] == INSTALMENT
    (told,) = [one for one in walker.told("payment-surplus") if one["kind"] == "payment-surplus"]
    assert "Rp544.650" in told["body"]
    assert system.wait_until_quiet(WAIT_S)
    account = walker.person.bank_account["account_number"]
    paid = rows(
        system,
        "SELECT amount, status FROM local_sandbox.payouts WHERE beneficiary_account = %s ORDER BY created_at",
        account,
    )
    assert paid == [(2_970_000, "completed"), (INSTALMENT, "completed")]
    check_books(system, walker, loan_id)
    assert road.sweep().expect(200)["refunds_retried"] == 0


@pytest.mark.parametrize(("how", "bank"), [("refund", "bca"), ("deny", "permata")])
def test_money_that_the_bank_takes_back_is_owed_again(
    walker: Walker, road: Road, system: LocalSystem, loan_id: str, how: str, bank: str
) -> None:
    before = walker.loan(loan_id).expect(200)
    settled = walker.repay(loan_id, kind="settlement", key="close", bank=bank)
    assert walker.loan(loan_id).expect(200)["status"] == "settled"
    sent = road.pay_at_bank(settled["id"], status=how, duplicates=2).expect(200)
    assert sent["notifications"] == [200, 200, 200]
    gone = walker.payment(settled["id"]).expect(200)
    assert (gone["status"], gone["allocation"], gone["surplus"]) == ("reversed", [], 0)
    after = walker.loan(loan_id).expect(200)
    assert [after[name] for name in ("status", "outstanding", "next_due", "schedule", "settled_at")] == [
        before[name] for name in ("status", "outstanding", "next_due", "schedule", "settled_at")
    ]
    kinds = Counter(one["kind"] for one in walker.told("payment-reversed"))
    assert kinds["payment-reversed"] == 1
    check_books(system, walker, loan_id)
    walker.repay(loan_id, kind="settlement", key="again")
    assert walker.loan(loan_id).expect(200)["status"] == "settled"


def test_a_payoff_that_nobody_pays_ends_at_midnight(
    walker: Walker, road: Road, system: LocalSystem, loan_id: str
) -> None:
    order = walker.start_payment(loan_id, kind="settlement", key="close").expect(201)
    instalment = walker.start_payment(loan_id, key="pay").expect(201)
    road.set_date(road.today() + timedelta(days=1)).expect(200)
    assert road.sweep().expect(200)["payments_checked"] >= 1
    assert walker.payment(order["id"]).expect(200)["status"] == "expired"
    status = "SELECT status FROM local_sandbox.orders WHERE order_id = %s"
    assert rows(system, status, order["id"]) == [("expire",)]
    assert road.pay_at_bank(order["id"]).status == 409
    assert instalment["id"] != order["id"]
    check_books(system, walker, loan_id)


def test_a_new_order_closes_the_open_one_at_the_gateway(
    walker: Walker, road: Road, system: LocalSystem, loan_id: str
) -> None:
    old = walker.start_payment(loan_id, key="one").expect(201)
    new = walker.start_payment(loan_id, key="two", bank="mandiri").expect(201)
    assert walker.payment(old["id"]).expect(200)["status"] == "expired"
    statuses = dict(
        rows(
            system, "SELECT order_id, status FROM local_sandbox.orders WHERE order_id = ANY(%s)", [old["id"], new["id"]]
        )
    )
    assert statuses == {old["id"]: "expire", new["id"]: "pending"}
    assert road.pay_at_bank(old["id"]).status == 409
    road.pay_at_bank(new["id"]).expect(200)
    assert walker.payment(new["id"]).expect(200)["status"] == "settled"


def settle_unheard(system: LocalSystem, payment_id: str) -> dict[str, object]:
    """The order is paid at the bank; its notification is for the test to bring."""
    order = system.sandbox.sandbox.orders.move(payment_id, "settlement")
    return notification(order, system.app.settings.midtrans.server_key)


def test_fifty_notifications_of_ten_payments_at_once_lose_and_make_no_money(
    walker: Walker, road: Road, system: LocalSystem, at_once: AtOnce
) -> None:
    loan_id = walker.become_borrower(5_000_000, 12)
    told = []
    for number in range(8):
        part = walker.start_payment(loan_id, kind="partial", amount=100_000 + number, key=f"part-{number}").expect(201)
        told.append(settle_unheard(system, part["id"]))
    for kind in ("instalment", "settlement"):
        order = walker.start_payment(loan_id, kind=kind, key=kind).expect(201)
        told.append(settle_unheard(system, order["id"]))
    replies: list[Reply] = at_once(50, lambda number: road.call("POST", WEBHOOK, body=told[number % 10]))
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) <= {200, 503}, statuses
    assert statuses[503] <= 2, statuses
    assert all("retry-after" in reply.headers for reply in replies if reply.status == 503)
    for body in told:  # The gateway repeats what was not taken in.
        road.call("POST", WEBHOOK, body=body).expect(200)

    assert system.wait_until_quiet(WAIT_S)
    payments = payments_of(system, loan_id)
    assert Counter(one.status.value for one in payments) == {"settled": 10}
    loan = walker.loan(loan_id).expect(200)
    assert (loan["status"], loan["outstanding"]) == ("settled", 0)
    check_books(system, walker, loan_id)
    surplus = sum(one.surplus for one in payments)
    account = walker.person.bank_account["account_number"]
    paid = rows(system, "SELECT sum(amount)::bigint FROM local_sandbox.payouts WHERE beneficiary_account = %s", account)
    assert paid == [(loan["offer"]["disbursed_amount"] + surplus,)]
    topics = Counter(event.topic for event in records(system, Event) if event.data.get("loan_id") == loan_id)
    assert topics == {"payment-settled": 10, "loan-settled": 1}
    # All ten are taken back at the same moment, each told several times.
    bodies = []
    for one in payments:
        order = system.sandbox.sandbox.orders.move(one.id, "refund")
        bodies.append(notification(order, system.app.settings.midtrans.server_key))
    replies = at_once(50, lambda number: road.call("POST", WEBHOOK, body=bodies[number % 10]))
    assert {reply.status for reply in replies} <= {200, 503}
    for body in bodies:
        road.call("POST", WEBHOOK, body=body).expect(200)
    assert {one.status.value for one in payments_of(system, loan_id)} == {"reversed"}
    assert walker.loan(loan_id).expect(200)["outstanding"] == loan["offer"]["total_payable"]
    check_books(system, walker, loan_id)


def test_orders_of_every_kind_at_the_same_moment_leave_one_open_of_each(
    walker: Walker, system: LocalSystem, loan_id: str, at_once: AtOnce
) -> None:
    kinds = ("instalment", "settlement", "partial")

    def start(number: int) -> Reply:
        kind = kinds[number % 3]
        amount = 20_000 + number if kind == "partial" else None
        for _ in range(3):
            reply = walker.start_payment(loan_id, kind=kind, amount=amount, key=f"key-{number}")
            # The gateway waits no longer than its deadline; the same key asks for the same order again.
            if reply.status != 504:
                break
        return reply

    replies: list[Reply] = at_once(18, start)
    assert {reply.status for reply in replies} <= {201, 503}
    assert sum(reply.status == 503 for reply in replies) <= 2
    if all(reply.status == 201 for reply in replies):
        assert len(newest_open(system, loan_id)) == 3
    # Whatever was left open by an order that could not be made is closed by the next.
    for kind in kinds:
        walker.start_payment(loan_id, kind=kind, amount=30_000 if kind == "partial" else None, key=kind).expect(201)
    payments = payments_of(system, loan_id)
    assert Counter(one.kind for one in payments if one.status.value == "pending") == dict.fromkeys(kinds, 1)
    assert newest_open(system, loan_id) == {one.id for one in payments if one.status.value == "pending"}
    check_books(system, walker, loan_id)


def newest_open(system: LocalSystem, loan_id: str) -> set[str]:
    """The orders of a loan that can be paid at the gateway."""
    open_there = "SELECT order_id FROM local_sandbox.orders WHERE status = 'pending' AND order_id = ANY(%s)"
    return {row[0] for row in rows(system, open_there, [one.id for one in payments_of(system, loan_id)])}
