"""The event edge: what Pub/Sub or Cloud Tasks bring becomes one of our events, and its consumer is called.

They come in one body: `{"message": {"data", "attributes", "messageId", "publishTime"}, "subscription"}`. An Eventarc
trigger adds the headers of a CloudEvent, and so do our tasks; a push subscription of our own does not. Nothing that
the effect depends on is in the headers, so all of them are read alike, and the framework converts nothing.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, TypeAlias

import functions_framework
from flask import Request
from flask.typing import ResponseReturnValue
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pinjam.domain.trail import Event, Topic
from pinjam.runtime import logs, tracing
from pinjam.runtime.composition import current
from pinjam.services.ports import Unavailable
from pinjam.services.store import Contention, StoreUnavailable

if TYPE_CHECKING:
    from pinjam.runtime.composition import App

log = logging.getLogger("pinjam.event")

Reply: TypeAlias = tuple[str, int]
"""A text for whoever reads the caller's log, and a status. All but 2xx has the event brought again."""


class Malformed(Exception):
    """A message that is none of our events: brought again in vain, it ends among the dead letters for a person.

    The text says what is wrong with it, and quotes nothing; `message_id` is Pub/Sub's own, where it could be read.
    """

    def __init__(self, fault: str, message_id: str | None = None) -> None:
        super().__init__(fault)
        self.message_id = message_id


class _Message(BaseModel):
    data: str
    message_id: str | None = Field(default=None, alias="messageId")
    attributes: dict[str, str] = Field(default_factory=dict)


class _Envelope(BaseModel):
    message: _Message


class EventBody(BaseModel):
    """An event as it travels, base64 in the data of a Pub/Sub message."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^evt_[0-9A-Z]{26}$")]
    topic: Topic
    subject: str
    data: dict[str, str | int | None]
    request_id: str
    occurred_at: AwareDatetime

    def event(self) -> Event:
        """The event itself."""
        return Event(
            id=self.id,
            topic=self.topic,
            subject=self.subject,
            data=self.data,
            request_id=self.request_id,
            occurred_at=self.occurred_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An event, and the attributes of the message that brought it."""

    event: Event
    attributes: Mapping[str, str]


def consumer(name: str, handle: Callable[[App, Event], None]) -> Callable[[Request], ResponseReturnValue]:
    """A function for functions-framework that has `handle` take in the events of its subscriptions.

    It answers 2xx only when the effect is there, because an acknowledged event does not come again: 503 when the
    event could not have it now, 500 for what nobody foresaw, 400 for what is no event.
    """
    beginning = logs.Beginning(name)

    def receive(request: Request) -> Reply:
        logs.configure()
        beginning.tell()
        if request.method != "POST":
            return "Events are posted.", HTTPStatus.METHOD_NOT_ALLOWED
        try:
            arrived = read(request.get_data())
        except Malformed as fault:
            log.error("event-malformed", extra={"function": name, "event": fault.message_id, "fault": str(fault)})
            return "Not an event of ours.", HTTPStatus.BAD_REQUEST
        token = logs.request_id.set(arrived.event.request_id)
        trace = tracing.working_in.set(None)
        try:
            return _hand_over(name, handle, arrived, request.headers)
        finally:
            tracing.working_in.reset(trace)
            logs.request_id.reset(token)

    receive.__name__ = receive.__qualname__ = name
    return functions_framework.http(receive)


def _hand_over(name: str, handle: Callable[[App, Event], None], arrived: Arrived, headers: tracing.Carrier) -> Reply:
    started, event = time.perf_counter(), arrived.event
    outcome, reply = "done", ("OK", HTTPStatus.OK)
    try:
        app = current()
        # Pub/Sub's own call has a trace of its own: that of whoever published is in the message.
        tracing.enter(lambda: app.settings.project, arrived.attributes, headers)
        handle(app, event)
    except (Unavailable, Contention, StoreUnavailable) as fault:
        log.warning("service-unavailable", extra={"cause": type(fault).__name__, "fault": str(fault)})
        outcome, reply = "not-yet", (str(fault), HTTPStatus.SERVICE_UNAVAILABLE)
    except Exception:
        # The edge: the log has it all, the caller only the status.
        log.exception("event-failed", extra={"function": name, "topic": event.topic, "event": event.id})
        outcome, reply = "failed", ("internal error", HTTPStatus.INTERNAL_SERVER_ERROR)
    log.info(
        "event",
        extra={
            "function": name,
            "topic": event.topic,
            "event": event.id,
            "subject": event.subject,
            "outcome": outcome,
            "duration_ms": round((time.perf_counter() - started) * 1000, 1),
        },
    )
    return reply


def read(content: bytes) -> Arrived:
    """What is in the body of a push. Malformed if it is no event of ours."""
    try:
        message = _Envelope.model_validate_json(content).message
    except ValidationError as error:
        raise Malformed(f"envelope: {_places(error)}") from None
    try:
        text = base64.b64decode(message.data, validate=True)
    except ValueError:
        raise Malformed("data: not base64", message.message_id) from None
    try:
        event = EventBody.model_validate_json(text).event()
    except ValidationError as error:
        raise Malformed(f"event: {_places(error)}", message.message_id) from None
    return Arrived(event=event, attributes=message.attributes)


def _places(error: ValidationError) -> str:
    places = error.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(f"{'.'.join(map(str, one['loc']))} {one['type']}".strip() for one in places)
