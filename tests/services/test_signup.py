"""Sign-up: unique people, and a repetition that completes what a crash left."""

import threading
from datetime import date

import pytest
from tests.doubles import MOST_FAILURES
from tests.world import KEY, PASSWORD, World, form

from pinjam.domain.user import User, UserStatus
from pinjam.services.errors import Invalid, StateForbids, TooMany
from pinjam.services.ports import Unavailable


def test_a_sign_up_makes_a_borrower_who_can_log_in(world: World) -> None:
    borrower, tokens = world.app.registration.register(
        form(full_name="  Siti   Rahmawati ", email="Siti1@Example.com"), request_id="req_1"
    )
    user = world.user(borrower.user.id)
    assert (user.full_name, user.email, user.phone) == ("Siti Rahmawati", "siti1@example.com", "+6281234500001")
    assert (user.gender, user.status) == ("female", UserStatus.REGISTERED)
    assert world.app.profiles.reveal(user).birth_date == date(1990, 8, 15)
    assert user.account_created
    assert [(one.purpose, one.version, one.given_at) for one in user.consents] == [
        ("terms", "2026-01", world.clock.instant),
        ("privacy", "2026-01", world.clock.instant),
    ]
    assert world.accounts.verify(tokens.id_token)["sub"] == user.id
    assert world.actions(user.id) == ["user-registered", "account-created"]


def test_a_nik_and_what_it_tells_is_kept_sealed_masked_and_findable_only(world: World) -> None:
    user = world.register()
    assert "3171015508900001" not in repr(user)
    assert user.nik_masked == "3171********0001"
    assert "1990" not in repr(user)
    assert world.app.profiles.reveal(user).nik == "3171015508900001"
    assert user.nik_hash == world.app.vault.fingerprint("3171015508900001", field="nik")
    assert KEY.hex() not in repr(user)


@pytest.mark.parametrize("field", ["email", "phone", "nik"])
def test_an_email_phone_or_nik_is_one_persons_only(world: World, field: str) -> None:
    world.register(1)
    with pytest.raises(StateForbids) as refused:
        world.register(2, **{field: getattr(form(1), field)})
    assert refused.value.code == "already-registered"
    assert len(world.all(User)) == 1


@pytest.mark.parametrize(
    "same", [{"email": "SITI1@example.com"}, {"phone": "+62 812-3450-0001"}, {"phone": "6281234500001"}], ids=str
)
def test_another_spelling_is_the_same_person(world: World, same: dict[str, str]) -> None:
    world.register(1)
    with pytest.raises(StateForbids, match="already-registered"):
        world.register(2, **same)


def test_a_finished_sign_up_is_not_repeated(world: World) -> None:
    world.register()
    with pytest.raises(StateForbids, match="already-registered"):
        world.register()


def test_a_bad_phone_and_a_bad_nik_are_told_at_once(world: World) -> None:
    with pytest.raises(Invalid) as refused:
        world.register(phone="021 5551234", nik="3171013208900001")
    assert [(one.field, one.code) for one in refused.value.fields] == [
        ("phone", "phone-invalid"),
        ("nik", "nik-birth-date"),
    ]
    assert world.all(User) == []


def test_a_sign_up_that_died_before_the_account_is_completed_by_its_repetition(world: World) -> None:
    world.accounts.down = True
    with pytest.raises(Unavailable):
        world.register()
    (unfinished,) = world.all(User)
    assert not unfinished.account_created
    world.accounts.down = False
    assert world.register().id == unfinished.id
    assert world.user(unfinished.id).account_created
    assert len(world.all(User)) == 1


def test_a_sign_up_that_died_after_the_account_is_completed_by_its_repetition(world: World) -> None:
    world.accounts.down = True
    with pytest.raises(Unavailable):
        world.register()
    (unfinished,) = world.all(User)
    world.accounts.down = False
    world.accounts.create(uid=unfinished.id, email=unfinished.email, password=PASSWORD)
    assert world.register().id == unfinished.id


def test_a_sign_up_whose_first_log_in_failed_is_completed_by_its_repetition(world: World) -> None:
    world.accounts.down_from = 2
    with pytest.raises(Unavailable):
        world.register()
    (unfinished,) = world.all(User)
    assert unfinished.email in world.accounts.uids
    world.accounts.down_from = None
    assert world.register().id == unfinished.id


def test_an_unfinished_sign_up_is_nobody_elses_to_complete(world: World) -> None:
    world.accounts.down_from = 2
    with pytest.raises(Unavailable):
        world.register()
    world.accounts.down_from = None
    with pytest.raises(StateForbids, match="already-registered"):
        world.register(password="another password")
    for _ in range(MOST_FAILURES - 1):
        with pytest.raises(StateForbids):
            world.register(password="another password")
    with pytest.raises(TooMany) as stopped:
        world.register(password="another password")
    assert (stopped.value.code, stopped.value.retry_after_s) == ("too-many-attempts", 60)


def test_an_unfinished_sign_up_holds_its_values(world: World) -> None:
    world.accounts.down = True
    with pytest.raises(Unavailable):
        world.register(1)
    world.accounts.down = False
    with pytest.raises(StateForbids, match="already-registered"):
        world.register(1, nik=form(2).nik)


def test_of_many_sign_ups_at_once_one_person_comes_out(world: World) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(6)

    def sign_up(number: int) -> None:
        start.wait(10)
        try:
            outcomes.append(world.register(1, phone=form(number).phone).id)
        except StateForbids as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=sign_up, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    (user,) = world.all(User)
    assert sorted(outcomes) == ["already-registered"] * 5 + [user.id]


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("sunshine2026", "password-too-common"),
        ("indonesia45!", "password-too-common"),
        ("87654321", "password-too-simple"),
        ("Rahmawati90", "password-contains-personal"),
        ("081234500001", "password-contains-personal"),
        ("ampersand", None),
    ],
)
def test_a_password_that_is_tried_first_is_refused_with_its_reason(
    world: World, password: str, code: str | None
) -> None:
    if code is None:
        assert world.register(password=password).email in world.accounts.uids
        return
    with pytest.raises(Invalid) as refused:
        world.register(password=password)
    assert [(one.field, one.code) for one in refused.value.fields] == [("password", code)]
    assert world.all(User) == []


def test_a_weak_password_is_told_together_with_the_other_fields_at_fault(world: World) -> None:
    with pytest.raises(Invalid) as refused:
        world.register(password="password", phone="1", nik="2")
    assert [one.field for one in refused.value.fields] == ["phone", "nik", "password"]
