"""One spelling for a mobile number, however it was written."""

import pytest

from pinjam.domain.phone import InvalidPhone, parse_phone


@pytest.mark.parametrize(
    "text",
    [
        "081234567890",
        "6281234567890",
        "+6281234567890",
        "+62 812-3456-7890",
        " 0812 3456 7890 ",
        "(0812) 3456.7890",
        "81234567890",
    ],
)
def test_every_spelling_of_a_number_is_the_same_number(text: str) -> None:
    assert parse_phone(text) == "+6281234567890"


@pytest.mark.parametrize("prefix", ["0811", "0813", "0821", "0838", "0852", "0857", "0877", "0881", "0896", "0899"])
def test_the_prefixes_of_every_operator_are_mobile(prefix: str) -> None:
    assert parse_phone(f"{prefix}23456789") == f"+62{prefix[1:]}23456789"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not-a-number"),
        ("halo", "not-a-number"),
        ("0812-CALL-NOW", "not-a-number"),
        ("0812", "not-a-number"),
        ("0812345678901234567", "not-a-number"),
        ("+6581234567", "not-indonesian"),
        ("0215551234", "not-mobile"),
        ("+62 21 555 1234", "not-mobile"),
    ],
)
def test_what_is_no_indonesian_mobile_number_is_refused_with_its_reason(text: str, code: str) -> None:
    with pytest.raises(InvalidPhone, match=f"^phone refused: {code}$") as refused:
        parse_phone(text)
    assert refused.value.code == code
