"""Limits on the whole road: the strict table, through the gateway, over a clock that is moved by hand."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pinjam.adapters.memory_cache import MemoryCache
from pinjam.local.road import Reply, Walker
from pinjam.local.system import LocalSystem
from pinjam.services.limits import GUESSES, STRICT

Check = Callable[..., dict[str, Any]]


@dataclass
class Hand:
    """A clock that is moved by hand."""

    seconds: float

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def hand(system: LocalSystem) -> Iterator[Hand]:
    """The system with the strict table and nothing counted yet, and the clock of its limits."""
    relaxed = system.app.limits
    assert relaxed.table != STRICT
    clock = Hand(time.time())
    system.app.limits = replace(relaxed, table=STRICT, cache=MemoryCache(clock), now=clock)
    system.app.__dict__.pop("sessions", None)
    yield clock
    system.app.limits = relaxed
    system.app.__dict__.pop("sessions", None)


def wait_of(reply: Reply, problem: Check, code: str) -> int:
    seconds = int(reply.headers["retry-after"])
    assert str(seconds) in problem(reply, 429, code)["detail"]
    return seconds


def test_a_lock_grows_and_ends_by_itself_and_is_nobody_elses(
    walker: Walker, new_walker: Callable[..., Walker], problem: Check, hand: Hand
) -> None:
    walker.register().expect(201)
    other = new_walker()
    other.register().expect(201)
    email = walker.person.email
    for _ in range(GUESSES.free):
        problem(walker.log_in(email, "not the password"), 401, "invalid-credentials")
    waits = []
    for _ in range(3):
        waits.append(wait_of(walker.log_in(email), problem, "too-many-attempts"))
        other.log_in(other.person.email).expect(200)
        hand.seconds += waits[-1]
        problem(walker.log_in(email, "not the password"), 401, "invalid-credentials")
    assert waits == [60, 120, 240]
    hand.seconds += wait_of(walker.log_in(email), problem, "too-many-attempts")
    walker.log_in(email).expect(200)
    problem(walker.log_in(email, "not the password"), 401, "invalid-credentials")
    walker.log_in(email).expect(200)


def test_sign_ups_and_uploads_have_their_limits_in_front_of_everything_else(
    walker: Walker, problem: Check, hand: Hand
) -> None:
    walker.register().expect(201)
    register, upload = STRICT["register"].address, STRICT["upload"].account
    assert register is not None
    assert upload is not None
    for _ in range(register.burst - 1):
        problem(walker.road.call("POST", "/api/auth/register", body={}), 422, "invalid-fields")
    seconds = wait_of(walker.road.call("POST", "/api/auth/register", body={}), problem, "too-many-requests")
    assert seconds == register.every_s
    for _ in range(upload.burst):
        problem(walker.call("POST", "/api/documents/upload", content=b""), 415, "multipart-required")
    wait_of(walker.call("POST", "/api/documents/upload", content=b""), problem, "too-many-requests")
    # What is not limited goes on, and what is comes back.
    walker.profile().expect(200)
    hand.seconds += max(register.every_s, upload.every_s)
    problem(walker.road.call("POST", "/api/auth/register", body={}), 422, "invalid-fields")
    walker.upload("income").expect(201)
