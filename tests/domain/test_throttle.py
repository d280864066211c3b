"""Rates and lock-outs: what they let through, what they make wait, and that every wait ends."""

from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.throttle import LockOut, Rate

NOW = 1_800_000_000_000
RATE = Rate(burst=3, every_s=10)
LOCK = LockOut(free=3, first_s=60, longest_s=600, forget_s=3600)


def drain(rule: Rate | LockOut, times: int, state: str | None = None, now_ms: int = NOW) -> str | None:
    """The state after so many were taken at once."""
    for _ in range(times):
        state, wait_ms = rule.take(state, now_ms)
        assert wait_ms == 0
    return state


def test_a_rate_lets_a_burst_through_and_then_one_at_a_time() -> None:
    state = drain(RATE, 3)
    assert RATE.take(state, NOW) == (state, 10_000)
    assert RATE.take(state, NOW + 9_999) == (state, 1)
    state, wait_ms = RATE.take(state, NOW + 10_000)
    assert wait_ms == 0
    assert RATE.take(state, NOW + 10_000)[1] == 10_000


def test_a_rate_is_whole_again_after_a_while() -> None:
    state = drain(RATE, 3)
    drain(RATE, 3, state, NOW + RATE.memory_s * 1000)


def test_what_is_given_back_can_be_taken_again() -> None:
    state = RATE.give_back(drain(RATE, 3), NOW)
    drain(RATE, 1, state)
    assert RATE.give_back(drain(RATE, 1), NOW) is None
    assert RATE.give_back(None, NOW) is None


@given(
    st.builds(Rate, burst=st.integers(1, 50), every_s=st.integers(1, 600)),
    st.lists(st.integers(0, 200_000), max_size=80),
)
def test_a_rate_never_lets_through_more_than_it_says_and_never_refuses_what_it_owes(
    rate: Rate, pauses_ms: list[int]
) -> None:
    state, now_ms, taken = None, NOW, list[int]()
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        state, wait_ms = rate.take(state, now_ms)
        if wait_ms == 0:
            taken.append(now_ms)
        else:
            assert wait_ms <= rate.every_s * 1000
            assert rate.take(state, now_ms + wait_ms)[1] == 0
            assert rate.take(state, now_ms + wait_ms - 1)[1] == 1
    for first, start in enumerate(taken):
        for last, end in enumerate(taken[first:], first):
            assert last - first + 1 <= rate.burst + (end - start) // (rate.every_s * 1000)


def test_waits_grow_up_to_the_longest() -> None:
    state, now_ms, waits = None, NOW, []
    for _ in range(9):
        state, wait_ms = LOCK.take(state, now_ms)
        assert wait_ms == 0
        wait_ms = LOCK.take(state, now_ms)[1]
        waits.append(wait_ms // 1000)
        now_ms += wait_ms
    assert waits == [0, 0, 60, 120, 240, 480, 600, 600, 600]


def test_trying_during_a_wait_does_not_make_it_longer() -> None:
    state = drain(LOCK, 3)
    for second in range(60):
        state, wait_ms = LOCK.take(state, NOW + second * 1000)
        assert wait_ms == (60 - second) * 1000
    assert LOCK.take(state, NOW + 60_000)[1] == 0


def test_a_lock_forgets() -> None:
    state = drain(LOCK, 3)
    later = NOW + (60 + LOCK.forget_s) * 1000
    state = drain(LOCK, 2, state, later)
    assert LOCK.take(drain(LOCK, 1, state, later), later)[1] == 60_000
    # A moment earlier the next try would have been the fourth.
    assert LOCK.take(drain(LOCK, 1, drain(LOCK, 3), later - 1), later - 1)[1] == 120_000


def test_a_try_that_is_given_back_leaves_no_wait() -> None:
    state = LOCK.give_back(drain(LOCK, 3), NOW)
    assert LOCK.take(drain(LOCK, 1, state), NOW)[1] == 60_000
    assert LOCK.give_back(drain(LOCK, 1), NOW) is None


def test_many_thousand_tries_are_no_huge_number() -> None:
    assert LOCK.take(f"1000000000:{NOW}", NOW) == (f"1000000001:{NOW + 600_000}", 0)


@given(st.lists(st.integers(-10_000_000, 10_000_000), min_size=1, max_size=40), st.sampled_from([RATE, LOCK]))
def test_whatever_the_clock_does_a_wait_is_short_and_ends(steps_ms: list[int], rule: Rate | LockOut) -> None:
    longest_ms = (RATE.burst * RATE.every_s if rule is RATE else LOCK.longest_s) * 1000
    state, now_ms = None, NOW
    for step_ms in steps_ms:
        now_ms += step_ms
        state, wait_ms = rule.take(state, now_ms)
        assert 0 <= wait_ms <= longest_ms
        assert rule.take(state, now_ms + wait_ms)[1] == 0 or wait_ms == 0
