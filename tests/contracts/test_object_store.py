"""What every ObjectStore does; an adapter joins with a subclass that gives its `store`."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from tests.machine import given

from pinjam.adapters.cloud_storage import CloudStorageObjects
from pinjam.adapters.folder import FolderObjects
from pinjam.adapters.s3 import S3Objects
from pinjam.local.emulators.s3 import S3Server
from pinjam.local.emulators.storage import StorageEmulator
from pinjam.services.ports import ObjectCorrupted, ObjectExists, ObjectStore, Unavailable

JPEG = "image/jpeg"
KEY = "usr_1/doc_1"
BAD_KEYS = [
    "",
    "/etc/passwd",
    "../secret",
    "usr_1/../../secret",
    "usr_1//doc_1",
    "usr_1/",
    ".hidden",
    "usr_1/.hidden",
    "usr_1\\doc_1",
    "usr_1/doc\n1",
    "usr_1/doc_1\n",
    "usr_1/doc\x001",
    "usr_1/dóc",
    "a" * 129,
    "/".join(["a" * 100] * 6),
]


Damage = Callable[[str, bytes], None]


@pytest.fixture(scope="session")
def storage_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageEmulator]:
    """One for all tests of a run, which make buckets of their own."""
    with given(lambda: StorageEmulator(tmp_path_factory.mktemp("storage"))) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One for all tests of a run, emptied before each."""
    with given(lambda: S3Server(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture(scope="session")
def s3_client(s3_server: S3Server) -> Iterator[S3Objects]:
    """One for all tests of a run: making it takes longer than any of them."""
    with closing(s3_store(s3_server, "papers")) as store:
        yield store


class ObjectStoreContract:
    """The suite."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        raise NotImplementedError

    @pytest.fixture
    def damage(self) -> Damage:
        """Puts other bytes under a key behind the adapter's back, and leaves all else that is kept of it."""
        raise NotImplementedError

    @pytest.mark.parametrize(
        "content", [b"", b"\x00\xff" * 50_000, b"\r\n--pinjam"], ids=["nothing", "binary", "lines"]
    )
    def test_bytes_come_back_as_they_were(self, store: ObjectStore, content: bytes) -> None:
        store.put(KEY, content, content_type=JPEG)
        assert store.get(KEY) == content

    def test_the_same_bytes_again_are_harmless(self, store: ObjectStore) -> None:
        for content_type in (JPEG, JPEG, "image/png"):
            store.put(KEY, b"bytes", content_type=content_type)
        assert store.get(KEY) == b"bytes"

    @pytest.mark.parametrize("other", [b"", b"second", b"first and more"])
    def test_other_bytes_under_a_kept_key_are_refused(self, store: ObjectStore, other: bytes) -> None:
        store.put(KEY, b"first", content_type=JPEG)
        with pytest.raises(ObjectExists):
            store.put(KEY, other, content_type=JPEG)
        assert store.get(KEY) == b"first"

    def test_a_key_is_free_again_after_a_delete(self, store: ObjectStore) -> None:
        store.put(KEY, b"first", content_type=JPEG)
        store.delete(KEY)
        store.put(KEY, b"second", content_type=JPEG)
        assert store.get(KEY) == b"second"

    def test_bytes_that_changed_where_they_are_kept_are_told_from_bytes_that_are_gone(
        self, store: ObjectStore, damage: Damage
    ) -> None:
        store.put(KEY, b"as it was put", content_type=JPEG)
        damage(KEY, b"as it is now.")
        with pytest.raises(ObjectCorrupted):
            store.get(KEY)

    def test_keys_do_not_disturb_each_other(self, store: ObjectStore) -> None:
        store.put(KEY, b"one", content_type=JPEG)
        store.put("usr_1/doc_10", b"two", content_type=JPEG)
        store.delete("usr_1/doc_10")
        assert store.get(KEY) == b"one"

    @pytest.mark.parametrize("key", ["usr_1/doc_2", "usr_2/doc_1", "usr_1", "usr_1/doc_1/page"])
    def test_what_is_not_there_is_a_lookup_error(self, store: ObjectStore, key: str) -> None:
        store.put(KEY, b"bytes", content_type=JPEG)
        with pytest.raises(LookupError):
            store.get(key)

    def test_deleting_twice_is_harmless(self, store: ObjectStore) -> None:
        store.put(KEY, b"bytes", content_type=JPEG)
        for _ in range(2):
            store.delete(KEY)
        with pytest.raises(LookupError):
            store.get(KEY)

    def test_a_key_that_could_mean_another_place_is_refused(self, store: ObjectStore) -> None:
        for key in BAD_KEYS:
            for call in (
                lambda key=key: store.put(key, b"", content_type=JPEG),
                lambda key=key: store.get(key),
                lambda key=key: store.delete(key),
            ):
                with pytest.raises(ValueError, match="key"):
                    call()

    def test_a_content_type_that_could_add_headers_is_refused(self, store: ObjectStore) -> None:
        for content_type in ("", "image", "image/jpeg\r\nX: y", "image/jpeg; q=1"):
            with pytest.raises(ValueError, match="content type"):
                store.put(KEY, b"", content_type=content_type)


class TestFolderObjects(ObjectStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderObjects:
        return FolderObjects(root=tmp_path / "objects")

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Damage:
        def change(key: str, content: bytes) -> None:
            path = tmp_path / "objects" / key
            path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n" + content)

        return change

    @hypothesis.given(key=st.text(st.sampled_from("a./\\~\0 \n"), max_size=12))
    @hypothesis.settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_key_names_a_file_outside_the_folder(self, store: FolderObjects, key: str) -> None:
        try:
            path = store._path(key)
        except ValueError:
            return
        assert path.resolve().is_relative_to(store._root.resolve())
        assert path != store._root

    def test_nothing_but_the_objects_is_left_behind(self, store: FolderObjects, tmp_path: Path) -> None:
        store.put(KEY, b"first", content_type=JPEG)
        with pytest.raises(ObjectExists):
            store.put(KEY, b"second", content_type=JPEG)
        files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
        assert files == [Path("objects/usr_1/doc_1")]

    def test_a_write_that_fails_leaves_nothing(
        self, store: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as broken:

            def full(_handle: int) -> None:
                raise OSError(28, "No space left on device")

            broken.setattr("os.fsync", full)
            with pytest.raises(Unavailable):
                store.put(KEY, b"bytes", content_type=JPEG)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_a_file_from_before_hashes_were_kept_is_read_and_stands(self, store: FolderObjects, tmp_path: Path) -> None:
        path = tmp_path / "objects" / KEY
        path.parent.mkdir(parents=True)
        path.write_bytes(b"sealed\nlong ago")
        assert store.get(KEY) == b"sealed\nlong ago"
        store.put(KEY, b"sealed\nlong ago", content_type=JPEG)
        with pytest.raises(ObjectExists):
            store.put(KEY, b"sealed now", content_type=JPEG)
        assert store.get(KEY) == b"sealed\nlong ago"

    @pytest.mark.parametrize("cut", [20, 60, 100])
    def test_a_file_that_lost_its_end_is_corrupted(self, store: FolderObjects, tmp_path: Path, cut: int) -> None:
        store.put(KEY, b"x" * 40, content_type=JPEG)
        path = tmp_path / "objects" / KEY
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(ObjectCorrupted):
            store.get(KEY)

    def test_of_many_that_write_one_key_at_once_one_wins(self, store: FolderObjects) -> None:
        assert_one_wins(store)

    def test_a_folder_that_cannot_be_written_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "objects").write_text("a file where the folder should be")
        with pytest.raises(Unavailable):
            FolderObjects(root=tmp_path / "objects").put(KEY, b"", content_type=JPEG)


class TestCloudStorageObjects(ObjectStoreContract):
    @pytest.fixture
    def bucket(self, storage_emulator: StorageEmulator) -> str:
        name = f"bucket-{uuid.uuid4().hex}"
        storage_emulator.make_bucket(name)
        return name

    @pytest.fixture
    def store(self, storage_emulator: StorageEmulator, bucket: str) -> Iterator[CloudStorageObjects]:
        with closing(CloudStorageObjects(bucket=bucket, url=storage_emulator.url)) as store:
            yield store

    @pytest.fixture
    def damage(self, storage_emulator: StorageEmulator, bucket: str) -> Damage:
        def change(key: str, content: bytes) -> None:
            objects = f"{storage_emulator.url}/storage/v1/b/{bucket}/o"
            name = quote(key, safe="")
            metadata = httpx.get(f"{objects}/{name}").raise_for_status().json()["metadata"]
            upload = f"{storage_emulator.url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
            httpx.post(upload, content=content).raise_for_status()
            httpx.patch(f"{objects}/{name}", json={"metadata": metadata}).raise_for_status()

        return change

    def test_of_many_that_write_one_key_at_once_one_wins(self, store: CloudStorageObjects) -> None:
        assert_one_wins(store)

    def test_the_bytes_content_type_is_kept(
        self, store: CloudStorageObjects, storage_emulator: StorageEmulator, bucket: str
    ) -> None:
        store.put(KEY, b"bytes", content_type=JPEG)
        kept = httpx.get(f"{storage_emulator.url}/storage/v1/b/{bucket}/o/{quote(KEY, safe='')}").json()
        assert kept["contentType"] == JPEG

    def test_making_the_bucket_again_leaves_what_it_holds(
        self, store: CloudStorageObjects, storage_emulator: StorageEmulator, bucket: str
    ) -> None:
        store.put(KEY, b"bytes", content_type=JPEG)
        storage_emulator.make_bucket(bucket)
        assert store.get(KEY) == b"bytes"

    def test_a_bucket_that_is_not_there_is_not_a_missing_object(self, storage_emulator: StorageEmulator) -> None:
        with closing(CloudStorageObjects(bucket="nobodys", url=storage_emulator.url)) as store:
            assert_no_bucket(store)


class TestS3Objects(ObjectStoreContract):
    @pytest.fixture
    def store(self, s3_server: S3Server, s3_client: S3Objects) -> S3Objects:
        httpx.post(f"{s3_server.url}/moto-api/reset").raise_for_status()
        s3_server.make_bucket("papers")
        return s3_client

    @pytest.fixture
    def damage(self, store: S3Objects) -> Damage:
        def change(key: str, content: bytes) -> None:
            metadata = store._client.head_object(Bucket="papers", Key=key)["Metadata"]
            store._client.put_object(Bucket="papers", Key=key, Body=content, Metadata=metadata)

        return change

    def test_the_bytes_content_type_is_kept(self, store: S3Objects) -> None:
        store.put(KEY, b"bytes", content_type=JPEG)
        assert store._client.head_object(Bucket="papers", Key=KEY)["ContentType"] == JPEG

    def test_making_the_bucket_again_leaves_what_it_holds(self, store: S3Objects, s3_server: S3Server) -> None:
        store.put(KEY, b"bytes", content_type=JPEG)
        s3_server.make_bucket("papers")
        assert store.get(KEY) == b"bytes"

    def test_a_bucket_that_is_not_there_is_not_a_missing_object(self, s3_server: S3Server) -> None:
        with closing(s3_store(s3_server, "nobodys")) as store:
            assert_no_bucket(store)


def s3_store(server: S3Server, bucket: str) -> S3Objects:
    return S3Objects(
        bucket=bucket, url=server.url, region="us-east-1", access_key="made-up-key", secret_key="made-up-secret"
    )


def assert_no_bucket(store: ObjectStore) -> None:
    """Every call says that it is the bucket which is missing."""
    for call in (
        lambda: store.put(KEY, b"", content_type=JPEG),
        lambda: store.get(KEY),
        lambda: store.delete(KEY),
    ):
        with pytest.raises(Unavailable, match="bucket"):
            call()


def assert_one_wins(store: ObjectStore) -> None:
    """Eight write other bytes under one key at the same moment: one's are kept, and all others are told."""
    begin = threading.Barrier(8)

    def write(number: int) -> int | None:
        begin.wait(10)
        try:
            store.put(KEY, b"%d" % number, content_type=JPEG)
        except ObjectExists:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        (winner,) = (number for number in pool.map(write, range(8)) if number is not None)
    assert store.get(KEY) == b"%d" % winner
