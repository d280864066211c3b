"""Forgetting a borrower: restricted at once, erased in time, and nothing left that tells who it was."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from tests.world import PASSWORD, World, picture

from pinjam.domain.device import Device
from pinjam.domain.document import Document
from pinjam.domain.keys import UserKey
from pinjam.domain.ledger import JournalEntry
from pinjam.domain.loan import LoanStatus
from pinjam.domain.notification import Channel
from pinjam.domain.preferences import Preferences
from pinjam.domain.user import User
from pinjam.services.auditing import verify
from pinjam.services.errors import NotFound, StateForbids, Unauthenticated
from pinjam.services.sealing import KeyDestroyed

CHANNELS: dict[Channel, bool] = {"push": True, "email": True, "sms": True, "whatsapp": True}


def ask(world: World, user_id: str) -> date:
    return world.app.erasing.ask(user_id, actor=world.actor(user_id))


@pytest.fixture
def borrower(world: World) -> str:
    """Somebody who repaid a loan today, with a device, marketing and papers."""
    user_id = world.verified()
    world.upload(user_id, "income", picture(1))
    world.app.devices.register(user_id, token="a-token", platform="ios", actor=world.actor(user_id))
    world.app.preferring.choose(user_id, channels=CHANNELS, marketing=True, actor=world.actor(user_id))
    world.app.profiles.change(user_id, actor=world.actor(user_id), address="Jalan Melati 5", occupation="employee")
    world.repaid(user_id)
    world.deliver()
    return user_id


def test_asking_restricts_at_once_and_ends_sessions_and_marketing(world: World, borrower: str) -> None:
    _, tokens = world.app.sessions.login(identifier="siti1@example.com", password=PASSWORD, address="127.0.0.1")
    assert ask(world, borrower) == date(2031, 11, 24)
    user = world.user(borrower)
    assert (user.restricted_at, user.erase_after, user.erased_at) == (world.clock.instant, date(2031, 11, 24), None)
    with pytest.raises(Unauthenticated):
        world.app.refreshing.refresh(tokens.refresh_token, actor=world.actor(borrower))
    assert world.get(Preferences, borrower).marketing is False
    assert world.actions(borrower)[-1] == "erasure-asked"
    shown, _ = world.app.sessions.login(identifier="siti1@example.com", password=PASSWORD, address="127.0.0.1")
    assert shown.user.full_name == "Siti Rahmawati"


CHANGES: dict[str, Callable[[World, str], object]] = {
    "profile": lambda world, me: world.app.profiles.change(me, actor=world.actor(me), locale="en"),
    "upload": lambda world, me: world.upload(me, "income", picture(7)),
    "apply": lambda world, me: world.apply(me),
    "device": lambda world, me: world.app.devices.register(me, token="b", platform="ios", actor=world.actor(me)),
    "preferences": lambda world, me: world.app.preferring.choose(
        me, channels=CHANNELS, marketing=True, actor=world.actor(me)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_who_is_restricted_changes_nothing(world: World, borrower: str, change: Callable[[World, str], object]) -> None:
    ask(world, borrower)
    before = {kind: world.all(kind) for kind in (User, Document, Device, Preferences)}
    objects = dict(world.objects.objects)
    with pytest.raises(StateForbids, match="account-restricted"):
        change(world, borrower)
    assert {kind: world.all(kind) for kind in before} == before
    assert world.objects.objects == objects


def test_asking_again_is_harmless_and_completes_what_a_crash_left(world: World, borrower: str) -> None:
    world.accounts.down = True
    with pytest.raises(Exception, match="down"):
        ask(world, borrower)
    world.accounts.down = False
    _, tokens = world.app.sessions.login(identifier="siti1@example.com", password=PASSWORD, address="127.0.0.1")
    world.pass_days(3)
    assert ask(world, borrower) == date(2031, 11, 24)
    with pytest.raises(Unauthenticated):
        world.app.refreshing.refresh(tokens.refresh_token, actor=world.actor(borrower))
    assert world.actions(borrower).count("erasure-asked") == 1


@pytest.mark.parametrize(
    ("bring", "code"),
    [
        (World.apply, "erasure-application-open"),
        (World.accepted, "erasure-application-open"),
        (World.active, "erasure-debt-open"),
    ],
)
def test_who_owes_or_applies_is_told_why_not(world: World, bring: Callable[[World, str], str], code: str) -> None:
    user_id = world.verified()
    bring(world, user_id)
    with pytest.raises(StateForbids, match=code):
        ask(world, user_id)
    assert world.user(user_id).restricted_at is None


def test_who_is_owed_a_refund_is_told_why_not(world: World) -> None:
    user_id = world.verified()
    loan_id = world.active(user_id)
    payments = [world.order(user_id, loan_id, kind=kind) for kind in ("settlement", "instalment")]
    for payment_id in payments:
        world.payments.move(payment_id, "settled", paid_at=world.clock.now())
        world.hear(payment_id)
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    assert [world.refund_of(payment_id).amount > 0 for payment_id in payments[1:]] == [True]
    with pytest.raises(StateForbids, match="erasure-refund-open"):
        ask(world, user_id)


def test_nothing_is_erased_before_its_day_and_all_of_it_after(world: World, borrower: str) -> None:
    ask(world, borrower)
    world.go_to(date(2031, 11, 24))
    assert world.sweep().erased == 0
    assert world.app.profiles.reveal(world.user(borrower)).address == "Jalan Melati 5"
    world.go_to(date(2031, 11, 25))
    assert (world.sweep().erased, world.sweep().erased) == (1, 0)
    key = world.get(UserKey, borrower)
    assert (key.wrapped, key.wrapping_key, key.destroyed_at) == (None, None, world.clock.instant)
    with pytest.raises(KeyDestroyed):
        world.app.vault.safe(borrower)
    kept = repr([world.memory._rows[kind] for kind in world.memory._rows])
    for told in ("Siti", "SITI", "siti1@", "81234500001", "Melati", "a-token", "3171****"):
        assert told not in kept, told
    assert world.objects.objects == {}
    assert world.accounts.uids == {}
    user = world.user(borrower)
    assert (user.full_name, user.email, user.phone) == ("-", f"{borrower}@erased.invalid", f"erased:{borrower}")
    assert (user.erase_after, user.erased_at, user.address, user.bank_account) == (
        None,
        world.clock.instant,
        None,
        None,
    )
    assert [one.version for one in user.consents] == ["2026-01", "2026-01"]
    with pytest.raises(NotFound, match="user-not-found"):
        world.app.profiles.reveal(user)


def test_ledger_and_audit_log_stay_whole(world: World, borrower: str) -> None:
    ask(world, borrower)
    journal, trail = world.all(JournalEntry), world.trail(borrower)
    world.go_to(date(2031, 11, 25))
    world.sweep()
    assert world.all(JournalEntry) == journal
    assert world.trail(borrower)[:-1] == trail
    assert world.actions(borrower)[-1] == "user-erased"
    assert verify(world.store).findings == ()


def test_who_was_erased_may_sign_up_again_and_two_erased_do_not_collide(world: World) -> None:
    for _ in range(2):
        user = world.register()
        assert ask(world, user.id) == date.fromordinal(world.app.clock.today().toordinal() + 30)
        world.pass_days(31)
        assert world.sweep().erased == 1
    assert len({one.nik_hash for one in world.all(User)}) == 2
    world.register()


def test_money_that_is_owed_again_postpones_it(world: World, borrower: str) -> None:
    ask(world, borrower)
    (loan,) = world.app.profiles.show(borrower).loans
    world.put(replace(loan, status=LoanStatus.ACTIVE, open_for=borrower, settled_at=None))
    world.go_to(date(2031, 11, 25))
    assert world.sweep().erased == 0
    assert world.user(borrower).erased_at is None
    assert world.objects.objects != {}
    world.put(loan)
    assert world.sweep().erased == 1


@pytest.mark.parametrize("service", ["objects", "accounts"])
def test_a_service_that_is_down_leaves_it_to_the_next_sweep(world: World, borrower: str, service: str) -> None:
    ask(world, borrower)
    world.go_to(date(2031, 11, 25))
    getattr(world, service).down = True
    swept = world.sweep()
    assert (swept.erased, swept.faults) == (0, 1)
    assert world.user(borrower).erased_at is None
    getattr(world, service).down = False
    assert world.sweep().erased == 1


def test_who_was_erased_is_told_nothing_more(world: World, borrower: str) -> None:
    ask(world, borrower)
    told = (world.events("loan-settled")[0], world.events("loan-disbursed")[0])
    world.go_to(date(2031, 11, 25))
    world.sweep()
    for event in told:
        assert world.store.read(lambda tx, event=event: world.app.delivering.telling(tx, event)) is None  # type: ignore[misc]  # bound


def test_money_that_becomes_owed_while_all_else_is_destroyed_keeps_the_key(world: World, borrower: str) -> None:
    ask(world, borrower)
    (loan,) = world.app.profiles.show(borrower).loans
    world.go_to(date(2031, 11, 25))
    delete = world.accounts.delete

    def revive(uid: str) -> None:
        delete(uid)
        world.put(replace(world.loan(loan.id), status=LoanStatus.ACTIVE, open_for=borrower, settled_at=None))

    world.accounts.delete = revive  # type: ignore[method-assign]  # a race, made certain
    assert world.app.erasing.erase(borrower, actor=world.actor("sweep")) is False
    assert world.get(UserKey, borrower).wrapped is not None
    assert world.user(borrower).erased_at is None


def test_nobody_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        ask(world, "usr_nobody")
    assert world.app.erasing.erase("usr_nobody", actor=world.actor("sweep")) is False
