"""What a commit writes in Firestore does to the documents what the store in memory does to its records."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pinjam.adapters.firestore_values import CLAIMS, claims, fields, path
from pinjam.adapters.firestore_writes import Change, Key, commit, unseen
from pinjam.adapters.memory import MemoryStore
from pinjam.domain.session import Session
from pinjam.domain.user import Sealed, User, UserStatus
from pinjam.services.store import Conflict, Record, Transaction

AT = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = "root"
USER = User(
    id="",
    full_name="",
    email="",
    phone="",
    nik=Sealed("x"),
    nik_hash="",
    nik_masked="x",
    birth_date=Sealed("x"),
    gender="male",
    status=UserStatus.VERIFIED,
    locale="id",
    consents=(),
    account_created=True,
    created_at=AT,
    updated_at=AT,
)
SESSION = Session(id="", user_id="1", generation=1, provider_token=Sealed("x"), opened_at=AT, rotated_at=AT)
NUMBERS = st.integers(min_value=1, max_value=3).map(str)


def users() -> st.SearchStrategy[Record]:
    return st.builds(
        lambda id_, email, phone: replace(USER, id=id_, email=email, phone=phone, nik_hash=id_),
        NUMBERS,
        NUMBERS,
        NUMBERS,
    )


def sessions() -> st.SearchStrategy[Record]:
    return st.builds(lambda id_, generation: replace(SESSION, id=id_, generation=int(generation)), NUMBERS, NUMBERS)


def changes() -> st.SearchStrategy[Change]:
    written = st.builds(
        lambda record, new: Change(kind=type(record), id=record.id, record=record, new=new),
        users() | sessions(),
        st.booleans(),
    )
    return written | st.builds(lambda id_: Change(kind=Session, id=id_, record=None), NUMBERS)


class Documents:
    """Documents by name, and the rules of Firestore's commit: all of it or nothing, and each precondition must hold."""

    def __init__(self) -> None:
        self.there: dict[str, Any] = {}

    def commit(self, writes: list[dict[str, Any]]) -> str | None:
        """None, or why nothing is written."""
        after = dict(self.there)
        names = [write.get("delete") or write["update"]["name"] for write in writes]
        for name, write in zip(names, writes, strict=True):
            wanted = write.get("currentDocument", {}).get("exists")
            if wanted is not None and wanted != (name in after):
                return "NOT_FOUND" if wanted else "ALREADY_EXISTS"
            if "delete" in write:
                after.pop(name, None)
            else:
                after[name] = write["update"]["fields"]
        self.there = after
        return None


def apply(documents: Documents, records: dict[Key, Record], work: list[Change], looked_at: set[Key]) -> str:
    """What the store on Firestore makes of this work: `done`, `conflict` or `lookup`."""
    seen: dict[Key, Record | None] = {
        key: records.get(key) for key in {*looked_at, *unseen(work, dict.fromkeys(looked_at))}
    }
    try:
        planned = commit(ROOT, work, seen)
    except Conflict:
        return "conflict"
    except LookupError:
        return "lookup"
    fault = documents.commit(planned.writes)
    if fault == "ALREADY_EXISTS":
        assert any(name in documents.there for name in planned.created)
    if fault == "NOT_FOUND":
        assert any(name not in documents.there for name in planned.replaced)
    return {None: "done", "ALREADY_EXISTS": "conflict", "NOT_FOUND": "lookup"}[fault]


def apply_in_memory(store: MemoryStore, work: list[Change]) -> str:
    def write(tx: Transaction) -> None:
        for change in work:
            if change.record is None:
                tx.delete(change.kind, change.id)
            elif change.new:
                tx.insert(change.record)
            else:
                tx.update(change.record)

    try:
        store.transact(write)
    except Conflict:
        return "conflict"
    except LookupError:
        return "lookup"
    return "done"


KEYS = st.sets(st.tuples(st.sampled_from([User, Session]), NUMBERS))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(changes(), max_size=4), KEYS), max_size=6))
def test_documents_are_what_the_records_in_memory_are(transactions: list[tuple[list[Change], set[Key]]]) -> None:
    documents, memory = Documents(), MemoryStore()
    for work, looked_at in transactions:
        before = {(kind, id_): record for kind, rows in memory._rows.items() for id_, record in rows.items()}
        in_memory = apply_in_memory(memory, work)
        assert (apply(documents, before, work, looked_at) == "done") == (in_memory == "done")
        now = [record for rows in memory._rows.values() for record in rows.values()]
        assert {name: content for name, content in documents.there.items() if f"/{CLAIMS}/" not in name} == {
            f"{ROOT}/{path(type(record), record.id)}": fields(record) for record in now
        }
        assert {name: content for name, content in documents.there.items() if f"/{CLAIMS}/" in name} == {
            f"{ROOT}/{claim}": {"owner": {"stringValue": path(type(record), record.id)}}
            for record in now
            for claim in claims(record)
        }
