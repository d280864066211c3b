"""What every KeyWrapper does; an adapter joins with a subclass that gives its `keys`."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.doubles import MemoryKeys
from tests.kms_server import KEY, KmsServer

from pinjam.adapters.cloud_kms import CloudKms
from pinjam.adapters.key_file import KeyFile
from pinjam.services.ports import Unavailable
from pinjam.services.sealing import KeyWrapper

DATA_KEY = bytes(range(32))


class KeyWrapperContract:
    """The suite."""

    @pytest.fixture
    def keys(self) -> KeyWrapper:
        raise NotImplementedError

    def test_a_wrapped_key_unwraps_for_its_owner(self, keys: KeyWrapper) -> None:
        wrapped = keys.wrap(DATA_KEY, owner="usr_1")
        assert keys.unwrap(wrapped.wrapped, owner="usr_1") == DATA_KEY
        assert wrapped.wrapping_key == keys.current()

    def test_it_unwraps_for_nobody_else(self, keys: KeyWrapper) -> None:
        wrapped = keys.wrap(DATA_KEY, owner="usr_1")
        with pytest.raises(ValueError, match="another owner"):
            keys.unwrap(wrapped.wrapped, owner="usr_2")

    def test_what_was_never_wrapped_is_refused(self, keys: KeyWrapper) -> None:
        good = keys.wrap(DATA_KEY, owner="usr_1").wrapped
        for text in ("", "x", good[:-6] + "AAAAA=", f"unknown.{good.partition('.')[2]}", good.partition(".")[0] + "."):
            with pytest.raises(ValueError, match=r"."):
                keys.unwrap(text, owner="usr_1")

    def test_the_wrapped_key_shows_nothing_of_the_key(self, keys: KeyWrapper) -> None:
        assert DATA_KEY.hex() not in keys.wrap(DATA_KEY, owner="usr_1").wrapped

    def test_a_new_key_wraps_from_now_on_and_earlier_ones_still_unwrap(self, keys: KeyWrapper) -> None:
        before = keys.wrap(DATA_KEY, owner="usr_1")
        name = keys.renew()
        after = keys.wrap(DATA_KEY, owner="usr_1")
        assert name == keys.current() == after.wrapping_key != before.wrapping_key
        for wrapped in (before, after):
            assert keys.unwrap(wrapped.wrapped, owner="usr_1") == DATA_KEY


class TestMemoryKeys(KeyWrapperContract):
    @pytest.fixture
    def keys(self) -> MemoryKeys:
        return MemoryKeys()


class TestCloudKms(KeyWrapperContract):
    """Against a strict server of KMS's wire format: no emulator does real cryptography."""

    @pytest.fixture
    def keys(self) -> Iterator[CloudKms]:
        with KmsServer() as server, closing(CloudKms(key=KEY, url=server.url, token=lambda: server.token or "")) as kms:
            yield kms


class TestKeyFile(KeyWrapperContract):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "keys.json"

    @pytest.fixture
    def keys(self, path: Path) -> KeyFile:
        made = KeyFile(path)
        made.renew()
        return made

    def test_only_its_owner_reads_the_file_and_no_draft_is_left(self, keys: KeyFile, path: Path) -> None:
        keys.renew()
        assert path.stat().st_mode & 0o777 == 0o600
        assert {one.name for one in path.parent.iterdir()} == {"keys.json", "keys.lock"}

    def test_a_running_system_takes_up_a_new_key_at_once(self, keys: KeyFile, path: Path) -> None:
        running = KeyFile(path)
        running.wrap(DATA_KEY, owner="usr_1")
        name = keys.renew()
        assert running.wrap(DATA_KEY, owner="usr_1").wrapping_key == name
        assert running.unwrap(keys.wrap(DATA_KEY, owner="usr_2").wrapped, owner="usr_2") == DATA_KEY

    def test_renewing_at_the_same_time_loses_no_key(self, keys: KeyFile, path: Path) -> None:
        threads = [threading.Thread(target=KeyFile(path).renew) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(json.loads(path.read_text())["keys"]) == 9
        assert keys.current() == "local-9"

    def test_a_key_that_was_taken_out_gives_its_name_to_nobody(self, keys: KeyFile, path: Path) -> None:
        old = keys.wrap(DATA_KEY, owner="usr_1").wrapped
        keys.renew()
        content = json.loads(path.read_text())
        del content["keys"]["local-1"]
        path.write_text(json.dumps(content))
        assert keys.renew() not in ("local-1", "local-2")
        with pytest.raises(ValueError, match="'local-1'"):
            keys.unwrap(old, owner="usr_1")

    @pytest.mark.parametrize(
        "content", ["", "{}", '{"current": "a", "keys": {}}', '{"current": "a", "keys": {"a": "AAAA"}}', "[]"]
    )
    def test_a_file_that_is_none_of_ours_is_unavailable(self, path: Path, content: str) -> None:
        path.write_text(content)
        with pytest.raises(Unavailable):
            KeyFile(path).current()

    def test_a_file_that_is_not_there_is_unavailable(self, path: Path) -> None:
        with pytest.raises(Unavailable):
            KeyFile(path).wrap(DATA_KEY, owner="usr_1")

    def test_a_write_that_fails_leaves_the_old_keys(
        self, keys: KeyFile, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = path.read_text()
        with monkeypatch.context() as broken:

            def full(_handle: int) -> None:
                raise OSError(28, "No space left on device")

            broken.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space"):
                keys.renew()
        assert path.read_text() == before
        assert keys.renew() == "local-2"
