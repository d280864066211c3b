"""Every cache keeps and swaps alike: the one in the process, and Redis."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.retry import Retry

from pinjam.adapters.memory_cache import MemoryCache
from pinjam.adapters.redis_cache import PREFIX, RedisCache
from pinjam.services.ports import Cache


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server of this worker's own, on a socket and without a port; it keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        missing = "redis-server is not installed (Debian: apt-get install redis-server)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    socket = tmp_path_factory.mktemp("redis") / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=socket.parent) as server:  # noqa: S603 - our own words
        try:
            _wait_for(socket)
            yield f"unix://{socket}"
        finally:
            server.terminate()


def _wait_for(socket: Path) -> None:
    patient = Retry(ConstantBackoff(0.02), 500, supported_errors=(NoConnection,))
    with Redis(unix_socket_path=str(socket), retry=patient) as client:
        client.ping()


@pytest.fixture
def memory_cache() -> MemoryCache:
    return MemoryCache(lambda: 0.0)


@pytest.fixture
def redis_cache(redis_url: str) -> Iterator[RedisCache]:
    cache = RedisCache(redis_url, timeout_s=10)
    cache._redis.flushdb()
    yield cache
    cache.close()


@pytest.fixture(params=["memory_cache", "redis_cache"])
def cache(request: pytest.FixtureRequest) -> Cache:
    made: Cache = request.getfixturevalue(request.param)
    return made


def test_nothing_is_kept_until_something_is(cache: Cache) -> None:
    assert cache.get("k") is None
    assert cache.swap("k", None, "1", keep_s=60)
    assert cache.get("k") == "1"
    assert cache.get("other") is None


def test_only_what_is_kept_is_swapped(cache: Cache) -> None:
    assert not cache.swap("k", "0", "1", keep_s=60)
    assert cache.get("k") is None
    cache.swap("k", None, "1", keep_s=60)
    assert not cache.swap("k", None, "2", keep_s=60)
    assert not cache.swap("k", "2", "3", keep_s=60)
    assert not cache.swap("k", "2", None, keep_s=60)
    assert cache.get("k") == "1"
    assert cache.swap("k", "1", "2", keep_s=60)
    assert cache.get("k") == "2"


def test_nothing_in_place_of_something_forgets_it(cache: Cache) -> None:
    cache.swap("k", None, "1", keep_s=60)
    assert cache.swap("k", "1", None, keep_s=0)
    assert cache.get("k") is None
    assert cache.swap("k", None, None, keep_s=0)
    assert cache.swap("k", None, "2", keep_s=60)


@pytest.mark.parametrize("text", ["3:1800000000000", "ñ \N{SNOWMAN}", "a\nb\r\n\0", "x" * 10_000])
def test_every_text_comes_back_as_it_was(cache: Cache, text: str) -> None:
    assert cache.swap(f"key {text[:9]}", None, text, keep_s=60)
    assert cache.get(f"key {text[:9]}") == text
    assert cache.swap(f"key {text[:9]}", text, "other", keep_s=60)


def test_of_several_at_once_one_swaps(cache: Cache) -> None:
    threads, rounds = 4, 50
    ready = threading.Barrier(threads)

    def count(_: int) -> int:
        ready.wait(10)
        done = 0
        while done < rounds:
            seen = cache.get("n")
            done += cache.swap("n", seen, str(int(seen or 0) + 1), keep_s=60)
        return done

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(count, range(threads))) == [rounds] * threads
    assert cache.get("n") == str(threads * rounds)


def test_redis_forgets_in_time_by_itself(redis_cache: RedisCache) -> None:
    server: Any = redis_cache._redis  # Its types allow for an asynchronous client, too.
    redis_cache.swap("k", None, "1", keep_s=60)
    redis_cache.swap("long", None, "1", keep_s=90 * 86_400)
    redis_cache.swap("k", "1", "2", keep_s=3600)
    assert 3590 < int(server.ttl(PREFIX + "k")) <= 3600
    assert int(server.ttl(PREFIX + "long")) > 86_400
    assert sorted(server.keys("*")) == [f"{PREFIX}k", f"{PREFIX}long"]
