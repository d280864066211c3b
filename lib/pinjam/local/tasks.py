"""A small durable Cloud Tasks for the local system.

Clients speak Google's REST API to it. Each task is an HTTP call, made once it is due by the business clock, at
most so many a second and so many at a time for each queue, and repeated with growing pauses until it is
answered with 2xx. Known differences: Cloud Tasks refuses a time more than 30 days ahead; here the business date may
have been set back since the time was chosen. The deadline of a try is our own, whatever the task says.
"""

import binascii
import logging
import random
import re
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, Self
from wsgiref.types import WSGIApplication

import httpx
from flask import Flask, Response, jsonify, request
from psycopg_pool import ConnectionPool
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pinjam.domain.task import Rate
from pinjam.local.dispatch import Dispatcher, PushSettings
from pinjam.local.task_queue import KeptTask, NewTask, TaskQueue

_ERROR_CHARACTERS = 300
_SHORTEST_DEADLINE_S, _LONGEST_DEADLINE_S = 15, 1800
_LONGEST_SLEEP_S = 1.0
"""The business clock may be moved by another process, which tells nobody."""
_log = logging.getLogger(__name__)


def _deadline(value: str) -> str:
    if not _SHORTEST_DEADLINE_S <= float(value.removesuffix("s")) <= _LONGEST_DEADLINE_S:
        raise ValueError("must be in [15s, 30m]")
    return value


def _base64(value: str) -> str:
    try:
        b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _OidcToken(_Strict):
    serviceAccountEmail: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]  # noqa: N815 - Google's name
    audience: str


class _Call(_Strict):
    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+/\S*$")]
    httpMethod: Literal["POST"]  # noqa: N815 - Google's name
    headers: dict[str, str]
    body: Annotated[str, AfterValidator(_base64)]
    oidcToken: _OidcToken  # noqa: N815 - Google's name


class _Task(_Strict):
    name: Annotated[str, Field(pattern=r"^projects/[^/]+/locations/[^/]+/queues/[^/]+/tasks/[A-Za-z0-9_-]{1,500}$")]
    scheduleTime: AwareDatetime  # noqa: N815 - Google's name
    dispatchDeadline: Annotated[str, Field(pattern=r"^\d+(\.\d{1,9})?s$"), AfterValidator(_deadline)]  # noqa: N815 - as above
    httpRequest: _Call  # noqa: N815 - Google's name


class _CreateTask(_Strict):
    task: _Task


class TaskServer:
    """Queues with their rates. `token` is shown to functions in the place of the OIDC token that a task asks for.

    What was kept and not done when the process died is done after the next start.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        parent: str,
        token: str,
        rates: Mapping[str, Rate],
        now: Callable[[], datetime],
        settings: PushSettings | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._parent = parent
        self._settings = settings or PushSettings()
        self._now = now
        self._chance = chance or random.Random()  # noqa: S311  # spreads retries, guards nothing
        self._queue = TaskQueue(pool)
        self._gates = {name: Gate(rate) for name, rate in rates.items()}
        self._client = self._settings.client(token=token, user_agent="Google-Cloud-Tasks")
        self._dispatcher: Dispatcher[KeptTask] = Dispatcher(
            "tasks",
            take=self._take,
            next_due_in=self._next_due_in,
            deliver=self._deliver,
            workers=self._settings.workers * 2,
            longest_sleep_s=_LONGEST_SLEEP_S,
        )

    @property
    def app(self) -> WSGIApplication:
        """The clients' side: `POST /v2/{parent}/queues/{queue}/tasks`."""
        app = Flask("tasks")
        app.add_url_rule("/v2/<path:path>", endpoint="create", view_func=self._create, methods=["POST"])
        return app

    def start(self) -> Self:
        """Do what is due, from now on."""
        self._dispatcher.start()
        return self

    def stop(self) -> None:
        """Let what is being done finish, for a moment."""
        self._dispatcher.stop()
        self._client.close()

    def wake(self) -> None:
        """Look again at what is due: the business clock was moved."""
        self._dispatcher.wake()

    def wait_until_quiet(self, timeout_s: float) -> bool:
        """Wait until nothing is left to do that is due by now; False if that takes longer."""
        return self._dispatcher.wait_until_quiet(lambda: self._queue.waiting(self._now()) == 0, timeout_s)

    def dead_letters(self) -> Sequence[KeptTask]:
        """What no function took, oldest first."""
        return self._queue.dead()

    def _create(self, path: str) -> tuple[Response, int]:
        named = re.fullmatch(rf"{re.escape(self._parent)}/queues/([^/]+)/tasks", path)
        if named is None or named[1] not in self._gates:
            return _error(404, "NOT_FOUND", "Queue does not exist.")
        try:
            task = _CreateTask.model_validate_json(request.get_data()).task
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            return _error(400, "INVALID_ARGUMENT", f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
        if not task.name.startswith(f"{path}/"):
            return _error(400, "INVALID_ARGUMENT", "Task name must start with its queue's name.")
        call = task.httpRequest
        kept = self._queue.add(
            NewTask(
                name=task.name,
                queue=named[1],
                url=call.url,
                headers=call.headers,
                body=call.body,
                due_at=task.scheduleTime,
            )
        )
        if not kept:
            return _error(409, "ALREADY_EXISTS", "The task exists, or did not long ago.")
        self._dispatcher.wake()
        return jsonify({"name": task.name, "scheduleTime": task.scheduleTime.isoformat()}), 200

    def _take(self, limit: int, in_hand: frozenset[int]) -> Sequence[KeptTask]:
        open_queues = [name for name, gate in self._gates.items() if gate.room() > 0]
        due = self._queue.due(self._now(), queues=open_queues, limit=limit, in_hand=in_hand)
        return [task for task in due if self._gates[task.queue].enter()]

    def _next_due_in(self, in_hand: frozenset[int]) -> float | None:
        pause = self._queue.next_due_in(self._now(), in_hand=in_hand)
        # Something is due, but its queue is at its limit: soon there is room.
        return pause if pause is None or pause > 0 else min(gate.opens_in_s for gate in self._gates.values())

    def _deliver(self, task: KeptTask) -> None:
        try:
            self._queue.attempted(task)
            self._settle(task, self._call(task))
        finally:
            self._gates[task.queue].leave()

    def _settle(self, task: KeptTask, error: str | None) -> None:
        attempts = task.attempts + 1
        seen = {"task": task.name.rpartition("/")[2], "queue": task.queue, "attempts": attempts}
        if error is None:
            self._queue.done(task)
        elif attempts >= self._settings.deliveries:
            self._queue.bury(task, error=error)
            _log.error("tasks.dead_letter", extra=seen)
        else:
            pause = self._settings.pause_s(attempts, self._chance.random())
            self._queue.again(task, after_s=pause, error=error)
            _log.warning("tasks.retry", extra=seen)

    def _call(self, task: KeptTask) -> str | None:
        """Make the call; what went wrong, None if nothing did."""
        try:
            answer = self._client.post(task.url, headers=dict(task.headers), content=b64decode(task.body))
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.is_success else f"HTTP {answer.status_code} {answer.text[:_ERROR_CHARACTERS]}"


class Gate:
    """Lets at most so many through a second, and at the same time."""

    def __init__(self, rate: Rate, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._inside = 0
        self._tokens = float(rate.per_second)
        self._filled = monotonic()

    @property
    def opens_in_s(self) -> float:
        """How long it takes until one more may pass, by the rate."""
        return 1 / self._rate.per_second

    def room(self) -> int:
        """How many may pass now."""
        with self._lock:
            return self._room()

    def enter(self) -> bool:
        """Pass; False if there is no room."""
        with self._lock:
            if self._room() < 1:
                return False
            self._inside += 1
            self._tokens -= 1
            return True

    def leave(self) -> None:
        """Make room."""
        with self._lock:
            self._inside -= 1

    def _room(self) -> int:
        now = self._monotonic()
        self._tokens = min(self._rate.per_second, self._tokens + (now - self._filled) * self._rate.per_second)
        self._filled = now
        return min(self._rate.at_once - self._inside, int(self._tokens))


def _error(code: int, status: str, message: str) -> tuple[Response, int]:
    return jsonify({"error": {"code": code, "message": message, "status": status}}), code
