"""Payouts of either purpose: to the account they were begun with, once, and never to somebody else's."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.books import check_money
from tests.world import OPERATIONS, World, waits_for_the_gateway

from pinjam.domain.loan import LoanStatus
from pinjam.domain.payout import MOST_FAILURES, PAUSES, Payout, PayoutStatus
from pinjam.domain.refund import RefundStatus
from pinjam.domain.trail import Event
from pinjam.services.errors import Forbidden, Invalid, NotFound, StateForbids
from pinjam.services.ports import RESEND_FOR, PayoutAnswer, Unavailable
from pinjam.services.profiles import NewBankAccount
from pinjam.services.recording import Actor

LENT = 2_970_000
SURPLUS = 544_650
OLD, NEW = "1234567890", "999000111"
PROCESSING = PayoutAnswer(reference="", status="processing")
COMPLETED = PayoutAnswer(reference="", status="completed")
FAILED = PayoutAnswer(reference="", status="failed", failure="002")
STAFF = Actor(id="staff:ani", request_id="req_staff")

Tell = Callable[[], None]


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


@pytest.fixture
def loan_id(world: World, user_id: str) -> str:
    """A loan that waits for its money."""
    return world.accepted(user_id)


@pytest.fixture
def begin(world: World, loan_id: str) -> Tell:
    """Brings the event of the acceptance, once more each time."""
    event = world.accepted_event(loan_id)
    return lambda: world.app.payout_desk.take_up(event)


def payouts(world: World) -> list[Payout]:
    return world.all(Payout)


def hear(world: World, payout: Payout, *, signature: str = "genuine") -> None:
    body = json.dumps({"reference_no": payout.reference, "status": "whatever"}).encode()
    world.app.payout_desk.hear(body, signature, request_id="req_gateway")


def give_account(world: World, user_id: str, number: str = NEW) -> None:
    account = NewBankAccount(bank_code="bri", account_number=number, account_name="SITI RAHMAWATI")
    world.app.profiles.change(user_id, actor=world.actor(user_id), bank_account=account)


def lose_the_answer(world: World, begin: Tell) -> Payout:
    """The gateway takes the payout, and nobody hears of it."""
    world.payouts.lost = True
    begin()
    assert waits_for_the_gateway(world)
    world.payouts.lost = False
    (payout,) = payouts(world)
    assert (payout.status, payout.reference) == (PayoutStatus.SENDING, None)
    return payout


def to(world: World, payout: Payout) -> object:
    return world.payouts.sent[payout.id]["account_number"]


# To the account of then


def test_an_account_that_changed_after_a_lost_answer_is_not_the_one_that_is_asked_about(
    world: World, user_id: str, begin: Tell
) -> None:
    payout = lose_the_answer(world, begin)
    give_account(world, user_id)
    begin()
    assert to(world, payout) == OLD
    assert world.payouts.paid == [LENT]
    assert [one.status for one in payouts(world)] == [PayoutStatus.PAID]
    check_money(world)


def test_a_new_try_after_a_failure_goes_to_the_account_of_then_and_at_once(
    world: World, user_id: str, begin: Tell
) -> None:
    world.payouts.outcome = FAILED
    begin()
    world.deliver()
    world.payouts.outcome = COMPLETED
    give_account(world, user_id)
    world.deliver()
    first, second = payouts(world)
    assert (first.status, second.status) == (PayoutStatus.FAILED, PayoutStatus.PAID)
    assert (to(world, first), to(world, second)) == (OLD, NEW)
    assert world.payouts.paid == [LENT]
    check_money(world)


def test_an_account_that_changes_while_it_is_looked_at_is_looked_at_again(
    world: World, user_id: str, begin: Tell
) -> None:
    holder = world.payouts.holder

    def changed_meanwhile(*, bank_code: str, account_number: str) -> str | None:
        if account_number == OLD:
            give_account(world, user_id)
        return holder(bank_code=bank_code, account_number=account_number)

    world.payouts.holder = changed_meanwhile  # type: ignore[method-assign]  # something happens in between
    begin()
    assert world.payouts.holders_asked == [OLD, NEW]
    (payout,) = payouts(world)
    assert (payout.status, to(world, payout)) == (PayoutStatus.PAID, NEW)


def test_nothing_is_handed_over_again_once_the_gateway_may_have_forgotten_its_id(world: World, begin: Tell) -> None:
    payout = lose_the_answer(world, begin)
    world.clock.advance(seconds=RESEND_FOR.total_seconds() + 1)
    world.payouts.payouts.clear()
    begin()
    assert waits_for_the_gateway(world)
    assert world.payouts.payouts == {}
    assert world.sweep().faults == 1
    assert world.get(Payout, payout.id).status is PayoutStatus.SENDING


def test_a_gateway_that_will_not_tell_of_a_payout_has_not_failed_it(world: World, begin: Tell) -> None:
    world.payouts.outcome = PROCESSING
    begin()
    (payout,) = payouts(world)
    gone = world.payouts.payouts.pop(payout.id)
    begin()
    assert waits_for_the_gateway(world)
    assert world.get(Payout, payout.id).status is PayoutStatus.SENDING
    world.payouts.payouts[payout.id] = gone
    world.payouts.end(payout.id, "completed")
    begin()
    assert world.payouts.paid == [LENT]


# By callback and by asking


def test_a_notification_alone_ends_a_payout(world: World, loan_id: str, begin: Tell) -> None:
    world.payouts.outcome = PROCESSING
    begin()
    (payout,) = payouts(world)
    hear(world, payout)
    assert world.loan(loan_id).status is LoanStatus.DISBURSING, "it says only where to look"
    world.payouts.end(payout.id, "completed")
    hear(world, payout)
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    check_money(world)
    for _ in range(2):
        hear(world, payout)
        begin()
        world.clock.advance(hours=1)
        world.sweep()
    assert len(world.events("loan-disbursed")) == 1
    assert world.payouts.paid == [LENT]
    check_money(world)


def test_a_notification_of_a_failure_returns_the_loan(world: World, loan_id: str, begin: Tell) -> None:
    world.payouts.outcome = PROCESSING
    begin()
    (payout,) = payouts(world)
    world.payouts.end(payout.id, "failed", "002")
    for _ in range(2):
        hear(world, payout)
    assert world.loan(loan_id).status is LoanStatus.ACCEPTED
    assert len(world.events("payout-failed")) == 1
    check_money(world)


def test_a_forged_notification_changes_nothing(world: World, loan_id: str, begin: Tell) -> None:
    world.payouts.outcome = PROCESSING
    begin()
    (payout,) = payouts(world)
    world.payouts.end(payout.id, "completed")
    with pytest.raises(Forbidden):
        hear(world, payout, signature="made up")
    assert world.loan(loan_id).status is LoanStatus.DISBURSING


def test_a_notification_of_nothing_of_ours_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="payout-not-found"):
        world.app.payout_desk.hear(b'{"reference_no": "strange"}', "genuine", request_id="req")
    with pytest.raises(Invalid):
        world.app.payout_desk.hear(b"{}", "genuine", request_id="req")


def test_a_notification_that_cannot_be_confirmed_is_wanted_again(world: World, loan_id: str, begin: Tell) -> None:
    world.payouts.outcome = PROCESSING
    begin()
    (payout,) = payouts(world)
    world.payouts.end(payout.id, "completed")
    world.payouts.down = True
    with pytest.raises(Unavailable):
        hear(world, payout)
    assert world.loan(loan_id).status is LoanStatus.DISBURSING


def test_an_answer_that_comes_late_changes_nothing_of_a_newer_try(world: World, begin: Tell) -> None:
    """The first payout failed and the second is on its way when the first one's answer comes by another worker."""
    world.payouts.outcome = PROCESSING
    begin()
    (first,) = payouts(world)
    world.payouts.end(first.id, "failed", "002")
    begin()
    world.clock.advance(minutes=15)
    begin()
    second = payouts(world)[1]
    world.app.paying_out.ask(first, actor=STAFF)
    assert world.get(Payout, second.id).status is PayoutStatus.SENDING
    assert [one.status for one in payouts(world)] == [PayoutStatus.FAILED, PayoutStatus.SENDING]
    check_money(world)


def test_money_that_the_bank_sends_back_later_is_for_a_person(world: World, loan_id: str, begin: Tell) -> None:
    begin()
    (payout,) = payouts(world)
    world.payouts.end(payout.id, "failed", "refunded")
    for _ in range(2):
        hear(world, payout)
    back = world.get(Payout, payout.id)
    assert (back.status, back.failure) == (PayoutStatus.PAID, "refunded")
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    world.deliver()
    assert [one.to for one in world.messengers["email"].sent].count(OPERATIONS) == 1
    assert world.notifications("disbursement-failed") == []
    check_money(world)


# The account's holder


@pytest.mark.parametrize(
    ("holder", "hold"), [("BAMBANG SUDARSONO", "name-mismatch"), (None, "account-unknown")], ids=["other", "unknown"]
)
def test_an_account_of_nobody_or_of_somebody_else_is_held_and_nothing_is_sent(
    world: World, loan_id: str, begin: Tell, holder: str | None, hold: str
) -> None:
    world.payouts.accounts[OLD] = holder
    for _ in range(2):
        begin()
        world.clock.advance(hours=1)
        assert world.sweep().payouts_retried == 0
    (payout,) = payouts(world)
    assert (payout.status, payout.hold, payout.amount) == (PayoutStatus.HELD, hold, LENT)
    assert (world.loan(loan_id).status, world.loan(loan_id).payout_id) == (LoanStatus.ACCEPTED, None)
    assert world.payouts.sent == {}
    assert world.payouts.holders_asked == [OLD], "asked once: the answer would be the same"
    world.deliver()
    (told,) = world.notifications("bank-account-check")
    assert "Rp2.970.000" in told.body
    check_money(world)


def test_a_held_payout_is_released_by_a_person_and_paid_to_that_account(
    world: World, loan_id: str, begin: Tell
) -> None:
    world.payouts.accounts[OLD] = "SITI HANDAYANI"
    begin()
    (held,) = world.app.payout_desk.held().items
    released = world.app.payout_desk.release(held.id, reason="married name, seen on the passbook", actor=STAFF)
    assert released.status is PayoutStatus.SENDING
    assert world.payouts.sent == {}
    check_money(world)
    world.deliver(repeat=2)
    (paid,) = payouts(world)
    assert (paid.status, to(world, paid)) == (PayoutStatus.PAID, OLD)
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    record = next(one for one in world.trail(held.id) if one.action == "payout-released")
    assert (record.actor, record.after["reason"]) == ("staff:ani", "married name, seen on the passbook")
    assert world.app.payout_desk.held().items == ()
    assert world.payouts.paid == [LENT]
    check_money(world)


def test_an_account_that_a_person_let_pass_is_not_doubted_when_its_payout_fails(world: World, begin: Tell) -> None:
    world.payouts.accounts[OLD] = "SITI HANDAYANI"
    begin()
    (held,) = payouts(world)
    world.payouts.outcome = FAILED
    world.app.payout_desk.release(held.id, reason="seen", actor=STAFF)
    world.deliver()
    world.payouts.outcome = COMPLETED
    world.clock.advance(minutes=16)
    assert world.sweep().payouts_retried == 1
    assert [one.status for one in payouts(world)] == [PayoutStatus.FAILED, PayoutStatus.PAID]


def test_a_held_payout_ends_when_the_borrower_gives_another_account(
    world: World, user_id: str, loan_id: str, begin: Tell
) -> None:
    world.payouts.accounts[OLD] = "BAMBANG"
    begin()
    world.deliver()
    give_account(world, user_id)
    world.deliver(repeat=2)
    void, paid = payouts(world)
    assert (void.status, void.sent_at, paid.status) == (PayoutStatus.VOID, None, PayoutStatus.PAID)
    assert to(world, paid) == NEW
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    assert world.actions(void.id) == ["payout-held", "payout-void"]
    assert world.payouts.paid == [LENT]
    check_money(world)


def test_another_account_that_is_not_the_borrowers_either_is_held_too(world: World, user_id: str, begin: Tell) -> None:
    world.payouts.accounts |= {OLD: "BAMBANG", NEW: None}
    begin()
    give_account(world, user_id)
    world.deliver()
    assert [one.status for one in payouts(world)] == [PayoutStatus.VOID, PayoutStatus.HELD]
    assert world.payouts.sent == {}
    # The first one had been overtaken before anybody heard of it.
    assert len(world.notifications("bank-account-check")) == 1


def test_a_person_may_leave_a_payout_held_and_the_borrower_is_asked_again(world: World, begin: Tell) -> None:
    world.payouts.accounts[OLD] = "BAMBANG"
    begin()
    world.deliver()
    (held,) = payouts(world)
    kept = world.app.payout_desk.refuse(held.id, reason="another person's", actor=STAFF)
    world.deliver()
    assert kept.status is PayoutStatus.HELD
    assert len(world.notifications("bank-account-check")) == 2
    assert world.actions(held.id) == ["payout-held", "payout-refused"]
    assert world.payouts.sent == {}


def test_only_what_is_held_can_be_decided(world: World, begin: Tell) -> None:
    desk = world.app.payout_desk
    begin()
    (paid,) = payouts(world)
    for decide in (desk.release, desk.refuse):
        with pytest.raises(StateForbids, match="payout-not-held"):
            decide(paid.id, reason="x", actor=STAFF)
        with pytest.raises(NotFound):
            decide("out_none", reason="x", actor=STAFF)


def test_held_payouts_are_listed_a_page_at_a_time(world: World) -> None:
    world.payouts.everybody = "BAMBANG"
    for number in range(1, 4):
        loan_id = world.accepted(world.verified(number))
        world.app.payout_desk.take_up(world.accepted_event(loan_id))
    first = world.app.payout_desk.held(limit=2)
    rest = world.app.payout_desk.held(limit=2, after=first.next_cursor)
    assert [*first.items, *rest.items] == payouts(world)


def test_a_gateway_that_will_not_look_at_accounts_holds_nobody_up_for_ever(
    world: World, loan_id: str, begin: Tell
) -> None:
    world.payouts.refusing_to_look = True
    begin()
    assert waits_for_the_gateway(world)
    assert payouts(world) == []
    world.payouts.refusing_to_look = False
    begin()
    assert world.loan(loan_id).status is LoanStatus.ACTIVE


def test_an_account_changed_while_nothing_is_owed_is_no_news(world: World, user_id: str, begin: Tell) -> None:
    begin()
    give_account(world, user_id)
    assert world.events("bank-account-changed") == []


# Failures


def test_a_failure_is_told_to_the_borrower_and_once_to_operations(world: World, loan_id: str, begin: Tell) -> None:
    world.payouts.outcome = FAILED
    begin()
    world.deliver(repeat=3)
    (payout,) = payouts(world)
    (told,) = world.notifications("disbursement-failed")
    assert {one.status for one in told.deliveries} == {"sent"}
    (mail,) = [one for one in world.messengers["email"].sent if one.to == OPERATIONS]
    for fact in (payout.id, loan_id, "Rp2.970.000", "002"):
        assert fact in mail.body
    for secret in ("Siti", "SITI", OLD, "siti1@example.com", "0812"):
        assert secret not in mail.subject + mail.body


def test_operations_hear_of_a_failure_when_the_mail_server_is_back(world: World, begin: Tell) -> None:
    world.payouts.outcome = FAILED
    begin()
    (event,) = world.events("payout-failed")
    world.messengers["email"].down = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            world.tell(event)
    world.run_tasks()
    assert world.messengers["sms"].sent != [], "the borrower's other channels did not wait"
    world.messengers["email"].down = False
    for _ in range(2):
        world.tell(event)
    assert [one.to for one in world.messengers["email"].sent].count(OPERATIONS) == 1


def test_failures_are_tried_again_after_longer_and_longer_pauses_and_then_held(
    world: World, user_id: str, loan_id: str, begin: Tell
) -> None:
    world.payouts.outcome = FAILED
    begin()
    for number, pause in enumerate(PAUSES, 1):
        world.clock.instant += pause - timedelta(minutes=1)
        assert world.sweep().payouts_retried == 0
        world.clock.advance(minutes=1, seconds=1)
        assert world.sweep().payouts_retried == 1
        assert len(payouts(world)) == number + 1
    world.pass_days(1)
    assert world.sweep().payouts_retried == 1
    *failed, held = payouts(world)
    assert len(failed) == len(world.payouts.sent) == MOST_FAILURES
    assert (held.status, held.hold) == (PayoutStatus.HELD, "too-many-failures")
    world.pass_days(1)
    assert world.sweep().payouts_retried == 0
    check_money(world)
    world.payouts.outcome = COMPLETED
    give_account(world, user_id)
    world.deliver()
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    assert world.payouts.paid == [LENT]
    check_money(world)


# Refunds


@pytest.fixture
def extra(world: World, user_id: str) -> str:
    """A payment that came when nothing was owed any more."""
    loan_id = world.active(user_id)
    order = world.order(user_id, loan_id)
    world.pay(user_id, loan_id, kind="settlement")
    world.settle(order)
    return order


def refund_event(world: World, payment_id: str) -> Event:
    (event,) = [one for one in world.events("payment-settled") if one.subject == payment_id]
    return event


def test_a_refund_to_somebody_else_stays_owed_until_the_account_is_right(
    world: World, user_id: str, extra: str
) -> None:
    world.payouts.accounts[OLD] = "BAMBANG"
    world.app.payout_desk.take_up(refund_event(world, extra))
    (held,) = world.app.payout_desk.held().items
    assert (held.purpose, held.amount) == ("refund", SURPLUS)
    assert world.refund_of(extra).status is RefundStatus.OWED
    check_money(world)
    give_account(world, user_id)
    world.deliver()
    assert world.refund_of(extra).status is RefundStatus.PAID
    assert world.payouts.paid == [LENT, SURPLUS]
    check_money(world)


def test_a_held_refund_whose_payment_was_taken_back_cannot_be_released(world: World, extra: str) -> None:
    world.payouts.accounts[OLD] = "BAMBANG"
    world.app.payout_desk.take_up(refund_event(world, extra))
    (held,) = world.app.payout_desk.held().items
    world.take_back(extra)
    assert world.refund_of(extra).status is RefundStatus.VOID
    with pytest.raises(StateForbids, match="payout-outdated"):
        world.app.payout_desk.release(held.id, reason="x", actor=STAFF)
    assert world.app.paying_out.pay("refund", held.subject_id, actor=STAFF) is False
    assert world.get(Payout, held.id).status is PayoutStatus.VOID
    assert world.payouts.paid == [LENT]
    check_money(world)


def test_the_facts_of_a_payout_never_change(world: World, user_id: str, begin: Tell) -> None:
    world.payouts.outcome = PROCESSING
    begin()
    (before,) = payouts(world)
    give_account(world, user_id)
    world.payouts.end(before.id, "completed")
    begin()
    (after,) = payouts(world)
    facts = ("id", "purpose", "subject_id", "loan_id", "user_id", "amount", "account", "notes", "created_at", "sent_at")
    assert [getattr(after, name) for name in facts] == [getattr(before, name) for name in facts]
    assert replace(after, status=before.status) != before
