"""The event edge: a CloudEvent from Pub/Sub becomes one of our events, and its consumer is called."""

import base64
import json
import logging
import time
from collections.abc import Callable
from typing import Annotated

import functions_framework
from cloudevents.http import CloudEvent
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pinjam.domain.trail import Event, Topic
from pinjam.runtime import logs
from pinjam.runtime.composition import App, current
from pinjam.services.ports import Unavailable
from pinjam.services.store import Contention, StoreUnavailable

log = logging.getLogger("pinjam.event")


class Malformed(Exception):
    """A message that is none of our events: retried in vain, it ends among the dead letters for a person to see."""

    logged = True


class NotYet(Exception):
    """The event could not have its effect now. Raised so that Pub/Sub brings it again; says only why."""

    logged = True
    """The framework logs what a function raises as an error with a trace, which an event that waits is not."""


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


def consumer(name: str, handle: Callable[[App, Event], None]) -> Callable[[CloudEvent], None]:
    """A function for functions-framework that has `handle` take in the events of its subscriptions.

    It raises whenever the effect is not there, because an acknowledged event does not come again.
    """

    def receive(envelope: CloudEvent) -> None:
        logs.configure()
        event = read(envelope)
        started = time.perf_counter()
        token = logs.request_id.set(event.request_id)
        outcome = "done"
        try:
            handle(current(), event)
        except (Unavailable, Contention, StoreUnavailable) as fault:
            outcome = "not-yet"
            raise NotYet(str(fault)) from None
        except Exception:
            outcome = "failed"
            log.exception("event-failed", extra={"function": name, "topic": event.topic, "event": event.id})
            # The framework shows an exception's text to the caller; the log has it all.
            raise NotYet("internal error") from None
        finally:
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
            logs.request_id.reset(token)

    receive.__name__ = receive.__qualname__ = name
    registered: Callable[[CloudEvent], None] = functions_framework.cloud_event(receive)
    return registered


def read(envelope: CloudEvent) -> Event:
    """The event in a Pub/Sub message. Malformed if it is none of ours."""
    payload = envelope.data
    try:
        if isinstance(payload, bytes | str):
            payload = json.loads(payload)
        text = base64.b64decode(payload["message"]["data"], validate=True)
        return EventBody.model_validate_json(text).event()
    except (KeyError, TypeError, ValueError, ValidationError):
        log.error("event-malformed", extra={"event": str(envelope["id"])})
        raise Malformed("not an event of ours") from None
