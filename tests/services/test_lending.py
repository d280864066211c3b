"""From application to acceptance."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from tests.world import START, World, application

from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.trail import Event, KeptAnswer
from pinjam.domain.user import UserStatus
from pinjam.services.errors import Invalid, NotFound, StateForbids

YES = (True,) * 6


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


def offered(world: World, user_id: str) -> str:
    loan_id = world.apply(user_id)
    world.decide(loan_id)
    return loan_id


def accept(world: World, user_id: str, loan_id: str, understood: tuple[bool, ...] = YES, key: str = "k") -> Any:
    return world.app.lending.accept(
        user_id,
        loan_id,
        understood=understood,
        locale="id",
        keyed=world.keyed(user_id, f"accept {loan_id}", key),
        actor=world.actor(user_id),
    )


def test_an_application_is_kept_and_told_of(world: World, user_id: str) -> None:
    loan = world.loan(world.apply(user_id))
    assert (loan.status, loan.open_for, loan.amount, loan.tenor_months) == (LoanStatus.SUBMITTED, user_id, 3_000_000, 6)
    assert loan.application.consented_at == START
    (event,) = world.publisher.events
    assert (event.topic, event.subject, event.data) == (
        "loan-submitted",
        loan.id,
        {"user_id": user_id, "amount": 3_000_000},
    )
    assert world.actions(loan.id) == ["loan-submitted"]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"amount": 400_000}, "amount", "amount-too-low"),
        ({"amount": 12_100_000}, "amount", "amount-too-high"),
        ({"amount": 3_050_000}, "amount", "amount-not-a-step"),
        ({"tenor_months": 0}, "tenor_months", "tenor-too-short"),
        ({"tenor_months": 13}, "tenor_months", "tenor-too-long"),
        ({"purpose": "gambling"}, "purpose", "purpose-unknown"),
        ({"monthly_income": None}, "monthly_income", "required"),
    ],
    ids=lambda value: next(iter(value.items())) if isinstance(value, dict) else "",
)
def test_an_application_outside_the_policy_names_the_field(
    world: World, user_id: str, changes: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        world.apply(user_id, **changes)
    assert [(one.field, one.code) for one in refused.value.fields] == [(field, code)]
    assert (world.all(Loan), world.all(Event), world.kept()) == ([], [], [])


def test_every_field_at_fault_is_named_at_once(world: World, user_id: str) -> None:
    with pytest.raises(Invalid) as refused:
        world.apply(user_id, amount=1, tenor_months=99, monthly_income=None)
    assert [one.field for one in refused.value.fields] == ["amount", "tenor_months", "monthly_income"]


@pytest.mark.parametrize("status", [one for one in UserStatus if one is not UserStatus.VERIFIED])
def test_who_is_not_verified_cannot_apply(world: World, user_id: str, status: UserStatus) -> None:
    world.put(replace(world.user(user_id), status=status))
    with pytest.raises(StateForbids) as refused:
        world.apply(user_id)
    assert (refused.value.code, refused.value.params) == ("identity-not-verified", {"status": status.value})


def test_a_stranger_cannot_apply(world: World) -> None:
    with pytest.raises(NotFound, match="user-not-found"):
        world.apply("usr_nobody")


Get = Callable[[World, str], object]


@pytest.mark.parametrize(
    ("get", "code"),
    [
        (lambda world, user_id: world.apply(user_id), "application-open"),
        (offered, "application-open"),
        (lambda world, user_id: world.accepted(user_id), "application-open"),
        (lambda world, user_id: world.active(user_id), "loan-active"),
    ],
    ids=["submitted", "approved", "accepted", "active"],
)
def test_there_is_one_application_or_loan_at_a_time(world: World, user_id: str, get: Get, code: str) -> None:
    get(world, user_id)
    with pytest.raises(StateForbids) as refused:
        world.apply(user_id)
    assert refused.value.code == code
    assert len(world.all(Loan)) == 1
    assert world.apply(world.verified(2))


def test_a_referred_application_is_open_and_a_declined_one_is_not(world: World, user_id: str) -> None:
    assert world.decide(world.apply(user_id, monthly_income=2_000_000)).status is LoanStatus.DECLINED
    assert world.decide(world.apply(user_id, amount=5_500_000, tenor_months=12)).status is LoanStatus.REFERRED
    with pytest.raises(StateForbids, match="application-open"):
        world.apply(user_id)


def test_of_many_applications_at_once_one_is_taken(world: World, user_id: str) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def apply() -> None:
        start.wait(10)
        try:
            outcomes.append(world.apply(user_id))
        except StateForbids as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=apply) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    (loan,) = world.all(Loan)
    assert sorted(outcomes) == ["application-open"] * 7 + [loan.id]
    assert len(world.publisher.events) == 1


def test_declared_incomes_become_the_profiles_and_the_profiles_fill_in(world: World, user_id: str) -> None:
    first = world.apply(user_id, monthly_income=7_000_000, other_instalments=250_000)
    assert (world.user(user_id).monthly_income, world.user(user_id).other_instalments) == (7_000_000, 250_000)
    world.decide(first)
    world.app.lending.withdraw(user_id, first, actor=world.actor(user_id))
    again = world.loan(world.apply(user_id, monthly_income=None, other_instalments=None))
    assert (again.application.monthly_income, again.application.other_instalments) == (7_000_000, 250_000)


def test_the_same_key_gives_the_first_answer_and_no_second_loan(world: World, user_id: str) -> None:
    def apply(request: str, key: str = "one") -> Any:
        return world.app.lending.apply(
            user_id, application(), keyed=world.keyed(user_id, "apply", key, request), actor=world.actor(user_id)
        )

    first = apply("same")
    world.decide(str(first.body["id"]))
    again = apply("same")
    assert (again.status, again.body, again.replayed) == (first.status, first.body, True)
    assert again.body["status"] == "submitted"
    assert (len(world.all(Loan)), len(world.events("loan-submitted"))) == (1, 1)
    with pytest.raises(Invalid) as refused:
        apply("other")
    assert refused.value.code == "idempotency-key-reused"


def test_a_refused_application_does_not_use_its_key_up(world: World, user_id: str) -> None:
    for status in (UserStatus.REVIEW, UserStatus.VERIFIED):
        world.put(replace(world.user(user_id), status=status))
        keyed = world.keyed(user_id, "apply", "one")
        try:
            world.app.lending.apply(user_id, application(), keyed=keyed, actor=world.actor(user_id))
        except StateForbids:
            assert status is UserStatus.REVIEW
    assert len(world.all(Loan)) == 1


def test_a_quote_is_the_price_of_today(world: World) -> None:
    price = world.app.quoting.quote(amount=3_000_000, tenor_months=6)
    assert (price.admin_fee, price.disbursed_amount) == (30_000, 2_970_000)
    assert price.schedule[0].due_date == date(2026, 12, 24)
    with pytest.raises(Invalid) as refused:
        world.app.quoting.quote(amount=1, tenor_months=6)
    assert [one.code for one in refused.value.fields] == ["amount-too-low"]


def test_acceptance_freezes_the_offer_and_asks_for_the_payout(world: World, user_id: str) -> None:
    loan_id = offered(world, user_id)
    before = world.loan(loan_id)
    answered = accept(world, user_id, loan_id)
    loan = world.loan(loan_id)
    assert answered.body == {"id": loan_id, "status": "accepted"}
    assert loan.status is LoanStatus.ACCEPTED
    assert loan.contract is not None
    assert loan.contract.quote == before.offer
    assert (loan.contract.accepted_at, len(loan.contract.statements)) == (START, 6)
    assert [event.subject for event in world.publisher.events if event.topic == "loan-accepted"] == [loan_id]
    assert world.actions(loan_id)[-1] == "loan-accepted"


def test_a_counter_offer_binds_to_the_offered_amount(world: World, user_id: str) -> None:
    loan_id = world.apply(user_id, amount=5_000_000, tenor_months=3, monthly_income=3_100_000)
    decided = world.decide(loan_id)
    assert decided.offer is not None
    assert decided.amount == 5_000_000 > decided.offer.amount
    accept(world, user_id, loan_id)
    loan = world.loan(loan_id)
    assert (loan.amount, loan.application.amount) == (decided.offer.amount, 5_000_000)


@pytest.mark.parametrize("number", range(6))
def test_each_statement_must_be_understood(world: World, user_id: str, number: int) -> None:
    loan_id = offered(world, user_id)
    with pytest.raises(Invalid) as refused:
        accept(world, user_id, loan_id, tuple(at != number for at in range(6)))
    assert refused.value.code == "statement-not-accepted"
    assert [one.field for one in refused.value.fields] == [f"statements[{number}]"]
    assert world.loan(loan_id).status is LoanStatus.APPROVED


def test_acceptance_needs_a_bank_account(world: World, user_id: str) -> None:
    loan_id = offered(world, user_id)
    world.put(replace(world.user(user_id), bank_account=None))
    with pytest.raises(StateForbids, match="bank-account-required"):
        accept(world, user_id, loan_id)
    assert world.loan(loan_id).status is LoanStatus.APPROVED


def test_an_offer_holds_for_seven_days_and_no_longer(world: World, user_id: str) -> None:
    loan_id = offered(world, user_id)
    assert world.loan(loan_id).offer_expires_on == date(2026, 12, 1)
    world.go_to(date(2026, 12, 2))
    with pytest.raises(StateForbids) as refused:
        accept(world, user_id, loan_id)
    assert (refused.value.code, refused.value.params) == ("offer-expired", {"date": "2026-12-01"})
    world.go_to(date(2026, 12, 1), hour=23)
    accept(world, user_id, loan_id)


@pytest.mark.parametrize("state", ["submitted", "declined", "accepted", "active", "withdrawn"])
def test_only_what_is_on_offer_is_accepted(world: World, user_id: str, state: str) -> None:
    loan_id = world.apply(user_id, monthly_income=2_000_000 if state == "declined" else 9_000_000)
    if state != "submitted":
        world.decide(loan_id)
    if state in ("accepted", "active"):
        accept(world, user_id, loan_id, key="first")
    if state == "active":
        world.app.payout_desk.take_up(world.accepted_event(loan_id))
    if state == "withdrawn":
        world.app.lending.withdraw(user_id, loan_id, actor=world.actor(user_id))
    with pytest.raises(StateForbids) as refused:
        accept(world, user_id, loan_id)
    assert (refused.value.code, refused.value.params) == ("no-offer", {"status": state})


def test_accepting_twice_with_one_key_binds_once(world: World, user_id: str) -> None:
    loan_id = offered(world, user_id)
    first, again = accept(world, user_id, loan_id), accept(world, user_id, loan_id)
    assert (again.body, again.replayed) == (first.body, True)
    assert len(world.events("loan-accepted")) == 1


def test_of_many_acceptances_at_once_one_binds(world: World, user_id: str) -> None:
    loan_id = offered(world, user_id)
    outcomes: list[str] = []
    start = threading.Barrier(6)

    def work(key: str) -> None:
        start.wait(10)
        try:
            outcomes.append(str(accept(world, user_id, loan_id, key=key).status))
        except StateForbids as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes) == ["200"] + ["no-offer"] * 5
    assert len(world.events("loan-accepted")) == 1


def test_another_borrowers_loan_is_not_there(world: World, user_id: str) -> None:
    loan_id, other = offered(world, user_id), world.verified(2)
    uses: list[Callable[[], object]] = [
        lambda: accept(world, other, loan_id),
        lambda: world.app.lending.withdraw(other, loan_id, actor=world.actor(other)),
        lambda: world.app.lending.show(other, loan_id),
        lambda: world.app.lending.summary(other, loan_id, locale="id"),
        lambda: world.app.lending.show(user_id, "loan_nothing"),
    ]
    for use in uses:
        with pytest.raises(NotFound, match="loan-not-found"):
            use()


def test_an_offer_can_be_withdrawn_and_again(world: World, user_id: str) -> None:
    loan_id = offered(world, user_id)
    for _ in range(2):
        loan = world.app.lending.withdraw(user_id, loan_id, actor=world.actor(user_id))
        assert (loan.status, loan.open_for) == (LoanStatus.WITHDRAWN, None)
    assert world.actions(loan_id).count("loan-withdrawn") == 1


def test_what_is_accepted_cannot_be_withdrawn(world: World, user_id: str) -> None:
    loan_id = world.accepted(user_id)
    with pytest.raises(StateForbids) as refused:
        world.app.lending.withdraw(user_id, loan_id, actor=world.actor(user_id))
    assert (refused.value.code, refused.value.params) == ("cannot-withdraw", {"status": "accepted"})


def test_a_summary_shows_the_offer_and_later_the_contract(world: World, user_id: str) -> None:
    loan_id = world.apply(user_id)
    with pytest.raises(StateForbids, match="no-offer"):
        world.app.lending.summary(user_id, loan_id, locale="id")
    world.decide(loan_id)
    offer = world.app.lending.summary(user_id, loan_id, locale="en")
    assert (offer.quote.amount, len(offer.statements)) == (3_000_000, 6)
    accept(world, user_id, loan_id)
    assert world.app.lending.summary(user_id, loan_id, locale="en").quote == offer.quote


def test_a_dashboard_has_a_page_of_loans_and_the_live_one_wherever_it_is(world: World, user_id: str) -> None:
    live = world.active(user_id)
    for number in range(3):
        loan = world.loan(live)
        world.put(replace(loan, id=f"loan_9{number}", open_for=None, payout_id=None, status=LoanStatus.SETTLED))
    first = world.app.lending.dashboard(user_id, limit=2, after=None)
    rest = world.app.lending.dashboard(user_id, limit=2, after=first.page.next_cursor)
    assert [loan.id for loan in (*first.page.items, *rest.page.items)] == ["loan_92", "loan_91", "loan_90", live]
    assert first.live is not None
    assert first.live.id == live
    assert len(first.loans) == len(rest.loans) == 4
    assert world.app.lending.dashboard(world.verified(2), limit=20, after=None).live is None


def test_a_loan_is_shown_with_its_payments_newest_first(world: World, user_id: str) -> None:
    loan_id = world.active(user_id)
    paid = [world.pay(user_id, loan_id) for _ in range(2)]
    loan, payments = world.app.lending.show(user_id, loan_id)
    assert (loan.id, [one.id for one in payments]) == (loan_id, paid[::-1])


def test_a_request_that_is_running_is_not_run_again_until_its_lease_ends(world: World, user_id: str) -> None:
    keyed = world.keyed(user_id, "apply", "one")
    world.put(
        KeptAnswer(
            id=keyed.id,
            fingerprint=keyed.fingerprint,
            subject="loan_1",
            created_at=START,
            leased_until=START + timedelta(seconds=30),
        )
    )
    with pytest.raises(StateForbids, match="request-running"):
        world.app.lending.apply(user_id, application(), keyed=keyed, actor=world.actor(user_id))
