"""The SQL of each record type, and its rows. Names come from the dataclasses only; values are parameters.

Scalars travel as plain values, all numbers in one width, so that a statement has one prepared form whatever
its values; nested fields travel as JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from pinjam.adapters.records import check_passing, fields_of, position_of
from pinjam.services.store import KINDS

if TYPE_CHECKING:
    from pinjam.adapters.records import Plain
    from pinjam.services.store import Find, R, Record, Scalar

Statement = tuple[bytes, tuple[str | None, ...]]


@dataclass(frozen=True, slots=True)
class _Texts:
    """Parts of the statements on one record type, and of the reading of its rows, that never change."""

    table: sql.Identifier
    select: sql.Composed
    get: bytes
    insert: bytes
    update: bytes
    delete: bytes
    readings: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    """What makes each field's value of its column's; None where the driver already answers with it."""


_texts: dict[type, _Texts] = {}
_finds: dict[tuple[object, ...], bytes] = {}
_together: dict[tuple[bytes, ...], bytes] = {}


def _texts_of(kind: type) -> _Texts:
    if kind not in _texts:
        fields = fields_of(kind).values()
        table = sql.Identifier(KINDS[kind].collection)
        names = [sql.Identifier(field.name) for field in fields]
        shown = [
            name if field.scalar else sql.SQL("{}::text").format(name)
            for name, field in zip(names, fields, strict=True)
        ]
        select = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(shown), table)
        _texts[kind] = _Texts(
            table=table,
            select=select,
            get=sql.SQL("{} WHERE id = %s").format(select).as_bytes(None),
            insert=sql.SQL("INSERT INTO {} ({}) VALUES ({})")
            .format(table, sql.SQL(", ").join(names), sql.SQL(", ").join(sql.Placeholder() * len(names)))
            .as_bytes(None),
            update=sql.SQL("UPDATE {} SET {} WHERE id = %s")
            .format(table, sql.SQL(", ").join(sql.SQL("{} = %s").format(name) for name in names))
            .as_bytes(None),
            delete=sql.SQL("DELETE FROM {} WHERE id = %s").format(table).as_bytes(None),
            readings=tuple((one.name, None if _is_native(one.scalar) else one.value) for one in fields),
        )
    return _texts[kind]


def get(kind: type, id_: str) -> Statement:
    """One record by its id."""
    return _texts_of(kind).get, (id_,)


def insert(record: Record) -> Statement:
    """A new record. TypeError or ValueError for one with values that are not of its fields."""
    return _texts_of(type(record)).insert, _values(record)


def together(inserts: Sequence[Statement]) -> Statement:
    """Several inserts as one statement, which the server takes in at once: none of them sees another's row."""
    if len(inserts) == 1:
        return inserts[0]
    texts = tuple(text for text, _ in inserts)
    if texts not in _together:
        *first, last = texts
        parts = b", ".join(b"i%d AS (%s)" % (number, text) for number, text in enumerate(first))
        _together[texts] = b"WITH %s %s" % (parts, last)
    return _together[texts], tuple(chain.from_iterable(values for _, values in inserts))


def update(record: Record) -> Statement:
    """All fields of the record with this id. Errors as for `insert`."""
    return _texts_of(type(record)).update, (*_values(record), record.id)


def delete(kind: type, id_: str) -> Statement:
    """No record with this id any more. TypeError for a kind whose records stay."""
    check_passing(kind, id_)
    return _texts_of(kind).delete, (id_,)


def count(kind: type, where: Mapping[str, Scalar]) -> Statement:
    """How many records have all these values."""
    text = sql.SQL("SELECT count(*) FROM {}{}").format(_texts_of(kind).table, _all_of(_equal(where)))
    return text.as_bytes(None), tuple(_given(kind, where))


def find(query: Find[Any]) -> Statement:
    """A page of a checked query, and one record more if there is one. BadCursor if `after` is not this query's."""
    field = fields_of(query.kind)[query.order]
    start = position_of(query)
    shape = (
        *(query.kind, query.order, query.descending, start is None, query.at_least is None, query.below is None),
        *((name, value is None) for name, value in query.where.items()),
    )
    if shape not in _finds:
        _finds[shape] = _find_text(query, from_start=start is None)
    bounds = [_text(field.plain(bound)) for bound in (query.at_least, query.below) if bound is not None]
    place = [] if start is None else [_text(field.plain(start[0])), start[1]][-len(_keys(query)) :]
    return _finds[shape], (*_given(query.kind, query.where), *bounds, *place, str(query.limit + 1))


def _find_text(query: Find[Any], *, from_start: bool) -> bytes:
    order, keys = sql.Identifier(query.order), _keys(query)
    conditions = _equal(query.where)
    if query.at_least is not None:
        conditions.append(sql.SQL("{} >= %s").format(order))
    if query.below is not None:
        conditions.append(sql.SQL("{} < %s").format(order))
    if fields_of(query.kind)[query.order].optional and query.at_least is None and query.below is None:
        conditions.append(sql.SQL("{} IS NOT NULL").format(order))
    if not from_start:
        beyond = sql.SQL("<" if query.descending else ">")
        places = sql.SQL(", ").join(sql.Placeholder() * len(keys))
        conditions.append(sql.SQL("({}) {} ({})").format(sql.SQL(", ").join(keys), beyond, places))
    direction = sql.SQL(" DESC" if query.descending else " ASC")
    text = sql.SQL("{}{} ORDER BY {} LIMIT %s").format(
        _texts_of(query.kind).select, _all_of(conditions), sql.SQL(", ").join(key + direction for key in keys)
    )
    return text.as_bytes(None)


def _keys(query: Find[Any]) -> list[sql.Identifier]:
    return [sql.Identifier(name) for name in dict.fromkeys((query.order, "id"))]


def record(kind: type[R], row: tuple[Any, ...]) -> R:
    """The record that a row of `get` or `find` holds. ValueError for a row that no record could have made."""
    return kind(
        **{
            name: value if read is None or value is None else read(value)
            for (name, read), value in zip(_texts_of(kind).readings, row, strict=True)
        }
    )


@cache
def constraints() -> Mapping[str, tuple[type, tuple[str, ...]]]:
    """What each unique constraint keeps apart."""
    return {
        name: (kind, fields)
        for kind, kept in KINDS.items()
        for name, fields in (
            (f"{kept.collection}_pkey", ("id",)),
            *((f"{kept.collection}_{'_'.join(fields)}_key", fields) for fields in kept.unique),
        )
    }


def taken(violation: psycopg.errors.UniqueViolation) -> tuple[type, tuple[str, ...]] | None:
    """The record type and fields that a violation is about, None if it is about none of ours."""
    return constraints().get(violation.diag.constraint_name or "")


def _values(record: Record) -> tuple[str | None, ...]:
    return tuple(_text(field.plain(getattr(record, name))) for name, field in fields_of(type(record)).items())


def _text(value: Plain) -> str | None:
    """A parameter as text without a type: the server takes the column's."""
    return None if value is None else str(value)


def _is_native(scalar: type | None) -> bool:
    """Whether the driver already answers with the field's type."""
    return scalar is not None and not issubclass(scalar, Enum)


def _equal(where: Mapping[str, Scalar]) -> list[sql.Composed]:
    return [
        sql.SQL("{} IS NULL" if value is None else "{} = %s").format(sql.Identifier(name))
        for name, value in where.items()
    ]


def _given(kind: type, where: Mapping[str, Scalar]) -> list[str | None]:
    return [_text(fields_of(kind)[name].plain(value)) for name, value in where.items() if value is not None]


def _all_of(conditions: list[sql.Composed]) -> sql.Composable:
    return sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("")
