"""An e-mail around the words of a notification: a page, and its twin in plain text."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pinjam.wording import load

Why = Literal["mandatory", "chosen", "asked"]
"""Why an e-mail was sent: the law or the contract asks for it, or the borrower's preferences, or somebody just did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """The same message twice: `text` for any mail program, `html` for those that show pages."""

    text: str
    html: str


def letter(
    locale: Literal["id", "en"], *, name: str, title: str, body: str, facts: Mapping[str, str], why: Why
) -> Letter:
    """The whole e-mail. `body` begins with the greeting; `facts` are the amounts and dates to stand out.

    KeyError for a fact that has no label.
    """
    words = cast("Mapping[str, str]", load("email")["words"][locale])
    labels = cast("Mapping[str, str]", load("email")["facts"][locale])
    greeting = " ".join(words["greeting"].format(name=name).split())  # Spaced as the body is.
    text = body.removeprefix(greeting).lstrip()
    filled = {
        "locale": locale,
        "title": title,
        "greeting": greeting,
        "text": text[:1].upper() + text[1:],
        "facts": [(labels[fact], value) for fact, value in facts.items()],
        "why": words[why],
        "words": words,
    }
    templates = _templates()
    return Letter(
        text=templates.get_template("email.txt").render(filled).strip(),
        html=templates.get_template("email.html").render(filled),
    )


@cache
def _templates() -> Environment:
    """The templates. What stands in a page is escaped; nothing can be left unfilled."""
    return Environment(
        loader=PackageLoader("pinjam.wording", "."),
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
        undefined=StrictUndefined,
    )
