"""What the real Cloud Tasks asks of a task, at a strict server of its wire format; the contract is run elsewhere."""

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.google_server import Answer, Call, GoogleError, GoogleServer, invalid

from pinjam.adapters.cloud_tasks import ANSWER_WITHIN_S, CloudTasks
from pinjam.adapters.holidays_id import IndonesianHolidays
from pinjam.domain.contact import HORIZON_DAYS, MARKETING, next_window
from pinjam.domain.task import MOST_TRIES, RATES, Task, pause_after
from pinjam.domain.trail import Event
from pinjam.services.ports import Unavailable

NOW = datetime(2026, 11, 23, 3, 0, 0, 123456, tzinfo=UTC)
PARENT = "projects/pinjam-test/locations/asia-southeast2"
FUNCTIONS = "https://asia-southeast2-pinjam-test.cloudfunctions.net"
ACCOUNT = "tasks@pinjam-test.iam.gserviceaccount.com"
FARTHEST = timedelta(days=30)
MOST_BYTES = 100 * 1024
EVENT = Event(id="evt_1", topic="loan-submitted", subject="loan_1", data={}, request_id="req", occurred_at=NOW)
TASK = Task(id="sms-1", queue="sms", function="notify", due_at=NOW, event=EVENT)


class TasksServer(GoogleServer):
    """`tasks.create` as the REST reference (v2) and the page of quotas have it. `kept` outlives a task's end."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Mapping[str, Any]] = {}

    def answer(self, call: Call) -> Answer:
        queue = re.fullmatch(rf"/v2/({PARENT}/queues/([A-Za-z0-9-]{{1,100}}))/tasks", call.path)
        if queue is None or call.method != "POST":
            raise GoogleError(404, "NOT_FOUND", "Method not found.")
        if queue[2] not in RATES:
            raise GoogleError(404, "NOT_FOUND", "Queue does not exist.")
        if len(call.content) > MOST_BYTES:
            raise invalid("Task size too large")
        task = call.fields(required={"task"}, optional={"responseView"})["task"]
        self._check(task, queue[1])
        if task["name"] in self.kept:
            raise GoogleError(409, "ALREADY_EXISTS", "Requested entity already exists")
        self.kept[task["name"]] = task
        return 200, {**task, "createTime": "2026-11-23T03:00:00Z", "view": "BASIC"}

    def _check(self, task: Mapping[str, Any], queue: str) -> None:
        only(task, {"name", "scheduleTime", "dispatchDeadline", "httpRequest"})
        if not re.fullmatch(rf"{re.escape(queue)}/tasks/[A-Za-z0-9_-]{{1,500}}", task["name"]):
            raise invalid("Task name must be formatted: projects/../locations/../queues/../tasks/..")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", task["scheduleTime"]):
            raise invalid("Invalid value at 'task.schedule_time' (type.googleapis.com/google.protobuf.Timestamp)")
        if datetime.fromisoformat(task["scheduleTime"]) - NOW > FARTHEST:
            raise invalid("The task's schedule time must be within 720h of now.")
        deadline = re.fullmatch(r"(\d+)(?:\.\d{1,9})?s", task["dispatchDeadline"])
        if deadline is None or not 15 <= int(deadline[1]) <= 1800:
            raise invalid("dispatchDeadline must be in [15s, 30m]")
        self._check_request(task["httpRequest"])

    def _check_request(self, request: Mapping[str, Any]) -> None:
        only(request, {"url", "httpMethod", "headers", "body", "oidcToken"})
        if not re.fullmatch(r"https?://\S{1,2070}", request["url"]) or request["httpMethod"] != "POST":
            raise invalid("HttpRequest.url")
        for name, value in request["headers"].items():
            if name.lower().startswith(("x-google-", "x-cloudtasks-")) or name.lower() in ("host", "content-length"):
                raise invalid(f"{name} is set by the service")
            if not value.isascii():
                raise invalid(f"{name} must be ASCII")
        try:
            b64decode(request["body"], validate=True)
        except binascii.Error:
            raise invalid("Invalid value at 'task.http_request.body' (TYPE_BYTES)") from None
        only(request["oidcToken"], {"serviceAccountEmail", "audience"})
        if not request["oidcToken"]["serviceAccountEmail"].endswith(".iam.gserviceaccount.com"):
            raise invalid("The principal (user or service account) lacks IAM permission iam.serviceAccounts.actAs.")


def only(body: Mapping[str, Any], names: set[str]) -> None:
    if body.keys() != names:
        raise invalid(f"Invalid JSON payload received. {sorted(body.keys() ^ names)}: Cannot find field.")


@pytest.fixture
def server() -> Iterator[TasksServer]:
    with TasksServer() as running:
        yield running


@pytest.fixture
def tasks(server: TasksServer) -> Iterator[CloudTasks]:
    with closing(
        CloudTasks(
            url=server.url,
            project="pinjam-test",
            location="asia-southeast2",
            functions_url=FUNCTIONS,
            account=ACCOUNT,
            token=lambda: "good-token",
        )
    ) as made:
        yield made


def test_a_task_is_what_the_service_takes(server: TasksServer, tasks: CloudTasks) -> None:
    tasks.schedule(TASK)
    ((name, kept),) = server.kept.items()
    assert name.startswith(f"{PARENT}/queues/sms/tasks/")
    assert kept["scheduleTime"] == "2026-11-23T03:00:00.123456Z"
    assert kept["dispatchDeadline"] == f"{ANSWER_WITHIN_S}s"
    request = kept["httpRequest"]
    assert request["url"] == f"{FUNCTIONS}/notify"
    assert request["oidcToken"] == {"serviceAccountEmail": ACCOUNT, "audience": f"{FUNCTIONS}/notify"}
    assert json.loads(b64decode(request["body"]))["message"]["messageId"] == "sms-1"


def test_a_name_that_is_known_is_a_task_that_is_kept_and_the_next_one_is_sent(
    server: TasksServer, tasks: CloudTasks
) -> None:
    tasks.schedule(TASK)
    tasks.schedule(TASK, replace(TASK, id="sms-2"))
    assert len(server.calls) == 3
    assert [name.rpartition("/")[2].partition("-")[2] for name in server.kept] == ["sms-1", "sms-2"]


def test_another_conflict_is_not_taken_for_a_task_that_is_kept(server: TasksServer, tasks: CloudTasks) -> None:
    server.before = [(409, {"error": {"code": 409, "message": "try again", "status": "ABORTED"}})]
    with pytest.raises(Unavailable, match="sms: ABORTED try again"):
        tasks.schedule(TASK)


def test_names_are_spread_though_ids_begin_with_their_time(server: TasksServer, tasks: CloudTasks) -> None:
    tasks.schedule(*(replace(TASK, id=f"ntf_01K9ZZ00{number:04}-sms") for number in range(50)))
    assert len({name.rpartition("/")[2][:2] for name in server.kept}) > 30


@pytest.mark.parametrize("ahead", [timedelta(days=-400), timedelta(0), FARTHEST])
def test_a_task_may_be_due_in_the_past_and_up_to_thirty_days_ahead(
    server: TasksServer, tasks: CloudTasks, ahead: timedelta
) -> None:
    tasks.schedule(replace(TASK, due_at=NOW + ahead))
    assert len(server.kept) == 1


def test_a_task_that_is_too_far_ahead_is_not_kept_and_says_why(tasks: CloudTasks) -> None:
    with pytest.raises(Unavailable, match="sms: INVALID_ARGUMENT The task's schedule time must be within 720h"):
        tasks.schedule(replace(TASK, due_at=NOW + FARTHEST + timedelta(seconds=1)))


def test_a_task_that_is_too_large_is_not_kept_and_says_why(tasks: CloudTasks) -> None:
    with pytest.raises(Unavailable, match="sms: INVALID_ARGUMENT Task size too large"):
        tasks.schedule(replace(TASK, event=replace(EVENT, data={"note": "x" * MOST_BYTES})))


def test_no_pause_between_tries_and_no_wait_for_a_window_reaches_thirty_days() -> None:
    assert max(pause_after(tries, 1.0) for tries in range(1, MOST_TRIES)) < FARTHEST
    assert timedelta(days=HORIZON_DAYS + 1) < FARTHEST
    holidays = IndonesianHolidays().between(date(2026, 1, 1), date(2028, 12, 31))
    midnights = [datetime(2026, 1, 1, 17, tzinfo=UTC) + timedelta(days=days) for days in range(2 * 365)]
    # It is found within the horizon, or this raises.
    assert max(next_window(each, "31", holidays, 3, window=MARKETING) - each for each in midnights) < timedelta(days=7)


@pytest.mark.parametrize("code", [429, 503])
def test_a_service_that_cannot_answer_keeps_nothing(server: TasksServer, tasks: CloudTasks, code: int) -> None:
    server.before = [(code, {})]
    with pytest.raises(Unavailable, match=f"tasks: answered {code}"):
        tasks.schedule(TASK, replace(TASK, id="sms-2"))
    assert len(server.calls) == 1


def test_a_task_names_the_trace_in_which_it_was_made(server: TasksServer) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    made = CloudTasks(
        url=server.url,
        project="pinjam-test",
        location="asia-southeast2",
        functions_url=FUNCTIONS,
        account=ACCOUNT,
        token=lambda: "good-token",
        traceparent=lambda: trace,
    )
    with closing(made) as tasks:
        tasks.schedule(TASK)
    (kept,) = server.kept.values()
    request = kept["httpRequest"]
    assert request["headers"]["traceparent"] == trace
    assert json.loads(b64decode(request["body"]))["message"]["attributes"]["traceparent"] == trace
