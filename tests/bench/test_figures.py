"""What figures are made of."""

import pytest
from bench.figures import percentile, ratio, table, times


@pytest.mark.parametrize(("percent", "expected"), [(1, 1), (20, 1), (21, 2), (50, 3), (99, 5), (100, 5)], ids=str)
def test_a_percentile_is_the_value_that_so_many_percent_do_not_exceed(percent: int, expected: int) -> None:
    assert percentile([5, 3, 1, 4, 2], percent) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_ratio_says_how_many_times_the_baseline() -> None:
    assert (ratio(3, 2), ratio(1, 3), times(ratio(3, 2)), times(None)) == (1.5, 0.33, "1.50 x", "-")


def test_a_table_has_its_words_to_the_left_and_its_figures_to_the_right() -> None:
    assert table("Calls", [("call", "us"), ("quote", "7"), ("pay", "1200")]) == (
        "Calls\n  call     us\n  quote     7\n  pay    1200"
    )
