"""What a password must be, after NIST SP 800-63B: long enough, and not what anybody would try first.

Any character counts and none is asked for. Reasons are told, so that a person knows what to change.
"""

import re
import unicodedata
from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.nik import WOMEN_ADD

Weakness = Literal["password-too-common", "password-too-simple", "password-contains-personal"]

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 128
_SERVICE = "pinjam"
_SHORTEST_WORD = 3
_AREA_AND_BIRTH = 12
"""So many digits of a NIK come before its serial number."""
_WORDS = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(?<=[^\W\d_])[\W\d_]{1,6}\Z")
"""What people put behind a word to satisfy rules: a year, or a digit and an exclamation mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """What others know of a person, and so try first. `phone` in any spelling; what is unknown is empty."""

    full_name: str
    email: str
    phone: str
    nik: str


def normalise(password: str) -> str:
    """The one spelling in which a password is hashed, whichever keyboard it comes from: NFKC."""
    return unicodedata.normalize("NFKC", password)


def check_password(
    password: str, *, personal: Personal, common: Container[str], field: str = "password"
) -> FieldProblem | None:
    """Why a normalised password may not be chosen; None if it may.

    `common` holds, in small letters, what is used so often that it is tried first.
    """
    if len(password) < MIN_LENGTH:
        return FieldProblem(field=field, code="too-short", params={"limit": MIN_LENGTH})
    if len(password) > MAX_LENGTH:
        return FieldProblem(field=field, code="too-long", params={"limit": MAX_LENGTH})
    code = _weakness(password.casefold(), personal, common)
    return FieldProblem(field=field, code=code, params={"limit": MIN_LENGTH}) if code else None


def _weakness(password: str, personal: Personal, common: Container[str]) -> Weakness | None:
    if _is_common(password, common):
        return "password-too-common"
    if _is_simple(password):
        return "password-too-simple"
    for spelling in {password, "".join(_WORDS.findall(password))}:
        rest = _without(spelling, sorted(_personal_words(personal), key=len, reverse=True))
        if rest != spelling and (_is_simple(rest) or _is_common(rest, common)):
            return "password-contains-personal"
    return None


def _is_common(password: str, common: Container[str]) -> bool:
    """Whether it is common, or a common word with a year or the like behind it, or that twice."""
    unit = _unit(password)
    return unit in common or _ENDING.sub("", unit) in common


def _is_simple(password: str) -> bool:
    """Whether it is a few characters, perhaps over and over, or counts up or down."""
    steps = {ord(after) - ord(before) for before, after in pairwise(password)}
    return len(_unit(password)) < MIN_LENGTH or steps in ({1}, {-1})


def _unit(password: str) -> str:
    """What a text repeats; the text itself if it repeats nothing."""
    return password[: (password + password).find(password, 1)]


def _personal_words(personal: Personal) -> Iterator[str]:
    name, email = normalise(personal.full_name).casefold(), personal.email.casefold()
    local = email.partition("@")[0]
    digits = "".join(filter(str.isdigit, personal.phone)).removeprefix("62").lstrip("0")
    words = [_SERVICE, email, local, f"62{digits}", f"0{digits}", digits, *_numbers_of(personal.nik)]
    for text in (name, local):
        parts = _WORDS.findall(text)
        words += [*parts, "".join(parts)]
    yield from (word for word in words if len(word) >= _SHORTEST_WORD)


def _numbers_of(nik: str) -> list[str]:
    """The NIK, and the birth date in it as people write theirs."""
    if len(nik) < _AREA_AND_BIRTH or not nik.isdecimal():
        return []
    day, month, year = int(nik[6:8]) % WOMEN_ADD, nik[8:10], nik[10:12]
    return [nik, *(f"{day:02}{month}{century}{year}" for century in ("19", "20", ""))]


def _without(text: str, words: list[str]) -> str:
    for word in words:
        text = text.replace(word, "")
    return text
