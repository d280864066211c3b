"""A cache in Redis (Memorystore in the cloud), which all instances share; and what stands in while it is down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from pinjam.adapters.faults import unavailable
from pinjam.services.ports import Unavailable

if TYPE_CHECKING:
    from pinjam.services.ports import Cache

log = logging.getLogger(__name__)

A = TypeVar("A")

TIMEOUT_S = 0.25
"""A healthy Redis answers within a millisecond; a login must not wait long for one that is not."""
AVOID_S = 10.0
"""For so long nobody asks again a Redis that did not answer."""
PREFIX = "pinjam:1:"
"""The number changes with the meaning of what is kept."""
SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
"""
"""Compares and sets in one step on the server; the empty text stands for nothing."""


class RedisCache:
    """`ports.Cache`. Nothing is lost if Redis evicts or loses it all, except that limits start anew."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # Once more at once, for a connection that was closed while idle.
            retry=Retry(NoBackoff(), 1),
        )
        self._swap = self._redis.register_script(SWAP)

    def get(self, key: str) -> str | None:
        """What is kept, None if nothing is."""
        try:
            value = self._redis.get(PREFIX + key)
        except RedisError as fault:
            raise unavailable("cache", str(fault)) from fault
        return None if value is None else str(value)

    def swap(self, key: str, old: str | None, new: str | None, *, keep_s: int) -> bool:
        """Keep `new` in place of `old`, or nothing for None; False if it is not `old` that is kept."""
        try:
            return bool(self._swap(keys=[PREFIX + key], args=[old or "", new or "", keep_s]))
        except RedisError as fault:
            raise unavailable("cache", str(fault)) from fault

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


class SparedCache:
    """`ports.Cache` that always answers: while the shared one does not, this process's own stands in.

    So nobody is kept from logging in because a cache is down, and nobody guesses without limit either: each
    instance then counts by itself.
    """

    def __init__(self, shared: Cache, own: Cache, now: Callable[[], float]) -> None:
        self._shared = shared
        self._own = own
        self._now = now
        self._avoid_until = float("-inf")

    def get(self, key: str) -> str | None:
        """What is kept, None if nothing is."""
        return self._ask(lambda cache: cache.get(key))

    def swap(self, key: str, old: str | None, new: str | None, *, keep_s: int) -> bool:
        """Keep `new` in place of `old`, or nothing for None; False if it is not `old` that is kept."""
        return self._ask(lambda cache: cache.swap(key, old, new, keep_s=keep_s))

    def close(self) -> None:
        """Close the shared one's connections."""
        close = getattr(self._shared, "close", None)
        if close is not None:
            close()

    def _ask(self, question: Callable[[Cache], A]) -> A:
        if self._now() >= self._avoid_until:
            try:
                return question(self._shared)
            except Unavailable as fault:
                self._avoid_until = self._now() + AVOID_S
                log.warning("cache-unavailable", extra={"fault": str(fault)})
        return question(self._own)
