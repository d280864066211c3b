"""The identity number: its parts, its hard checks, and how it may be shown."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.nik import PROVINCES, InvalidNik, mask_nik, parse_nik

TODAY = date(2026, 3, 1)


def test_a_nik_tells_place_birth_and_gender() -> None:
    nik = parse_nik(" 3171052005900001 ", today=TODAY)
    assert (nik.number, nik.serial) == ("3171052005900001", "0001")
    assert (nik.province, nik.regency, nik.district) == ("31", "3171", "317105")
    assert (nik.birth_date, nik.gender) == (date(1990, 5, 20), "male")


def test_a_womans_day_of_birth_has_40_added() -> None:
    nik = parse_nik("3171056005900001", today=TODAY)
    assert (nik.birth_date, nik.gender) == (date(1990, 5, 20), "female")


def test_there_are_38_provinces_and_the_former_east_timor() -> None:
    assert len(PROVINCES - {"54"}) == 38
    assert "54" in PROVINCES


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "length"),
        ("317105200590001", "length"),
        ("31710520059000011", "length"),
        ("3171 05200590001", "length"),
        ("317105200590000A", "length"),
        ("\u0663171052005900001", "length"),
        ("1071052005900001", "province"),
        ("2271052005900001", "province"),
        ("8371052005900001", "province"),
        ("9771052005900001", "province"),
        ("3171050005900001", "birth-date"),
        ("3171053205900001", "birth-date"),
        ("3171054005900001", "birth-date"),
        ("3171057205900001", "birth-date"),
        ("3171052000900001", "birth-date"),
        ("3171052013900001", "birth-date"),
        ("3171053104900001", "birth-date"),
        ("3171052902010001", "birth-date"),
        ("3171052005900000", "serial"),
        ("3171050203090001", "age"),
        ("3171052005150001", "age"),
    ],
)
def test_what_cannot_be_a_nik_is_refused_with_its_reason(text: str, code: str) -> None:
    with pytest.raises(InvalidNik, match=f"^NIK refused: {code}$") as refused:
        parse_nik(text, today=TODAY)
    assert refused.value.code == code


def test_the_century_is_the_one_that_gives_an_age_of_17_to_100() -> None:
    assert parse_nik("3171050103090001", today=TODAY).birth_date == date(2009, 3, 1)
    assert parse_nik("3171050103260001", today=TODAY).birth_date == date(1926, 3, 1)
    assert parse_nik("3171052902000001", today=TODAY).birth_date == date(2000, 2, 29)


@given(st.dates(date(1927, 1, 1), date(2008, 12, 31)), st.booleans(), st.integers(1, 9999))
def test_every_birth_date_of_an_adult_is_read_back(born: date, woman: bool, serial: int) -> None:  # noqa: FBT001  # Drawn.
    day = born.day + (40 if woman else 0)
    nik = parse_nik(f"317105{day:02}{born.month:02}{born.year % 100:02}{serial:04}", today=TODAY)
    assert (nik.birth_date, nik.gender) == (born, "female" if woman else "male")


def test_a_nik_is_shown_only_masked() -> None:
    assert mask_nik("3171052005900001") == "3171********0001"
    assert mask_nik("12345") == "*****"
    assert "2005900001" not in repr(parse_nik("3171052005900001", today=TODAY))
    assert "1990" not in repr(parse_nik("3171052005900001", today=TODAY))
