"""Every function behind Google's own framework, over a system in memory."""

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.world import World, make_world
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from pinjam.domain.trail import Event
from pinjam.local.functions import load_functions
from pinjam.runtime import composition

FUNCTIONS = Path(__file__).parents[2] / "functions"
ORIGIN = "https://app.example"


def userinfo(user_id: str) -> str:
    """What API Gateway makes of a token: its payload, base64url without padding."""
    claims = {"iss": "https://securetoken.google.com/pinjam-test", "sub": user_id, "name": "Ü"}
    return base64.urlsafe_b64encode(json.dumps(claims, ensure_ascii=False).encode()).rstrip(b"=").decode()


def envelope(event: Event) -> tuple[dict[str, str], bytes]:
    """The headers and body with which Eventarc brings a Pub/Sub message."""
    text = json.dumps(
        {
            "id": event.id,
            "topic": event.topic,
            "subject": event.subject,
            "data": dict(event.data),
            "request_id": event.request_id,
            "occurred_at": event.occurred_at.isoformat(),
        }
    )
    return wrapped(text.encode(), message_id=event.id)


def wrapped(data: bytes, message_id: str = "1") -> tuple[dict[str, str], bytes]:
    """Any bytes as the data of a Pub/Sub message."""
    message = {
        "data": base64.b64encode(data).decode(),
        "attributes": {},
        "messageId": message_id,
        "publishTime": "2026-11-24T02:00:00Z",
    }
    body = json.dumps({"message": message, "subscription": "projects/pinjam-test/subscriptions/s"})
    headers = {
        "ce-id": message_id,
        "ce-source": "//pubsub.googleapis.com/projects/pinjam-test/topics/t",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-time": "2026-11-24T02:00:00Z",
        "content-type": "application/json",
    }
    return headers, body.encode()


@dataclass
class Reply:
    """An answer; `json` is None where there is none."""

    status_code: int
    headers: Headers
    text: str
    content_type: str | None
    json: Any

    @classmethod
    def of(cls, answer: TestResponse) -> "Reply":
        body = answer.get_json(force=True, silent=True)
        return cls(answer.status_code, answer.headers, answer.text, answer.content_type, body)


@dataclass
class Functions:
    """Every function's test client, and short ways to call them."""

    world: World
    clients: Mapping[str, FlaskClient]
    headers: dict[str, str] = field(default_factory=dict)

    def call(
        self,
        name: str,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Reply:
        """One request, as the gateway passes it on. `how` goes to the test client."""
        sent = {**self.headers, **(headers or {})}
        if user is not None:
            sent["X-Apigateway-Api-Userinfo"] = userinfo(user)
        if key is not None:
            sent["Idempotency-Key"] = key
        if body is not None:
            how["json"] = body
        return Reply.of(self.clients[name].open(path, method=method, headers=sent, **how))

    def bring(self, name: str, event: Event) -> Reply:
        """An event, as Eventarc brings it."""
        headers, body = envelope(event)
        return self.post(name, headers, body)

    def post(self, name: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Any message to an event function."""
        return Reply.of(self.clients[name].post("/", headers=headers, data=body))


@pytest.fixture(scope="session")
def apps() -> Mapping[str, Flask]:
    """The functions, loaded once: what they work on is set for each test."""
    loaded = load_functions(FUNCTIONS)
    found = {}
    for name, app in loaded.items():
        assert isinstance(app, Flask)
        found[name] = app
    return found


@pytest.fixture
def world() -> World:
    return make_world({"PINJAM_CORS_ORIGINS": f"{ORIGIN}, https://other.example"})


@pytest.fixture
def functions(apps: Mapping[str, Flask], world: World) -> Iterator[Functions]:
    composition.install(world.app)
    yield Functions(world, {name: app.test_client() for name, app in apps.items()})
    composition.install(None)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged from now on, as in production from INFO on."""
    caplog.set_level(logging.INFO)
    return caplog
