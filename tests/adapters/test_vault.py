"""Envelope encryption: opened by its owner and field only, one unwrap for many fields, found by a keyed hash."""

import base64
import string
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles import MemoryKeys
from tests.world import START

from pinjam.adapters.memory import MemoryStore
from pinjam.adapters.vault import AesSafe, EnvelopeVault
from pinjam.domain.keys import UserKey
from pinjam.domain.user import Sealed
from pinjam.services.ports import Unavailable
from pinjam.services.sealing import KeyDestroyed

KEY = bytes(range(32))
NIK = "3171015508900001"


def fixed(owner: str = "usr_1", data_key: bytes = KEY) -> AesSafe:
    numbers = iter(range(1, 1000))
    return AesSafe(owner, data_key, lambda count: bytes([next(numbers)] * count))


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Bench:
    """A vault over a store and a key service, with a clock that stands."""

    def __init__(self, *, most_kept: int = 1000) -> None:
        self.store, self.keys, self.clock = MemoryStore(), MemoryKeys(), Clock()
        self.vault = self.another(most_kept)

    def another(self, most_kept: int = 1000, hash_key: bytes = KEY) -> EnvelopeVault:
        """One more process."""
        return EnvelopeVault(
            store=self.store, keys=self.keys, hash_key=hash_key, clock=self.clock, most_kept=most_kept, kept_s=300
        )

    def owner(self, name: str = "usr_1") -> str:
        record, _ = self.vault.issue(name, at=START)
        self.store.transact(lambda tx: tx.insert(record))
        return name


@given(value=st.text(st.characters(codec="utf-8")), owner=st.text(st.characters(codec="utf-8")), field=st.text("abc_"))
@settings(deadline=None)
def test_a_sealed_value_opens_again(value: str, owner: str, field: str) -> None:
    assert fixed(owner).open(fixed(owner).seal(value, field=field), field=field) == value


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 50_000], ids=["nothing", "binary"])
def test_a_sealed_file_opens_again_and_shows_nothing(content: bytes) -> None:
    sealed = fixed().seal_bytes(content, field="document:doc_1")
    assert sealed.startswith(b"v2.")
    assert b"\x00\xff\x00\xff" not in sealed
    assert fixed().open_bytes(sealed, field="document:doc_1") == content


def test_a_sealed_value_shows_nothing_of_what_is_in_it() -> None:
    sealed = fixed().seal("Jalan Melati 5", field="address")
    assert sealed.startswith("v2.")
    assert b"Melati" not in base64.urlsafe_b64decode(sealed[3:])


@pytest.mark.parametrize(("owner", "field"), [("usr_2", "nik"), ("usr_1", "address"), ("usr_1\0nik", ""), ("", "nik")])
def test_another_owner_or_field_opens_nothing(owner: str, field: str) -> None:
    sealed, file = fixed().seal(NIK, field="nik"), fixed().seal_bytes(b"x", field="nik")
    with pytest.raises(ValueError, match="another owner or field"):
        fixed(owner).open(sealed, field=field)
    with pytest.raises(ValueError, match="another owner or field"):
        fixed(owner).open_bytes(file, field=field)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(ValueError, match="another key"):
        fixed(data_key=bytes(32)).open(fixed().seal(NIK, field="nik"), field="nik")


SIGNS = string.ascii_letters + string.digits + "-_=.!\n +/ü"


@given(at=st.integers(0, 200), sign=st.sampled_from(SIGNS), how=st.sampled_from(["replace", "insert", "delete"]))
@settings(deadline=None, max_examples=150)
def test_a_change_of_any_sign_is_noticed(at: int, sign: str, how: str) -> None:
    sealed = fixed().seal(NIK, field="nik")
    at %= len(sealed)
    changed = sealed[:at] + ("" if how == "delete" else sign) + sealed[at + (how != "insert") :]
    if changed == sealed:
        return
    with pytest.raises(ValueError, match=r".") as refused:
        fixed().open(Sealed(changed), field="nik")
    assert "3171" not in str(refused.value)


@pytest.mark.parametrize("at", range(60))
def test_a_change_of_any_byte_of_a_file_is_noticed(at: int) -> None:
    sealed = bytearray(fixed().seal_bytes(b"a picture of a card, thirty bytes", field="d"))
    sealed[at] ^= 1
    with pytest.raises(ValueError, match=r"."):
        fixed().open_bytes(bytes(sealed), field="d")


@pytest.mark.parametrize("text", ["", "v1", "v2.", "v2.AAAA", "v1." + "A" * 80, NIK, "v2.ü"])
def test_what_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fixed().open(Sealed(text), field="nik")
    with pytest.raises(ValueError, match=r"."):
        fixed().open_bytes(text.encode(), field="nik")


def test_the_same_value_is_sealed_differently_each_time_with_a_fresh_nonce() -> None:
    safe = fixed()
    sealed = [safe.seal("x", field="f") for _ in range(2)]
    assert [base64.urlsafe_b64decode(one[3:])[4:16] for one in sealed] == [b"\x01" * 12, b"\x02" * 12]
    bench = Bench()
    owned = bench.vault.safe(bench.owner())
    assert len({owned.seal(NIK, field="nik") for _ in range(50)}) == 50


def test_each_owner_has_a_key_of_their_own() -> None:
    bench = Bench()
    first, second = (bench.vault.safe(bench.owner(name)) for name in ("usr_1", "usr_2"))
    with pytest.raises(ValueError, match="another key"):
        second.open(first.seal(NIK, field="nik"), field="nik")


def test_reading_many_fields_unwraps_once() -> None:
    bench = Bench()
    sealed = bench.vault.safe(bench.owner()).seal(NIK, field="nik")
    assert bench.keys.unwrapped == []  # Who issued the key has it.
    other = bench.another()
    for _ in range(20):
        assert other.safe("usr_1").open(sealed, field="nik") == NIK
    assert bench.keys.unwrapped == ["usr_1"]


def test_a_key_is_kept_for_minutes_only() -> None:
    bench = Bench()
    bench.owner()
    other = bench.another()
    other.safe("usr_1")
    bench.clock.seconds = 299
    other.safe("usr_1")
    assert len(bench.keys.unwrapped) == 1
    bench.clock.seconds = 300
    other.safe("usr_1")
    assert len(bench.keys.unwrapped) == 2


def test_no_more_keys_are_kept_than_allowed_and_the_oldest_goes_first() -> None:
    bench = Bench()
    names = [bench.owner(f"usr_{number}") for number in range(4)]
    other = bench.another(most_kept=3)
    for name in (*names, names[3], names[1]):
        other.safe(name)
    assert bench.keys.unwrapped == names
    other.safe(names[0])
    assert bench.keys.unwrapped == [*names, names[0]]
    assert len(other._kept) == 3


def test_a_destroyed_key_opens_nothing_once_it_is_forgotten() -> None:
    bench = Bench()
    name = bench.owner()
    record = bench.store.read(lambda tx: tx.get(UserKey, name))
    assert record is not None
    bench.store.transact(lambda tx: tx.update(record.destroyed(START)))
    bench.vault.forget(name)
    for vault in (bench.vault, bench.another()):
        with pytest.raises(KeyDestroyed):
            vault.safe(name)
    bench.vault.forget("usr_nobody")


def test_a_key_stored_for_somebody_else_does_not_unwrap() -> None:
    bench = Bench()
    record, _ = bench.vault.issue("usr_1", at=START)
    bench.store.transact(lambda tx: tx.insert(replace(record, id="usr_2")))
    with pytest.raises(ValueError, match="another owner"):
        bench.another().safe("usr_2")


def test_who_has_no_key_has_no_safe() -> None:
    with pytest.raises(LookupError):
        Bench().vault.safe("usr_nobody")


def test_a_key_service_that_is_down_is_unavailable_and_not_a_lost_key() -> None:
    bench = Bench()
    bench.owner()
    bench.keys.down = True
    with pytest.raises(Unavailable):
        bench.another().safe("usr_1")
    with pytest.raises(Unavailable):
        bench.vault.issue("usr_2", at=START)
    bench.vault.safe("usr_1")  # At hand, it needs nobody.


def test_a_fingerprint_is_stable_and_of_its_field_and_key() -> None:
    bench = Bench()
    found = bench.vault.fingerprint(NIK, field="nik")
    assert found == bench.another().fingerprint(NIK, field="nik")
    # A change of this value would make every registered NIK unfindable.
    assert found == "52d5dfa98d0d4d823316d981f61b734f2535ea43b09d07efb27b9a0267b95e75"
    others = {
        bench.vault.fingerprint(NIK, field="phone"),
        bench.vault.fingerprint("3171015508900002", field="nik"),
        bench.another(hash_key=bytes(32)).fingerprint(NIK, field="nik"),
    }
    assert found not in others
    assert len(others) == 3


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_the_hash_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} bytes, not 32"):
        Bench().another(hash_key=bytes(length))
