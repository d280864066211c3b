"""Kinds of fields that several models share, with their limits."""

import json
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, dataclass_transform

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

Rupiah = Annotated[int, Field(description="Whole rupiah.", examples=[3_000_000])]
MAX_RUPIAH = 1_000_000_000_000
"""No income or amount in a request is larger; keeps every sum far inside 64 bits."""
GivenRupiah = Annotated[int, Field(ge=0, le=MAX_RUPIAH, description="Whole rupiah.")]


def _clean(text: str) -> str:
    """One line of visible text: no control characters, not only spaces."""
    if not text.strip():
        raise ValueError("required")
    if not text.isprintable():
        raise ValueError("control-characters")
    return text.strip()


NAME_SIGNS = frozenset(" .,'`-/()\u2019")
OneLine = AfterValidator(_clean)
"""For a text of one line. The limits of its length come before it, where they are told as a text's limits."""


def _name(text: str) -> str:
    """A person's name as a card prints it: letters of any script, and the few signs that names have."""
    text = " ".join(_clean(text).split(" "))
    if not all(unicodedata.category(sign)[0] in "LM" or sign in NAME_SIGNS for sign in text):
        raise ValueError("name-characters")
    return text


PersonName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_name)]
ResourceId = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]
"""Whatever may be an id; whether there is such a thing is the use case's to say."""


def _rfc3339(at: datetime) -> str:
    text = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


Instant = Annotated[datetime, PlainSerializer(_rfc3339), Field(examples=["2026-11-22T03:00:00.000Z"])]


class Taken(BaseModel):
    """What is taken in and checked; how, is worked out when the first one comes."""

    model_config = ConfigDict(defer_build=True)


class Given(Taken):
    """What a client sends: unknown fields are refused, so that a misspelt one is not silently lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Shown:
    """What a client gets: each kind is a dataclass of named fields, which the type checker keeps from being changed.

    It is ours, so nothing checks it at run time. A model of pydantic's takes a start twice as long to make, and as long
    again when it is first used.
    """

    def __init_subclass__(cls) -> None:
        dataclass(kw_only=True, eq=False, repr=False, match_args=False)(cls)

    def as_json(self, *, indent: int | None = None) -> str:
        """The text that a client gets."""
        separators = (",", ":") if indent is None else None
        return json.dumps(self, default=_plain, ensure_ascii=False, indent=indent, separators=separators)


def _plain(value: object) -> object:
    """What JSON has no word for, in a form that it has."""
    if isinstance(value, Shown):
        return vars(value)
    if isinstance(value, datetime):
        return _rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"nobody is shown a {type(value).__name__}")


class Paging(Taken):
    """A page of a list."""

    limit: Annotated[int, Field(ge=1, le=100, description="How many at most.")] = 20
    cursor: Annotated[str | None, Field(max_length=512, description="`next_cursor` of the page before.")] = None


class ReasonShown(Shown):
    """Why something was decided as it was, in plain words."""

    code: str
    message: str


class ProblemField(Shown):
    """A field at fault."""

    field: str
    code: str
    message: str


class ProblemShown(Shown):
    """Problem details, RFC 9457."""

    type: Annotated[str, Field(examples=["urn:pinjam:problem:invalid-fields"])]
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(examples=["invalid-fields"])]
    instance: Annotated[str, Field(description="The request's id.")]
    errors: list[ProblemField] | None = None


class GatewayRefusal(Shown):
    """What the gateway answers by itself, before a function is asked."""

    code: Annotated[int, Field(description="The status.")]
    message: str
