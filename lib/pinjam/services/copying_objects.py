"""The bytes of every document from one object store into another, and whether both hold the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.domain.document import Document
from pinjam.services.copying import PAGE, Found, Progress
from pinjam.services.documents import SEALED
from pinjam.services.store import Find, each

if TYPE_CHECKING:
    from pinjam.services.ports import ObjectStore
    from pinjam.services.store import Store


@dataclass(slots=True)
class CopiedObjects:
    """What came of the documents. `absent` are in neither store, as those of erased borrowers are."""

    same: int
    written: int
    absent: Found
    missing: Found
    differing: Found

    @property
    def equal(self) -> bool:
        """Whether the target has, byte for byte, what the source has."""
        return not self.missing.count and not self.differing.count


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyingObjects:
    """The bytes that the store's documents name, one document at a time. `told` hears of each page of them.

    What is there already is read and left, so a copy that was cut off is run again. Bytes stay sealed.
    """

    store: Store
    source: ObjectStore
    target: ObjectStore
    told: Callable[[Progress], None]

    def run(self, *, check: bool) -> CopiedObjects:
        """Write what the target lacks unless it is only to be checked, and read again what was written."""
        found = CopiedObjects(0, 0, Found(), Found(), Found())
        total, done = self.store.read(lambda tx: tx.count(Document, {})), 0
        for document in each(self.store, Find(kind=Document, limit=PAGE)):
            self._bring(document, found, check=check)
            done += 1
            if done % PAGE == 0:
                self.told(Progress(kind=Document, done=done, total=total))
        self.told(Progress(kind=Document, done=done, total=total))
        return found

    def _bring(self, document: Document, found: CopiedObjects, *, check: bool) -> None:
        key = document.object_key
        content, there = _read(self.source, key), _read(self.target, key)
        if content == there:
            if content is None:
                found.absent.add(document.id)
            found.same += content is not None
            return
        if content is not None and not check:
            if there is not None:
                self.target.delete(key)  # Keys are written once; the source is what counts.
            self.target.put(key, content, content_type=SEALED)
            there = _read(self.target, key)
            found.written += 1
        if there != content:
            (found.missing if there is None else found.differing).add(document.id)


def _read(objects: ObjectStore, key: str) -> bytes | None:
    try:
        return objects.get(key)
    except LookupError:
        return None
