"""Access tokens on calls to Google: sent, renewed once when one is refused, and never when they are fixed."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from tests.google_server import Answer, Call, GoogleServer, Renewable

from pinjam.adapters.cloud_tasks import CloudTasks
from pinjam.adapters.fcm import FcmMessenger
from pinjam.adapters.firebase_auth import FirebaseAccounts
from pinjam.adapters.http_client import HttpClient
from pinjam.adapters.pubsub import PubSubPublisher
from pinjam.domain.task import Task
from pinjam.domain.trail import Event
from pinjam.services.messaging import Message
from pinjam.services.ports import Refused, Unavailable

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
EVENT = Event(id="evt_1", topic="loan-submitted", subject="loan_1", data={}, request_id="req", occurred_at=NOW)
TASK = Task(id="sms-1", queue="sms", function="notify", due_at=NOW, event=EVENT)
MESSAGE = Message(
    id="ntf_1-push",
    to="device",
    kind="k",
    locale="id",
    subject="s",
    body="b",
    parameters=(),
    data={"loan_id": "loan_1"},
)
Use = Callable[[str, Callable[[], str]], object]


class Anything(GoogleServer):
    """Takes whatever comes with a good token."""

    def answer(self, call: Call) -> Answer:
        return 200, {"name": call.path, "messageIds": ["1"], "localId": "usr_1", "kind": "x"}


@pytest.fixture
def server() -> Iterator[Anything]:
    with Anything() as running:
        yield running


def publish(url: str, token: Callable[[], str]) -> None:
    with closing(PubSubPublisher(project="p", url=url, token=token)) as publisher:
        publisher.publish([EVENT])


def schedule(url: str, token: Callable[[], str]) -> None:
    with closing(
        CloudTasks(url=url, project="p", location="l", functions_url="http://f", account="a@b", token=token)
    ) as tasks:
        tasks.schedule(TASK)


def push(url: str, token: Callable[[], str]) -> None:
    with closing(FcmMessenger(url=url, project="p", token=token)) as messenger:
        messenger.send(MESSAGE)


def create(url: str, token: Callable[[], str]) -> None:
    with closing(
        FirebaseAccounts(
            project="p",
            identity_url=url,
            token_url=url,
            iam_url=url,
            signer="functions@p.iam.gserviceaccount.com",
            api_key="key",
            admin_token=token,
        )
    ) as accounts:
        accounts.create(uid="usr_1", email="siti@example.com", password="correct horse")


def call(url: str, token: Callable[[], str]) -> int:
    with closing(HttpClient(service="any", timeout_s=5, token=token)) as client:
        return client.send("POST", f"{url}/v1/any", json={"amount": 500_000}).status


EVERY_USE = pytest.mark.parametrize("use", [publish, schedule, push, create])


@EVERY_USE
def test_the_token_goes_with_the_call(server: Anything, use: Use) -> None:
    use(server.url, lambda: "good-token")
    assert [one.headers["authorization"] for one in server.calls] == ["Bearer good-token"]


@EVERY_USE
def test_a_token_that_expired_early_is_renewed_and_the_call_made_again(server: Anything, use: Use) -> None:
    use(server.url, Renewable("expired-token", "good-token"))
    assert [one.headers["authorization"] for one in server.calls] == ["Bearer expired-token", "Bearer good-token"]
    assert server.calls[0].content == server.calls[1].content != b""


@pytest.mark.parametrize(("use", "error"), [(publish, Unavailable), (push, Refused), (create, Unavailable)])
def test_a_token_that_stays_refused_is_renewed_once_only(server: Anything, use: Use, error: type[Exception]) -> None:
    token = Renewable("first", "second", "third")
    with pytest.raises(error):
        use(server.url, token)
    assert [one.headers["authorization"] for one in server.calls] == ["Bearer first", "Bearer second"]


def test_a_fixed_token_that_is_refused_is_sent_once(server: Anything) -> None:
    assert call(server.url, lambda: "fixed") == 401
    assert len(server.calls) == 1


def test_a_renewed_token_serves_the_calls_that_follow(server: Anything) -> None:
    token = Renewable("expired", "good-token")
    assert [call(server.url, token) for _ in range(3)] == [200] * 3
    assert len(server.calls) == 4


def test_without_a_token_nothing_is_sent(server: Anything) -> None:
    def none() -> str:
        raise Unavailable("google-credentials", "nobody at home")

    with pytest.raises(Unavailable, match="google-credentials: nobody at home"):
        call(server.url, none)
    assert server.calls == []


def test_an_answer_of_another_kind_renews_nothing(server: Anything) -> None:
    token = Renewable("good-token", "second")
    server.before = [told(403)]
    assert call(server.url, token) == 403
    assert token.tokens == ["good-token", "second"]


def told(code: int) -> Answer:
    return code, {"error": {"code": code, "message": "no", "status": "PERMISSION_DENIED"}}
