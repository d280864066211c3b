"""What Firestore's store sends, and what it does when others or an outage get in its way.

Against a server that answers as it is told and checks every request's form; what only the emulator shows, on that.
"""

import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from pinjam.adapters.firestore import FirestoreStore
from pinjam.adapters.firestore_indexes import MissingIndex, declared
from pinjam.adapters.firestore_values import claims, path
from pinjam.domain.keys import UserKey
from pinjam.domain.passkey import Passkey
from pinjam.domain.trail import Event
from pinjam.local.emulators.process import free_port
from pinjam.local.servers import WsgiServer
from pinjam.services.ports import Unavailable
from pinjam.services.store import Conflict, Contention, Find, StoreUnavailable, Transaction

AT = datetime(2026, 1, 31, 17, 30, tzinfo=UTC)
ROOT = "projects/p/databases/(default)/documents"
KEY = UserKey(id="usr_1", wrapped="w", wrapping_key=None, created_at=AT)
KEY_NAME = f"{ROOT}/{path(UserKey, 'usr_1')}"
KEY_FIELDS = {
    "id": {"stringValue": "usr_1"},
    "wrapped": {"stringValue": "w"},
    "wrapping_key": {"nullValue": None},
    "created_at": {"timestampValue": "2026-01-31T17:30:00Z"},
    "destroyed_at": {"nullValue": None},
}
PASSKEY = Passkey(
    id="psk_1",
    user_id="usr_1",
    credential_id="credential",
    public_key="cHVibGlj",
    sign_count=0,
    backup_eligible=True,
    backed_up=False,
    transports=(),
    aaguid="0",
    device_name="Pixel",
    created_at=AT,
)
Json = dict[str, Any]
Answer = tuple[int, object]

DONE: Answer = (200, {"commitTime": "2026-01-31T17:30:00Z"})
ROLLED_BACK: Answer = (200, {})
LOST: Answer = (200, b'{"commitTime": ')


def began(id_: str, *parts: Json) -> Answer:
    return 200, [{"transaction": id_}, *parts]


def found(name: str = KEY_NAME, fields: Json = KEY_FIELDS) -> Json:
    return {"found": {"name": name, "fields": fields}, "readTime": "2026-01-31T17:30:00Z"}


def missing(name: str) -> Json:
    return {"missing": name, "readTime": "2026-01-31T17:30:00Z"}


def fault(code: int, status: str, message: str = "no") -> Answer:
    return code, {"error": {"code": code, "status": status, "message": message}}


ABORTED = fault(409, "ABORTED")
GONE = fault(400, "INVALID_ARGUMENT", "The referenced transaction has expired or is no longer valid.")
TAKEN = fault(409, "ALREADY_EXISTS")


@dataclass
class Firestore:
    """Answers as it is told, in this order, and keeps what was asked."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, Json]] = field(default_factory=list)
    KNOWN: ClassVar[dict[str, set[str]]] = {
        "batchGet": {"documents", "mask", "transaction", "newTransaction"},
        "runQuery": {"structuredQuery", "transaction", "newTransaction"},
        "runAggregationQuery": {"structuredAggregationQuery", "transaction", "newTransaction"},
        "commit": {"writes", "transaction"},
        "rollback": {"transaction"},
    }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        address, _, method = environ["PATH_INFO"].rpartition(":")
        body = json.loads(environ["wsgi.input"].read())
        known = (
            environ["REQUEST_METHOD"] == "POST"
            and address == f"/v1/{ROOT}"
            and environ["CONTENT_TYPE"] == "application/json"
            and environ.get("HTTP_AUTHORIZATION") == "Bearer token"
            and body.keys() <= self.KNOWN.get(method, set())
            and not {"transaction", "newTransaction"} <= body.keys()
        )
        self.asked.append((method, body))
        status, content = (
            self.answers.pop(0) if known and self.answers else fault(418, "NOT_AS_EXPECTED", f"{method} {body}")
        )
        told = content if isinstance(content, bytes) else json.dumps(content).encode()
        length = len(told) + (100 if content is LOST[1] else 0)
        start_response(f"{status} As Told", [("Content-Type", "application/json"), ("Content-Length", str(length))])
        return [told]

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]


class Unhurried(random.Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the pauses' own
        return 0.0


@pytest.fixture
def firestore() -> Firestore:
    return Firestore()


@pytest.fixture
def store(firestore: Firestore) -> Iterator[FirestoreStore]:
    with WsgiServer(firestore, threads=2) as server:
        made = FirestoreStore(project="p", url=server.url, token=lambda: "token", rng=Unhurried())
        yield made
        made.close()


def touch(tx: Transaction) -> None:
    key = tx.get(UserKey, "usr_1")
    assert key == KEY
    tx.update(key)


def test_a_transaction_begins_in_its_first_read_and_writes_in_its_commit(
    firestore: Firestore, store: FirestoreStore
) -> None:
    counted = {"result": {"aggregateFields": {"count": {"integerValue": "3"}}}, "readTime": "x"}
    firestore.answers = [began("t1", found()), (200, [counted]), (200, [{"readTime": "x"}]), DONE]

    def work(tx: Transaction) -> int:
        tx.get(UserKey, "usr_1")
        count = tx.count(Event, {"published_at": None})
        tx.find(Find(kind=Event, order="occurred_at", at_least=AT, limit=7))
        tx.update(KEY)
        return count

    assert store.transact(work) == 3
    assert firestore.asked == [
        ("batchGet", {"documents": [KEY_NAME], "newTransaction": {"readWrite": {}}}),
        (
            "runAggregationQuery",
            {
                "structuredAggregationQuery": {
                    "structuredQuery": {
                        "from": [{"collectionId": "outbox"}],
                        "where": {"unaryFilter": {"field": {"fieldPath": "published_at"}, "op": "IS_NULL"}},
                        "orderBy": [{"field": {"fieldPath": "id"}, "direction": "ASCENDING"}],
                    },
                    "aggregations": [{"alias": "count", "count": {}}],
                },
                "transaction": "t1",
            },
        ),
        (
            "runQuery",
            {
                "structuredQuery": {
                    "from": [{"collectionId": "outbox"}],
                    "where": {
                        "fieldFilter": {
                            "field": {"fieldPath": "occurred_at"},
                            "op": "GREATER_THAN_OR_EQUAL",
                            "value": {"timestampValue": "2026-01-31T17:30:00Z"},
                        }
                    },
                    "orderBy": [
                        {"field": {"fieldPath": "occurred_at"}, "direction": "ASCENDING"},
                        {"field": {"fieldPath": "id"}, "direction": "ASCENDING"},
                    ],
                    "limit": 8,
                },
                "transaction": "t1",
            },
        ),
        (
            "commit",
            {
                "writes": [{"update": {"name": KEY_NAME, "fields": KEY_FIELDS}, "currentDocument": {"exists": True}}],
                "transaction": "t1",
            },
        ),
    ]


def test_what_only_inserts_is_one_request_with_its_unique_values(firestore: Firestore, store: FirestoreStore) -> None:
    firestore.answers = [DONE]
    store.transact(lambda tx: tx.insert(PASSKEY))
    ((_, body),) = firestore.asked
    record, claim = body["writes"]
    assert [write["currentDocument"] for write in (record, claim)] == [{"exists": False}] * 2
    assert claim["update"]["name"].startswith(f"{ROOT}/claims/")
    assert claim["update"]["fields"] == {"owner": {"stringValue": path(Passkey, "psk_1")}}
    assert "credential" not in json.dumps(claim)


def test_all_that_a_reader_asks_is_of_one_moment(firestore: Firestore, store: FirestoreStore) -> None:
    firestore.answers = [began("r1", found()), (200, [{"readTime": "x"}]), (200, [missing(KEY_NAME)])]
    store.read(lambda tx: (tx.get(UserKey, "usr_1"), tx.find(Find(kind=Event)), tx.get(UserKey, "usr_1")))
    assert [body.get("newTransaction", body.get("transaction")) for _, body in firestore.asked] == [
        {"readOnly": {}},
        "r1",
        "r1",
    ]


def test_an_aborted_transaction_is_tried_again_with_the_age_of_the_one_before(
    firestore: Firestore, store: FirestoreStore
) -> None:
    firestore.answers = [
        *(began("t1", found()), ABORTED, ROLLED_BACK),
        *(began("t2", found()), ABORTED, ROLLED_BACK),
        *(began("t3", found()), DONE),
    ]
    store.transact(touch)
    assert [body["newTransaction"]["readWrite"] for method, body in firestore.asked if method == "batchGet"] == [
        {},
        {"retryTransaction": "t1"},
        {"retryTransaction": "t2"},
    ]
    assert firestore.answers == []


@pytest.mark.parametrize("gone", [GONE, fault(409, "ABORTED", "The referenced transaction has expired")])
def test_a_transaction_that_is_no_more_gives_no_age_to_the_next(
    firestore: Firestore, store: FirestoreStore, gone: Answer
) -> None:
    firestore.answers = [began("t1", found()), gone, ROLLED_BACK, began("t2", found()), DONE]
    store.transact(touch)
    assert firestore.asked[3][1]["newTransaction"] == {"readWrite": {}}


def test_a_transaction_that_others_keep_aborting_ends_in_contention(
    firestore: Firestore, store: FirestoreStore
) -> None:
    firestore.answers = [began("t", found()), ABORTED, ROLLED_BACK] * 8
    with pytest.raises(Contention):
        store.transact(touch)
    assert firestore.methods == ["batchGet", "commit", "rollback"] * 8


def test_a_read_that_is_aborted_is_tried_again(firestore: Firestore, store: FirestoreStore) -> None:
    firestore.answers = [(409, [ABORTED[1]]), began("t2", found()), DONE]
    store.transact(touch)
    firestore.answers = [ABORTED, began("r2", found())]
    assert store.read(lambda tx: tx.get(UserKey, "usr_1")) == KEY


def test_what_the_work_raises_gives_its_locks_back(firestore: Firestore, store: FirestoreStore) -> None:
    firestore.answers = [began("t1", found()), fault(503, "UNAVAILABLE")]

    def work(tx: Transaction) -> None:
        tx.get(UserKey, "usr_1")
        raise KeyError("the work's own")

    with pytest.raises(KeyError, match="the work's own"):
        store.transact(work)
    assert firestore.asked[1:] == [("rollback", {"transaction": "t1"})]


@pytest.mark.parametrize(
    "outage",
    [
        fault(503, "UNAVAILABLE"),
        fault(504, "DEADLINE_EXCEEDED"),
        fault(429, "RESOURCE_EXHAUSTED"),
        (200, [{"error": {"code": 503, "status": "UNAVAILABLE", "message": "no"}}]),
        LOST,
        (200, b"<html>"),
    ],
    ids=str,
)
def test_an_outage_before_the_commit_is_tried_again_once(
    firestore: Firestore, store: FirestoreStore, outage: Answer
) -> None:
    firestore.answers = [outage, began("t2", found()), DONE]
    store.transact(touch)
    firestore.answers = [outage, began("r2", found())]
    store.read(lambda tx: tx.get(UserKey, "usr_1"))
    firestore.asked, firestore.answers = [], [outage, outage]
    with pytest.raises(StoreUnavailable):
        store.transact(touch)
    firestore.answers = [outage, outage]
    with pytest.raises(StoreUnavailable):
        store.read(lambda tx: tx.get(UserKey, "usr_1"))
    assert firestore.methods == ["batchGet"] * 4


@pytest.mark.parametrize("lost", [LOST, fault(503, "UNAVAILABLE"), fault(500, "INTERNAL")], ids=str)
@pytest.mark.parametrize("is_blind", [False, True])
def test_a_commit_whose_answer_is_lost_is_never_repeated(
    firestore: Firestore, store: FirestoreStore, lost: Answer, *, is_blind: bool
) -> None:
    firestore.answers = [lost] if is_blind else [began("t1", found()), lost, ROLLED_BACK]
    with pytest.raises(StoreUnavailable):
        store.transact((lambda tx: tx.insert(KEY)) if is_blind else touch)
    assert firestore.methods.count("commit") == 1
    assert firestore.answers == []


def test_where_nobody_listens_the_store_is_unavailable() -> None:
    store = FirestoreStore(project="p", url=f"http://127.0.0.1:{free_port()}", rng=Unhurried())
    with pytest.raises(StoreUnavailable):
        store.transact(lambda tx: tx.insert(KEY))
    with pytest.raises(StoreUnavailable):
        store.read(lambda tx: tx.count(Event, {}))
    store.close()


def test_a_commit_that_cannot_have_arrived_is_sent_once_more(firestore: Firestore) -> None:
    asked: list[str] = []

    def token() -> str:
        asked.append("token")
        if len(asked) == 1:
            raise Unavailable("google-credentials", "answered 503")
        return "token"

    firestore.answers = [DONE]
    with WsgiServer(firestore, threads=2) as server:
        store = FirestoreStore(project="p", url=server.url, token=token, rng=Unhurried())
        store.transact(lambda tx: tx.insert(KEY))
        store.close()
    asked.append("and then")
    deaf = FirestoreStore(project="p", url=f"http://127.0.0.1:{free_port()}", token=token, rng=Unhurried())
    with pytest.raises(StoreUnavailable):
        deaf.transact(lambda tx: tx.insert(KEY))
    deaf.close()
    assert asked == ["token", "token", "and then", "token", "token"]


def test_a_taken_value_is_looked_up_and_named(firestore: Firestore, store: FirestoreStore) -> None:
    def work(tx: Transaction) -> None:
        tx.insert(KEY)
        tx.insert(PASSKEY)

    passkey, (claim,) = path(Passkey, "psk_1"), claims(PASSKEY)
    firestore.answers = [
        TAKEN,
        (200, [missing(KEY_NAME), found(f"{ROOT}/{claim}", {}), missing(f"{ROOT}/{passkey}")]),
    ]
    with pytest.raises(Conflict) as refused:
        store.transact(work)
    assert (refused.value.kind, refused.value.fields) == (Passkey, ("credential_id",))
    assert firestore.methods == ["commit", "batchGet"]
    assert firestore.asked[1][1]["documents"] == [KEY_NAME, f"{ROOT}/{passkey}", f"{ROOT}/{claim}"]


def test_a_value_that_the_work_may_have_seen_free_is_tried_for_once_more(
    firestore: Firestore, store: FirestoreStore
) -> None:
    lost = (200, [found(KEY_NAME, {})])
    turn = [began("t", missing(KEY_NAME)), TAKEN, lost, ROLLED_BACK]

    def work(tx: Transaction) -> None:
        if tx.get(UserKey, "usr_1") is None:
            tx.insert(KEY)

    firestore.answers = [*turn, began("t", found()), DONE]
    store.transact(work)
    firestore.answers = [*turn, *turn]
    with pytest.raises(Conflict):
        store.transact(work)


def test_a_record_that_is_not_there_is_looked_up_and_named(firestore: Firestore, store: FirestoreStore) -> None:
    firestore.answers = [fault(404, "NOT_FOUND"), (200, [missing(KEY_NAME)])]
    with pytest.raises(LookupError, match="UserKey usr_1"):
        store.transact(lambda tx: tx.update(KEY))
    firestore.answers = [fault(404, "NOT_FOUND"), (200, [found()]), DONE]
    store.transact(lambda tx: tx.update(KEY))


@pytest.mark.parametrize(
    "refusal",
    [
        fault(403, "PERMISSION_DENIED"),
        fault(400, "FAILED_PRECONDITION", "The query requires an index."),
        fault(400, "INVALID_ARGUMENT", "Transaction too big. Decrease transaction size."),
    ],
    ids=str,
)
def test_a_refusal_that_stays_is_told_as_it_is(firestore: Firestore, store: FirestoreStore, refusal: Answer) -> None:
    firestore.answers = [refusal]
    with pytest.raises(RuntimeError, match="Firestore refuses"):
        store.transact(touch)
    assert len(firestore.asked) == 1


@pytest.fixture
def emulated(firestore_url: str) -> Iterator[Callable[..., FirestoreStore]]:
    """Makes stores on one database of the test's own."""
    project = f"t{random.getrandbits(64):x}"
    made: list[FirestoreStore] = []

    def make(**settings: Any) -> FirestoreStore:
        made.append(FirestoreStore(project=project, url=firestore_url, **settings))
        return made[-1]

    yield make
    for store in made:
        store.close()


def test_a_query_without_an_index_is_refused_where_that_is_asked_for(emulated: Callable[..., FirestoreStore]) -> None:
    strict, lax = emulated(declared=declared()), emulated()
    unserved: Find[Any] = Find(kind=Event, order="occurred_at")
    with pytest.raises(MissingIndex, match="outbox"):
        strict.read(lambda tx: tx.find(unserved))
    with pytest.raises(MissingIndex, match="outbox"):
        strict.read(lambda tx: tx.count(Event, {"topic": "loan-submitted"}))
    assert lax.read(lambda tx: tx.find(unserved)).items == ()
    assert strict.read(lambda tx: tx.find(Find(kind=Event, where={"published_at": None}))).items == ()


def test_a_reader_goes_on_seeing_what_it_saw_first(emulated: Callable[..., FirestoreStore]) -> None:
    store = emulated()
    store.transact(lambda tx: tx.insert(KEY))

    def work(tx: Any) -> tuple[object, object, int]:
        before = tx.get(UserKey, "usr_1")
        store.transact(lambda other: other.update(KEY.destroyed(AT)))
        store.transact(lambda other: other.insert(UserKey(id="usr_2", wrapped="w", wrapping_key="k", created_at=AT)))
        return before, tx.get(UserKey, "usr_1"), tx.count(UserKey, {})

    assert store.read(work) == (KEY, KEY, 1)


def test_two_instances_that_read_before_either_writes_lose_nothing(emulated: Callable[..., FirestoreStore]) -> None:
    """The emulator lets both wait for the other's lock, and lets one or both fail after two seconds."""
    stores, both_have_read = (emulated(), emulated()), threading.Barrier(2)
    stores[0].transact(lambda tx: tx.insert(PASSKEY))
    tries: list[int] = []

    def use(number: int) -> None:
        mine = 0

        def work(tx: Transaction) -> None:
            nonlocal mine
            mine += 1
            tries.append(number)
            found = tx.get(Passkey, "psk_1")
            assert found is not None
            if mine == 1:
                both_have_read.wait(20)
            tx.update(replace(found, sign_count=found.sign_count + 1))

        stores[number].transact(work)

    threads = [threading.Thread(target=use, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = stores[0].read(lambda tx: tx.get(Passkey, "psk_1"))
    assert found is not None
    assert found.sign_count == 2
    assert len(tries) > 2


@pytest.mark.parametrize("id_", ["a/b", "..", "__x__", "%2F", "é" * 700, "x" * 3000, "/", " ", "a\nb"])
def test_any_text_can_be_an_id(emulated: Callable[..., FirestoreStore], id_: str) -> None:
    store = emulated()
    assert store.read(lambda tx: tx.get(Event, id_)) is None
    event = Event(id=id_, topic="loan-submitted", subject="s", data={}, request_id="r", occurred_at=AT)
    store.transact(lambda tx: tx.insert(event))
    assert store.read(lambda tx: tx.get(Event, id_)) == event


def test_ids_that_follow_each_other_are_spread() -> None:
    names = [path(Event, f"evt_{number:04}") for number in range(100)]
    assert len({name[: len("outbox/") + 2] for name in names}) > 50
