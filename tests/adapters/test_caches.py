"""What each cache does beyond the contract: forgetting, bounds, and standing in for one that is down."""

import logging
import socket
from dataclasses import dataclass

import pytest

from pinjam.adapters.memory_cache import MemoryCache
from pinjam.adapters.redis_cache import AVOID_S, RedisCache, SparedCache
from pinjam.services.ports import Unavailable


@dataclass
class Hand:
    """A clock that is moved by hand."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_process_forgets_in_time() -> None:
    now = Hand()
    cache = MemoryCache(now)
    cache.swap("k", None, "1", keep_s=60)
    now.seconds = 59.9
    assert cache.get("k") == "1"
    now.seconds = 60
    assert cache.get("k") is None
    assert cache.swap("k", None, "2", keep_s=60)


def test_the_process_keeps_only_so_much_and_forgets_first_what_nobody_asked_for() -> None:
    cache = MemoryCache(Hand(), most=3)
    for name in "abc":
        cache.swap(name, None, name, keep_s=60)
    cache.get("a")
    cache.swap("d", None, "d", keep_s=60)
    assert [cache.get(name) for name in "abcd"] == ["a", None, "c", "d"]


def test_a_redis_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # Bound, so that nobody else takes it, but not listening.
        cache = RedisCache(f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(Unavailable):
            cache.get("k")
        with pytest.raises(Unavailable):
            cache.swap("k", None, "1", keep_s=60)
        cache.close()


def test_a_redis_that_does_not_answer_is_unavailable_soon() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        cache = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05)
        with pytest.raises(Unavailable):
            cache.get("k")
        cache.close()


class Shaky(MemoryCache):
    """A shared cache that can be down."""

    down = False
    asked = 0

    def get(self, key: str) -> str | None:
        self.asked += 1
        if self.down:
            raise Unavailable("cache", "down")
        return super().get(key)


def test_while_the_shared_cache_is_down_the_processs_own_stands_in(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = Hand()
    shared, own = Shaky(now), MemoryCache(now)
    cache = SparedCache(shared, own, now)
    cache.swap("k", None, "shared", keep_s=60)
    assert (cache.get("k"), own.get("k")) == ("shared", None)

    shared.down = True
    assert cache.get("k") is None
    assert cache.swap("k", None, "own", keep_s=60)
    assert cache.get("k") == "own"
    # One that did not answer is left alone for a while, and told of once.
    assert shared.asked == 2
    assert [record.message for record in caplog.records] == ["cache-unavailable"]

    now.seconds = AVOID_S
    assert cache.get("k") == "own"
    assert shared.asked == 3
    shared.down = False
    now.seconds = 2 * AVOID_S
    assert cache.get("k") == "shared"
