"""Passwords: any characters, long enough, and nothing that is tried first."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.password import MAX_LENGTH, MIN_LENGTH, Personal, check_password, normalise

COMMON = frozenset({"password", "sunshine", "password1", "dragon", "mypassword"})
SITI = Personal(
    full_name="Siti Nur Rahmawati", email="s.rahma_90@example.com", phone="0812-3456-7890", nik="3171015508900001"
)


def reason(password: str, personal: Personal = SITI) -> str | None:
    problem = check_password(normalise(password), personal=personal, common=COMMON, field="new_password")
    assert problem is None or problem.field == "new_password"
    return problem.code if problem else None


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "xqzvwpfk",
        "        x       y   ",
        "kucing makan pepaya",
        "пароль из слов",
        "密码由词语组成而已哦",
        "🐘🦏🐅🐒🦎🐊🐢🦜",
        "z9#" * 2 + "qk",
        "a" + "bcdefghz",
        "siti suka naik kereta malam",
        "pinjam payung sebelum hujan",
        "3171015508900001 dan kuda nil",
        "x" * 7 + "y" * 7,
        "~`!@#$%^&*()",
    ],
)
def test_any_characters_will_do_and_none_are_asked_for(password: str) -> None:
    assert reason(password) is None


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("", "too-short"),
        ("x7#kq2w", "too-short"),
        ("é" * 7, "too-short"),
        ("x7#kq2w-" * 16 + "x", "too-long"),
        ("password", "password-too-common"),
        ("PassWord", "password-too-common"),
        ("".join(chr(ord(letter) + 0xFEE0) for letter in "password"), "password-too-common"),
        ("sunshine2026!", "password-too-common"),
        ("Dragon!!!", "password-too-common"),
        ("passwordpassword", "password-too-common"),
        ("aaaaaaaa", "password-too-simple"),
        ("abababababab", "password-too-simple"),
        ("12341234", "password-too-simple"),
        ("12345678", "password-too-simple"),
        ("abcdefghijkl", "password-too-simple"),
        ("98765432", "password-too-simple"),
        ("rahmawati", "password-contains-personal"),
        ("SitiRahmawati1990", "password-contains-personal"),
        ("Siti Nur Rahmawati", "password-contains-personal"),
        ("s.rahma_90!!", "password-contains-personal"),
        ("s.rahma_90@example.com", "password-contains-personal"),
        ("081234567890", "password-contains-personal"),
        ("+62 812 3456 7890", "password-contains-personal"),
        ("812-3456-7890", "password-contains-personal"),
        ("3171015508900001", "password-contains-personal"),
        ("15081990", "password-contains-personal"),
        ("siti150890", "password-contains-personal"),
        ("pinjam2026", "password-contains-personal"),
        ("PINJAM-siti", "password-contains-personal"),
        ("pinjampassword", "password-contains-personal"),
        ("siti12345678", "password-contains-personal"),
        ("sunsitishine99", "password-contains-personal"),
    ],
)
def test_what_is_tried_first_is_refused_with_its_reason(password: str, expected: str) -> None:
    assert reason(password) == expected


def test_the_limits_are_counted_in_characters_and_included() -> None:
    odd = "".join(chr(0x4E00 + number * number) for number in range(MAX_LENGTH))
    assert reason(odd[:MIN_LENGTH]) is None
    assert reason(odd) is None
    problem = check_password("short", personal=SITI, common=COMMON)
    assert problem is not None
    assert (problem.field, problem.params) == ("password", {"limit": 8})


def test_what_is_not_known_of_a_person_forbids_nothing() -> None:
    nobody = Personal(full_name="", email="", phone="", nik="")
    assert reason("rahmawati", nobody) is None
    assert reason("pinjam12", nobody) == "password-contains-personal"
    short = Personal(full_name="O Al", email="a@b.id", phone="12", nik="no NIK")
    assert reason("also an ocean", short) is None


@given(st.text(min_size=0, max_size=140))
def test_every_text_is_judged_and_normalising_twice_is_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once == unicodedata.normalize("NFKC", text)
    check_password(once, personal=SITI, common=COMMON)


@given(st.text(alphabet=string.printable, min_size=1, max_size=60), st.sampled_from(["Siti", "rahmawati", "PINJAM"]))
def test_a_personal_word_counts_for_nothing_wherever_it_stands(text: str, word: str) -> None:
    if len(text) < MIN_LENGTH:
        assert reason(word + text) is not None
        assert reason(text + word) is not None
