"""What every ObjectStore does; an adapter joins with a subclass that gives its `store`."""

from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinjam.adapters.folder import FolderObjects
from pinjam.services.ports import ObjectStore, Unavailable

JPEG = "image/jpeg"
KEY = "usr_1/doc_1"


class ObjectStoreContract:
    """The suite."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        raise NotImplementedError

    @pytest.mark.parametrize("content", [b"", b"\x00\xff" * 50_000], ids=["nothing", "binary"])
    def test_bytes_come_back_as_they_were(self, store: ObjectStore, content: bytes) -> None:
        store.put(KEY, content, content_type=JPEG)
        assert store.get(KEY) == content

    def test_the_same_key_again_replaces_the_bytes(self, store: ObjectStore) -> None:
        store.put(KEY, b"a longer first one", content_type=JPEG)
        store.put(KEY, b"second", content_type="image/png")
        assert store.get(KEY) == b"second"

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


class TestFolderObjects(ObjectStoreContract):
    BAD_KEYS: ClassVar = [
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

    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderObjects:
        return FolderObjects(root=tmp_path / "objects")

    @pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
    def test_a_key_that_could_leave_the_folder_is_refused(self, store: FolderObjects, key: str) -> None:
        for call in (
            lambda: store.put(key, b"", content_type=JPEG),
            lambda: store.get(key),
            lambda: store.delete(key),
        ):
            with pytest.raises(ValueError, match="key"):
                call()

    @given(key=st.text(st.sampled_from("a./\\~\0 \n"), max_size=12))
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_key_names_a_file_outside_the_folder(self, store: FolderObjects, key: str) -> None:
        try:
            path = store._path(key)
        except ValueError:
            return
        assert path.resolve().is_relative_to(store._root.resolve())
        assert path != store._root

    def test_nothing_but_the_objects_is_left_behind(self, store: FolderObjects, tmp_path: Path) -> None:
        for content in (b"first", b"second"):
            store.put(KEY, content, content_type=JPEG)
        files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
        assert files == [Path("objects/usr_1/doc_1")]

    def test_a_write_that_fails_leaves_the_old_bytes_and_no_draft(
        self, store: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put(KEY, b"old", content_type=JPEG)
        with monkeypatch.context() as broken:

            def full(_handle: int) -> None:
                raise OSError(28, "No space left on device")

            broken.setattr("os.fsync", full)
            with pytest.raises(Unavailable):
                store.put(KEY, b"new", content_type=JPEG)
        assert store.get(KEY) == b"old"
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1

    def test_a_folder_that_cannot_be_written_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "objects").write_text("a file where the folder should be")
        with pytest.raises(Unavailable):
            FolderObjects(root=tmp_path / "objects").put(KEY, b"", content_type=JPEG)

    @pytest.mark.parametrize("content_type", ["", "image", "image/jpeg\r\nX: y", "image/jpeg; q=1"])
    def test_a_content_type_that_could_add_headers_is_refused(self, store: FolderObjects, content_type: str) -> None:
        with pytest.raises(ValueError, match="content type"):
            store.put(KEY, b"", content_type=content_type)
