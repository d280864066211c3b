"""Events to Google Pub/Sub over its REST API; the emulator and the local broker speak the same."""

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import httpx

from pinjam.adapters.bearer import bearer
from pinjam.adapters.event_messages import event_message
from pinjam.adapters.http_client import trusted_authorities
from pinjam.domain.trail import Event
from pinjam.services.ports import Unavailable

SERVICE = "pubsub"
MAX_BATCH = 100


class PubSubPublisher:
    """`ports.Publisher` at `url` (without `/v1`). `token` gives an OAuth access token where one is needed."""

    def __init__(
        self, *, project: str, url: str, token: Callable[[], str] | None = None, timeout_s: float = 10
    ) -> None:
        self._topics_url = f"{url}/v1/projects/{project}/topics"
        self._bearer = bearer(token)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def publish(self, events: Sequence[Event]) -> None:
        """All of them are safely kept when this returns, some perhaps twice; Unavailable otherwise."""
        for topic, alike in groupby(sorted(events, key=lambda event: event.topic), key=lambda event: event.topic):
            messages = [event_message(event) for event in alike]
            for start in range(0, len(messages), MAX_BATCH):
                self._send(topic, messages[start : start + MAX_BATCH])

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _send(self, topic: str, messages: Sequence[Mapping[str, object]]) -> None:
        try:
            answer = self._http().post(
                f"{self._topics_url}/{topic}:publish", json={"messages": messages}, auth=self._bearer
            )
            kept = answer.json().get("messageIds") if answer.is_success else None
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise Unavailable(SERVICE, f"{topic}: {type(error).__name__}") from error
        if not isinstance(kept, list) or len(kept) != len(messages):
            raise Unavailable(SERVICE, f"{topic}: HTTP {answer.status_code}")

    def _http(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(timeout=self._timeout_s, verify=trusted_authorities(), trust_env=False)
            return self._client
