"""Documents' bytes in a folder: the local twin of Cloud Storage."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from pinjam.services.ports import Unavailable

SERVICE = "objects"

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_KEY_CHARS = 512
_CONTENT_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")


class FolderObjects:
    """ObjectStore over the folder `root`.

    A key is made of plain segments joined by `/`; any other is a ValueError.
    """

    def __init__(self, *, root: Path) -> None:
        self._root = root

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Write the bytes so that a crash leaves the old ones or the new ones, never a part.

        The content type is not kept: nobody reads the folder but this.
        """
        _checked_type(content_type)
        path = self._path(key)
        # A leading dot cannot begin a segment of a key.
        draft = path.with_name(f".{secrets.token_hex(8)}")
        with _files():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            _sync_folder(path.parent)

    def get(self, key: str) -> bytes:
        """The bytes; LookupError if there are none."""
        with _files():
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise LookupError(key) from error

    def delete(self, key: str) -> None:
        """Remove the bytes, if any."""
        path = self._path(key)
        with _files(), contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
            _sync_folder(path.parent)

    def _path(self, key: str) -> Path:
        segments = key.split("/")
        if len(key) > _MAX_KEY_CHARS or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise ValueError("not a key of plain segments")
        return self._root.joinpath(*segments)


def _checked_type(content_type: str) -> str:
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise ValueError("not a content type")
    return content_type


@contextlib.contextmanager
def _files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(SERVICE, type(error).__name__) from error


def _sync_folder(folder: Path) -> None:
    # A rename is safe from a power cut only when the folder is on the disk too.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
