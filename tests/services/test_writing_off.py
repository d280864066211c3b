"""Debts that are given up: a loss, still owed, and what comes in late makes the loss smaller."""

import pytest
from tests.books import check_money
from tests.world import World

from pinjam.domain.ledger import Account
from pinjam.domain.loan import LoanStatus
from pinjam.services.errors import NotFound, StateForbids
from pinjam.services.recording import Actor

STAFF = Actor(id="staff:siti", request_id="req_staff")


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def loan_id(world: World, user_id: str) -> str:
    return world.active(user_id)


def write_off(world: World, loan_id: str) -> None:
    world.app.writing_off.write_off(loan_id, reason="cannot be found", actor=STAFF)


def test_the_unpaid_principal_is_a_loss_once(world: World, user_id: str, loan_id: str) -> None:
    world.pay(user_id, loan_id)
    world.pass_days(300)
    owed = world.owed(loan_id)
    for _ in range(2):
        write_off(world, loan_id)
    loan = world.loan(loan_id)
    assert (loan.status, loan.open_for) == (LoanStatus.WRITTEN_OFF, None)
    assert world.balances()[Account.WRITE_OFFS] == 3_000_000 - 469_650
    assert world.balances()[Account.LOANS_RECEIVABLE] == 0
    assert world.owed(loan_id) == owed
    assert [one.kind for one in world.entries(loan_id)].count("write_off") == 1
    record = world.trail(loan_id)[-1]
    assert (record.action, record.actor) == ("loan-written-off", "staff:siti")
    assert record.after["reason"] == "cannot be found"
    check_money(world)


def test_money_that_comes_late_is_a_recovery(world: World, user_id: str, loan_id: str) -> None:
    world.pass_days(300)
    settling, partial = (
        world.order(user_id, loan_id, kind="settlement"),
        world.order(user_id, loan_id, kind="partial", amount=1_000_000),
    )
    write_off(world, loan_id)
    world.settle(partial)
    recovered = sum(part.principal for part in world.payment(partial).allocation)
    assert recovered > 0
    assert world.balances()[Account.WRITE_OFFS] == 3_000_000 - recovered
    check_money(world)
    # All of it comes back; the loan was a loss all the same, and what is too much is owed back.
    world.settle(settling)
    loan = world.loan(loan_id)
    assert (loan.status, loan.next_due_on, world.owed(loan_id)) == (LoanStatus.WRITTEN_OFF, None, 0)
    assert world.balances()[Account.WRITE_OFFS] == 0
    assert world.refund_of(settling).amount == world.payment(settling).surplus > 0
    assert world.events("loan-settled") == []
    check_money(world)


@pytest.mark.parametrize("state", ["accepted", "settled"])
def test_only_a_live_debt_can_be_given_up(world: World, user_id: str, state: str) -> None:
    loan_id = world.accepted(user_id) if state == "accepted" else world.repaid(user_id)
    with pytest.raises(StateForbids) as refused:
        write_off(world, loan_id)
    assert (refused.value.code, refused.value.params) == ("loan-not-active", {"status": state})
    check_money(world)


def test_a_loan_that_is_not_there_cannot_be_given_up(world: World) -> None:
    with pytest.raises(NotFound, match="loan-not-found"):
        write_off(world, "loan_nothing")


def test_a_debt_of_interest_alone_is_no_loss_in_the_books(world: World, user_id: str) -> None:
    loan_id = world.active(user_id, tenor_months=1)
    world.go_to(world.loan(loan_id).instalments[0].due_date)
    # Late fee first, then interest, then principal: only a late fee that grew since can be left alone.
    amount = world.app.repaying.simulate(user_id, loan_id=loan_id, kind="instalment", as_of=None).amount
    order = world.order(user_id, loan_id, kind="partial", amount=amount)
    world.pass_days(10)
    world.settle(order)
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    left = world.owed(loan_id)
    write_off(world, loan_id)
    # The late fee was paid before the principal, so that what is left is principal.
    assert world.balances()[Account.WRITE_OFFS] == left
    check_money(world)


def test_who_did_not_repay_gets_nothing_more(world: World, user_id: str, loan_id: str) -> None:
    world.pass_days(100)
    write_off(world, loan_id)
    second = world.apply(user_id)
    decided = world.decide(second)
    assert decided.decision is not None
    assert (decided.status, "ARREARS" in decided.decision.reasons) == (LoanStatus.DECLINED, True)
    assert world.sweep().reminders == 0


def test_the_notification_of_a_recovery_is_told(world: World, user_id: str, loan_id: str) -> None:
    order = world.order(user_id, loan_id)
    write_off(world, loan_id)
    world.settle(order)
    world.deliver()
    assert len(world.notifications("payment-received")) == 1
