"""The borrower's own data."""

from dataclasses import replace

import pytest
from tests.world import World

from pinjam.domain.user import UserStatus
from pinjam.services.errors import NotFound, StateForbids
from pinjam.services.profiles import NewBankAccount

ACCOUNT = NewBankAccount(bank_code="bca", account_number="1234567890", account_name="SITI RAHMAWATI")


def test_what_is_given_changes_and_nothing_else(world: World) -> None:
    before = world.register()
    world.clock.advance(hours=1)
    world.app.profiles.change(before.id, actor=world.actor(before.id), locale="en", monthly_income=9_000_000)
    after = world.user(before.id)
    assert after == replace(before, locale="en", monthly_income=9_000_000, updated_at=world.clock.instant)


def test_an_address_and_an_account_number_are_sealed(world: World) -> None:
    user = world.register()
    world.app.profiles.change(user.id, actor=world.actor(user.id), address="Jalan Melati 5", bank_account=ACCOUNT)
    kept = world.user(user.id)
    assert "Melati" not in repr(kept)
    assert "1234567890" not in repr(kept)
    private = world.app.profiles.reveal(kept)
    assert (private.address, private.account_number) == ("Jalan Melati 5", "1234567890")


def test_who_gave_no_address_and_no_account_has_none(world: World) -> None:
    private = world.app.profiles.reveal(world.register())
    assert (private.address, private.account_number) == (None, None)


def test_the_log_says_which_fields_changed_and_not_to_what(world: World) -> None:
    user = world.register()
    world.app.profiles.change(user.id, actor=world.actor(user.id), address="Jalan Melati 5", bank_account=ACCOUNT)
    record = world.trail(user.id)[-1]
    assert (record.action, record.after) == ("profile-changed", {"fields": ["address", "bank_account"]})


@pytest.mark.parametrize(
    ("status", "code"), [(UserStatus.VERIFIED, "name-fixed"), (UserStatus.VERIFYING, "verification-running")]
)
def test_a_name_is_fixed_while_and_after_it_is_verified(world: World, status: UserStatus, code: str) -> None:
    user = world.register()
    world.put(replace(user, status=status))
    with pytest.raises(StateForbids) as refused:
        world.app.profiles.change(user.id, actor=world.actor(user.id), full_name="Another Name", locale="en")
    assert refused.value.code == code
    assert world.user(user.id).locale == "id"
    world.app.profiles.change(user.id, actor=world.actor(user.id), full_name=user.full_name, locale="en")
    assert world.user(user.id).locale == "en"


@pytest.mark.parametrize("status", [UserStatus.REGISTERED, UserStatus.REJECTED, UserStatus.REVIEW])
def test_a_name_can_be_corrected_before(world: World, status: UserStatus) -> None:
    user = world.register()
    world.put(replace(user, status=status))
    world.app.profiles.change(user.id, actor=world.actor(user.id), full_name="Siti Rahmawati Putri")
    assert world.user(user.id).full_name == "Siti Rahmawati Putri"


def test_a_profile_shows_papers_and_loans_newest_first(world: World) -> None:
    user_id = world.verified()
    loans = [world.apply(user_id)]
    world.decide(loans[0])
    world.app.lending.withdraw(user_id, loans[0], actor=world.actor(user_id))
    loans.append(world.apply(user_id))
    borrower = world.app.profiles.show(user_id)
    assert [loan.id for loan in borrower.loans] == loans[::-1]


def test_an_account_without_a_borrower_has_no_profile(world: World) -> None:
    with pytest.raises(NotFound, match="user-not-found"):
        world.app.profiles.show("usr_nobody")
