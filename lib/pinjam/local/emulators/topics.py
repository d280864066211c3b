"""The topics and push subscriptions of a deployment, on the emulator of Pub/Sub."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Self

from pydantic import BaseModel

from pinjam.adapters.http_client import HttpClient, Reply
from pinjam.adapters.pubsub import SERVICE, dead_letter_name, subscription_name
from pinjam.local.dispatch import PushSettings
from pinjam.local.emulators.push_door import Push, PushDoor
from pinjam.services.ports import Unavailable
from pinjam.services.subscriptions import SUBSCRIPTIONS

FEWEST_DELIVERIES, MOST_DELIVERIES = 5, 100
SHORTEST_ACK_S, LONGEST_ACK_S = 10, 600
LONGEST_PAUSE_S = 600
"""What Pub/Sub allows: `deadLetterPolicy.maxDeliveryAttempts`, `ackDeadlineSeconds`, `retryPolicy`."""

_PULLED_AT_ONCE = 500
_WATCH_FOR_S = 600
"""The shortest time for which a subscription keeps what is not asked for: Pub/Sub's minimum."""
_LOOK_EVERY_S = 0.2
_FROM_SUBSCRIPTION = "CloudPubSubDeadLetterSourceSubscription"
_FROM_TIME = "CloudPubSubDeadLetterSourceTopicPublishTime"
_ATTEMPTS = "CloudPubSubDeadLetterSourceDeliveryCount"
_ADDED = "CloudPubSubDeadLetter"


class _Message(BaseModel):
    messageId: str  # noqa: N815 - Google's name
    publishTime: datetime  # noqa: N815 - Google's name
    data: str = ""
    attributes: dict[str, str] = {}


class _Received(BaseModel):
    ackId: str  # noqa: N815 - Google's name
    message: _Message


class _Pulled(BaseModel):
    receivedMessages: list[_Received] = []  # noqa: N815 - Google's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter: what was published to `topic` and the function `subscription` did not take."""

    id: str
    topic: str
    subscription: str
    data: str
    attributes: Mapping[str, str]
    published_at: datetime
    attempts: int


@dataclass(slots=True)
class _Seen:
    """What is known of messages: those on their way, and the dead letters that account for one of them."""

    on_the_way: dict[Push, tuple[str, str, datetime]] = field(default_factory=dict)
    accounted: set[str] = field(default_factory=set)


class Topics:
    """What an `EventCarrier` does, through Pub/Sub at `url` (without `/v1`).

    `door` is in front of the functions at `functions_url`. `push` says how often and how soon a message comes
    again, as far as Pub/Sub allows: 5 to 100 deliveries, and 10 to 600 s for a function to answer. A first pause of
    0 asks for no back-off at all; the emulator then repeats every second, and else about every three, whatever is
    asked for. The emulator keeps everything in memory: what was not taken when it ends is lost.
    """

    def __init__(
        self,
        *,
        url: str,
        project: str,
        functions_url: str,
        door: PushDoor,
        subscriptions: Mapping[str, Sequence[str]] | None = None,
        push: PushSettings | None = None,
        timeout_s: float = 20,
    ) -> None:
        self._project = project
        self._url = f"{url}/v1"
        self._functions_url = functions_url
        self._door = door
        self._subscriptions = subscriptions or {str(topic): names for topic, names in SUBSCRIPTIONS.items()}
        self._push = push or PushSettings()
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)
        self._seen = _Seen()
        self._looking = threading.Lock()
        self._pulling = threading.Lock()

    def create(self) -> Self:
        """Make every topic and subscription; those that are there get these settings. Unavailable if it cannot."""
        for topic, functions in self._subscriptions.items():
            dead = dead_letter_name(topic)
            for name in (topic, dead):
                self._call("PUT", f"topics/{name}", {})
            self._subscribe(dead, {"topic": self._path(f"topics/{dead}")})
            watch = {"topic": self._path(f"topics/{topic}"), "messageRetentionDuration": f"{_WATCH_FOR_S}s"}
            self._subscribe(_watch_name(topic), watch)
            for function in functions:
                self._subscribe(subscription_name(topic, function), self._pushing(topic, function))
        return self

    def start(self) -> Self:
        """The same as `create`: Pub/Sub carries events as soon as it is told where to."""
        return self.create()

    def stop(self) -> None:
        """Close the connections. Pub/Sub goes on by itself, until the emulator ends."""
        self._http.close()

    def wait_until_quiet(self, timeout_s: float) -> bool:
        """Wait until everything published was acknowledged or is a dead letter; False if that takes longer.

        What was published is asked of Pub/Sub, by a subscription of our own to each topic; what was acknowledged is
        what the door saw, so an answer that was lost on the way back counts, though Pub/Sub brings it again.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with self._door.changed:
                version = self._door.version
            if self._is_quiet(version):
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._door.changed:
                self._door.changed.wait_for(lambda seen=version: self._door.version != seen, min(left, _LOOK_EVERY_S))  # type: ignore[misc]  # bound per turn

    def dead_letters(self) -> Sequence[Letter]:
        """What no function took, oldest first. It stays: everything that was pulled is given back."""
        letters = [letter for topic in self._subscriptions for letter in self._dead_letters(topic)]
        return sorted(letters, key=lambda letter: (letter.published_at, int(letter.id)))

    def _is_quiet(self, version: int) -> bool:
        """Whether nothing is on its way, and no push ended since `version`: it may have published something."""
        with self._looking:
            for topic in self._subscriptions:
                self._see_published(topic)
            with self._door.changed:
                for push in self._seen.on_the_way.keys() & self._door.acknowledged:
                    self._door.acknowledged.discard(push)
                    del self._seen.on_the_way[push]
                undisturbed = self._door.in_hand == 0 and self._door.version == version
            for topic in {topic for topic, _, _ in self._seen.on_the_way.values()}:
                self._account_for_dead(topic)
            return undisturbed and not self._seen.on_the_way

    def _see_published(self, topic: str) -> None:
        name = _watch_name(topic)
        while received := self._pull(name):
            for message in (one.message for one in received):
                for function in self._subscriptions[topic]:
                    push = (subscription_name(topic, function), message.messageId)
                    self._seen.on_the_way[push] = (topic, message.data, message.publishTime)
            self._call("POST", f"subscriptions/{name}:acknowledge", {"ackIds": [one.ackId for one in received]})

    def _account_for_dead(self, topic: str) -> None:
        """A dead letter has a new id, but the subscription, the time and the data are those of its message."""
        fresh = [one for one in self._dead_letters(topic) if one.id not in self._seen.accounted]
        dead = Counter((subscription_name(topic, one.subscription), one.data, one.published_at) for one in fresh)
        for push, (_, data, published_at) in list(self._seen.on_the_way.items()):
            if dead[push[0], data, published_at] > 0:
                dead[push[0], data, published_at] -= 1
                del self._seen.on_the_way[push]
        self._seen.accounted.update(one.id for one in fresh)

    def _dead_letters(self, topic: str) -> list[Letter]:
        name = dead_letter_name(topic)
        with self._pulling:
            everything: list[_Received] = []
            while received := self._pull(name):
                everything += received
            if everything:
                self._give_back(name, everything)
        return [_letter(topic, one.message) for one in everything]

    def _pushing(self, topic: str, function: str) -> dict[str, object]:
        deliveries = min(max(self._push.deliveries, FEWEST_DELIVERIES), MOST_DELIVERIES)
        wanted: dict[str, object] = {
            "topic": self._path(f"topics/{topic}"),
            "pushConfig": {"pushEndpoint": self._door.endpoint(self._functions_url, function)},
            "ackDeadlineSeconds": min(max(int(self._push.answer_within_s), SHORTEST_ACK_S), LONGEST_ACK_S),
            "deadLetterPolicy": {
                "deadLetterTopic": self._path(f"topics/{dead_letter_name(topic)}"),
                "maxDeliveryAttempts": deliveries,
            },
        }
        if self._push.first_pause_s > 0:
            wanted["retryPolicy"] = {
                "minimumBackoff": _seconds(self._push.first_pause_s),
                "maximumBackoff": _seconds(self._push.longest_pause_s),
            }
        return wanted

    def _subscribe(self, name: str, wanted: Mapping[str, object]) -> None:
        path = f"subscriptions/{name}"
        if self._call("PUT", path, wanted).accepted:
            return
        # It is there from before: what may have changed is where it pushes, and how.
        changes = [setting for setting in wanted if setting != "topic"]
        if changes:
            body = {"subscription": {**wanted, "name": self._path(path)}, "updateMask": ",".join(changes)}
            self._call("PATCH", path, body)

    def _pull(self, name: str) -> list[_Received]:
        body = {"maxMessages": _PULLED_AT_ONCE, "returnImmediately": True}
        return self._call("POST", f"subscriptions/{name}:pull", body).read(_Pulled).receivedMessages

    def _give_back(self, name: str, received: Sequence[_Received]) -> None:
        body = {"ackIds": [one.ackId for one in received], "ackDeadlineSeconds": 0}
        self._call("POST", f"subscriptions/{name}:modifyAckDeadline", body)

    def _call(self, method: str, path: str, body: Mapping[str, object]) -> Reply:
        """Its answer: 2xx, or that what is to be made is there already. Unavailable for any other."""
        reply = self._http.send(method, f"{self._url}/{self._path(path)}", json=body)
        if not reply.accepted and not (method == "PUT" and reply.status == HTTPStatus.CONFLICT):
            raise Unavailable(SERVICE, f"{path}: HTTP {reply.status}")
        return reply

    def _path(self, path: str) -> str:
        return f"projects/{self._project}/{path}"


def _watch_name(topic: str) -> str:
    return f"{topic}--watch"


def _seconds(pause: float) -> str:
    return f"{min(pause, LONGEST_PAUSE_S):.3f}s"


def _letter(topic: str, message: _Message) -> Letter:
    added = message.attributes
    return Letter(
        id=message.messageId,
        topic=topic,
        subscription=added[_FROM_SUBSCRIPTION].removeprefix(subscription_name(topic, "")),
        data=message.data,
        attributes={name: value for name, value in added.items() if not name.startswith(_ADDED)},
        published_at=datetime.fromisoformat(added[_FROM_TIME]),
        attempts=int(added[_ATTEMPTS]),
    )
