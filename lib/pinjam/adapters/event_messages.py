"""How an event travels: as the message of Google Pub/Sub, whoever carries it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinjam.domain.trail import Event

CLOUD_EVENT_TYPE = "google.cloud.pubsub.topic.v1.messagePublished"
"""What functions-framework is told that such a message is."""


def event_message(event: Event, traceparent: str | None = None) -> Mapping[str, object]:
    """The message: its data is the event as JSON (id, topic, subject, data, request_id, occurred_at) in base64.

    `traceparent` names the trace in which it is sent, and is an attribute.
    """
    body = {
        "id": event.id,
        "topic": event.topic,
        "subject": event.subject,
        "data": dict(event.data),
        "request_id": event.request_id,
        "occurred_at": instant(event.occurred_at),
    }
    return {
        "data": b64encode(json.dumps(body, separators=(",", ":")).encode()).decode(),
        "attributes": {
            "event_id": event.id,
            "topic": event.topic,
            "request_id": event.request_id,
            **({"traceparent": traceparent} if traceparent else {}),
        },
    }


def instant(at: datetime) -> str:
    """RFC 3339, UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
