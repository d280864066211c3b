"""Turns of the transactions of one process that read the same.

Firestore lets both of two transactions read a document and then lets one of them fail, after a while; its emulator
only after two seconds. Within a process that is easily avoided; between processes Firestore decides.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Gives out each name to one at a time. Whoever waits longer than `patience_s` goes on without."""

    def __init__(self, *, patience_s: float) -> None:
        self._patience_s = patience_s
        self._guard = threading.Lock()
        self._waiting: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """A turn. Who wants several takes them in their order, and no further one before giving those back."""
        with self._guard:
            lock, others = self._waiting.get(name, (threading.Lock(), 0))
            self._waiting[name] = lock, others + 1
        is_ours = lock.acquire(timeout=self._patience_s)
        try:
            yield
        finally:
            if is_ours:
                lock.release()
            with self._guard:
                lock, others = self._waiting.pop(name)
                if others > 1:
                    self._waiting[name] = lock, others - 1
