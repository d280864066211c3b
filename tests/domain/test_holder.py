"""Whose account it is: the names of banks beside those of identity cards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.holder import is_holder

SAME = [
    ("SITI RAHMAWATI", "Siti Rahmawati"),
    ("RAHMAWATI SITI", "Siti Rahmawati"),
    ("Siti  Rahmawati ", "SITI RAHMAWATI"),
    ("SITI R", "Siti Rahmawati"),
    ("S RAHMAWATI", "Siti Rahmawati"),
    ("SITI RAHMAWATI", "Siti R."),
    ("SITI NUR RAHMA", "Siti Nur Rahmawati"),
    ("SITI NUR", "Siti Nur Rahmawati"),
    ("SITI NUR RAHMAWATI PUTR", "Siti Nur Rahmawati Putri Handayani"),
    ("HJ SITI RAHMAWATI SE", "Siti Rahmawati"),
    ("SITI RAHMAWATI", "Hj. Siti Rahmawati, S.E., M.M."),
    ("DR. IR. BUDI SANTOSO", "Budi Santoso"),
    ("H. AHMAD FAUZI", "Ahmad Fauzi"),
    ("AHMAD H", "Ahmad Hidayat"),
    ("MOCH RIZKI", "Muhammad Rizki"),
    ("M RIZKI", "Mohamad Rizki"),
    ("M.RIZKI", "Muhammad Rizki"),
    ("MUHAMMAD RIZKI", "M. Rizki"),
    ("NURAINI", "Nur'aini"),
    ("NUR AINI", "Nur\u2019Aini"),
    ("ABDUL RAHMAN", "Abdulrahman"),
    ("JOSE MARIA", "José María"),
    ("SUHARTO", "Suharto"),
    ("SITI RAHMAWATI DAN/ATAU BUDI SANTOSO", "Siti Rahmawati"),
    ("BUDI SANTOSO ATAU SITI RAHMAWATI", "Siti Rahmawati"),
    ("YO LI", "Yo Li"),
]
OTHERS = [
    ("BAMBANG SUDARSONO", "Siti Rahmawati"),
    ("SITI AMINAH", "Siti Rahmawati"),
    ("SITI", "Siti Rahmawati"),
    ("S R", "Siti Rahmawati"),
    ("S", "Siti"),
    ("SITI RAHMAWATI PUTRI", "Siti Rahmawati"),
    ("SITI SITI", "Siti Rahmawati"),
    ("RAHMA SITI", "Siti Rahmawati"),
    ("SITI RA", "Siti Rahmawati"),
    ("RAHMA", "Rahmawati"),
    ("SITI RAHMAWATI QQ BUDI SANTOSO", "Budi Santoso"),
    ("SITI DAN BUDI", "Siti"),
    ("", "Siti Rahmawati"),
    ("1234 ****", "Siti Rahmawati"),
    ("SI** RA*****", "Siti Rahmawati"),
    ("SITI RAHMAWATI", ""),
    ("HAJI", "Haji"),
    ("MUHAMMAD", "Muhammad Rizki"),
]
WORDS = st.lists(
    st.text("ABDEFGIKLNORSTUWY", min_size=6, max_size=9), min_size=2, max_size=5, unique_by=lambda one: one[:6]
)


@pytest.mark.parametrize(("bank", "full_name"), SAME)
def test_the_same_person_in_the_words_of_a_bank(bank: str, full_name: str) -> None:
    assert is_holder(bank, full_name)


@pytest.mark.parametrize(("bank", "full_name"), OTHERS)
def test_another_person_or_one_who_cannot_be_told(bank: str, full_name: str) -> None:
    assert not is_holder(bank, full_name)


@given(st.data(), WORDS)
def test_order_case_and_signs_do_not_matter(data: st.DataObject, words: list[str]) -> None:
    full_name = " ".join(words)
    printed = data.draw(st.permutations(words))
    sign = data.draw(st.sampled_from([" ", "  ", ". ", " - "]))
    assert is_holder(sign.join(printed), full_name.title())
    assert is_holder(full_name, sign.join(printed).lower())


@given(WORDS, st.integers(1, 40))
def test_a_name_cut_to_a_field_is_known_by_two_whole_words_and_no_half_letters(words: list[str], width: int) -> None:
    full_name = " ".join(words)
    printed = full_name[:width].strip().split()
    whole = sum(word in words for word in printed)
    last = printed[-1]
    told = last in words or len(last) == 1 or len(last) >= 3
    needed = 2 if len(printed) < len(words) else 1
    assert is_holder(" ".join(printed), full_name) == (told and whole >= needed)


@given(WORDS, WORDS)
def test_a_name_with_a_word_of_another_is_not_the_same(mine: list[str], others: list[str]) -> None:
    foreign = [word for word in others if not any(own.startswith(word) for own in mine)]
    if foreign:
        assert not is_holder(" ".join([*mine[1:], foreign[0]]), " ".join(mine))


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_compared_there_is_an_answer(bank: str, full_name: str) -> None:
    assert is_holder(bank, full_name) in (True, False)
