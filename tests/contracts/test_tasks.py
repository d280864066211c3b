"""What every adapter of the task port does: keeps a task once, and brings its event when it is due."""

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from pinjam.adapters.clock import FixedClock
from pinjam.adapters.cloud_tasks import CloudTasks
from pinjam.domain.task import RATES, Rate, Task
from pinjam.domain.trail import Event
from pinjam.local.dispatch import PushSettings
from pinjam.local.servers import WsgiServer
from pinjam.local.tasks import Gate, TaskServer
from pinjam.services.ports import Unavailable

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
PARENT = "projects/pinjam-test/locations/asia-southeast2"
QUIET_S = 20
FAST = PushSettings(first_pause_s=0.002, longest_pause_s=0.01, deliveries=3, answer_within_s=5)


@dataclass
class Functions:
    """Functions that note what they were brought and answer as they are told: the statuses to come, then 204."""

    statuses: list[int] = field(default_factory=list)
    calls: list[tuple[str, Mapping[str, str], Mapping[str, object]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    inside: int = 0
    most_inside: int = 0
    until: Callable[[], object] = lambda: None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        headers = {name[5:].lower().replace("_", "-"): str(value) for name, value in environ.items() if "HTTP_" in name}
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.inside, self.most_inside)
        self.until()
        with self.lock:
            self.inside -= 1
            self.calls.append((environ["PATH_INFO"], headers, body))
            status = self.statuses.pop(0) if self.statuses else 204
        start_response(f"{status} Told", [("Content-Length", "0")])
        return [b""]

    def events(self) -> list[str]:
        """The ids of the events that were brought, in their order."""
        return [json.loads(b64decode(body["message"]["data"]))["id"] for _, _, body in self.calls]  # type: ignore[index]  # the test knows its shape


@dataclass
class Setting:
    """A task server, the functions it calls, and the adapter that talks to it."""

    server: TaskServer
    functions: Functions
    tasks: CloudTasks
    clock: FixedClock
    url: str
    again: Callable[[], "Setting"]

    def task(self, number: int = 1, **changes: object) -> Task:
        event = Event(
            id=f"evt_{number:026}",
            topic="loan-submitted",
            subject="loan_1",
            data={"amount": 500_000},
            request_id="req",
            occurred_at=NOW,
        )
        task = Task(id=f"sms-{number}", queue="sms", function="notify", due_at=NOW, event=event)
        return replace(task, **changes)  # type: ignore[arg-type]  # fields of a task

    def quiet(self) -> None:
        assert self.server.wait_until_quiet(QUIET_S)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("database_url")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS local_tasks CASCADE")
    return url


@pytest.fixture
def setting(database: str) -> Iterator[Setting]:
    """Running; `again` starts another server on the same queue, as after a crash."""
    functions, clock = Functions(), FixedClock(NOW)
    opened: list[Callable[[], object]] = []

    def start() -> Setting:
        pool = ConnectionPool(database, min_size=1, max_size=8, open=True)
        server = TaskServer(
            pool,
            parent=PARENT,
            token="shown",
            rates={str(queue): rate for queue, rate in RATES.items()},
            now=clock.now,
            settings=FAST,
        )
        api = WsgiServer(server.app).start()
        callee = WsgiServer(functions).start()
        tasks = CloudTasks(
            url=api.url,
            project="pinjam-test",
            location="asia-southeast2",
            functions_url=callee.url,
            account="tasks@example.com",
        )
        opened.extend((pool.close, callee.stop, api.stop, server.stop, tasks.close))
        return Setting(server.start(), functions, tasks, clock, api.url, start)

    yield start()
    for close in reversed(opened):
        close()


def test_a_task_that_is_due_brings_its_event_to_its_function(setting: Setting) -> None:
    setting.tasks.schedule(setting.task())
    setting.quiet()
    ((path, headers, body),) = setting.functions.calls
    assert path == "/notify"
    assert headers["authorization"] == "Bearer shown"
    assert headers["ce-type"] == "google.cloud.pubsub.topic.v1.messagePublished"
    message = body["message"]
    assert isinstance(message, dict)
    assert json.loads(b64decode(message["data"])) == {
        "id": f"evt_{1:026}",
        "topic": "loan-submitted",
        "subject": "loan_1",
        "data": {"amount": 500_000},
        "request_id": "req",
        "occurred_at": "2026-11-23T03:00:00Z",
    }


def test_a_task_waits_until_it_is_due_by_the_business_clock(setting: Setting) -> None:
    setting.tasks.schedule(setting.task(due_at=NOW + timedelta(hours=5)))
    setting.quiet()
    assert setting.functions.calls == []
    setting.clock.advance(hours=5)
    setting.server.wake()
    setting.quiet()
    assert setting.functions.events() == [f"evt_{1:026}"]


def test_a_task_may_be_due_long_after_a_date_that_was_set_back(setting: Setting) -> None:
    setting.tasks.schedule(setting.task(due_at=NOW + timedelta(days=400)))
    setting.quiet()
    setting.clock.advance(days=400)
    setting.server.wake()
    setting.quiet()
    assert setting.functions.events() == [f"evt_{1:026}"]


def test_the_same_task_is_done_once_however_often_it_is_scheduled(setting: Setting) -> None:
    for _ in range(3):
        setting.tasks.schedule(setting.task(), setting.task())
        setting.quiet()
    assert len(setting.functions.calls) == 1


def test_a_function_that_fails_is_called_again_until_it_does_not(setting: Setting) -> None:
    setting.functions.statuses = [500, 503]
    setting.tasks.schedule(setting.task())
    setting.quiet()
    assert len(setting.functions.calls) == 3
    assert setting.server.dead_letters() == []


def test_what_no_function_takes_is_kept_with_the_reason(setting: Setting) -> None:
    setting.functions.statuses = [500, 500, 500]
    setting.tasks.schedule(setting.task())
    setting.quiet()
    (letter,) = setting.server.dead_letters()
    assert (letter.attempts, letter.queue, letter.last_error) == (3, "sms", "HTTP 500 ")


def test_tasks_outlive_the_process_that_kept_them(setting: Setting) -> None:
    setting.server.stop()
    setting.tasks.schedule(setting.task())
    assert setting.functions.calls == []
    setting.again().quiet()
    assert setting.functions.events() == [f"evt_{1:026}"]


def test_a_provider_is_called_by_no_more_at_a_time_than_its_queue_allows(setting: Setting) -> None:
    wanted = RATES["payout"].at_once
    full = threading.Barrier(wanted)
    setting.functions.until = lambda: full.wait(QUIET_S)
    setting.tasks.schedule(*(setting.task(number, id=f"p{number}", queue="payout") for number in range(wanted * 3)))
    setting.quiet()
    assert len(setting.functions.calls) == wanted * 3
    assert setting.functions.most_inside == wanted


def test_one_queue_at_its_limit_does_not_hold_up_another(setting: Setting) -> None:
    other_was_called = threading.Event()

    def until() -> None:
        if setting.functions.inside > RATES["payout"].at_once:
            other_was_called.set()
        assert other_was_called.wait(QUIET_S)

    setting.functions.until = until
    setting.tasks.schedule(*(setting.task(number, id=f"p{number}", queue="payout") for number in range(6)))
    setting.tasks.schedule(setting.task(7))
    setting.quiet()
    assert len(setting.functions.calls) == 7


def test_a_queue_lets_through_no_more_than_its_rate() -> None:
    now = [100.0]
    gate = Gate(Rate(per_second=2, at_once=9), monotonic=lambda: now[0])
    assert [gate.enter() for _ in range(3)] == [True, True, False]
    now[0] += 0.5
    assert [gate.enter() for _ in range(2)] == [True, False]
    now[0] += 60
    assert [gate.enter() for _ in range(3)] == [True, True, False]


def test_a_server_that_does_not_answer_is_unavailable(setting: Setting) -> None:
    deaf = CloudTasks(url="http://127.0.0.1:9", project="p", location="l", functions_url="http://x", account="a@b")
    with pytest.raises(Unavailable, match="tasks"):
        deaf.schedule(setting.task())


def test_a_queue_that_does_not_exist_is_unavailable_and_named(setting: Setting) -> None:
    with pytest.raises(Unavailable, match="letters: NOT_FOUND"):
        setting.tasks.schedule(setting.task(queue="letters"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scheduleTime": "tomorrow"}, "task.scheduleTime"),
        ({"dispatchDeadline": "1801s"}, "task.dispatchDeadline"),
        ({"name": "elsewhere"}, "task.name"),
        ({"name": f"{PARENT}/queues/email/tasks/other"}, "queue's name"),
        ({"note": "unknown"}, "task.note"),
    ],
)
def test_what_cloud_tasks_would_refuse_is_refused(setting: Setting, change: Mapping[str, object], named: str) -> None:
    queue = f"{PARENT}/queues/sms"
    task = {**setting.tasks._body(setting.task(), queue), **change}
    answer = httpx.post(f"{setting.url}/v2/{queue}/tasks", json={"task": task}, trust_env=False)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
