"""Every shape of query that the code can ask of a store, read from its source."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pinjam
from pinjam.adapters.firestore_indexes import Need, needed
from pinjam.domain.device import Device
from pinjam.domain.document import Document
from pinjam.domain.loan import Loan
from pinjam.domain.notification import Notification
from pinjam.domain.passkey import Passkey
from pinjam.domain.payment import Payment
from pinjam.domain.payout import Payout
from pinjam.domain.refund import Refund
from pinjam.domain.retention import RETENTION
from pinjam.domain.user import User
from pinjam.services.store import KINDS, Find

ROOT = Path(pinjam.__file__).parent
STORES = ("adapters/", "services/store.py")
"""What answers queries, and asks none of its own."""

BY_NAME: Mapping[str, type] = {kind.__name__: kind for kind in KINDS}


def _of_user(*kinds: type) -> list[Find[Any]]:
    return [Find(kind=kind, where={"user_id": ""}) for kind in kinds]


IN_WORDS: Mapping[tuple[str, str], list[Find[Any]]] = {
    # Which field is asked for is a parameter: `identify` answers with one of the two, and others name one of them.
    ("services/sessions.py", "find_user"): [Find(kind=User, where={name: ""}) for name in ("email", "phone")],
    # The field goes through the unique ones of a user.
    ("services/signup.py", "_claim.work"): [
        Find(kind=User, where={name: ""}) for name in ("email", "phone", "nik_hash")
    ],
    # The kind is a parameter: all that erasing rewrites.
    ("services/erasing.py", "_each"): _of_user(Document, Loan, Payout, Notification, Device, Passkey),
    # The kind and its field are parameters: all that is forgotten.
    ("services/forgetting.py", "forget"): [Find(kind=kind, order=rule.field) for kind, rule in RETENTION.items()],
    # The kind is a parameter: all that is exported.
    ("services/exporting.py", "_each"): _of_user(
        Loan, Payment, Refund, Payout, Document, Notification, Device, Passkey
    ),
    # The kind is a parameter: all are copied from one store to another, and compared, in the order of their ids.
    ("services/copying.py", "_pairs"): [Find(kind=kind) for kind in KINDS],
    ("services/copying.py", "_in_order"): [Find(kind=kind) for kind in KINDS],
}
"""Queries that cannot be read from the source, by file and function, in words of our own and with the reason."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query in the source. `needs` is None where it cannot be read there."""

    file: str
    function: str
    line: int
    needs: frozenset[Need] | None

    @property
    def place(self) -> tuple[str, str]:
        """Its key in IN_WORDS."""
        return self.file, self.function


def asked() -> list[Asked]:
    """All queries of the source."""
    found: list[Asked] = []
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if not name.startswith(STORES):
            found += read(name, file.read_text("utf-8"))
    return found


def all_needs() -> frozenset[Need]:
    """What all of them need of indexes."""
    in_words = {needed(query) for queries in IN_WORDS.values() for query in queries}
    return frozenset(in_words.union(*(query.needs for query in asked() if query.needs is not None)))


def read(file: str, source: str) -> list[Asked]:
    """All queries of one file."""
    return [
        Asked(file, ".".join(function.name for function in inside), call.lineno, _needs(call, inside))
        for call, inside in _calls(ast.parse(source), ())
    ]


Inside = tuple[ast.FunctionDef, ...]


def _calls(node: ast.AST, inside: Inside) -> Iterator[tuple[ast.Call, Inside]]:
    if isinstance(node, ast.Call) and (_is_find(node) or _is_count(node)):
        yield node, inside
    within = (*inside, node) if isinstance(node, ast.FunctionDef) else inside
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, within)


def _is_find(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "Find"


def _is_count(call: ast.Call) -> bool:
    """A store's count takes a kind and the values; a text's or a list's takes one argument."""
    return (
        isinstance(call.func, ast.Attribute) and call.func.attr == "count" and len(call.args) + len(call.keywords) == 2
    )


def _needs(call: ast.Call, inside: Inside) -> frozenset[Need] | None:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    given |= dict(zip(("kind", "where"), call.args, strict=False))
    kind = given.get("kind")
    order, descending = given.get("order", ast.Constant("id")), given.get("descending", ast.Constant(value=False))
    wheres = _keys(given["where"], inside) if "where" in given else [()]
    if not isinstance(kind, ast.Name) or kind.id not in BY_NAME or wheres is None:
        return None
    if not isinstance(order, ast.Constant) or not isinstance(descending, ast.Constant):
        return None
    return frozenset(
        needed(
            Find(
                kind=BY_NAME[kind.id],
                where=dict.fromkeys(names),
                order=str(order.value),
                descending=bool(descending.value),
            )
        )
        for names in wheres
    )


def _keys(node: ast.expr, inside: Inside) -> list[tuple[str, ...]] | None:
    """The keys of a dictionary that is written out, here or where it gets its name; of both, if it is one of two."""
    if isinstance(node, ast.Dict):
        names = [key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        return [tuple(names)] if len(names) == len(node.keys) else None
    if isinstance(node, ast.IfExp):
        either = [_keys(node.body, inside), _keys(node.orelse, inside)]
        return [names for some in either for names in some or ()] if None not in either else None
    if isinstance(node, ast.Name):
        values = [value for function in inside for value in _assigned(function, node.id)]
        return _keys(values[0], inside) if len(values) == 1 else None
    return None


def _assigned(function: ast.FunctionDef, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            value = getattr(node, "value", None)
            if value is not None:
                yield value
