"""Borrowers' keys under a new wrapping key. What they sealed stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.keys import UserKey
from pinjam.services.store import Find, each

if TYPE_CHECKING:
    from pinjam.services.sealing import KeyWrapper
    from pinjam.services.store import Store, Transaction

PAGE = 100
LEAST_SIGN = "\x01"
"""What follows a text at once in the store's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """How many borrowers' keys each wrapping key has wrapped, the current one among them; and how many are gone."""

    current: str
    counts: Mapping[str, int]
    destroyed: int


@dataclass(frozen=True, slots=True)
class Rewrapping:
    """Finds out what wraps, and wraps anew. Safe beside a running system, and to be repeated or cut off."""

    store: Store
    keys: KeyWrapper

    def status(self) -> Wrapped:
        """As of now; Unavailable if the key service does not answer."""
        counts = {name: self._count(name) for name in self._in_use()}
        return Wrapped(
            current=self.keys.current(),
            counts={self.keys.current(): 0} | counts,
            destroyed=self.store.read(lambda tx: tx.count(UserKey, {"wrapping_key": None})),
        )

    def rewrap(self) -> Iterator[int]:
        """Wrap under the current key whatever another one has wrapped, telling after each how many were done.

        Goes on where an earlier run was cut off, as what is done is no longer found.
        """
        current, done = self.keys.current(), 0
        for name in self._in_use():
            if name == current:
                continue
            for record in each(self.store, Find(kind=UserKey, where={"wrapping_key": name}, limit=PAGE)):
                done += self._rewrap(record)
                yield done

    def _rewrap(self, record: UserKey) -> bool:
        if record.wrapped is None:
            return False
        # The key service is asked before the transaction, which only looks whether the key is still the same.
        again = self.keys.wrap(self.keys.unwrap(record.wrapped, owner=record.id), owner=record.id)

        def work(tx: Transaction) -> bool:
            there = tx.get(UserKey, record.id)
            if there is None or there.wrapped != record.wrapped:
                return False  # Destroyed meanwhile, or wrapped anew by another run.
            tx.update(replace(there, wrapped=again.wrapped, wrapping_key=again.wrapping_key))
            return True

        return self.store.transact(work)

    def _in_use(self) -> Iterator[str]:
        """The wrapping keys that have wrapped anything, each found by one step in an index."""
        least: str | None = None
        while True:
            query = Find(kind=UserKey, order="wrapping_key", at_least=least, limit=1)
            found = self.store.find(query).items
            if not found or found[0].wrapping_key is None:
                return
            yield found[0].wrapping_key
            least = found[0].wrapping_key + LEAST_SIGN

    def _count(self, name: str) -> int:
        return self.store.read(lambda tx: tx.count(UserKey, {"wrapping_key": name}))
