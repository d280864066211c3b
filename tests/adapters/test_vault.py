"""Field encryption: opened by its owner and field only, found by a keyed hash."""

import base64
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinjam.adapters.vault import AesVault
from pinjam.domain.user import Sealed

KEY = bytes(range(32))
VAULT = AesVault(KEY)


def seal(value: str = "3171015508900001", owner: str = "usr_1", field: str = "nik") -> Sealed:
    return VAULT.seal(value, owner=owner, field=field)


@given(value=st.text(st.characters(codec="utf-8")), owner=st.text(st.characters(codec="utf-8")), field=st.text("abc_"))
@settings(deadline=None)
def test_a_sealed_value_opens_again(value: str, owner: str, field: str) -> None:
    assert AesVault(KEY).open(seal(value, owner, field), owner=owner, field=field) == value


def test_a_sealed_value_shows_nothing_of_what_is_in_it() -> None:
    sealed = seal("Jalan Melati 5")
    assert sealed.startswith("v1.")
    assert b"Melati" not in base64.urlsafe_b64decode(sealed[3:])


@pytest.mark.parametrize(("owner", "field"), [("usr_2", "nik"), ("usr_1", "address"), ("usr_1\0nik", ""), ("", "nik")])
def test_another_owner_or_field_opens_nothing(owner: str, field: str) -> None:
    with pytest.raises(ValueError, match="another owner or field"):
        VAULT.open(seal(), owner=owner, field=field)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(ValueError, match="another owner or field"):
        AesVault(bytes(32)).open(seal(), owner="usr_1", field="nik")


SIGNS = string.ascii_letters + string.digits + "-_=.!\n +/ü"


@given(at=st.integers(0, 200), sign=st.sampled_from(SIGNS), how=st.sampled_from(["replace", "insert", "delete"]))
@settings(deadline=None, max_examples=150)
def test_a_change_of_any_sign_is_noticed(at: int, sign: str, how: str) -> None:
    sealed = seal()
    at %= len(sealed)
    changed = sealed[:at] + ("" if how == "delete" else sign) + sealed[at + (how != "insert") :]
    if changed == sealed:
        return
    with pytest.raises(ValueError, match=r".") as refused:
        VAULT.open(Sealed(changed), owner="usr_1", field="nik")
    assert "3171" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "v1", "v1.", "v1.AAAA", "v2." + "A" * 80, "3171015508900001", "v1.ü"])
def test_what_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        VAULT.open(Sealed(text), owner="usr_1", field="nik")


def test_the_same_value_is_sealed_differently_each_time() -> None:
    assert len({seal() for _ in range(50)}) == 50


def test_a_fingerprint_is_stable_and_of_its_field_and_key() -> None:
    found = VAULT.fingerprint("3171015508900001", field="nik")
    assert found == AesVault(KEY).fingerprint("3171015508900001", field="nik")
    # A change of this value would make every registered NIK unfindable.
    assert found == "4da6221f87338a7322da09010316191a1c5b86a9a01df1f428c3f774b79c9755"
    others = {
        VAULT.fingerprint("3171015508900001", field="phone"),
        VAULT.fingerprint("3171015508900002", field="nik"),
        AesVault(bytes(32)).fingerprint("3171015508900001", field="nik"),
    }
    assert found not in others
    assert len(others) == 3


def test_sealing_and_finding_do_not_share_a_key() -> None:
    assert VAULT._finder not in (KEY, b"")
    assert "3171" not in VAULT.fingerprint("3171015508900001", field="nik")


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} bytes, not 32"):
        AesVault(bytes(length))


def test_the_nonce_comes_from_the_given_source_and_is_fresh() -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return bytes([len(asked)] * count)

    vault = AesVault(KEY, random=random)
    sealed = [vault.seal("x", owner="o", field="f") for _ in range(2)]
    assert asked == [12, 12]
    assert [base64.urlsafe_b64decode(one[3:])[:12] for one in sealed] == [b"\x01" * 12, b"\x02" * 12]
