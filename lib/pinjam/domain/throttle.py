"""How often something may be done: arithmetic over a short text that a cache keeps between two calls.

Times are milliseconds since 1970, and come from outside. When the clock steps back, what was kept from its future
is cut to the longest wait that the rule knows, so that every wait ends.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`burst` at once, and one more every `every_s` seconds: the generic cell rate algorithm.

    In any stretch of t seconds there are at most burst + t / every_s.
    """

    burst: int
    every_s: int

    def take(self, state: str | None, now_ms: int) -> tuple[str | None, int]:
        """The state once one was used, and 0; or, when none is left, the state as it is and the wait in ms."""
        step_ms = self.every_s * 1000
        full_at_ms = self._full_at(state, now_ms)
        wait_ms = full_at_ms + step_ms - now_ms - self.burst * step_ms
        return (str(full_at_ms + step_ms), 0) if wait_ms <= 0 else (str(full_at_ms), wait_ms)

    def give_back(self, state: str | None, now_ms: int) -> str | None:
        """The state as if one fewer had been used."""
        full_at_ms = self._full_at(state, now_ms) - self.every_s * 1000
        return str(full_at_ms) if full_at_ms > now_ms else None

    @property
    def memory_s(self) -> int:
        """How long a state matters."""
        return self.burst * self.every_s

    def _full_at(self, state: str | None, now_ms: int) -> int:
        """When everything that was used is there again."""
        latest_ms = now_ms + self.burst * self.every_s * 1000
        return min(max(int(state or 0), now_ms), latest_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOut:
    """`free` wrong tries without a wait; from then on each is followed by a wait twice as long as the last one.

    The first wait is `first_s`, none is longer than `longest_s`, and all is forgotten `forget_s` after the last
    wait. What is tried during a wait is refused, and does not make it longer.
    """

    free: int
    first_s: int
    longest_s: int
    forget_s: int

    def take(self, state: str | None, now_ms: int) -> tuple[str | None, int]:
        """The state once one more was tried, and 0; or, during a wait, the state as it is and what is left in ms."""
        tries, ends_ms = self._read(state, now_ms)
        if ends_ms > now_ms:
            return f"{tries}:{ends_ms}", ends_ms - now_ms
        return f"{tries + 1}:{now_ms + self._wait_s(tries + 1) * 1000}", 0

    def give_back(self, state: str | None, now_ms: int) -> str | None:
        """The state as if one fewer had been tried, and without the wait."""
        tries, _ = self._read(state, now_ms)
        return f"{tries - 1}:{now_ms}" if tries > 1 else None

    @property
    def memory_s(self) -> int:
        """How long a state matters."""
        return self.longest_s + self.forget_s

    def _read(self, state: str | None, now_ms: int) -> tuple[int, int]:
        """How many tries there were, and when the wait after the last one ends."""
        tries, _, ends = (state or "0:0").partition(":")
        ends_ms = min(int(ends), now_ms + self.longest_s * 1000)
        return (0, 0) if now_ms - ends_ms >= self.forget_s * 1000 else (int(tries), ends_ms)

    def _wait_s(self, tries: int) -> int:
        if tries < self.free:
            return 0
        # The cap comes before the power: thousands of tries must not make a number of thousands of digits.
        doublings = min(tries - self.free, self.longest_s.bit_length())
        return min(self.first_s << doublings, self.longest_s)
