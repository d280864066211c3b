"""The bodies of Firestore's queries. Names come from checked queries only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pinjam.adapters.firestore_indexes import sorting
from pinjam.adapters.firestore_values import value
from pinjam.adapters.records import fields_of, position_of
from pinjam.services.store import KINDS, Find

if TYPE_CHECKING:
    from pinjam.services.store import Scalar


def matches_nothing(query: Find[Any]) -> bool:
    """Whether the query asks for one value of the field in `order`, and its bounds leave that one out.

    Firestore takes no order and no bounds on a field that has one value anyway.
    """
    if query.order not in query.where:
        return False
    wanted: Any = query.where[query.order]
    low: Any = query.at_least
    high: Any = query.below
    return wanted is None or (low is not None and wanted < low) or (high is not None and wanted >= high)


def find(query: Find[Any]) -> dict[str, object]:
    """A page of a checked query, and one record more if there is one. BadCursor if `after` is not this query's."""
    known = fields_of(query.kind)
    filters = _equal(query.kind, query.where)
    if query.order not in query.where:
        for operator, bound in (("GREATER_THAN_OR_EQUAL", query.at_least), ("LESS_THAN", query.below)):
            if bound is not None:
                filters.append(_compare(query.order, operator, value(known[query.order], bound)))
        if known[query.order].optional and query.at_least is None and query.below is None:
            filters.append(_unary(query.order, "IS_NOT_NULL"))
    order = sorting(query)
    body: dict[str, object] = {
        "from": [{"collectionId": KINDS[query.kind].collection}],
        "orderBy": [{"field": {"fieldPath": name}, "direction": direction} for name, direction in order],
        "limit": query.limit + 1,
    }
    if filters:
        body["where"] = _all_of(filters)
    start = position_of(query)
    if start is not None and order:
        place = {query.order: start[0], "id": start[1]}
        body["startAt"] = {"values": [value(known[name], place[name]) for name, _ in order], "before": False}
    return body


def count(kind: type, where: Mapping[str, Scalar]) -> dict[str, object]:
    """How many records have all these values. In the order of a list, so that the list's index serves it."""
    query: Find[Any] = Find(kind=kind, where=where)
    body: dict[str, object] = {
        "from": [{"collectionId": KINDS[kind].collection}],
        "orderBy": [{"field": {"fieldPath": name}, "direction": direction} for name, direction in sorting(query)],
    }
    filters = _equal(kind, where)
    if filters:
        body["where"] = _all_of(filters)
    return {"structuredQuery": body, "aggregations": [{"alias": "count", "count": {}}]}


def _equal(kind: type, where: Mapping[str, Scalar]) -> list[dict[str, object]]:
    known = fields_of(kind)
    return [
        _unary(name, "IS_NULL") if wanted is None else _compare(name, "EQUAL", value(known[name], wanted))
        for name, wanted in where.items()
    ]


def _compare(name: str, operator: str, content: object) -> dict[str, object]:
    return {"fieldFilter": {"field": {"fieldPath": name}, "op": operator, "value": content}}


def _unary(name: str, operator: str) -> dict[str, object]:
    return {"unaryFilter": {"field": {"fieldPath": name}, "op": operator}}


def _all_of(filters: list[dict[str, object]]) -> dict[str, object]:
    return filters[0] if len(filters) == 1 else {"compositeFilter": {"op": "AND", "filters": filters}}
