"""Documents' bytes in a folder: the local twin of Cloud Storage.

A file is one line, of the format's name, the SHA-256 and the content type, and then the bytes: both come with one
write, so a crash cannot part them. A file without that line is older than it, and is given as it is.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from pinjam.adapters.object_rules import SERVICE, checked_key, checked_type, sha256_of, unchanged
from pinjam.services.ports import ObjectCorrupted, ObjectExists, Unavailable

_FORMAT = b"pinjam object 1 "
_HEADER = re.compile(re.escape(_FORMAT) + rb"([0-9a-f]{64}) [^\n ]+\n")


class FolderObjects:
    """ObjectStore over the folder `root`, on a file system with hard links."""

    def __init__(self, *, root: Path) -> None:
        self._root = root

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Write the bytes so that a crash leaves all of them or nothing. ObjectExists as the port says."""
        path = self._path(key)
        header = _FORMAT + f"{sha256_of(content)} {checked_type(content_type)}\n".encode()
        # A leading dot cannot begin a segment of a key.
        draft = path.with_name(f".{secrets.token_hex(8)}")
        with _files():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("wb") as file:
                    file.write(header + content)
                    file.flush()
                    os.fsync(file.fileno())
                taken = not _linked(draft, path)
            finally:
                draft.unlink(missing_ok=True)
            if taken and _content(key, path.read_bytes()) != content:
                raise ObjectExists(key)
            _sync_folder(path.parent)

    def get(self, key: str) -> bytes:
        """The bytes; LookupError if there are none, ObjectCorrupted if they are not those that were put."""
        with _files():
            try:
                found = self._path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise LookupError(key) from error
        return _content(key, found)

    def delete(self, key: str) -> None:
        """Remove the bytes, if any."""
        path = self._path(key)
        with _files(), contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
            _sync_folder(path.parent)

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*checked_key(key).split("/"))


def _linked(draft: Path, path: Path) -> bool:
    """Give the draft its name, unless a file has it already: unlike a rename, a link replaces nothing."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    return True


def _content(key: str, found: bytes) -> bytes:
    if not found.startswith(_FORMAT):
        return found
    header = _HEADER.match(found)
    if header is None:
        raise ObjectCorrupted(key)
    return unchanged(key, found[header.end() :], sha256=header[1].decode())


@contextlib.contextmanager
def _files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(SERVICE, type(error).__name__) from error


def _sync_folder(folder: Path) -> None:
    # A name is safe from a power cut only when the folder is on the disk too.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
