"""What the sandbox's SMS providers take: a text that is one segment, to an Indonesian mobile number.

The real ones would send a longer text, or one with other letters, in several parts, at several times the price.
"""

import re

_MAX_CHARS = 160
_GSM_7 = re.compile(r"[A-Za-z0-9@£$¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,\-./:;<=>?¡ÄÖÑÜ§¿äöñüà_\n\r]*")
_TWICE = re.compile(r"[\^{}\\\[~\]|€]")
_MOBILE = re.compile(r"(?:\+?62|0)(8\d{7,12})")


def is_one_segment(text: str) -> bool:
    """Whether the text fits into 160 places of the GSM 7-bit alphabet (3GPP TS 23.038)."""
    # Those of the extension table take two places each.
    places = len(text) + len(_TWICE.findall(text))
    return 0 < places <= _MAX_CHARS and _GSM_7.fullmatch(_TWICE.sub("", text)) is not None


def mobile_number(text: str) -> str | None:
    """The number as E.164, or None if it is none of a mobile phone."""
    number = _MOBILE.fullmatch(text)
    return f"+62{number[1]}" if number else None
