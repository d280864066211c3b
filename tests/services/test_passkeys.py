"""Passkeys: enrolled by a software authenticator, removed, and each way in which one is refused."""

from datetime import timedelta
from functools import partial

import pytest
from tests.authenticator import UP, UV, Authenticator, Json, decoded
from tests.ceremonies import ADDRESS, answer, creation, enroll, keep, log_in, refused, request
from tests.world import PASSWORD, START, World

from pinjam.domain.passkey import CHALLENGE_LIFE, MOST_PASSKEYS, Challenge, Passkey
from pinjam.domain.user import User
from pinjam.services.errors import Invalid, NotFound, StateForbids, Unauthenticated


@pytest.mark.parametrize("algorithm", [-7, -257])
def test_a_passkey_is_enrolled_and_logs_in_like_the_password(
    world: World, siti: User, phone: Authenticator, algorithm: int
) -> None:
    passkey = enroll(world, siti.id, phone, algorithm=algorithm)
    assert (passkey.user_id, passkey.device_name, passkey.created_at) == (siti.id, "Pixel 9", START)
    assert (passkey.backup_eligible, passkey.backed_up, passkey.sign_count) == (True, True, 1)
    assert passkey.transports == ("hybrid", "internal")
    world.clock.advance(seconds=60)
    borrower, tokens = log_in(world, phone, siti.email)
    assert borrower.user.id == siti.id
    assert world.accounts.verify(tokens.id_token)["passkey"] == passkey.id
    (kept,) = world.app.passkeys.list(siti.id)
    assert (kept.sign_count, kept.last_used_at) == (2, START + timedelta(seconds=60))
    assert world.actions(siti.id)[-2:] == ["passkey-enrolled", "passkey-login"]
    assert world.app.sessions.login(identifier=siti.email, password=PASSWORD, address=ADDRESS)


def test_the_options_ask_for_a_verified_user_and_a_key_that_is_not_there_yet(
    world: World, siti: User, phone: Authenticator
) -> None:
    passkey = enroll(world, siti.id, phone)
    options = creation(world, siti.id)["public_key"]
    assert options["rp"] == {"id": "pinjam.example", "name": "Pinjam"}
    assert decoded(options["user"]["id"]).decode() == siti.id
    assert options["authenticatorSelection"] == {
        "residentKey": "preferred",
        "requireResidentKey": False,
        "userVerification": "required",
    }
    assert [one["alg"] for one in options["pubKeyCredParams"]] == [-7, -257]
    assert [one["id"] for one in options["excludeCredentials"]] == [passkey.credential_id]
    assert (options["attestation"], options["timeout"]) == ("none", 300_000)
    asked = request(world, siti.email)["public_key"]
    assert (asked["rpId"], asked["userVerification"], asked["timeout"]) == ("pinjam.example", "required", 300_000)
    assert asked["allowCredentials"] == [
        {"id": passkey.credential_id, "type": "public-key", "transports": ["hybrid", "internal"]}
    ]


def test_challenges_are_kept_as_hashes_for_five_minutes_and_never_alike(world: World, siti: User) -> None:
    begun = [creation(world, siti.id), creation(world, siti.id), request(world, siti.email), request(world)]
    assert len({one["public_key"]["challenge"] for one in begun}) == 4
    kept = world.all(Challenge)
    assert [(one.purpose, one.user_id) for one in kept] == [
        ("enroll", siti.id),
        ("enroll", siti.id),
        ("login", siti.id),
        ("login", None),
    ]
    assert {one.expires_at for one in kept} == {START + CHALLENGE_LIFE} == {START + timedelta(minutes=5)}
    assert all(len(decoded(one["public_key"]["challenge"])) == 32 for one in begun)
    assert begun[0]["public_key"]["challenge"] not in repr(kept)


ORIGINS = [
    {"origin": "https://evil.example"},
    {"origin": "https://app.example:444"},
    {"origin": "http://app.example"},
    {"origin": ["https://app.example"]},
    {"crossOrigin": True},
]


@pytest.mark.parametrize("client", ORIGINS, ids=str)
def test_another_origin_is_refused(world: World, siti: User, phone: Authenticator, client: Json) -> None:
    begun = creation(world, siti.id)
    foreign = Authenticator().create(begun["public_key"], **client)
    assert refused(world, siti.id, lambda: keep(world, siti.id, begun, foreign), Invalid) == "passkey-wrong-origin"
    enroll(world, siti.id, phone)
    assert refused(world, siti.id, lambda: log_in(world, phone, siti.email, **client)) == "passkey-wrong-origin"


def test_a_key_of_another_service_is_refused(world: World, siti: User, phone: Authenticator) -> None:
    other = Authenticator(rp_id="evil.example")
    assert refused(world, siti.id, lambda: enroll(world, siti.id, other), Invalid) == "passkey-wrong-rp"
    enroll(world, siti.id, phone)
    phone.rp_id = "evil.example"
    assert refused(world, siti.id, lambda: log_in(world, phone, siti.email)) == "passkey-wrong-rp"


@pytest.mark.parametrize("flags", [UP, UV, 0])
def test_a_user_who_was_not_verified_is_refused(world: World, siti: User, phone: Authenticator, flags: int) -> None:
    careless = Authenticator(flags=flags)
    assert refused(world, siti.id, lambda: enroll(world, siti.id, careless), Invalid) == "passkey-not-verified"
    enroll(world, siti.id, phone)
    phone.flags = flags
    assert refused(world, siti.id, lambda: log_in(world, phone, siti.email)) == "passkey-not-verified"


def test_somebody_elses_challenge_enrolls_nothing(world: World, siti: User, phone: Authenticator) -> None:
    begun = creation(world, world.register(2).id)
    credential = phone.create(begun["public_key"])
    assert refused(world, siti.id, lambda: keep(world, siti.id, begun, credential), Invalid) == "passkey-wrong-user"
    assert world.all(Passkey) == []


def test_a_challenge_counts_for_its_purpose_alone(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    begun = creation(world, siti.id)
    signed = phone.get({"challenge": begun["public_key"]["challenge"], "allowCredentials": []})
    assert refused(world, siti.id, lambda: answer(world, begun, signed)) == "passkey-wrong-purpose"
    begun = request(world, siti.email)
    made = Authenticator().create(creation(world, siti.id)["public_key"], challenge=begun["public_key"]["challenge"])
    assert refused(world, siti.id, lambda: keep(world, siti.id, begun, made), Invalid) == "passkey-wrong-purpose"
    begun = creation(world, siti.id)
    made = Authenticator().create(begun["public_key"], type="webauthn.get")
    assert refused(world, siti.id, lambda: keep(world, siti.id, begun, made), Invalid) == "passkey-wrong-purpose"


def test_a_removed_passkey_lets_nobody_in_and_the_password_still_does(
    world: World, siti: User, phone: Authenticator
) -> None:
    passkey = enroll(world, siti.id, phone)
    begun = request(world, siti.email)
    world.app.passkeys.remove(siti.id, passkey.id, actor=world.actor(siti.id))
    assert world.actions(siti.id)[-1] == "passkey-removed"
    assert world.app.passkeys.list(siti.id) == ()
    credential = phone.get(begun["public_key"])
    assert refused(world, siti.id, lambda: answer(world, begun, credential)) == "passkey-removed"
    assert world.app.sessions.login(identifier=siti.email, password=PASSWORD, address=ADDRESS)
    with pytest.raises(NotFound, match="passkey-not-found"):
        world.app.passkeys.remove(siti.id, passkey.id, actor=world.actor(siti.id))
    assert creation(world, siti.id)["public_key"]["excludeCredentials"] == []


def test_a_revoked_token_neither_enrols_nor_removes_a_passkey(world: World, siti: User, phone: Authenticator) -> None:
    passkey = enroll(world, siti.id, phone)
    begun = creation(world, siti.id)
    world.app.refreshing.end_all(siti.id, actor=world.actor(siti.id))
    with pytest.raises(Unauthenticated, match="token-revoked"):
        keep(world, siti.id, begun, Authenticator().create(begun["public_key"]))
    with pytest.raises(Unauthenticated, match="token-revoked"):
        world.app.passkeys.remove(siti.id, passkey.id, actor=world.actor(siti.id))
    assert world.app.passkeys.list(siti.id) == (passkey,)


def test_nobody_removes_somebody_elses_passkey(world: World, siti: User, phone: Authenticator) -> None:
    passkey, other = enroll(world, siti.id, phone), world.register(2)
    for passkey_id in (passkey.id, "psk_none"):
        with pytest.raises(NotFound, match="passkey-not-found"):
            world.app.passkeys.remove(other.id, passkey_id, actor=world.actor(other.id))
    assert world.app.passkeys.list(siti.id) == (passkey,)
    assert world.app.passkeys.list(other.id) == ()


def test_a_passkey_is_enrolled_once_whoever_tries(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    budi = world.register(2)
    for user_id in (siti.id, budi.id):
        begun = creation(world, user_id)
        fresh = Authenticator()
        made = fresh.create(begun["public_key"] | {"excludeCredentials": []}, key_id=phone.keys[0].id)
        with_it = partial(keep, world, user_id, begun, made)
        assert refused(world, user_id, with_it, StateForbids) == "passkey-taken"
    assert len(world.all(Passkey)) == 1


def test_an_account_has_room_for_so_many_passkeys(world: World, siti: User) -> None:
    last = creation(world, siti.id)
    for _ in range(MOST_PASSKEYS):
        passkey = enroll(world, siti.id, Authenticator())
    with pytest.raises(StateForbids, match="passkey-limit"):
        world.app.passkeys.begin(siti.id)
    with pytest.raises(StateForbids, match="passkey-limit"):
        keep(world, siti.id, last, Authenticator().create(last["public_key"]))
    world.app.passkeys.remove(siti.id, passkey.id, actor=world.actor(siti.id))
    enroll(world, siti.id, Authenticator())


def test_a_new_passkey_is_told_of(world: World, siti: User, phone: Authenticator) -> None:
    enroll(world, siti.id, phone)
    (event,) = world.events("account-changed")
    assert event.data == {"change": "new-passkey", "device": "Pixel 9"}
    world.deliver()
    (told,) = world.notifications("security-new-passkey")
    assert "Pixel 9" in told.body
    assert "Pixel" not in repr(world.trail(siti.id)), "what people call their devices is personal"


def test_only_a_borrower_has_passkeys(world: World) -> None:
    with pytest.raises(NotFound, match="user-not-found"):
        world.app.passkeys.begin("usr_none")
    with pytest.raises(NotFound, match="user-not-found"):
        keep(world, "usr_none", {"challenge_id": "chl_1"}, {})
