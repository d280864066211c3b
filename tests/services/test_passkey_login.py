"""Login by passkey: what it gives, what it refuses, and what it does not tell."""

import threading
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from tests.authenticator import BE, BS, UP, UV, Authenticator, decoded, encoded
from tests.ceremonies import ADDRESS, answer, enroll, log_in, refused, request
from tests.world import PASSWORD, START, World

from pinjam.domain.user import User
from pinjam.services.errors import TooMany, Unauthenticated

ANDROID = "android:apk-key-hash:" + "a" * 43


def test_a_device_that_knows_the_account_needs_no_identifier(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    assert request(world)["public_key"]["allowCredentials"] == []
    assert log_in(world, phone)[0].user.id == siti.id


def test_a_login_by_passkey_opens_a_session_like_one_by_password(
    world: World, siti: User, phone: Authenticator
) -> None:
    passkey = enroll(world, siti.id, phone)
    _, tokens = log_in(world, phone)
    anybody = world.actor("anonymous")
    second = world.app.refreshing.refresh(tokens.refresh_token, actor=anybody)
    assert second.refresh_token.startswith("ses_")
    assert passkey.id in second.id_token, "what was claimed at the login lasts"
    world.app.refreshing.refresh(second.refresh_token, actor=anybody)
    with pytest.raises(Unauthenticated, match="invalid-refresh-token"):
        world.app.refreshing.refresh(tokens.refresh_token, actor=anybody)


def test_an_app_of_ours_may_ask_as_well(world: World, siti: User) -> None:
    phone = Authenticator(origin=ANDROID)
    enroll(world, siti.id, phone)
    assert log_in(world, phone, siti.phone)[0].user.id == siti.id


def test_an_unknown_identifier_is_answered_like_a_known_one_without_passkeys(
    world: World, siti: User, phone: Authenticator
) -> None:
    def asked(identifier: str) -> Any:
        begun = request(world, identifier)
        return begun.keys(), begun["public_key"].keys(), begun["public_key"]["allowCredentials"]

    shapes = {}
    for identifier in (siti.email, siti.phone, "nobody@example.com", "081299999999", "x"):
        keys, names, allowed = asked(identifier)
        assert asked(identifier) == (keys, names, allowed), "the same each time"
        shapes[identifier] = (
            tuple(keys),
            tuple(names),
            tuple(allowed[0]),
            len(decoded(allowed[0]["id"])),
            len(allowed),
        )
    assert len(set(shapes.values())) == 1
    assert len({request(world, one)["public_key"]["allowCredentials"][0]["id"] for one in shapes}) == 5
    # However a number is spelt, it is one identifier.
    assert asked("0812-9999-9999") == asked("081299999999")
    enroll(world, siti.id, phone)
    _, _, real = asked(siti.email)
    assert (tuple(real[0]), len(decoded(real[0]["id"])), real[0]["transports"]) == (
        shapes[siti.email][2],
        32,
        asked("x")[2][0]["transports"],
    )


def test_guessing_at_credentials_tells_nothing_of_who_has_an_account(
    world: World, siti: User, phone: Authenticator
) -> None:
    enroll(world, siti.id, phone)
    mine = Authenticator()
    enroll(world, world.register(2).id, mine)
    codes = []
    for identifier in (siti.email, "nobody@example.com"):
        begun = request(world, identifier)
        forged = {"id": begun["public_key"]["allowCredentials"][0]["id"]}
        credential = mine.get(begun["public_key"], key=mine.keys[0])
        with pytest.raises(Unauthenticated) as guessed:
            answer(world, begun, credential | forged | {"rawId": forged["id"]})
        with pytest.raises(Unauthenticated) as own:
            log_in(world, mine, identifier, key=mine.keys[0])
        codes.append((guessed.value.code, own.value.code))
    assert codes == [("passkey-refused", "passkey-wrong-user")] * 2


def test_a_challenge_signs_in_once(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    begun = request(world, siti.email)
    credential = phone.get(begun["public_key"])
    answer(world, begun, credential)
    assert refused(world, siti.id, lambda: answer(world, begun, credential)) == "passkey-challenge-used"
    again = phone.get(begun["public_key"])
    assert refused(world, siti.id, lambda: answer(world, begun, again)) == "passkey-challenge-used"


def test_of_many_at_once_with_the_same_answer_one_gets_in(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    begun = request(world)
    credential = phone.get(begun["public_key"])
    told: list[str] = []

    def go() -> None:
        try:
            answer(world, begun, credential)
            told.append("in")
        except Unauthenticated as out:
            told.append(out.code)

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["in", *["passkey-challenge-used"] * 3]


def test_a_failed_try_spends_the_challenge_too(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    begun = request(world, siti.email)
    stranger = phone.get(begun["public_key"], origin="https://evil.example")
    assert refused(world, siti.id, lambda: answer(world, begun, stranger)) == "passkey-wrong-origin"
    genuine = phone.get(begun["public_key"])
    assert refused(world, siti.id, lambda: answer(world, begun, genuine)) == "passkey-challenge-used"


def test_a_challenge_lives_five_minutes(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    begun = request(world, siti.email)
    world.clock.advance(seconds=299)
    answer(world, begun, phone.get(begun["public_key"]))
    begun = request(world, siti.email)
    world.clock.advance(seconds=300)
    late = phone.get(begun["public_key"])
    assert refused(world, siti.id, lambda: answer(world, begun, late)) == "passkey-challenge-expired"


def test_a_passkey_of_somebody_else_is_refused(world: World, siti: User, phone: Authenticator) -> None:
    budi, other = world.register(2), Authenticator()
    enroll(world, siti.id, phone)
    enroll(world, budi.id, other)

    def with_theirs() -> None:
        log_in(world, other, siti.email, key=other.keys[0])

    assert refused(world, budi.id, with_theirs) == "passkey-wrong-user"


def test_a_passkey_that_says_it_is_somebodys_else_is_refused(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    phone.keys[0].user_handle = encoded(world.register(2).id.encode())
    for identifier in (siti.email, None):
        assert refused(world, siti.id, partial(log_in, world, phone, identifier)) == "passkey-wrong-user"


def test_who_gave_no_identifier_must_be_named_by_the_passkey(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    phone.keys[0].user_handle = ""
    assert log_in(world, phone, siti.email)
    assert refused(world, siti.id, lambda: log_in(world, phone)) == "passkey-wrong-user"


def test_a_challenge_that_we_did_not_give_is_refused(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    for begun in (request(world, siti.email), {"challenge_id": "chl_none"}):
        credential = phone.get({"challenge": encoded(b"made up by the client itself"), "allowCredentials": []})
        with_it = partial(answer, world, begun, credential)
        assert refused(world, siti.id, with_it) == "passkey-challenge-unknown"


def test_a_count_that_does_not_go_up_blocks_the_passkey_and_the_borrower_is_told(
    world: World, siti: User, phone: Authenticator
) -> None:
    passkey = enroll(world, siti.id, phone)
    log_in(world, phone)
    phone.keys[0].count = 1  # The copy signs for the first time, with the count that was seen before.
    assert refused(world, siti.id, lambda: log_in(world, phone, siti.email)) == "passkey-copied"
    (event,) = [one for one in world.events("account-changed") if one.data["change"] == "passkey-blocked"]
    assert event.data["device"] == "Pixel 9"
    world.deliver()
    (told,) = world.notifications("security-passkey-blocked")
    assert "Pixel 9" in told.body
    assert "passkey-blocked" in world.actions(siti.id)
    (kept,) = world.app.passkeys.list(siti.id)
    assert (kept.id, kept.blocked_at, kept.sign_count) == (passkey.id, START, 2)
    # From now on neither gets in, and the passkey is asked for no more.
    phone.keys[0].count = 100
    assert refused(world, siti.id, lambda: log_in(world, phone)) == "passkey-blocked"
    assert request(world, siti.email)["public_key"]["allowCredentials"][0]["id"] != passkey.credential_id
    assert world.app.sessions.login(identifier=siti.email, password=PASSWORD, address=ADDRESS)


def test_a_forged_count_blocks_nothing(world: World, siti: User, phone: Authenticator) -> None:
    """Whoever knows a credential's id must not be able to block it."""
    enroll(world, siti.id, phone)
    log_in(world, phone)
    thief = Authenticator(keys=[replace(Authenticator.fresh(siti.id), id=phone.keys[0].id)])
    assert refused(world, siti.id, lambda: log_in(world, thief, siti.email)) == "passkey-refused"
    assert log_in(world, phone, siti.email)


def test_an_authenticator_that_does_not_count_is_welcome(world: World, siti: User) -> None:
    synced = Authenticator(counts=False)
    enroll(world, siti.id, synced)
    for _ in range(3):
        log_in(world, synced)
    (kept,) = world.app.passkeys.list(siti.id)
    assert kept.sign_count == 0


def test_a_passkey_cannot_become_one_that_is_backed_up_but_its_copy_may_come_and_go(
    world: World, siti: User, phone: Authenticator
) -> None:
    enroll(world, siti.id, phone)
    phone.flags = UP | UV | BE
    log_in(world, phone)
    assert [one.backed_up for one in world.app.passkeys.list(siti.id)] == [False]
    for flags in (UP | UV, UP | UV | BS):
        phone.flags = flags
        assert refused(world, siti.id, lambda: log_in(world, phone)) == "passkey-refused"


def test_an_account_that_may_not_sign_in_does_not_by_passkey_either(
    world: World, siti: User, phone: Authenticator
) -> None:
    enroll(world, siti.id, phone)
    del world.accounts.passwords[siti.id]
    with pytest.raises(Unauthenticated, match="passkey-refused"):
        log_in(world, phone)
    assert world.actions(siti.id)[-1] == "passkey-refused"


def test_a_refusal_of_nobody_we_know_leaves_no_record(world: World) -> None:
    stranger = Authenticator(keys=[Authenticator.fresh("usr_none")])
    for identifier in (None, "nobody@example.com"):
        begun = request(world, identifier)
        with pytest.raises(Unauthenticated, match="passkey-refused"):
            answer(world, begun, stranger.get(begun["public_key"], key=stranger.keys[0]))
    assert world.trail("nobody") == world.trail("usr_none") == []


def test_a_passkey_opens_what_wrong_passwords_have_locked(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    with_password = partial(world.app.sessions.login, identifier=siti.email, address=ADDRESS)
    for kind in [Unauthenticated] * 5 + [TooMany]:
        with pytest.raises(kind):
            with_password(password="wrong")
    log_in(world, phone)
    assert with_password(password=PASSWORD)
