"""The list of common passwords is there, offline, and knows what people really choose."""

import pytest

from pinjam.adapters.common_passwords import INDONESIAN, ListedPasswords


@pytest.fixture(scope="module")
def listed() -> ListedPasswords:
    return ListedPasswords()


@pytest.mark.parametrize(
    "password", ["password", "12345678", "qwertyuiop", "iloveyou", "sayangku", "bismillah", "indonesia", "katasandi"]
)
def test_what_many_choose_is_in_the_list(listed: ListedPasswords, password: str) -> None:
    assert password in listed


@pytest.mark.parametrize("password", ["correct horse battery", "kata-sandi-123456789", "", "Password"])
def test_what_few_choose_is_not(listed: ListedPasswords, password: str) -> None:
    assert password not in listed


def test_the_list_is_long_and_in_small_letters(listed: ListedPasswords) -> None:
    assert len(listed._listed) == 30_000
    assert all(word == word.casefold() for word in INDONESIAN | listed._listed)
