"""Every record of one store into another: each kind, cut off and gone on with, compared, and used afterwards."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.world import make_world

from pinjam import copy
from pinjam.adapters.firestore import FirestoreStore
from pinjam.adapters.folder import FolderObjects
from pinjam.adapters.memory import MemoryStore
from pinjam.adapters.records import canonical
from pinjam.domain.loan import Loan
from pinjam.domain.session import Session
from pinjam.domain.user import User
from pinjam.services.auditing import verify
from pinjam.services.books import trial_balance_of
from pinjam.services.copying import Copied, Copying, Progress
from pinjam.services.copying_objects import CopyingObjects
from pinjam.services.documents import SEALED
from pinjam.services.store import KINDS, Find, Record, Store, Transaction, each

if TYPE_CHECKING:
    from tests.contracts.conftest import Samples

ROUTES = [
    ("memory_store", "postgres_store"),
    ("postgres_store", "memory_store"),
    ("postgres_store", "firestore_store"),
    ("firestore_store", "postgres_store"),
]
PAGE = 20
EACH = 45
"""More than two pages of the kinds that there are most of."""


@pytest.fixture(params=ROUTES, ids=lambda route: "-to-".join(name.removesuffix("_store") for name in route))
def copying(request: pytest.FixtureRequest) -> Copying:
    source, target = (request.getfixturevalue(name) for name in request.param)
    return between(source, target)


def between(source: Store, target: Store, told: Callable[[Progress], None] = lambda _: None) -> Copying:
    return Copying(source=source, target=target, canonical=canonical, told=told, page=PAGE)


def put(store: Store, *records: Record) -> None:
    """Any number of records, a page at a time."""
    for start in range(0, len(records), PAGE):
        page = records[start : start + PAGE]

        def work(tx: Transaction, page: tuple[Record, ...] = page) -> None:
            for record in page:
                tx.insert(record)

        store.transact(work)


def many(samples: "Samples") -> tuple[Record, ...]:
    """Each kind in every shape, and more than a hundred records more."""
    makers: tuple[Callable[[int], Record], ...] = (samples.user, samples.loan, samples.entry)
    return (*samples.all(), *(make(number) for make in makers for number in range(100, 100 + EACH)))


def copy_all(copying: Copying, **how: Any) -> Mapping[type, Copied]:
    return {kind: copying.copy(kind, **how) for kind in KINDS}


def is_equal(copying: Copying) -> bool:
    return all(copying.compare(kind).equal for kind in KINDS)


def of_kind(store: Store, kind: type) -> list[Record]:
    found: Iterator[Record] = each(store, Find(kind=kind, limit=PAGE))
    return list(found)


def test_every_record_of_every_kind_arrives_as_it_was_and_is_not_written_again(
    copying: Copying, samples: "Samples"
) -> None:
    records = many(samples)
    put(copying.source, *records)
    assert not is_equal(copying)
    first = copy_all(copying)
    assert sum(one.inserted for one in first.values()) == len(records)
    for kind in KINDS:
        mine = sorted((one for one in records if type(one) is kind), key=lambda one: one.id)
        assert mine
        assert of_kind(copying.target, kind) == mine
        compared = copying.compare(kind)
        assert compared.equal
        assert compared.source.records == compared.target.records == len(mine)
        assert first[kind].source == compared.source.sha256
    again = copy_all(copying)
    assert {(one.inserted, one.updated, one.blocked.count) for one in again.values()} == {(0, 0, 0)}


def test_what_was_cut_off_goes_on_where_it_was(samples: "Samples", memory_store: MemoryStore) -> None:
    put(memory_store, *many(samples))
    target = MemoryStore()
    pages = 0

    def cut_off(_: Progress) -> None:
        nonlocal pages
        pages += 1
        if pages == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_all(between(memory_store, target, cut_off))
    there = sum(len(of_kind(target, kind)) for kind in KINDS)
    assert 0 < there < len(many(samples))
    rest = copy_all(between(memory_store, target))
    assert sum(one.inserted for one in rest.values()) == len(many(samples)) - there
    assert is_equal(between(memory_store, target))


def test_what_changed_since_an_earlier_copy_is_updated(copying: Copying, samples: "Samples") -> None:
    put(copying.source, *samples.all())
    copy_all(copying)
    later = replace(samples.full_user(), full_name="Siti R.", updated_at=samples.at + timedelta(days=1))
    copying.source.transact(lambda tx: tx.update(later))
    compared = copying.compare(User)
    assert (compared.equal, compared.differing.first) == (False, [later.id])
    assert copy_all(copying)[User].updated == 1
    assert copying.target.read(lambda tx: tx.get(User, later.id)) == later
    assert is_equal(copying)


def test_a_unique_value_that_went_to_another_record_is_moved_too(copying: Copying, samples: "Samples") -> None:
    """The earlier record gets the value first, and is in the way of nobody until the later one gave it up."""
    put(copying.source, samples.user(1), samples.user(2))
    copy_all(copying)
    copying.source.transact(lambda tx: tx.update(replace(samples.user(2), email="new@example.com")))
    copying.source.transact(lambda tx: tx.update(replace(samples.user(1), email=samples.user(2).email)))
    copied = copying.copy(User)
    assert (copied.updated, copied.blocked.count) == (2, 0)
    assert copying.compare(User).equal


def test_values_that_changed_places_are_named_and_nothing_is_lost(
    memory_store: Store, postgres_store: Store, samples: "Samples"
) -> None:
    copying = between(memory_store, postgres_store)
    one, two = samples.user(1), samples.user(2)
    put(copying.source, one, two)
    put(copying.target, replace(one, email=two.email), replace(two, email=one.email))
    copied = copying.copy(User)
    assert (copied.blocked.count, copied.blocked.first) == (2, [one.id, two.id])
    assert copying.compare(User).differing.count == 2


def test_a_reversal_whose_id_comes_before_its_entrys_brings_that_first(copying: Copying, samples: "Samples") -> None:
    """As when the clocks of two instances differ: ids are made of the time."""
    reversal = replace(samples.reversing_entry(), id="jrn_0000", reverses=f"jrn_{100 + EACH - 1:04}")
    entries = (samples.entry(number) for number in range(100, 100 + EACH))
    put(copying.source, samples.user(), samples.loan(), *entries)
    put(copying.source, reversal)
    copied = copy_all(copying)
    assert sum(one.inserted for one in copied.values()) == EACH + 3
    assert is_equal(copying)


def test_what_only_the_target_has_stays_and_is_named(copying: Copying, samples: "Samples") -> None:
    put(copying.source, samples.user(2))
    put(copying.target, samples.user(1), samples.user(3), samples.session())
    copied = copy_all(copying)
    assert copied[User].removed == 0
    compared = copying.compare(User)
    assert (compared.equal, compared.extra.count, compared.extra.first) == (False, 2, ["usr_0001", "usr_0003"])
    removed = copy_all(copying, remove_passed=True)
    assert (removed[User].removed, removed[Session].removed) == (0, 1)
    assert [one.id for one in of_kind(copying.target, User)] == ["usr_0001", "usr_0002", "usr_0003"]
    assert copying.compare(Session).equal


def test_a_dashboard_and_the_books_say_the_same_afterwards(postgres_store: Store, firestore_store: Store) -> None:
    world = make_world()
    borrower = world.verified()
    loan_id = world.active(borrower)
    world.pay(borrower, loan_id)
    world.take_back(world.pay(borrower, loan_id))
    board = world.app.lending.dashboard(borrower, limit=20, after=None)
    assert board.loans
    here: Store = world.store
    for target in (postgres_store, firestore_store, MemoryStore()):
        copying = between(here, target)
        copy_all(copying)
        assert is_equal(copying)
        moved = make_world()
        moved.app.store = target
        moved.clock.instant = world.clock.instant
        assert moved.app.lending.dashboard(borrower, limit=20, after=None) == board
        assert verify(target).findings == ()
        assert trial_balance_of(target) == trial_balance_of(world.store)
        here = target


@pytest.fixture
def project() -> str:
    return f"t{uuid.uuid4().hex}"


@pytest.fixture
def firestore_store(project: str, firestore_url: str) -> Iterator[FirestoreStore]:
    """As elsewhere, of a project whose name commands can be told."""
    store = FirestoreStore(project=project, url=firestore_url)
    yield store
    store.close()


@pytest.fixture
def environment(store_url: str, project: str, firestore_url: str) -> Mapping[str, str]:
    """Both stores as settings name them."""
    return {
        "PINJAM_PROFILE": "emulators",
        "PINJAM_PROJECT": project,
        "PINJAM_DATABASE_URL": store_url,
        "FIRESTORE_EMULATOR_HOST": firestore_url.removeprefix("http://"),
    }


THERE = ["--from", "postgres", "--to", "firestore"]


def test_a_killed_command_goes_on_when_it_is_run_again(
    environment: Mapping[str, str], postgres_store: Store, firestore_store: Store, samples: "Samples"
) -> None:
    put(postgres_store, *samples.all())
    command = [sys.executable, "-m", "pinjam.copy", *THERE]
    variables = {**os.environ, **environment}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as first:  # noqa: S603 - this very interpreter.
        assert first.stderr is not None
        while not first.stderr.readline().startswith("user_keys:"):
            assert first.poll() is None
        first.kill()
    assert first.returncode == -signal.SIGKILL
    copying = between(postgres_store, firestore_store)
    assert copying.compare(User).equal
    assert not is_equal(copying)
    second = subprocess.run(command, env=variables, check=False, capture_output=True, text=True)  # noqa: S603 - as above.
    assert (second.returncode, second.stdout.splitlines()[-1]) == (0, "Both stores hold the same.")
    assert second.stdout.startswith("users ")
    assert "0 inserted" in second.stdout.splitlines()[0]
    assert "records/s" in second.stderr
    assert is_equal(copying)


def test_the_command_tells_of_what_differs_and_checks_without_writing(
    environment: Mapping[str, str],
    postgres_store: Store,
    firestore_store: Store,
    samples: "Samples",
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(postgres_store, samples.user(1), samples.user(2))
    put(firestore_store, replace(samples.user(2), full_name="Other"), samples.user(3))
    assert copy.main([*THERE, "--check"], environment) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1:4] == [
        "  1 missing in the target: usr_0001",
        "  1 different in the target: usr_0002",
        "  1 in the target only: usr_0003",
    ]
    assert said[-1] == f"1 of {len(KINDS)} kinds differ."
    assert [one.id for one in of_kind(firestore_store, User)] == ["usr_0002", "usr_0003"]
    assert copy.main(THERE, environment) == 1
    assert capsys.readouterr().out.splitlines()[1] == "  1 in the target only: usr_0003"
    assert copy.main(["--from", "firestore", "--to", "postgres"], environment) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Both stores hold the same."


def test_a_source_that_changes_meanwhile_is_said_to(
    memory_store: MemoryStore, samples: "Samples", capsys: pytest.CaptureFixture[str]
) -> None:
    put(memory_store, *samples.all())

    def change(progress: Progress) -> None:
        if progress.kind is Loan:
            memory_store.transact(lambda tx: tx.update(replace(samples.user(2), full_name=f"{progress.done}")))

    assert copy.run(between(memory_store, MemoryStore(), change), check=False, remove_passed=False) == 1
    assert "the source changed meanwhile" in capsys.readouterr().out


def test_a_record_that_postgresql_refuses_ends_the_command_without_telling_its_values(
    environment: Mapping[str, str], firestore_store: Store, samples: "Samples", capsys: pytest.CaptureFixture[str]
) -> None:
    put(firestore_store, samples.notification())
    assert copy.main(["--from", "firestore", "--to", "postgres"], environment) == 2
    said = capsys.readouterr().err
    assert "PostgreSQL refuses a record" in said
    assert "notifications_user_id_fkey" in said
    assert "usr_0001" not in said


@pytest.mark.parametrize(
    ("arguments", "changes", "fault"),
    [
        (["--from", "postgres", "--to", "postgres"], {}, "must be two of postgres, firestore"),
        (["--from", "folder", "--to", "firestore"], {}, "must be two of postgres, firestore"),
        (["--from", "folder", "--to", "postgres", "--objects"], {}, "must be two of folder, gcs, s3"),
        (THERE, {"PINJAM_PROFILE": "local"}, "the local profile has postgres only"),
        (THERE, {"PINJAM_DATABASE_URL": ""}, "PINJAM_DATABASE_URL is not set"),
        (THERE, {"PINJAM_DATABASE_URL": "postgresql://pinjam@127.0.0.1:1/pinjam"}, "run it again"),
    ],
)
def test_stores_that_cannot_be_had_are_told_of(
    environment: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    changes: dict[str, str],
    fault: str,
) -> None:
    assert copy.main(arguments, {**environment, **changes}) == 2
    assert fault in capsys.readouterr().err


def test_documents_bytes_are_moved_and_compared(
    memory_store: MemoryStore, samples: "Samples", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = FolderObjects(root=tmp_path / "here"), FolderObjects(root=tmp_path / "there")
    documents = [samples.document(number) for number in range(1, 6)]
    put(memory_store, samples.user(1), *documents)
    for one in documents[:4]:
        source.put(one.object_key, one.id.encode(), content_type=SEALED)
    target.put(documents[0].object_key, documents[0].id.encode(), content_type=SEALED)
    target.put(documents[1].object_key, b"cut off", content_type=SEALED)
    told: list[Progress] = []
    moving = CopyingObjects(store=memory_store, source=source, target=target, told=told.append)
    assert copy.run_objects(moving, check=True) == 1
    assert capsys.readouterr().out.splitlines() == [
        "documents: 1 the same, 0 written, 1 in neither",
        "  2 missing in the target: doc_0003, doc_0004",
        "  1 different in the target: doc_0002",
    ]
    assert copy.run_objects(moving, check=False) == 0
    assert capsys.readouterr().out.startswith("documents: 1 the same, 3 written, 1 in neither")
    assert [target.get(one.object_key) for one in documents[:4]] == [one.id.encode() for one in documents[:4]]
    assert copy.run_objects(moving, check=True) == 0
    assert {(one.done, one.total) for one in told} == {(5, 5)}
