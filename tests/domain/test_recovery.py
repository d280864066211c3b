"""One-time codes: 15 minutes, five tries, one use."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.recovery import DIGITS, LEASE, LIFE, MOST_TRIES, ResetCode, code_of

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
CODE = ResetCode(id="usr_1", request="evt_1", asked_at=AT, expires_at=AT + LIFE)
TICK = timedelta(microseconds=1)


@given(st.integers(0, 2**256 - 1))
def test_every_digest_is_a_code_of_as_many_digits(number: int) -> None:
    code = code_of(f"{number:064x}")
    assert len(code) == DIGITS
    assert code.isascii()
    assert int(code) == number % 10**DIGITS


def test_small_numbers_keep_their_zeros() -> None:
    assert code_of("0" * 63 + "7") == "00000007"


def test_a_code_lives_for_fifteen_minutes() -> None:
    assert CODE.judge(genuine=True, now=AT + LIFE - TICK) == "right"
    assert CODE.judge(genuine=True, now=AT + LIFE) == "void"
    assert not CODE.is_open(AT + LIFE)


def test_a_code_bears_five_tries_and_then_not_even_the_right_one() -> None:
    code = CODE
    for _ in range(MOST_TRIES):
        assert code.judge(genuine=True, now=AT) == "right"
        assert code.judge(genuine=False, now=AT) == "wrong"
        code = code.tried()
    assert code.judge(genuine=True, now=AT) == code.judge(genuine=False, now=AT) == "void"
    assert not code.is_open(AT)


def test_a_code_is_at_work_once_at_a_time_and_used_once() -> None:
    leased = CODE.leased(AT)
    assert leased.judge(genuine=True, now=AT + LEASE - TICK) == "running"
    assert leased.judge(genuine=True, now=AT + LEASE) == "right"
    assert leased.judge(genuine=False, now=AT) == "wrong"
    assert leased.released() == CODE
    used = leased.used(AT)
    assert (used.judge(genuine=True, now=AT), used.judge(genuine=False, now=AT)) == ("done", "wrong")
    assert (used.is_open(AT), CODE.is_open(AT)) == (False, True)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("try"), st.booleans()),
            st.tuples(st.just("fail"), st.booleans()),
            st.tuples(st.just("pass"), st.integers(1, 400)),
        ),
        max_size=30,
    )
)
def test_no_history_makes_a_code_good_twice_or_for_more_than_five_tries(steps: list[tuple[str, int]]) -> None:
    code, now, wrong, used = CODE, AT, 0, 0
    for kind, value in steps:
        if kind == "pass":
            now += timedelta(seconds=value)
            continue
        verdict = code.judge(genuine=bool(value), now=now)
        if verdict == "right":
            code = code.leased(now)
            code = code.released() if kind == "fail" else code.used(now)
            used += kind == "try"
        elif verdict in ("wrong", "done"):
            wrong += 1
            code = code.tried()
    assert used <= 1
    assert wrong <= MOST_TRIES
    assert code == replace(CODE, tries=wrong, used_at=code.used_at)
