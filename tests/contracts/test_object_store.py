"""What every ObjectStore does; an adapter joins with a subclass that gives its `store`."""

from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

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


class Clock:
    seconds = 1_800_000_000.0


def folder(root: Path, clock: type[Clock] | Clock = Clock) -> FolderObjects:
    return FolderObjects(root=root, base_url="http://127.0.0.1:1/", key=b"secret", now=lambda: clock.seconds)


def parts(url: str) -> tuple[str, dict[str, str]]:
    """The key and the query of a link."""
    split = urlsplit(url)
    return unquote(split.path.removeprefix("/sandbox/objects/")), dict(parse_qsl(split.query))


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
        return folder(tmp_path / "objects")

    @pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
    def test_a_key_that_could_leave_the_folder_is_refused(self, store: FolderObjects, key: str) -> None:
        for call in (
            lambda: store.put(key, b"", content_type=JPEG),
            lambda: store.get(key),
            lambda: store.delete(key),
            lambda: store.download_url(key, content_type=JPEG, expires_in_s=60),
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
            folder(tmp_path / "objects").put(KEY, b"", content_type=JPEG)

    def test_a_link_gives_the_bytes_under_its_content_type(self, store: FolderObjects) -> None:
        store.put(KEY, b"picture", content_type=JPEG)
        url = store.download_url(KEY, content_type=JPEG, expires_in_s=300)
        assert url.startswith("http://127.0.0.1:1/sandbox/objects/usr_1/doc_1?")
        assert store.open_signed(*parts(url)) == (b"picture", JPEG)

    def test_a_link_ends_on_time(self, tmp_path: Path) -> None:
        clock = Clock()
        store = folder(tmp_path, clock)
        store.put(KEY, b"picture", content_type=JPEG)
        key, query = parts(store.download_url(KEY, content_type=JPEG, expires_in_s=300))
        clock.seconds += 299
        assert store.open_signed(key, query)[0] == b"picture"
        clock.seconds += 1
        with pytest.raises(PermissionError):
            store.open_signed(key, query)

    @pytest.mark.parametrize(
        "change",
        [
            {"expires": "1900000000"},
            {"expires": ""},
            {"type": "text/html"},
            {"signature": ""},
            {"signature": "é" * 64},
            {"signature": "0" * 64},
        ],
        ids=urlencode,
    )
    def test_a_changed_link_is_forged(self, store: FolderObjects, change: dict[str, str]) -> None:
        store.put(KEY, b"picture", content_type=JPEG)
        key, query = parts(store.download_url(KEY, content_type=JPEG, expires_in_s=300))
        with pytest.raises(PermissionError):
            store.open_signed(key, query | change)

    @pytest.mark.parametrize("key", ["usr_2/doc_1", "../secret", ""])
    def test_a_link_opens_its_own_key_only(self, store: FolderObjects, key: str) -> None:
        store.put(KEY, b"picture", content_type=JPEG)
        store.put("usr_2/doc_1", b"somebody else's", content_type=JPEG)
        _, query = parts(store.download_url(KEY, content_type=JPEG, expires_in_s=300))
        with pytest.raises(PermissionError):
            store.open_signed(key, query)

    def test_a_link_without_a_signature_is_forged(self, store: FolderObjects) -> None:
        with pytest.raises(PermissionError):
            store.open_signed(KEY, {})

    def test_a_link_to_bytes_that_are_gone_is_a_lookup_error(self, store: FolderObjects) -> None:
        store.put(KEY, b"picture", content_type=JPEG)
        key, query = parts(store.download_url(KEY, content_type=JPEG, expires_in_s=300))
        store.delete(KEY)
        with pytest.raises(LookupError):
            store.open_signed(key, query)

    @pytest.mark.parametrize("content_type", ["", "image", "image/jpeg\r\nX: y", "image/jpeg; q=1"])
    def test_a_content_type_that_could_add_headers_is_refused(self, store: FolderObjects, content_type: str) -> None:
        with pytest.raises(ValueError, match="content type"):
            store.download_url(KEY, content_type=content_type, expires_in_s=300)
