"""Records as Firestore documents: a field of the same name for each, scalars in Firestore's own types.

Nested fields are one JSON text each, so that they come back exactly; they are never indexed (an indexed text counts
with its first 1,500 bytes only). Every field is there, with a null where the record has None: a query finds no
document by a field that it lacks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pinjam.adapters.records import fields_of
from pinjam.services.store import KINDS

if TYPE_CHECKING:
    from pinjam.adapters.records import Field, Plain
    from pinjam.services.store import R, Record

CLAIMS = "claims"
"""The collection with a document for each unique value that a record holds."""

_LONGEST_ID = 1000
"""Bytes; Firestore takes document ids of 1,500."""


def path(kind: type, id_: str) -> str:
    """The record's document, relative to the database.

    Firestore keeps neighbours by name on one machine, and ids sort by time: without the digest in front, all new
    records would go to the same machine. The field `id` is what queries sort by.
    """
    digest = hashlib.sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()
    text = quote(id_, safe=":", errors="surrogatepass")
    return (
        f"{KINDS[kind].collection}/{digest[:4]}-{text}"
        if len(text) <= _LONGEST_ID
        else f"{KINDS[kind].collection}/{digest}"
    )


def claims(record: Record) -> dict[str, tuple[str, ...]]:
    """The documents of the unique values that a record holds, each with the fields that it is about."""
    kind = KINDS[type(record)]
    found = {}
    for names in kind.unique:
        values = [_plain(record, name) for name in names]
        if None not in values:
            content = json.dumps([kind.collection, names, values], ensure_ascii=False)
            found[f"{CLAIMS}/{hashlib.sha256(content.encode()).hexdigest()}"] = names
    return found


def claim_fields(owner: str) -> dict[str, object]:
    """What stands in a claim's document: the path of the record that holds the value, and not the value."""
    return {"owner": {"stringValue": owner}}


def fields(record: Record) -> dict[str, object]:
    """The fields of a record's document. TypeError or ValueError for values that are not of their fields."""
    known = fields_of(type(record))
    return {name: value(field, getattr(record, name)) for name, field in known.items()}


def value(field: Field, content: object) -> dict[str, object]:
    """One value in Firestore's types. TypeError or ValueError if it is not of the field."""
    plain = field.plain(content)
    if plain is None:
        return {"nullValue": None}
    if isinstance(plain, bool):
        return {"booleanValue": plain}
    if isinstance(plain, int):
        return {"integerValue": str(plain)}
    if field.scalar is datetime:
        return {"timestampValue": plain.replace("+00:00", "Z")}
    return {"stringValue": plain}


def record(kind: type[R], stored: Mapping[str, Mapping[str, Any]]) -> R:
    """The record that a document's fields hold.

    A field that a document written by older code lacks takes the record type's default. ValueError or TypeError for
    fields that no record could have made.
    """
    known = fields_of(kind)
    return kind(**{name: field.value(_plain_of(stored[name])) for name, field in known.items() if name in stored})


def _plain(record: Record, name: str) -> Plain:
    return fields_of(type(record))[name].plain(getattr(record, name))


def _plain_of(stored: Mapping[str, Any]) -> Plain:
    ((form, content),) = stored.items()
    if form == "integerValue":
        return int(content)
    if form in {"nullValue", "booleanValue", "stringValue", "timestampValue"}:
        plain: Plain = content
        return plain
    raise ValueError(f"no field of ours is kept as {form}")
