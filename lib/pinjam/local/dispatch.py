"""Takes what is due from a queue and hands it over, a few at a time: the loop of the broker and of the tasks."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import httpx
import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from pinjam.adapters.authorities import trusted_authorities

_ERROR_PAUSE_S = 1.0
_GRACE_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """How functions are called: pauses double from the first to the longest; all times in seconds.

    All deliveries together outlast the lease of a message whose sender died (`pinjam.services.notifying`).
    """

    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    deliveries: int = 20
    answer_within_s: float = 120.0
    workers: int = 4

    def pause_s(self, attempts: int, chance: float) -> float:
        """The pause after so many attempts; `chance` in 0..1 spreads it over the upper half, so herds disperse."""
        longest = min(self.longest_pause_s, self.first_pause_s * float(2 ** (attempts - 1)))
        return longest * (0.5 + chance / 2)

    def client(self, *, token: str, user_agent: str) -> httpx.Client:
        """What calls the functions; it shows them the token, as Google IAM has it."""
        return httpx.Client(
            timeout=self.answer_within_s,
            verify=trusted_authorities(),
            trust_env=False,
            headers={"Authorization": f"Bearer {token}", "User-Agent": user_agent},
        )


class Job(Protocol):
    """One piece of work; `id` is its own."""

    @property
    def id(self) -> int:
        """Tells it from all others of its queue."""
        ...


J = TypeVar("J", bound=Job)


class Dispatcher(Generic[J]):
    """Calls `deliver`, in threads, with what `take` gives.

    `take(limit, in_hand)` gives what is due without what is in hand; `next_due_in(in_hand)` the seconds until
    something is, None if nothing waits. `longest_sleep_s` is how long it trusts that answer.
    """

    def __init__(
        self,
        name: str,
        *,
        take: Callable[[int, frozenset[int]], Sequence[J]],
        next_due_in: Callable[[frozenset[int]], float | None],
        deliver: Callable[[J], None],
        workers: int,
        longest_sleep_s: float = 30.0,
    ) -> None:
        self._name = name
        self._take = take
        self._next_due_in = next_due_in
        self._deliver = deliver
        self._workers = workers
        self._longest_sleep_s = longest_sleep_s
        self._changed = threading.Condition()
        self._version = 0
        self._in_hand: set[int] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Self:
        """Hand over what is due, from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Let what is in hand finish, for a moment; the rest is still due after the next start."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        with self._changed:
            self._changed.wait_for(lambda: not self._in_hand, _GRACE_S)

    def wake(self) -> None:
        """Look again at what is due."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def wait_until_quiet(self, nothing_due: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until nothing is in hand and nothing due; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._in_hand and nothing_due(), timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or len(self._in_hand) < self._workers)
                if self._stopping:
                    return
                seen, in_hand = self._version, frozenset(self._in_hand)
            try:
                taken = self._take(self._workers - len(in_hand), in_hand)
                pause = 0.0 if taken else self._next_due_in(in_hand)
            except (psycopg.Error, PoolTimeout) as error:
                _log.error("dispatch.database_away", extra={"queue": self._name, "reason": type(error).__name__})
                taken, pause = (), _ERROR_PAUSE_S
            if not taken:
                self._sleep(seen, self._longest_sleep_s if pause is None else min(pause, self._longest_sleep_s))
            for job in taken:
                with self._changed:
                    self._in_hand.add(job.id)
                # Daemons: a function that never answers must not keep the process from ending.
                threading.Thread(target=self._hand_over, args=(job,), name=f"{self._name}-push", daemon=True).start()

    def _sleep(self, seen: int, longest_s: float) -> None:
        """Until something came or was handed over since version `seen`, or so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._version != seen, longest_s)

    def _hand_over(self, job: J) -> None:
        try:
            self._deliver(job)
        except (psycopg.Error, PoolClosed) as error:
            # It is still due, so it comes again.
            _log.error("dispatch.not_noted", extra={"queue": self._name, "reason": type(error).__name__})
        finally:
            with self._changed:
                self._in_hand.discard(job.id)
                self._version += 1
                self._changed.notify_all()
