"""A small durable Pub/Sub that pushes, for the local system.

Publishers speak Google's REST API to it. It hands each message to each subscribed function as Eventarc
does: an HTTP POST of a CloudEvent in binary mode, repeated with growing pauses until it is answered with
2xx, and after the last attempt kept as a dead letter.
"""

import binascii
import logging
import random
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Self
from wsgiref.types import WSGIApplication

import httpx
from flask import Flask, Response, jsonify, request
from psycopg_pool import ConnectionPool

from pinjam.adapters.event_messages import CLOUD_EVENT_TYPE
from pinjam.adapters.pubsub import subscription_name
from pinjam.local.broker_queue import Delivery, OutgoingMessage, Queue
from pinjam.local.dispatch import Dispatcher, PushSettings

_PUBLISH = re.compile(r"v1/projects/([^/:]+)/topics/([^/:]+):publish")
_ERROR_CHARACTERS = 300
_log = logging.getLogger(__name__)


class Broker:
    """Topics and the functions subscribed to them.

    `functions_url` is where each function answers under its name; `token` is shown to it as Eventarc shows
    its own. What was accepted and not delivered when the process died is delivered after the next start.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        project: str,
        functions_url: str,
        token: str,
        subscriptions: Mapping[str, Sequence[str]],
        settings: PushSettings | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._project = project
        self._functions_url = functions_url
        self._subscriptions = subscriptions
        self._settings = settings or PushSettings()
        self._chance = chance or random.Random()  # noqa: S311  # spreads retries, guards nothing
        self._queue = Queue(pool)
        self._client = self._settings.client(token=token, user_agent="pinjam-broker")
        self._dispatcher: Dispatcher[Delivery] = Dispatcher(
            "broker",
            take=self._queue.take,
            next_due_in=self._queue.next_due_in,
            deliver=lambda delivery: self._settle(delivery, self._push(delivery)),
            workers=self._settings.workers,
        )

    @property
    def app(self) -> WSGIApplication:
        """The publishers' side: `POST /v1/projects/{project}/topics/{topic}:publish`."""
        app = Flask("broker")
        app.add_url_rule("/<path:path>", endpoint="publish", view_func=self._published, methods=["POST"])
        return app

    def start(self) -> Self:
        """Push what is due, from now on."""
        self._dispatcher.start()
        return self

    def stop(self) -> None:
        """Let what is being pushed finish, for a moment; the rest comes again after the next start."""
        self._dispatcher.stop()
        self._client.close()

    def publish(self, topic: str, messages: Sequence[OutgoingMessage]) -> Sequence[int]:
        """Keep messages for every subscription of a topic; their ids. LookupError for an unknown topic."""
        ids = self._queue.add(topic, messages, self._subscriptions[topic])
        self._dispatcher.wake()
        return ids

    def dead_letters(self) -> Sequence[Delivery]:
        """What no function took, oldest first."""
        return self._queue.dead()

    def redrive(self) -> int:
        """Try all dead letters anew; how many there were."""
        count = self._queue.revive()
        self._dispatcher.wake()
        return count

    def wait_until_quiet(self, timeout_s: float) -> bool:
        """Wait until nothing is left to deliver; False if that takes longer."""
        return self._dispatcher.wait_until_quiet(lambda: self._queue.waiting() == 0, timeout_s)

    def _published(self, path: str) -> tuple[Response, int]:
        named = _PUBLISH.fullmatch(path)
        if named is None or named[1] != self._project or named[2] not in self._subscriptions:
            return _error(404, "NOT_FOUND", f"Resource not found (resource={named[2] if named else path}).")
        try:
            messages = _messages(request.get_json(force=True, silent=True))
        except ValueError as error:
            return _error(400, "INVALID_ARGUMENT", str(error))
        ids = self.publish(named[2], messages)
        return jsonify({"messageIds": [str(id_) for id_ in ids]}), 200

    def _settle(self, delivery: Delivery, error: str | None) -> None:
        seen = {
            "message_id": str(delivery.message_id),
            "topic": delivery.topic,
            "function": delivery.subscription,
            "attempts": delivery.attempts,
        }
        if error is None:
            self._queue.done(delivery)
        elif delivery.attempts >= self._settings.deliveries:
            self._queue.bury(delivery, error=error)
            _log.error("broker.dead_letter", extra=seen)
        else:
            pause = self._settings.pause_s(delivery.attempts, self._chance.random())
            self._queue.again(delivery, after_s=pause, error=error)
            _log.warning("broker.retry", extra=seen)

    def _push(self, delivery: Delivery) -> str | None:
        """Hand a message to its function; what went wrong, None if nothing did."""
        name = subscription_name(delivery.topic, delivery.subscription)
        try:
            answer = self._client.post(
                f"{self._functions_url}/{delivery.subscription}",
                headers=self._event_headers(delivery),
                json={
                    "message": {
                        "data": delivery.data,
                        "attributes": dict(delivery.attributes),
                        "messageId": str(delivery.message_id),
                        "publishTime": _instant(delivery.published_at),
                    },
                    "subscription": f"projects/{self._project}/subscriptions/{name}",
                },
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.is_success else f"HTTP {answer.status_code} {answer.text[:_ERROR_CHARACTERS]}"

    def _event_headers(self, delivery: Delivery) -> dict[str, str]:
        return {
            "ce-id": str(delivery.message_id),
            "ce-specversion": "1.0",
            "ce-type": CLOUD_EVENT_TYPE,
            "ce-source": f"//pubsub.googleapis.com/projects/{self._project}/topics/{delivery.topic}",
            "ce-time": _instant(delivery.published_at),
        }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _messages(body: object) -> Sequence[OutgoingMessage]:
    """The messages of a publish request. ValueError for what Pub/Sub would refuse."""
    sent = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(sent, list) or not sent:
        raise ValueError("The value for message_count is too small. You passed 0, the minimum value is 1.")
    return [_message(one) for one in sent]


def _message(sent: object) -> OutgoingMessage:
    data = sent.get("data", "") if isinstance(sent, dict) else None
    attributes = sent.get("attributes") or {} if isinstance(sent, dict) else None
    if not isinstance(data, str) or not isinstance(attributes, dict) or not (data or attributes):
        raise ValueError("Some messages in the batch are empty or invalid.")
    if not all(_is_storable(part) for pair in attributes.items() for part in pair):
        raise ValueError("Attributes are strings.")
    try:
        b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("Invalid value at 'messages[0].data' (TYPE_BYTES), Base64 decoding failed.") from error
    return OutgoingMessage(data=data, attributes=attributes)


def _is_storable(value: object) -> bool:
    """Whether PostgreSQL can keep it as text: no NUL, no lone surrogate."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)


def _error(code: int, status: str, message: str) -> tuple[Response, int]:
    return jsonify({"error": {"code": code, "message": message, "status": status}}), code
