"""Indonesian mobile numbers in one spelling.

Numbering plans change, so they come from Google's library, the one that the domain knows. It is imported
on first use: its tables take time to load, and most functions never read a number.
"""

import re
from typing import Literal

PhoneProblem = Literal["not-a-number", "not-indonesian", "not-mobile"]

REGION = "ID"
COUNTRY_CODE = 62
SPELLING = re.compile(r"\+?[0-9 ().-]{6,30}")
"""Digits and the marks that people put between them; the library would also read letters as keys."""


class InvalidPhone(ValueError):
    """Not a mobile number of Indonesia. `code` says why; the number itself is not in the text."""

    def __init__(self, code: PhoneProblem) -> None:
        super().__init__(f"phone refused: {code}")
        self.code = code


def parse_phone(text: str) -> str:
    """The number in E.164: `0812…`, `62812…` and `+62812…` give the same. InvalidPhone for any other."""
    import phonenumbers  # noqa: PLC0415  # Paid for only by those who use it, see above.

    spelled = text.strip()
    if not SPELLING.fullmatch(spelled):
        raise InvalidPhone("not-a-number")
    try:
        number = phonenumbers.parse(spelled, REGION)
    except phonenumbers.NumberParseException as error:
        raise InvalidPhone("not-a-number") from error
    if number.country_code != COUNTRY_CODE:
        raise InvalidPhone("not-indonesian")
    if not phonenumbers.is_valid_number_for_region(number, REGION):
        raise InvalidPhone("not-a-number")
    if phonenumbers.number_type(number) != phonenumbers.PhoneNumberType.MOBILE:
        raise InvalidPhone("not-mobile")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
