"""A cache in the process's memory: each instance has its own, and forgets it at the end."""

import threading
from collections import OrderedDict
from collections.abc import Callable

MOST_ENTRIES = 100_000
"""Some 20 MB. Beyond it, what was not looked at for longest goes first."""


class MemoryCache:
    """`ports.Cache`. `now` gives seconds, from any start, that never go back."""

    def __init__(self, now: Callable[[], float], *, most: int = MOST_ENTRIES) -> None:
        self._now = now
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def get(self, key: str) -> str | None:
        """What is kept, None if nothing is."""
        with self._lock:
            return self._get(key)

    def swap(self, key: str, old: str | None, new: str | None, *, keep_s: int) -> bool:
        """Keep `new` in place of `old`, or nothing for None; False if it is not `old` that is kept."""
        with self._lock:
            if self._get(key) != old:
                return False
            self._kept.pop(key, None)
            if new is not None:
                self._kept[key] = (new, self._now() + keep_s)
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            return True

    def _get(self, key: str) -> str | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        value, ends = kept
        if self._now() >= ends:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value
