"""A paper before it is printed: what it says, part by part, and nothing of how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pinjam.domain.user import Locale


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """Facts, each with its name."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Numbered:
    """Sentences, counted from 1."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table whose amounts stand in the columns from `amounts_from` (counted from 0) on; `foot` is its last row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...]
    amounts_from: int


Block: TypeAlias = Words | Pairs | Numbered | Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A whole paper. On every page stand `footer` and `page`, with places for its `{number}` and their `{count}`."""

    title: str
    lead: str
    author: str
    footer: str
    page: str
    locale: Locale
    sections: tuple[Section, ...]
