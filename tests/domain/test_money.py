"""Division that names its rounding, checked against the standard library's decimal arithmetic."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.money import Rounding, divide, format_rupiah

AS_DECIMAL: dict[Rounding, str] = {
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "down": ROUND_DOWN,
    "up": ROUND_UP,
}


@pytest.mark.parametrize(
    ("numerator", "rounding", "expected"),
    [
        (5, "half_up", 3),
        (-5, "half_up", -3),
        (5, "half_even", 2),
        (7, "half_even", 4),
        (-5, "half_even", -2),
        (5, "down", 2),
        (-5, "down", -2),
        (5, "up", 3),
        (-5, "up", -3),
        (4, "up", 2),
    ],
)
def test_halves_go_where_the_rounding_says(numerator: int, rounding: Rounding, expected: int) -> None:
    assert divide(numerator, 2, rounding) == expected


@given(
    st.integers(-(10**15), 10**15),
    st.integers(-(10**3), 10**3).filter(bool),
    st.sampled_from(sorted(AS_DECIMAL)),
)
def test_division_agrees_with_decimal_arithmetic(numerator: int, denominator: int, rounding: Rounding) -> None:
    with localcontext() as context:
        context.prec = 60
        expected = int((Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), rounding=AS_DECIMAL[rounding]))
    assert divide(numerator, denominator, rounding) == expected


def test_division_is_exact_far_beyond_what_a_float_can_hold() -> None:
    assert divide(10**40 + 1, 2, "down") == 5 * 10**39
    assert divide(10**40 + 1, 2, "half_up") == 5 * 10**39 + 1


def test_an_unknown_rounding_is_refused() -> None:
    with pytest.raises(ValueError, match="rounding must be"):
        divide(1, 2, "nearest")  # type: ignore[arg-type]  # What a typing error would send.


def test_rupiah_are_written_with_dots_between_thousands() -> None:
    assert format_rupiah(1_170_000) == "Rp1.170.000"
    assert format_rupiah(0) == "Rp0"
    assert format_rupiah(999) == "Rp999"
    assert format_rupiah(-12_500) == "-Rp12.500"
