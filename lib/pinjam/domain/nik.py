"""The NIK, the number of an Indonesian identity card: `PP RR DD DDMMYY SSSS`."""

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from pinjam.domain.calendar import years_between
from pinjam.domain.user import Gender

NikProblem = Literal["length", "province", "birth-date", "serial", "age"]

LENGTH = 16
YOUNGEST, OLDEST = 17, 100
WOMEN_ADD = 40

PROVINCES = frozenset(
    str(code)
    for codes in (
        range(11, 20),
        (21,),
        range(31, 37),
        range(51, 55),
        range(61, 66),
        range(71, 77),
        (81, 82),
        range(91, 97),
    )
    for code in codes
)
"""The codes of the Ministry of Home Affairs, with the new ones in Papua; 54 was East Timor, where some were born."""


class InvalidNik(ValueError):
    """Not a NIK. `code` says which check failed; the number itself is not in the text."""

    def __init__(self, code: NikProblem) -> None:
        super().__init__(f"NIK refused: {code}")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Nik:
    """A checked NIK. `province` (2 digits), `regency` (4) and `district` (6) are full area codes.

    They are those of the place of first registration. The number stays out of the text of this object.
    """

    number: str = field(repr=False)
    province: str
    regency: str
    district: str
    birth_date: date = field(repr=False)
    gender: Gender
    serial: str = field(repr=False)


def parse_nik(text: str, *, today: date) -> Nik:
    """The parts of a NIK. InvalidNik if it cannot be one.

    Spaces around it are dropped. The century of birth is the one that gives an age of 17 to 100 today.
    """
    number = text.strip()
    if len(number) != LENGTH or not (number.isascii() and number.isdigit()):
        raise InvalidNik("length")
    if number[:2] not in PROVINCES:
        raise InvalidNik("province")
    day, month, year = int(number[6:8]), int(number[8:10]), int(number[10:12])
    woman = day > WOMEN_ADD
    birth_date = _birth_date(day - WOMEN_ADD if woman else day, month, year, today)
    if number[12:] == "0000":
        raise InvalidNik("serial")
    return Nik(
        number=number,
        province=number[:2],
        regency=number[:4],
        district=number[:6],
        birth_date=birth_date,
        gender="female" if woman else "male",
        serial=number[12:],
    )


def _birth_date(day: int, month: int, year: int, today: date) -> date:
    this_century = today.year - today.year % 100
    real = []
    for century in (this_century, this_century - 100):
        try:
            real.append(date(century + year, month, day))
        except ValueError:
            continue
    if not real:
        raise InvalidNik("birth-date")
    for birth_date in real:
        if YOUNGEST <= years_between(birth_date, today) <= OLDEST:
            return birth_date
    raise InvalidNik("age")


def mask_nik(number: str) -> str:
    """A NIK as it may be shown and logged: `3171********0001`; anything of another length shows nothing."""
    if len(number) != LENGTH:
        return "*" * len(number)
    return f"{number[:4]}{'*' * 8}{number[-4:]}"
