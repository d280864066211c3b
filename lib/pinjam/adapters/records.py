"""How stored records look to every store: their fields as plain values, checked queries, and cursors."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from pinjam.services.store import KINDS, BadCursor

if TYPE_CHECKING:
    from pinjam.services.store import Find, Record

Plain = str | int | bool | None
"""A value as text, whole number, truth or nothing: what a cursor, or any store, can hold."""

_NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # PostgreSQL keeps no NUL, so no store does.


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record type. `scalar` is its Python type, None when the field is nested."""

    name: str
    scalar: type[str | int | bool | date | datetime | Enum] | None
    optional: bool
    adapter: TypeAdapter[Any] | None

    def plain(self, value: object) -> Plain:
        """The value as it is stored. TypeError or ValueError if it is not of this field."""
        if value is None:
            if not self.optional:
                raise ValueError(f"{self.name} cannot be None")
            return None
        if self.adapter is not None:
            text = self.adapter.dump_json(value, warnings="error").decode()
            if _NUL_IN_JSON.search(text):
                raise ValueError(f"{self.name} cannot hold a NUL")
            return text
        return _plain_scalar(self, value)

    def value(self, plain: Plain) -> Any:
        """The field's value again, from what `plain` made of it. ValueError if it could not have made that."""
        if plain is None or self.scalar is None:
            if plain is None and self.optional:
                return None
            if self.adapter is None or not isinstance(plain, str):
                raise ValueError(f"{self.name} cannot be {plain!r}")
            return self.adapter.validate_json(plain, strict=True, extra="forbid")
        if issubclass(self.scalar, Enum):
            return self.scalar(plain)
        if self.scalar is datetime and isinstance(plain, str):
            return datetime.fromisoformat(plain).astimezone(UTC)
        if self.scalar is date and isinstance(plain, str):
            return date.fromisoformat(plain)
        if type(plain) is self.scalar:
            return plain
        raise ValueError(f"{self.name} cannot be {plain!r}")


def _plain_scalar(field: Field, value: object) -> Plain:
    wanted = field.scalar
    if wanted is not None and issubclass(wanted, Enum):
        return str(wanted(value).value)
    # A bool is an int and a datetime a date to isinstance; in a record they are not.
    if type(value) is not wanted and not (wanted is str and isinstance(value, str)):
        raise TypeError(f"{field.name} must be {wanted}, not {type(value)}")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{field.name} must carry a time zone")
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        value.encode()  # Half of a surrogate pair is no text: UnicodeEncodeError is a ValueError.
        if "\0" in value:
            raise ValueError(f"{field.name} cannot hold a NUL")
        return str(value)
    return int(value) if wanted is int else bool(value)


def fields_of(kind: type) -> Mapping[str, Field]:
    """The fields of a record type by name, in the dataclass's order. LookupError if it is none of KINDS."""
    if kind not in _fields:
        KINDS[kind]
        hints = get_type_hints(kind)
        _fields[kind] = {field.name: _field(field.name, hints[field.name]) for field in fields(kind)}
    return _fields[kind]


_fields: dict[type, Mapping[str, Field]] = {}


def _field(name: str, hint: Any) -> Field:
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    optional = NoneType in members
    (member,) = (m for m in members if m is not NoneType)
    if isinstance(member, NewType):
        member = member.__supertype__
    if get_origin(member) is Literal:
        member = str
    if isinstance(member, type) and issubclass(member, str | int | date | Enum):
        return Field(name, member, optional, None)
    return Field(name, None, optional, TypeAdapter(member))


def canonical(record: Record) -> bytes:
    """The record's plain values as one line of JSON, the same whichever store kept it: keys are sorted.

    A store may order the keys of nested objects anew, as PostgreSQL does.
    """
    plain: dict[str, Any] = {}
    for name, one in fields_of(type(record)).items():
        value = one.plain(getattr(record, name))
        plain[name] = json.loads(value) if one.scalar is None and isinstance(value, str) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def check(query: Find[Any]) -> None:
    """ValueError or TypeError for a query that no store can answer."""
    known = fields_of(query.kind)
    if query.limit <= 0:
        raise ValueError("limit must be positive")
    for name in (*query.where, query.order):
        if name not in known or known[name].scalar is None:
            raise ValueError(f"{query.kind.__name__} cannot be found by {name!r}")
    for name, value in query.where.items():
        if value is not None:
            known[name].plain(value)
    for bound in (query.at_least, query.below):
        if bound is not None:
            known[query.order].plain(bound)


def check_passing(kind: type, id_: str) -> None:
    """TypeError for a kind whose records stay; ValueError or TypeError for an id that no record could have."""
    if not KINDS[kind].passing:
        raise TypeError(f"{kind.__name__} records are never deleted")
    fields_of(kind)["id"].plain(id_)


def cursor_after(query: Find[Any], record: Record) -> str:
    """The cursor of the page that follows this record."""
    position = fields_of(query.kind)[query.order].plain(getattr(record, query.order))
    content = [position, record.id, _seal(query, position, record.id)]
    return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")


def position_of(query: Find[Any]) -> tuple[Any, str] | None:
    """The (order value, id) after which the query goes on, None at its start. BadCursor if it gave out no such."""
    if query.after is None:
        return None
    try:
        padded = query.after.encode("ascii") + b"=" * (-len(query.after) % 4)
        position, id_, seal = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if seal != _seal(query, position, id_):
            raise ValueError("another query's cursor")  # noqa: TRY301 - joins the other ways to be wrong.
        return fields_of(query.kind)[query.order].value(position), id_
    except (ValueError, TypeError, RecursionError) as error:
        raise BadCursor("unknown cursor") from error


def _seal(query: Find[Any], position: Plain, id_: str) -> str:
    """A checksum of a place in a query. No secret: who makes one up only chooses where their own list goes on."""
    known = fields_of(query.kind)
    shape = [
        query.kind.__name__,
        sorted((name, None if value is None else known[name].plain(value)) for name, value in query.where.items()),
        query.order,
        *(None if bound is None else known[query.order].plain(bound) for bound in (query.at_least, query.below)),
        query.descending,
        position,
        id_,
    ]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]
