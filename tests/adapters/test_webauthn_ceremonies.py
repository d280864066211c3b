"""The WebAuthn adapter: whatever a client sends is let through or refused, and never an error."""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.authenticator import UP, UV, Authenticator, Json, decoded, encoded

from pinjam.adapters.webauthn_ceremonies import WebAuthnCeremonies
from pinjam.services.ceremonies import CeremonyRefused

CHALLENGE = b"a challenge of thirty-two bytes."
CREATION: Json = {
    "challenge": encoded(CHALLENGE),
    "user": {"id": encoded(b"usr_1")},
    "excludeCredentials": [],
}
REQUEST: Json = {"challenge": encoded(CHALLENGE), "allowCredentials": []}
CEREMONIES = WebAuthnCeremonies(rp_id="pinjam.example", origins=["https://app.example"])
PHONE = Authenticator()
MADE = PHONE.create(CREATION)
KEY = CEREMONIES.register(MADE, challenge=CHALLENGE).public_key
USED = PHONE.get(REQUEST)


def code(credential: Any, **how: Any) -> str:
    check: Callable[..., object] = partial(CEREMONIES.assert_use, **{"public_key": KEY, **how})
    if "attestationObject" in credential["response"]:
        check = CEREMONIES.register
    with pytest.raises(CeremonyRefused) as refused:
        check(credential, challenge=CHALLENGE)
    return refused.value.code


def changed(credential: Json, **response: object) -> Json:
    return {**credential, "response": {**credential["response"], **response}}


def attested(auth_data: bytes, **changes: object) -> Json:
    stored = {"fmt": "none", "attStmt": {}, "authData": auth_data} | changes
    return changed(MADE, attestationObject=encoded(cbor2.dumps(stored)))


AUTH_DATA: bytes = cbor2.loads(decoded(MADE["response"]["attestationObject"]))["authData"]


def test_a_credential_says_who_and_what_it_answers() -> None:
    made = CEREMONIES.read(MADE, purpose="enroll")
    assert (made.credential_id, made.challenge, made.user_handle) == (MADE["id"], CHALLENGE, None)
    used = CEREMONIES.read(USED, purpose="login")
    assert (used.credential_id, used.challenge, used.user_handle) == (MADE["id"], CHALLENGE, "usr_1")


def test_a_genuine_use_is_proven_and_gives_the_count_and_the_flags() -> None:
    used = CEREMONIES.assert_use(USED, challenge=CHALLENGE, public_key=KEY)
    assert (used.sign_count, used.backup_eligible, used.backed_up) == (2, True, True)


def test_another_challenge_is_refused_by_the_package_too() -> None:
    with pytest.raises(CeremonyRefused, match="passkey-refused"):
        CEREMONIES.assert_use(USED, challenge=CHALLENGE[::-1], public_key=KEY)
    with pytest.raises(CeremonyRefused, match="passkey-refused"):
        CEREMONIES.register(MADE, challenge=CHALLENGE[::-1])


def test_nobodys_key_verifies_nothing() -> None:
    assert code(USED, public_key=None) == "passkey-refused"


def test_a_changed_signature_or_changed_data_is_refused() -> None:
    signature = bytearray(decoded(USED["response"]["signature"]))
    signature[-1] ^= 1
    assert code(changed(USED, signature=encoded(bytes(signature)))) == "passkey-refused"
    data = bytearray(decoded(USED["response"]["authenticatorData"]))
    data[-1] ^= 0x40
    assert code(changed(USED, authenticatorData=encoded(bytes(data)))) == "passkey-refused"


def test_an_id_that_is_not_the_attested_one_is_refused() -> None:
    other = encoded(b"another")
    assert code({**MADE, "id": other, "rawId": other}) == "passkey-malformed"
    assert code({**MADE, "rawId": other}) == "passkey-refused"


@pytest.mark.parametrize("flags", [UP, UV])
def test_a_user_must_be_there_and_verified(flags: int) -> None:
    careless = Authenticator(flags=flags)
    assert code(careless.create(CREATION)) == "passkey-not-verified"


@pytest.mark.parametrize(
    "key",
    [
        {1: 2, 3: -8, -1: 6, -2: bytes(32)},
        {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)},
        {1: 2, 3: -7},
        {1: 9, 3: -7},
        {},
        [],
        0,
    ],
    ids=str,
)
def test_a_key_that_cannot_be_used_is_refused(key: object) -> None:
    start = AUTH_DATA[: 37 + 16 + 2 + 32]
    assert code(attested(start + cbor2.dumps(key))) in ("passkey-refused", "passkey-malformed")


@pytest.mark.parametrize(
    "changes",
    [
        {"fmt": "tpm"},
        {"fmt": "made-up"},
        {"fmt": []},
        {"fmt": "packed", "attStmt": {"alg": -7, "sig": b"x", "x5c": [b"no certificate"]}},
        {"fmt": "packed", "attStmt": {"alg": -7, "sig": b"x"}},
        {"attStmt": {"sig": b"x"}},
        {"authData": b""},
        {"authData": AUTH_DATA + b"more"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_an_attestation_that_nobody_asked_for_or_that_is_wrong_is_refused(changes: Json) -> None:
    assert code(attested(AUTH_DATA, **changes)) in ("passkey-refused", "passkey-malformed")


@pytest.mark.parametrize("transports", [None, "usb", [["usb"]], ["telepathy", "usb", 3]])
def test_transports_are_only_hints(transports: object) -> None:
    made = CEREMONIES.register(changed(MADE, transports=transports), challenge=CHALLENGE)
    assert made.transports == (("usb",) if transports == ["telepathy", "usb", 3] else ())


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=80).map(encoded),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def always_answers(credential: Any) -> None:
    with suppress(CeremonyRefused):
        CEREMONIES.read(credential, purpose="login")
    with suppress(CeremonyRefused):
        CEREMONIES.read(credential, purpose="enroll")
    with suppress(CeremonyRefused):
        CEREMONIES.register(credential, challenge=CHALLENGE)
    with suppress(CeremonyRefused):
        CEREMONIES.assert_use(credential, challenge=CHALLENGE, public_key=KEY)


@settings(max_examples=50)
@given(st.sampled_from((MADE, USED)), st.data())
def test_any_value_anywhere_is_answered(genuine: Json, data: st.DataObject) -> None:
    credential = copy.deepcopy(genuine)
    where = data.draw(st.sampled_from((credential, credential["response"])))
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(anything)
    always_answers(credential)


@given(
    st.sampled_from([(MADE, "attestationObject"), (USED, "authenticatorData"), (USED, "signature")]),
    st.integers(0, 300),
    st.binary(max_size=6),
    st.integers(0, 6),
)
def test_any_bytes_anywhere_are_answered(part: tuple[Json, str], at: int, put: bytes, cut: int) -> None:
    credential, name = part
    content = decoded(credential["response"][name])
    always_answers(changed(credential, **{name: encoded(content[:at] + put + content[at + cut :])}))


@given(anything)
@example("[" * 20_000)
@example('{"type": "webauthn.get", "challenge": 3, "origin": {}}')
@example('{"type": "webauthn.get", "challenge": "é", "origin": "https://app.example"}')
def test_any_client_data_is_answered(said: Any) -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    for genuine in (MADE, USED):
        always_answers(changed(genuine, clientDataJSON=encoded(text.encode("utf-8", "surrogatepass"))))
