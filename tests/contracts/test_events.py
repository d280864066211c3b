"""What every way of carrying events does: each is brought to its consumers until they take it, and none is lost."""

import json
import socket
import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from pinjam.adapters.clock import FixedClock
from pinjam.adapters.memory import MemoryStore
from pinjam.adapters.pubsub import PubSubPublisher
from pinjam.domain.trail import Consumption, Event, Topic
from pinjam.local.broker import Broker
from pinjam.local.dispatch import PushSettings
from pinjam.local.emulators.pubsub import PubSubEmulator
from pinjam.local.emulators.push_door import PushDoor
from pinjam.local.emulators.topics import Topics
from pinjam.local.event_carrier import EventCarrier
from pinjam.local.gateway import mount
from pinjam.local.servers import WsgiServer
from pinjam.runtime.events import read
from pinjam.services.ports import NoSuchTopic, Publisher, Unavailable
from pinjam.services.recording import Outbox, consume, consumed
from pinjam.services.store import Find, Transaction

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
QUIET_S = 40
TOKEN = "shown-by-whoever-may-call"
# No pause between deliveries, and as few of them as Pub/Sub allows.
QUICK = PushSettings(first_pause_s=0, longest_pause_s=0, deliveries=5, answer_within_s=10)
TOPICS: Mapping[str, Sequence[str]] = {
    "loan-submitted": ("decide_loan", "notify"),
    "loan-decided": ("notify",),
    "user-verified": (),
}
_PROJECTS = count(1)


@dataclass
class Functions:
    """Functions that note what they were brought and answer as told: the statuses to come, then 204."""

    statuses: dict[str, list[int]] = field(default_factory=dict)
    brought: list[tuple[str, Event]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    on_event: Callable[[str, Event], object] = lambda _name, _event: None

    def apps(self) -> Mapping[str, WSGIApplication]:
        return {name: self._app(name) for names in TOPICS.values() for name in names}

    def names(self) -> list[str]:
        return sorted(name for name, _ in self.brought)

    def _app(self, name: str) -> WSGIApplication:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            event = read(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))).event
            self.on_event(name, event)
            with self.lock:
                self.brought.append((name, event))
                coming = self.statuses.get(name)
                status = coming.pop(0) if coming else 204
            start_response(f"{status} Told", [("Content-Length", "0")])
            return [b""]

        return app


@dataclass
class Setting:
    """A carrier, what it calls, and a publisher to it. `add` has it know of more topics."""

    carrier: EventCarrier
    functions: Functions
    publisher: Publisher
    add: Callable[[Mapping[str, Sequence[str]]], EventCarrier]

    def quiet(self) -> None:
        assert self.carrier.wait_until_quiet(QUIET_S)


@pytest.fixture
def broker(database_url: str) -> Iterator[Setting]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS local_broker CASCADE")
    functions = Functions()
    with ExitStack() as running:
        pool = running.enter_context(ConnectionPool(database_url, min_size=1, max_size=6, open=True))
        server = running.enter_context(WsgiServer(mount(functions.apps(), token=TOKEN)))
        brokers: list[Broker] = []

        def newest(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return brokers[-1].app(environ, start_response)

        api = running.enter_context(WsgiServer(newest))

        def started(topics: Mapping[str, Sequence[str]]) -> Broker:
            made = Broker(
                pool,
                project="pinjam-test",
                functions_url=server.url,
                token=TOKEN,
                subscriptions=topics,
                settings=QUICK,
            )
            for before in brokers:
                before.stop()
            brokers.append(made)
            running.callback(made.stop)
            return made.start()

        publisher = running.enter_context(closing(PubSubPublisher(project="pinjam-test", url=api.url)))
        yield Setting(started(TOPICS), functions, publisher, lambda more: started({**TOPICS, **more}))


@pytest.fixture
def pubsub(pubsub_emulator: PubSubEmulator) -> Iterator[Setting]:
    """A project of the test's own in the worker's emulator."""
    functions, project, url = Functions(), f"pinjam-events-{next(_PROJECTS)}", f"http://{pubsub_emulator.host}"
    door = PushDoor(mount(functions.apps(), token=TOKEN), push_token="hard-to-guess", token=TOKEN)
    with ExitStack() as running:
        server = running.enter_context(WsgiServer(door, threads=8))

        def started(topics: Mapping[str, Sequence[str]]) -> Topics:
            made = Topics(
                url=url, project=project, functions_url=server.url, door=door, subscriptions=topics, push=QUICK
            )
            running.callback(made.stop)
            return made.start()

        publisher = running.enter_context(closing(PubSubPublisher(project=project, url=url)))
        yield Setting(started(TOPICS), functions, publisher, lambda more: started({**TOPICS, **more}))


@pytest.fixture(params=["broker", "pubsub"])
def setting(request: pytest.FixtureRequest) -> Setting:
    made: Setting = request.getfixturevalue(request.param)
    return made


def event(number: int = 1, topic: Topic = "loan-decided", **changes: object) -> Event:
    made = Event(
        id=f"evt_{number:026}",
        topic=topic,
        subject=f"loan_{number}",
        data={"outcome": "approved", "limit": 5_000_000, "note": None},
        request_id="req_1",
        occurred_at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of an event


def test_an_event_reaches_every_consumer_of_its_topic_and_no_other(setting: Setting) -> None:
    submitted, decided = event(1, "loan-submitted"), event(2, "loan-decided")
    setting.publisher.publish([submitted, decided, event(3, "user-verified")])
    setting.quiet()
    expected = [("decide_loan", submitted), ("notify", submitted), ("notify", decided)]
    assert sorted(setting.functions.brought, key=lambda one: (one[0], one[1].id)) == expected
    assert list(setting.carrier.dead_letters()) == []


def test_nothing_published_is_quiet_at_once(setting: Setting) -> None:
    setting.publisher.publish([])
    assert setting.carrier.wait_until_quiet(1)
    assert setting.functions.brought == []


def test_an_event_arrives_as_it_was_whatever_it_is_written_in(setting: Setting) -> None:
    odd = event(
        subject="loan_Ünïcode_丙_\N{SNOWMAN}", data={"text": "Rp 1.000 \u202e\u0000é\U0001f600", "n": 2**53 + 1}
    )
    setting.publisher.publish([odd])
    setting.quiet()
    assert setting.functions.brought == [("notify", odd)]


def test_more_events_than_fit_into_one_request_all_arrive(setting: Setting) -> None:
    setting.publisher.publish([event(number) for number in range(250)])
    setting.quiet()
    assert sorted(one.id for _, one in setting.functions.brought) == [event(number).id for number in range(250)]


def test_an_event_that_a_consumer_refused_comes_again_to_that_consumer_only(setting: Setting) -> None:
    setting.functions.statuses = {"notify": [503]}
    setting.publisher.publish([event(1, "loan-submitted")])
    setting.quiet()
    assert setting.functions.names() == ["decide_loan", "notify", "notify"]
    assert len({one.id for _, one in setting.functions.brought}) == 1
    assert list(setting.carrier.dead_letters()) == []


def test_after_its_last_delivery_an_event_is_a_dead_letter_that_stays_to_be_looked_at(setting: Setting) -> None:
    setting.functions.statuses = {"notify": [500] * 5}
    setting.publisher.publish([event(1, "loan-submitted")])
    setting.quiet()
    assert setting.functions.names() == ["decide_loan"] + ["notify"] * 5
    for _ in range(2):
        (letter,) = setting.carrier.dead_letters()
        assert (letter.topic, letter.subscription, letter.attempts) == ("loan-submitted", "notify", 5)
        assert json.loads(b64decode(letter.data))["subject"] == "loan_1"
        assert letter.attributes["event_id"] == event(1).id
    # What is dead holds up nothing that comes after it.
    setting.publisher.publish([event(2, "loan-submitted")])
    setting.quiet()
    assert Counter(setting.functions.names()) == {"decide_loan": 2, "notify": 6}
    assert len(setting.carrier.dead_letters()) == 1


def test_an_event_that_is_published_twice_has_its_effect_once(setting: Setting) -> None:
    store, effects = MemoryStore(), []

    def take(name: str, brought: Event) -> None:
        def work(tx: Transaction) -> bool:
            if consumed(tx, name, brought):
                return False
            consume(tx, name, brought, NOW)
            return True

        if store.transact(work):
            effects.append((name, brought.id))

    setting.functions.on_event = take
    for _ in range(2):
        setting.publisher.publish([event(1, "loan-submitted")])
    setting.quiet()
    assert len(setting.functions.brought) == 4
    assert sorted(effects) == [("decide_loan", event(1).id), ("notify", event(1).id)]
    assert len(store.read(lambda tx: tx.find(Find(kind=Consumption, where={}))).items) == 2


def test_quiet_waits_for_what_a_consumer_holds_and_for_what_it_publishes_meanwhile(setting: Setting) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(name: str, brought: Event) -> None:
        if (name, brought.topic) == ("decide_loan", "loan-submitted"):
            reached.set()
            assert go_on.wait(QUIET_S)
            setting.publisher.publish([event(2, "loan-decided")])

    setting.functions.on_event = hold
    setting.publisher.publish([event(1, "loan-submitted")])
    assert reached.wait(QUIET_S)
    assert not setting.carrier.wait_until_quiet(0.05)
    go_on.set()
    setting.quiet()
    assert [one.id for _, one in setting.functions.brought].count(event(2).id) == 1


def test_an_event_whose_topic_is_not_there_is_told_and_holds_up_no_other(setting: Setting) -> None:
    with pytest.raises(NoSuchTopic, match="loan-accepted") as told:
        setting.publisher.publish([event(1, "loan-accepted"), event(2, "loan-decided"), event(3, "loan-submitted")])
    assert told.value.topics == {"loan-accepted"}
    setting.quiet()
    assert setting.functions.names() == ["decide_loan", "notify", "notify"]


def outbox(setting: Setting, *events: Event) -> Outbox:
    """Committed, and not yet published."""
    store = MemoryStore()

    def work(tx: Transaction) -> None:
        for one in events:
            tx.insert(one)

    store.transact(work)
    return Outbox(store, setting.publisher, FixedClock(NOW))


def left(box: Outbox) -> list[str]:
    page = box.store.read(lambda tx: tx.find(Find(kind=Event, where={"published_at": None}, limit=200)))
    return [one.id for one in page.items]


def test_what_had_no_topic_stays_in_the_outbox_until_it_has_one(setting: Setting) -> None:
    early, others = event(1, "loan-accepted"), [event(2, "loan-decided"), event(3, "user-verified")]
    box = outbox(setting, early, *others)
    box.publish(early, others[0])
    assert left(box) == [early.id, others[1].id]
    later = NOW + timedelta(seconds=1)
    with pytest.raises(NoSuchTopic):
        box.relay(older_than=later)
    assert left(box) == [early.id]
    carrier = setting.add({"loan-accepted": ("notify",)})
    assert box.relay(older_than=later) == 1
    assert left(box) == []
    assert carrier.wait_until_quiet(QUIET_S)
    assert sorted(one.id for _, one in setting.functions.brought) == [early.id, others[0].id]


def test_what_is_recorded_while_nobody_carries_events_is_carried_later(setting: Setting) -> None:
    box = outbox(setting, *[event(number) for number in range(150)])
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with closing(PubSubPublisher(project="pinjam-test", url=url)) as publisher:
            away = replace(box, publisher=publisher)
            away.publish(event(0))
            with pytest.raises(Unavailable):
                away.relay(older_than=NOW + timedelta(seconds=1))
    assert len(left(box)) == 150
    assert box.relay(older_than=NOW + timedelta(seconds=1)) == 150
    setting.quiet()
    assert sorted(one.id for _, one in setting.functions.brought) == [event(number).id for number in range(150)]
