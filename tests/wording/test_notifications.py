"""Every message is whole in both languages, and an SMS fits into one."""

import re
import string
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, cast, get_args

import pytest
from tests.world import make_world

from pinjam.domain.loan import Loan
from pinjam.domain.money import format_rupiah
from pinjam.domain.notification import Channel
from pinjam.domain.reasons import TEXTS, reason_text
from pinjam.domain.user import Locale
from pinjam.services import telling
from pinjam.services.servicing import MILESTONES
from pinjam.wording import load

KINDS: Mapping[str, Mapping[str, Any]] = load("notifications")
LOCALES: tuple[Locale, ...] = get_args(Locale)
BOTH = pytest.mark.parametrize("locale", LOCALES)
EACH = pytest.mark.parametrize("kind", sorted(KINDS))

# 3GPP TS 23.038: the default alphabet, each one septet; the extension's signs cost two.
GSM_7 = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)

FACTS: Mapping[str, str] = {
    "name": "W" * 100,
    "amount": format_rupiah(12_000_000),
    "requested": format_rupiah(12_000_000),
    "instalment": format_rupiah(12_300_000),
    "received": format_rupiah(11_880_000),
    "outstanding": format_rupiah(24_000_000),
    "paid": format_rupiah(12_300_000),
    "surplus": format_rupiah(12_300_000),
    "payout": format_rupiah(24_000_000),
    "due": format_rupiah(12_300_000),
    "tenor": "12",
    "number": "PJM-01M81FZQQANA1YJZ8XYAHGBJRY",
    "due_date": "30 Nov 2026",
    "offer_until": "30 Nov 2026",
    "device": "D" * 64,
    "when": "30 Nov 2026 23.59 WIB",
}
"""The longest of each fact."""


def facts(locale: Locale) -> dict[str, str]:
    longest = sorted((reason_text(code, locale) for code in TEXTS), key=len)[-4:]
    return {**FACTS, "reasons": " ".join(longest)}


def texts(kind: str, locale: Locale) -> Mapping[str, str]:
    return cast("Mapping[str, str]", KINDS[kind][locale])


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@EACH
@BOTH
def test_every_kind_has_a_title_a_body_and_an_sms(kind: str, locale: Locale) -> None:
    assert set(texts(kind, locale)) == {"title", "body", "sms"}
    tale = telling._tell(kind, locale, facts(locale), {})
    for text in (tale.title, tale.body, tale.sms, *tale.parameters):
        assert text == text.strip() != ""
        assert not re.search(r"[{}]|  |None", text)


@EACH
@BOTH
def test_an_sms_is_one_segment_of_gsm_7_with_the_brand_first(kind: str, locale: Locale) -> None:
    sms = telling._tell(kind, locale, facts(locale), {}).sms
    assert sms.startswith("Pinjam: ")
    assert set(sms) <= GSM_7
    assert len(sms) <= 160


@EACH
def test_an_sms_names_nobody(kind: str) -> None:
    """A name can be as long as it likes and of any letters; a phone's lock screen shows the text to all."""
    for locale in LOCALES:
        assert not {"name", "reasons"} & places(texts(kind, locale)["sms"])


@EACH
def test_both_languages_tell_the_same_facts(kind: str) -> None:
    for part in ("title", "body", "sms"):
        assert places(texts(kind, "id")[part]) == places(texts(kind, "en")[part])


@EACH
def test_channels_and_parameters_are_known_ones(kind: str) -> None:
    assert set(KINDS[kind]) - {"attach", "marketing"} == {"channels", "mandatory", "parameters", "facts", "id", "en"}
    assert KINDS[kind].get("attach") in (None, "contract")
    assert set(KINDS[kind]["channels"]) <= set(get_args(Channel))
    assert len(set(KINDS[kind]["channels"])) == len(KINDS[kind]["channels"]) > 0
    assert set(KINDS[kind]["parameters"]) <= set(FACTS)
    assert set(KINDS[kind]["facts"]) <= set(FACTS)


@EACH
@BOTH
def test_a_whatsapp_template_is_the_body_with_its_gaps_in_the_registered_order(kind: str, locale: Locale) -> None:
    """What Meta is to register is the body itself: a fact that is no parameter could not be filled in."""
    if "whatsapp" in KINDS[kind]["channels"]:
        assert places(texts(kind, locale)["body"]) == set(KINDS[kind]["parameters"])


@EACH
def test_a_title_is_short_and_has_no_facts(kind: str) -> None:
    for locale in LOCALES:
        title = texts(kind, locale)["title"]
        assert len(title) <= 60
        assert places(title) == set()


def test_there_is_a_kind_for_whatever_can_be_told() -> None:
    told = {
        "identity-verified",
        "identity-rejected",
        "identity-review",
        "application-received",
        *telling.DECISION_KINDS.values(),
        "contract-accepted",
        "loan-disbursed",
        *telling.PAYOUT_KINDS.values(),
        "payment-received",
        "payment-surplus",
        "payment-reversed",
        "loan-settled",
        "loan-invitation",
        "security-new-device",
        "security-password-changed",
        "security-new-passkey",
        "security-passkey-blocked",
        *(f"instalment-{name}" for _, name in MILESTONES),
    }
    assert told == set(KINDS)


@BOTH
def test_the_longest_date_fits_every_month(locale: Locale) -> None:
    for month in range(1, 13):
        text = telling.day(date(2026, month, 28), locale)
        assert set(text) <= GSM_7
        assert len(text) <= len(FACTS["due_date"])


def test_the_facts_of_the_largest_loan_are_no_longer_than_those_here() -> None:
    world = make_world()
    user_id = world.verified()
    loan: Loan = world.loan(world.active(user_id))
    one = replace(loan.instalments[0], principal=12_000_000, interest=300_000)
    largest = replace(loan, instalments=(one,), next_due_on=one.due_date)
    # Without the total cap the fee of three months, long after anybody is reminded.
    known = telling._loan_facts(largest, "id", one.due_date)
    for name, text in known.items():
        if name != "reasons":
            assert len(text) <= len(FACTS[name])
