"""What Cloud KMS does beside the contract: fails in its own ways, takes time to change, and is called seldom."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from tests.google_server import Answer
from tests.kms_server import KEY, KmsServer
from tests.world import START

from pinjam.adapters.cloud_kms import KEPT_S, CloudKms
from pinjam.adapters.memory import MemoryStore
from pinjam.adapters.vault import EnvelopeVault
from pinjam.keys import rotate, show
from pinjam.services.ports import Unavailable
from pinjam.services.rewrapping import Rewrapping

DATA_KEY = bytes(range(32))
CHANGED = "AAAA"


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[KmsServer]:
    with KmsServer() as running:
        yield running


@pytest.fixture
def kms(server: KmsServer, clock: Clock) -> Iterator[CloudKms]:
    with closing(CloudKms(key=KEY, url=server.url, token=lambda: "good-token", clock=clock)) as made:
        yield made


@pytest.fixture
def another(server: KmsServer, clock: Clock) -> Iterator[CloudKms]:
    """Of another process."""
    with closing(CloudKms(key=KEY, url=server.url, token=lambda: "good-token", clock=clock)) as made:
        yield made


def test_the_wrapped_key_names_its_version(server: KmsServer, kms: CloudKms) -> None:
    first = kms.wrap(DATA_KEY, owner="usr_1")
    server.rotate()
    second = kms.wrap(DATA_KEY, owner="usr_1")
    assert (first.wrapping_key, second.wrapping_key) == ("borrowers-1", "borrowers-2")
    assert first.wrapped.startswith("borrowers-1.")


def test_to_wrap_and_to_unwrap_take_one_call_each_and_no_right_to_look_at_keys(
    server: KmsServer, kms: CloudKms, another: CloudKms
) -> None:
    server.denied = {"cryptoKeys.get", "cryptoKeyVersions.create", "cryptoKeys.update"}
    wrapped = kms.wrap(DATA_KEY, owner="usr_1").wrapped
    assert another.unwrap(wrapped, owner="usr_1") == DATA_KEY
    assert server.paths == [f"POST /v1/{KEY}:encrypt", f"POST /v1/{KEY}:decrypt"]


def test_the_current_version_is_asked_for_once_a_minute(server: KmsServer, kms: CloudKms, clock: Clock) -> None:
    assert [kms.current() for _ in range(20)] == ["borrowers-1"] * 20
    server.rotate()
    clock.seconds += KEPT_S - 1
    assert kms.current() == "borrowers-1"
    clock.seconds += 1
    assert kms.current() == "borrowers-2"
    assert len(server.calls) == 2


def test_a_new_version_wraps_at_once_though_the_service_takes_its_time(server: KmsServer, kms: CloudKms) -> None:
    server.slow = True
    assert kms.renew() == kms.current() == kms.wrap(DATA_KEY, owner="usr_1").wrapping_key == "borrowers-2"
    assert f"POST /v1/{KEY}/cryptoKeyVersions/2:encrypt" in server.paths


def test_a_version_that_was_disabled_in_that_minute_is_left_for_the_primary_one(
    server: KmsServer, kms: CloudKms
) -> None:
    kms.current()
    server.rotate()
    server.states["1"] = "DISABLED"
    with pytest.raises(Unavailable, match="current state is: DISABLED"):
        kms.wrap(DATA_KEY, owner="usr_1")
    assert kms.wrap(DATA_KEY, owner="usr_1").wrapping_key == "borrowers-2"


@pytest.mark.parametrize("state", ["DISABLED", "DESTROY_SCHEDULED"])
def test_a_key_under_a_version_that_may_come_back_is_unavailable_and_not_lost(
    server: KmsServer, kms: CloudKms, state: str
) -> None:
    wrapped = kms.wrap(DATA_KEY, owner="usr_1").wrapped
    server.states["1"] = state
    with pytest.raises(Unavailable, match=f"kms: FAILED_PRECONDITION .*{state}"):
        kms.unwrap(wrapped, owner="usr_1")
    server.states["1"] = "ENABLED"
    assert kms.unwrap(wrapped, owner="usr_1") == DATA_KEY


def test_a_key_under_a_version_that_was_destroyed_is_gone(server: KmsServer, kms: CloudKms) -> None:
    wrapped = kms.wrap(DATA_KEY, owner="usr_1").wrapped
    server.states["1"] = "DESTROYED"
    with pytest.raises(ValueError, match="gone"):
        kms.unwrap(wrapped, owner="usr_1")


def current(kms: CloudKms, _wrapped: str) -> None:
    kms.current()


def wrap(kms: CloudKms, _wrapped: str) -> None:
    kms.wrap(DATA_KEY, owner="usr_1")


def unwrap(kms: CloudKms, wrapped: str) -> None:
    kms.unwrap(wrapped, owner="usr_1")


def renew(kms: CloudKms, _wrapped: str) -> None:
    kms.renew()


Act = Callable[[CloudKms, str], None]


@pytest.mark.parametrize(
    ("act", "permission"),
    [
        (current, "cryptoKeys.get"),
        (wrap, "cryptoKeyVersions.useToEncrypt"),
        (unwrap, "cryptoKeyVersions.useToDecrypt"),
        (renew, "cryptoKeyVersions.create"),
        (renew, "cryptoKeys.update"),
    ],
)
def test_a_right_that_is_missing_is_unavailable_and_named(
    server: KmsServer, kms: CloudKms, act: Act, permission: str
) -> None:
    wrapped = kms.wrap(DATA_KEY, owner="usr_1").wrapped
    server.denied = {permission}
    with pytest.raises(Unavailable, match=f"kms: PERMISSION_DENIED Permission 'cloudkms.{permission}'"):
        act(kms, wrapped)


@pytest.mark.parametrize("act", [current, wrap, unwrap, renew])
@pytest.mark.parametrize("answer", [(503, {}), (429, {}), (500, {}), (200, {}), (400, {}), (404, {"error": "x"})])
def test_a_service_that_cannot_answer_is_unavailable(
    server: KmsServer, kms: CloudKms, act: Act, answer: Answer
) -> None:
    wrapped = kms.wrap(DATA_KEY, owner="usr_1").wrapped
    server.before = [answer]
    with pytest.raises(Unavailable, match="kms"):
        act(kms, wrapped)


@pytest.mark.parametrize("act", [current, wrap, unwrap, renew])
def test_a_key_that_is_not_there_is_unavailable_and_named(server: KmsServer, act: Act) -> None:
    with (
        closing(CloudKms(key=f"{KEY}-2", url=server.url, token=lambda: "good-token")) as kms,
        pytest.raises(Unavailable, match=r"NOT_FOUND .*borrowers-2"),
    ):
        act(kms, "borrowers-2-1.AAAA")


@pytest.mark.parametrize(
    ("act", "changes"),
    [
        (wrap, {"ciphertext": CHANGED}),
        (wrap, {"ciphertext": "not base64!"}),
        (wrap, {"ciphertextCrc32c": "1"}),
        (wrap, {"verifiedPlaintextCrc32c": False}),
        (wrap, {"verifiedAdditionalAuthenticatedDataCrc32c": False}),
        (wrap, {"name": "projects/p/locations/l/keyRings/r/cryptoKeys/another/cryptoKeyVersions/1"}),
        (unwrap, {"plaintext": CHANGED}),
        (unwrap, {"plaintextCrc32c": "1"}),
    ],
)
def test_an_answer_that_was_changed_on_its_way_counts_for_nothing(
    server: KmsServer, kms: CloudKms, act: Act, changes: dict[str, Any]
) -> None:
    wrapped = kms.wrap(DATA_KEY, owner="usr_1").wrapped
    server.spoil = lambda body: body | changes
    with pytest.raises(Unavailable, match="kms"):
        act(kms, wrapped)


def test_a_call_that_was_changed_on_its_way_is_not_taken_for_a_wrong_owner(server: KmsServer, kms: CloudKms) -> None:
    wrapped = kms.wrap(DATA_KEY, owner="usr_1").wrapped
    message = "The checksum in field ciphertext_crc32c did not match the data in field ciphertext."
    server.before = [(400, {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}})]
    with pytest.raises(Unavailable, match="checksum"):
        kms.unwrap(wrapped, owner="usr_1")


def test_a_version_that_is_still_being_made_does_not_become_primary(server: KmsServer, kms: CloudKms) -> None:
    server.born = "PENDING_GENERATION"
    with pytest.raises(Unavailable, match="version 2 is PENDING_GENERATION"):
        kms.renew()
    assert kms.current() == "borrowers-1"


@pytest.mark.parametrize("key", ["", "borrowers", f"{KEY}/cryptoKeyVersions/1", f"/{KEY}", f"{KEY}\n"])
def test_a_name_that_is_no_keys_is_refused_at_once(key: str) -> None:
    with pytest.raises(ValueError, match="is not projects/"):
        CloudKms(key=key)


def test_a_borrower_costs_one_call_in_a_process_however_much_is_sealed(
    server: KmsServer, kms: CloudKms, another: CloudKms
) -> None:
    store = MemoryStore()
    here, there = (EnvelopeVault(store=store, keys=one, hash_key=bytes(32)) for one in (kms, another))
    record, safe = here.issue("usr_1", at=START)
    store.transact(lambda tx: tx.insert(record))
    sealed = [safe.seal(str(number), field="nik") for number in range(10)]
    for _ in range(3):
        here.safe("usr_1")
        assert [there.safe("usr_1").open(one, field="nik") for one in sealed] == [str(number) for number in range(10)]
    assert server.paths == [f"POST /v1/{KEY}:encrypt", f"POST /v1/{KEY}:decrypt"]


def test_after_a_rotation_by_kms_itself_every_borrowers_key_is_wrapped_anew(server: KmsServer, kms: CloudKms) -> None:
    store = MemoryStore()
    vault = EnvelopeVault(store=store, keys=kms, hash_key=bytes(32))
    for name in ("usr_1", "usr_2", "usr_3"):
        record, _ = vault.issue(name, at=START)
        store.transact(lambda tx, record=record: tx.insert(record))  # type: ignore[misc]  # bound per turn
    server.rotate()
    rewrapping = Rewrapping(store, kms)
    assert rewrapping.status().counts == {"borrowers-1": 3, "borrowers-2": 0}
    before = len(server.calls)
    assert list(rewrapping.rewrap()) == [1, 2, 3]
    assert len(server.calls) - before == 6
    assert rewrapping.status().counts == {"borrowers-2": 3}
    server.states["1"] = "DESTROYED"
    vault.forget("usr_1")
    vault.safe("usr_1")


def test_the_command_counts_and_rotates_under_cloud_kms(kms: CloudKms, capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    record, _ = EnvelopeVault(store=store, keys=kms, hash_key=bytes(32)).issue("usr_1", at=START)
    store.transact(lambda tx: tx.insert(record))
    kms.renew()
    rewrapping = Rewrapping(store, kms)
    assert show(rewrapping.status()) == 1
    assert "borrowers-1                        1\n" in capsys.readouterr().out
    rotate(rewrapping)
    assert show(rewrapping.status()) == 0
    told = capsys.readouterr().out
    assert "1 wrapped anew under borrowers-2." in told
    assert "No earlier key is in use." in told
