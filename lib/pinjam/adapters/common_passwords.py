"""Passwords that are used so often that they are tried first."""

from functools import cached_property

INDONESIAN = frozenset(
    {
        "akucintakamu",
        "akusayangkamu",
        "alhamdulillah",
        "assalamualaikum",
        "astaghfirullah",
        "bandung",
        "bismillah",
        "cantik",
        "cintaku",
        "ganteng",
        "garuda",
        "indonesia",
        "indonesiaraya",
        "jakarta",
        "katasandi",
        "keluarga",
        "keluargaku",
        "makassar",
        "mamapapa",
        "merdeka",
        "nusantara",
        "pancasila",
        "papamama",
        "passwordku",
        "rahasia",
        "rahasiaku",
        "rumahku",
        "sandiku",
        "sayang",
        "sayangkamu",
        "sayangku",
        "semangat",
        "subhanallah",
        "surabaya",
        "terimakasih",
        "yogyakarta",
    }
)
"""What the international list lacks of the language that our borrowers speak."""


class ListedPasswords:
    """`ports.CommonPasswords`: the 30,000 most frequent of those that leaked, as the zxcvbn package lists them."""

    def __contains__(self, password: object, /) -> bool:
        """Whether it is one of them, in small letters."""
        return password in INDONESIAN or password in self._listed

    @cached_property
    def _listed(self) -> frozenset[str]:
        from zxcvbn.frequency_lists import FREQUENCY_LISTS

        return frozenset(FREQUENCY_LISTS["passwords"])
