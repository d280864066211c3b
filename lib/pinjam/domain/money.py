"""Whole rupiah and parts per million: integers only, and every division names its rounding."""

from typing import Literal

Rounding = Literal["half_up", "half_even", "down", "up"]

PPM = 1_000_000
"""Rates are integers in parts per million: 25,000 is 2.5 %."""


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """The exact quotient, rounded once.

    Negative quotients mirror positive ones, as in the decimal arithmetic of IEEE 754: `half_up` takes a
    half away from zero, `half_even` to the even neighbour, `down` goes towards zero and `up` away from it.
    ZeroDivisionError for a denominator of 0; ValueError for an unknown rounding.
    """
    quotient, remainder = divmod(abs(numerator), abs(denominator))
    if remainder:
        twice = 2 * remainder
        whole = abs(denominator)
        if rounding == "half_up":
            quotient += twice >= whole
        elif rounding == "half_even":
            quotient += twice > whole or (twice == whole and quotient % 2 == 1)
        elif rounding == "up":
            quotient += 1
        elif rounding != "down":
            raise ValueError(f"rounding must be half_up, half_even, down or up, not {rounding!r}")
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def format_rupiah(amount: int) -> str:
    """An amount as it is written in Indonesia: `Rp1.170.000`, and `-Rp500` below zero."""
    sign = "-" if amount < 0 else ""
    return f"{sign}Rp{abs(amount):,}".replace(",", ".")
