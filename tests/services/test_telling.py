"""The words of every kind of message, in both languages, filled with the longest facts there are."""

import re
from collections.abc import Mapping
from typing import get_args

import pytest

from pinjam.domain.notification import Channel
from pinjam.domain.user import Locale
from pinjam.services.telling import Tale, _tell
from pinjam.wording import load

KINDS = sorted(load("notifications"))
FACTS: Mapping[str, str] = {
    "name": "Siti Rahmawati",
    "amount": "Rp12.000.000",
    "requested": "Rp12.000.000",
    "tenor": "12",
    "number": "PJM-01M81FZQQANA1YJZ8XYAHGBJRY",
    "instalment": "Rp12.240.000",
    "received": "Rp11.880.000",
    "offer_until": "29 Nov 2026",
    "outstanding": "Rp24.000.000",
    "due_date": "29 Nov 2026",
    "device": "ponsel Android",
    "when": "29 Nov 2026 13.05 WIB",
    "due": "Rp24.000.000",
    "paid": "Rp24.000.000",
    "surplus": "Rp24.000.000",
    "payout": "Rp24.000.000",
    "reasons": "Foto diri tidak cocok.",
}
GSM_7 = re.compile(r"[A-Za-z0-9@£$¥èéùìòÇØøÅåΔ_ÆæßÉ !\"#¤%&'()*+,\-./:;<=>?¡ÄÖÑÜ§¿äöñüà]*")
EACH = pytest.mark.parametrize("locale", get_args(Locale))
EACH_KIND = pytest.mark.parametrize("kind", KINDS)


def tale(kind: str, locale: Locale, **facts: str) -> Tale:
    return _tell(kind, locale, {**FACTS, **facts}, {})


@EACH
@EACH_KIND
def test_a_text_message_fits_one_segment_and_names_its_sender(kind: str, locale: Locale) -> None:
    sms = tale(kind, locale).sms
    assert sms.startswith("Pinjam: ")
    assert len(sms) <= 160
    assert GSM_7.fullmatch(sms)


@EACH
@EACH_KIND
def test_an_email_says_in_both_forms_all_that_there_is(kind: str, locale: Locale) -> None:
    told = tale(kind, locale)
    greeting = {"id": "Halo Siti Rahmawati,", "en": "Hello Siti Rahmawati,"}[locale]
    assert told.body.startswith(greeting), "the e-mail takes the greeting from the body's beginning"
    for form in (told.email.text, told.email.html):
        assert form.count(greeting) == 1
        assert "{" not in form
    assert told.email.text.startswith(f"{greeting}\n\n")
    assert "<h1" in told.email.html
    assert told.title in told.email.html
    labels = load("email")["facts"][locale]
    for fact in load("notifications")[kind]["facts"]:  # type: ignore[attr-defined]  # a list, says the file
        assert f"{labels[fact]}: {FACTS[fact]}" in told.email.text  # type: ignore[index]  # a table, says the file
        assert f">{FACTS[fact]}</td>" in told.email.html


@EACH
@EACH_KIND
def test_an_email_loads_nothing_and_says_why_it_came(kind: str, locale: Locale) -> None:
    told = tale(kind, locale)
    assert not re.search(r"https?:|src=|url\(|<script|<link|<img", told.email.html)
    required = {"id": "mewajibkannya", "en": "requires it"}[locale]
    chosen = {"id": "mengubahnya", "en": "change that"}[locale]
    for form in (told.email.text, told.email.html):
        assert (required in form, chosen in form) == (told.mandatory, not told.mandatory)


@EACH_KIND
def test_a_kind_has_known_channels_and_can_always_be_sent_where_it_must_be(kind: str) -> None:
    told = tale(kind, "id")
    assert set(told.channels) <= set(get_args(Channel))
    assert len(set(told.channels)) == len(told.channels)
    assert not told.mandatory or "email" in told.channels


def test_what_the_law_or_the_contract_needs_is_marked() -> None:
    assert {kind for kind in KINDS if not tale(kind, "id").mandatory} == {
        "application-received",
        "instalment-due",
        "instalment-upcoming",
        "loan-invitation",
    }


def test_a_name_cannot_write_into_the_page() -> None:
    told = tale("loan-approved", "id", name='<b onload="x">&')
    assert "<b onload" not in told.email.html
    assert "&lt;b onload=&#34;x&#34;&gt;&amp;," in told.email.html
    assert 'Halo <b onload="x">&,' in told.email.text


def test_a_name_with_wide_spaces_is_greeted_once() -> None:
    told = tale("loan-approved", "id", name="Siti  Rahmawati")
    assert told.email.text.count("Halo") == 1
