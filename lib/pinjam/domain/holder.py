"""Whether a bank account is the borrower's own, by the name that the bank has for it.

Banks print names in capitals, shorten them to the width of a field, reduce words to initials, and add or
leave out titles. The rule is ours; what it does not accept is looked at by a person:

- Only letters count, without accents; capitals and small letters are alike, and so is the order of words.
- Titles and forms of address (`H.`, `Dr.`, `S.E.`) are left out, and so is whatever follows a comma.
- Muhammad is the same name in all its usual spellings and abbreviations.
- Every word of the bank's name must be a word of the borrower's: the same one, its initial (either way), or,
  for the bank's last word, its beginning of at least three letters.
- At least one word of three letters must be the same in full; two of them where the bank leaves words out.
- Of an account that any one of several people may use (`A DAN/ATAU B`), one must be the borrower.
"""

import re
import unicodedata
from collections.abc import Sequence

_TITLES = re.compile(
    "HAJI|HAJJAH|HJ|KH|TN|NY|NN|SDR|SDRI|BPK|BAPAK|IBU|DR|DRG|DRH|DRS|DRA|IR|PROF|NS"
    "|SE|SH|ST|SP|SPD|SPDI|SKOM|SKM|SKEP|SSI|SSOS|SSN|SAG|SIP|SIKOM|SPSI|SFARM|STR|AMD|AMK"
    "|MM|MBA|MH|MT|MA|MSI|MSC|MPD|MKOM|MKN|MKES|MAG|MAP|PHD"
)
_FIRST_TITLE = "H"
"""Haji in front of a name; anywhere else it is an initial."""
_MUHAMMAD = re.compile("M[UO]C?H(?:[AE]M{1,2}[AE]D|D|MD)?|MHM?D")
_ANY_OF = re.compile(r"\s+(?:DAN\s*/\s*ATAU|ATAU|AND\s*/\s*OR|OR)\s+")
_INSIDE_WORDS = re.compile("['`\u2018\u2019\u02bc]")
_LETTERS = re.compile("[A-Z]+")
LEAST_LETTERS = 3
"""What a word, or what is left of it, needs to tell names apart."""


def is_holder(bank_name: str, full_name: str) -> bool:
    """Whether the name that a bank has for an account is that of the person of this full name."""
    borrower = _words(_plain(full_name))
    return any(_agree(_words(one), borrower) for one in _ANY_OF.split(_plain(bank_name)))


def _plain(name: str) -> str:
    """In capitals, without accents and apostrophes."""
    letters = unicodedata.normalize("NFKD", _INSIDE_WORDS.sub("", name))
    return "".join(one for one in letters if not unicodedata.combining(one)).upper()


def _words(name: str) -> list[str]:
    """The words of a plain name, without titles."""
    words: list[str] = []
    for part in name.partition(",")[0].split():
        joined = "".join(_LETTERS.findall(part))
        if _TITLES.fullmatch(joined) or (not words and joined == _FIRST_TITLE):
            continue
        words += ("MUHAMMAD" if _MUHAMMAD.fullmatch(word) else word for word in _LETTERS.findall(part))
    return words


def _agree(bank: Sequence[str], borrower: Sequence[str]) -> bool:
    if not bank or not borrower:
        return False
    if "".join(bank) == "".join(borrower):  # ABDUL RAHMAN and ABDULRAHMAN
        return True
    left, in_full, others = list(borrower), 0, []
    for place, word in enumerate(bank):
        if word in left:
            left.remove(word)
            in_full += len(word) >= LEAST_LETTERS
        else:
            others.append((word, place == len(bank) - 1))
    for word, last in sorted(others, key=lambda one: len(one[0]), reverse=True):
        found = next((other for other in left if _short_for(word, other, last=last)), None)
        if found is None:
            return False
        left.remove(found)
    return in_full >= (2 if len(bank) < len(borrower) else 1)


def _short_for(word: str, other: str, *, last: bool) -> bool:
    """Whether a word of the bank's stands for one of the borrower's that is not the same."""
    if len(word) == 1 or len(other) == 1:
        return word[0] == other[0]
    return last and len(word) >= LEAST_LETTERS and other.startswith(word)
