"""Made-up people and their pictures, for the demonstration, the tests and the load generator.

Nobody here exists: e-mail addresses are under example.com, which no one can own (RFC 2606), names are
common ones, and phone numbers and NIKs are random within their numbering plans.
"""

import io
import random
from dataclasses import dataclass, field
from datetime import date

from PIL import Image, ImageDraw

from pinjam.domain.user import Locale

_FIRST = ("Siti", "Budi", "Dewi", "Agus", "Putri", "Eko", "Rina", "Joko", "Maya", "Hendra", "Lestari", "Yusuf")
_LAST = ("Rahmawati", "Santoso", "Lestari", "Wibowo", "Permatasari", "Nugroho", "Handayani", "Siregar", "Hidayat")
_WOMEN = frozenset({"Siti", "Dewi", "Putri", "Rina", "Maya", "Lestari"})
_AREAS = ("317101", "317205", "327306", "337402", "347103", "357804", "517102", "127109", "737107", "647201")
_OPERATORS = ("0811", "0812", "0813", "0821", "0822", "0852", "0853", "0857", "0858", "0878", "0896")
_YOUNGEST, _OLDEST = 27, 53
_DAYS_IN_EVERY_MONTH = 28
_WOMEN_ADD = 40
_ORDINARY_SERIALS = 8999
"""Serials from 9001 on mean something to the sandbox's e-KYC provider."""

REJECTED, DOUBTFUL, UNANSWERED = "9001", "9002", "9003"
"""Last digits of a NIK: rejected, sent to review, and review because the provider does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who signs up. `phone` is in its national spelling, with a leading 0."""

    full_name: str
    email: str
    phone: str
    nik: str
    password: str = field(repr=False)
    account_number: str
    locale: Locale = "id"

    @property
    def phone_e164(self) -> str:
        """The number as the system keeps it: `+628...`."""
        return "+62" + self.phone[1:]

    @property
    def phone_spellings(self) -> tuple[str, ...]:
        """The same number as other people write it."""
        rest = self.phone[1:]
        return (
            self.phone_e164,
            f"62{rest}",
            f"+62 {rest[:3]}-{rest[3:7]}-{rest[7:]}",
            f"{self.phone[:4]} {self.phone[4:8]} {self.phone[8:]}",
        )

    @property
    def registration(self) -> dict[str, object]:
        """The body of the sign-up."""
        return {
            "full_name": self.full_name,
            "email": self.email,
            "phone": self.phone,
            "nik": self.nik,
            "password": self.password,
            "consent": {"terms_version": "2026-01", "privacy_version": "2026-01"},
            "locale": self.locale,
        }

    @property
    def bank_account(self) -> dict[str, object]:
        """The bank account as the profile takes it."""
        return {"bank_code": "bca", "account_number": self.account_number, "account_name": self.full_name}


class People:
    """A source of people and pictures; the same seed makes the same ones, on the same day."""

    def __init__(self, seed: int, *, today: date) -> None:
        self._random = random.Random(seed)  # noqa: S311  # nobody's secret hangs on who is made up
        self._today = today

    def person(self, *, nik_ending: str | None = None, locale: Locale = "id") -> Person:
        """Somebody new, of an age that the policy lends to. `nik_ending` is what the NIK ends in."""
        pick = self._random
        first, last = pick.choice(_FIRST), pick.choice(_LAST)
        return Person(
            full_name=f"{first} {last}",
            email=f"{first}.{last}.{pick.randrange(10**9):09d}@example.com".lower(),
            phone=f"{pick.choice(_OPERATORS)}{pick.randrange(10**8):08d}",
            nik=self._nik(woman=first in _WOMEN, ending=nik_ending),
            password=f"kata-sandi-{pick.randrange(10**9):09d}",
            account_number=f"{pick.randrange(10**9, 8 * 10**9)}",
            locale=locale,
        )

    def picture(self) -> bytes:
        """A small JPEG of a face or so; no two are the same."""
        pick = self._random
        image = Image.new("RGB", (320, 400), self._colour())
        draw = ImageDraw.Draw(image)
        left, top = pick.randrange(40, 100), pick.randrange(40, 120)
        draw.ellipse((left, top, left + 160, top + 200), fill=self._colour())
        for eye in (45, 105):
            draw.ellipse((left + eye, top + 70, left + eye + 14, top + 80), fill=self._colour())
        draw.arc((left + 50, top + 100, left + 110, top + 150), 20, 160, fill=self._colour(), width=4)
        target = io.BytesIO()
        image.save(target, "JPEG", quality=85)
        return target.getvalue()

    def number(self, below: int) -> int:
        """Any number from 0 on, for whatever else must differ."""
        return self._random.randrange(below)

    def _nik(self, *, woman: bool, ending: str | None) -> str:
        pick = self._random
        year = self._today.year - pick.randrange(_YOUNGEST, _OLDEST)
        day = pick.randrange(1, _DAYS_IN_EVERY_MONTH + 1) + (_WOMEN_ADD if woman else 0)
        born = f"{day:02d}{pick.randrange(1, 13):02d}{year % 100:02d}"
        return f"{pick.choice(_AREAS)}{born}{ending or f'{pick.randrange(1, _ORDINARY_SERIALS):04d}'}"

    def _colour(self) -> tuple[int, int, int]:
        pick = self._random
        return pick.randrange(256), pick.randrange(256), pick.randrange(256)
