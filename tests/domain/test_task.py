from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.task import MOST_TRIES, PAUSES, pause_after

CHANCES = st.floats(min_value=0, max_value=1)


def test_the_first_pauses_forgive_a_hiccup_and_the_last_wait_for_hours() -> None:
    pauses = [pause_after(tries, 0.5) for tries in range(1, MOST_TRIES)]
    assert pauses == list(PAUSES)
    assert len(PAUSES) == MOST_TRIES - 1
    assert sum(PAUSES[:3], timedelta()) == timedelta(seconds=25)
    assert PAUSES[-1] == timedelta(hours=13)


@given(st.lists(CHANCES, min_size=MOST_TRIES - 1, max_size=MOST_TRIES - 1))
def test_all_tries_together_take_most_of_a_day_and_not_more(chances: list[float]) -> None:
    whole = sum((pause_after(tries, chance) for tries, chance in enumerate(chances, 1)), timedelta())
    assert timedelta(hours=14) < whole < timedelta(days=1)


@given(st.integers(1, MOST_TRIES - 2), CHANCES, CHANCES)
def test_each_pause_is_longer_than_the_one_before_and_spread(tries: int, one: float, other: float) -> None:
    assert pause_after(tries, one) < pause_after(tries + 1, other)
    assert abs(pause_after(tries, one) - pause_after(tries, other)) <= pause_after(tries, 0.5) / 2
