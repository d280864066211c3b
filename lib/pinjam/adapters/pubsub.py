"""Events to Google Pub/Sub over its REST API; the emulator and the local broker speak the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from typing import TYPE_CHECKING

from pydantic import BaseModel

from pinjam.adapters.event_messages import event_message
from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.services.ports import NoSuchTopic

if TYPE_CHECKING:
    from pinjam.domain.trail import Event

SERVICE = "pubsub"
MAX_BATCH = 100


class _Kept(BaseModel):
    messageIds: list[str]  # noqa: N815 - Google's name


class PubSubPublisher:
    """`ports.Publisher` at `url` (without `/v1`). `token` gives an OAuth access token where one is needed.

    `traceparent` names the trace of what is being worked on, where there is one.
    """

    def __init__(
        self,
        *,
        project: str,
        url: str,
        token: Callable[[], str] | None = None,
        traceparent: Callable[[], str | None] = lambda: None,
        timeout_s: float = 10,
    ) -> None:
        self._traceparent = traceparent
        self._topics_url = f"{url}/v1/projects/{project}/topics"
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s, token=token)

    def publish(self, events: Sequence[Event]) -> None:
        """All of them are safely kept when this returns, some perhaps twice; Unavailable or NoSuchTopic otherwise."""
        missing, trace = set(), self._traceparent()
        for topic, alike in groupby(sorted(events, key=lambda event: event.topic), key=lambda event: event.topic):
            messages = [event_message(event, trace) for event in alike]
            for start in range(0, len(messages), MAX_BATCH):
                if not self._send(topic, messages[start : start + MAX_BATCH]):
                    missing.add(topic)
                    break
        if missing:
            raise NoSuchTopic(SERVICE, missing)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, topic: str, messages: Sequence[Mapping[str, object]]) -> bool:
        """Whether there is such a topic; if so, it has them all."""
        reply = self._http.send("POST", f"{self._topics_url}/{topic}:publish", json={"messages": messages})
        if reply.status == HTTPStatus.NOT_FOUND:
            return False
        if not reply.accepted:
            raise unavailable(SERVICE, f"{topic}: HTTP {reply.status}")
        if len(reply.read(_Kept).messageIds) != len(messages):
            raise unavailable(SERVICE, f"{topic}: not all were kept")
        return True


def subscription_name(topic: str, function: str) -> str:
    """What the subscription of a function to a topic is called."""
    return f"{topic}--{function}"


def dead_letter_name(topic: str) -> str:
    """The topic of what no function of `topic` took, and the pull subscription that keeps it to be looked at."""
    return f"{topic}--dead-letters"
