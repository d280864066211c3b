"""Limits: by account, by address and by the pair; strict for guessing, and never against the borrower."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import get_args

import pytest

from pinjam.adapters.memory_cache import MemoryCache
from pinjam.domain.throttle import LockOut, Rate
from pinjam.services.errors import TooMany, Unauthenticated
from pinjam.services.limits import BUSY_MS, GUESSES, KNOWN_S, RELAXED, STRICT, LimitName, Limits

SITI, BUDI = "siti1@example.com", "+6281234500002"
HOME, THERE = "203.0.113.7", "198.51.100.9"
NAMES: tuple[LimitName, ...] = get_args(LimitName)


def _fingerprint(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


class Noted(MemoryCache):
    """A cache whose keys and values can be looked at."""

    def all(self) -> str:
        return str(self._kept)


@dataclass
class Doorman:
    """Limits whose time is moved by hand."""

    seconds: float = 1_800_000_000.0
    cache: Noted = field(init=False)
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        self.cache = Noted(lambda: self.seconds)
        self.limits = Limits(self.cache, STRICT, lambda: self.seconds, _fingerprint)

    def wrong(self, account: str, address: str, name: LimitName = "login") -> int:
        """How long one more wrong try has to wait; 0 if it was let in."""
        return self.wait(lambda: self._fail(name, account, address))

    def right(self, account: str, address: str, name: LimitName = "login") -> int:
        return self.wait(lambda: self._succeed(name, account, address))

    def check(self, name: LimitName, account: str = "", address: str = "") -> int:
        return self.wait(lambda: self.limits.check(name, account=account, address=address))

    def wait(self, call: Callable[[], None]) -> int:
        try:
            call()
        except TooMany as refused:
            return refused.retry_after_s
        except Unauthenticated:
            return 0
        return 0

    def _fail(self, name: LimitName, account: str, address: str) -> None:
        with self.limits.attempt(name, account=account, address=address):
            raise Unauthenticated

    def _succeed(self, name: LimitName, account: str, address: str) -> None:
        with self.limits.attempt(name, account=account, address=address):
            pass


@pytest.fixture
def doorman() -> Doorman:
    return Doorman()


def test_wrong_tries_lock_the_pair_for_ever_longer_and_the_lock_ends_by_itself(doorman: Doorman) -> None:
    for expected in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        while (wait := doorman.wrong(SITI, HOME)) == 0:
            pass
        assert wait == expected
        assert doorman.right(SITI, HOME) == expected  # Not even looked at.
        doorman.seconds += wait
    assert doorman.right(SITI, HOME) == 0
    assert [doorman.wrong(SITI, HOME) for _ in range(GUESSES.free)] == [0] * GUESSES.free


def test_a_lock_of_one_address_is_none_of_another(doorman: Doorman) -> None:
    while doorman.wrong(SITI, THERE) == 0:
        pass
    assert doorman.right(SITI, HOME) == 0
    assert doorman.wrong(BUDI, THERE) == 0


def test_guessing_from_everywhere_slows_the_account_but_not_an_address_that_it_knows(doorman: Doorman) -> None:
    assert doorman.right(SITI, HOME) == 0
    guesses = [doorman.wrong(SITI, f"198.51.{number // 250}.{number % 250}") for number in range(200)]
    rate = STRICT["login"].account
    assert rate is not None
    assert guesses == [0] * rate.burst + [rate.every_s] * (200 - rate.burst)
    assert doorman.right(SITI, THERE) == rate.every_s
    assert doorman.right(SITI, HOME) == 0
    doorman.seconds += rate.every_s
    assert doorman.right(SITI, THERE) == 0
    # Both are known by now; an address is forgotten when nobody comes from it.
    doorman.seconds += KNOWN_S
    for number in range(200):
        doorman.wrong(SITI, f"198.51.{number // 250}.{number % 250}")
    assert doorman.right(SITI, HOME) > 0


def test_one_address_that_tries_every_account_is_stopped(doorman: Doorman) -> None:
    rate = STRICT["login"].address
    assert rate is not None
    tried = [doorman.wrong(f"siti{number}@example.com", THERE) for number in range(rate.burst + 1)]
    assert tried == [0] * rate.burst + [rate.every_s]
    assert doorman.wrong("another@example.com", HOME) == 0


def test_those_who_know_their_password_are_counted_nowhere(doorman: Doorman) -> None:
    for number in range(500):
        assert doorman.right(f"siti{number % 3}@example.com", HOME) == 0


def test_what_ends_in_neither_is_given_back(doorman: Doorman) -> None:
    def down() -> None:
        with doorman.limits.attempt("login", account=SITI, address=HOME):
            raise ConnectionError

    for _ in range(500):
        with pytest.raises(ConnectionError):
            down()
    assert doorman.wrong(SITI, HOME) == 0


def test_what_is_refused_is_not_counted_elsewhere(doorman: Doorman) -> None:
    while doorman.wrong(SITI, THERE) == 0:
        pass
    for _ in range(500):
        assert doorman.wrong(SITI, THERE) > 0
    assert doorman.wrong(BUDI, THERE) == 0
    assert doorman.right(SITI, HOME) == 0


def test_what_the_account_refuses_is_not_counted_for_the_pair(doorman: Doorman) -> None:
    rate = STRICT["login"].account
    assert rate is not None
    for number in range(rate.burst):
        assert doorman.wrong(SITI, f"198.51.100.{number}") == 0
    for _ in range(3 * GUESSES.free):
        assert doorman.wrong(SITI, HOME) == rate.every_s
    doorman.seconds += GUESSES.free * rate.every_s
    assert [doorman.wrong(SITI, HOME) for _ in range(GUESSES.free)] == [0] * GUESSES.free


def test_of_many_tries_at_once_no_more_are_let_in_than_of_many_in_turn(doorman: Doorman) -> None:
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: doorman.wrong(SITI, THERE), range(40)))
    assert waits.count(0) == GUESSES.free


def test_a_new_password_ends_the_lock_of_the_old_one(doorman: Doorman) -> None:
    while doorman.wrong(SITI, HOME) == 0:
        pass
    assert doorman.right(SITI, HOME, "reset") == 0
    assert doorman.right(SITI, HOME) == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_refuses_at_some_point_and_lets_in_again_after_the_time_that_it_told(
    doorman: Doorman, name: LimitName
) -> None:
    limit = STRICT[name]
    for account, address in (("usr_1", ""), ("", HOME), ("usr_1", HOME)):
        if not (limit.address if not account else limit.account if not address else True):
            continue
        wait, calls = 0, 0
        while not (wait := doorman.check(name, account, address)):
            calls += 1
            assert calls < 1000
        doorman.seconds += wait
        assert doorman.check(name, account, address) == 0
        doorman.seconds += 30 * 86_400


def test_what_is_empty_does_not_count(doorman: Doorman) -> None:
    for name in NAMES:
        assert [doorman.check(name) for _ in range(1000)] == [0] * 1000
    assert doorman.cache.all() == "OrderedDict()"


def test_an_ipv6_subscriber_is_one_whatever_address_they_choose(doorman: Doorman) -> None:
    for number in range(GUESSES.free):
        assert doorman.wrong(SITI, f"2001:db8:1:2::{number:x}") == 0
    assert doorman.wrong(SITI, "2001:db8:1:2:ffff:ffff:ffff:ffff") > 0
    assert doorman.wrong(SITI, "2001:db8:1:3::1") == 0


def test_an_ipv4_address_is_the_same_in_either_spelling(doorman: Doorman) -> None:
    while doorman.wrong(SITI, HOME) == 0:
        pass
    assert doorman.wrong(SITI, f"::ffff:{HOME}") > 0


def test_no_identifier_and_no_address_is_kept(doorman: Doorman) -> None:
    doorman.right(SITI, HOME)
    doorman.wrong(BUDI, THERE)
    kept = doorman.cache.all()
    assert len(kept) > 50
    for personal in (SITI, BUDI, HOME, THERE):
        assert personal not in kept


class Busy(MemoryCache):
    """A cache in which somebody else is always quicker."""

    def swap(self, *_: object, **__: object) -> bool:
        return False


def test_more_at_once_than_can_be_counted_is_too_many() -> None:
    limits = Limits(Busy(lambda: 0), STRICT, lambda: 0, str)
    with pytest.raises(TooMany) as refused:
        limits.check("upload", account="usr_1", address=HOME)
    assert refused.value.retry_after_s * 1000 == BUSY_MS


def test_the_relaxed_table_is_as_strict_about_guesses_and_counts_as_much() -> None:
    for name in NAMES:
        strict, relaxed = STRICT[name], RELAXED[name]
        assert relaxed.pair == strict.pair
        assert relaxed.code == strict.code
        for loose, tight in ((relaxed.account, strict.account), (relaxed.address, strict.address)):
            assert (loose is None) == (tight is None)
            if loose and tight:
                assert loose == Rate(burst=1000 * tight.burst, every_s=tight.every_s)
    assert isinstance(STRICT["login"].pair, LockOut)
