"""The sandbox's WhatsApp tells what became of messages: signed, in order, by itself, and to nobody's harm."""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from psycopg_pool import ConnectionPool
from pywa.client import WhatsApp
from tests.documented import WHATSAPP_ERROR, WHATSAPP_PRICING, shape, whatsapp_callback

from pinjam.adapters.whatsapp import WhatsAppMessenger, WhatsAppReceipts
from pinjam.local.sandbox.callbacks import Callbacks
from pinjam.local.sandbox.clock import ClockFile
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials, Sandbox
from pinjam.local.sandbox.whatsapp import UNDELIVERABLE
from pinjam.local.servers import WsgiServer
from pinjam.services.messaging import Message, MessageStatus

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
MESSAGE = Message(
    id="ntf_1-whatsapp",
    to="+6281234567890",
    kind="payment-settled",
    locale="id",
    subject="",
    body="",
    parameters=("Budi",),
)
_LIMIT_S = 20


@dataclass
class Hook:
    """Stands for our webhook: keeps what comes, and answers with the next of `statuses`, or 200."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[bytes, str]] = field(default_factory=list)
    url: str = ""
    change: threading.Condition = field(default_factory=threading.Condition)
    open: threading.Event = field(default_factory=threading.Event)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.open.wait(_LIMIT_S)
        body = environ["wsgi.input"].read()
        assert environ["CONTENT_TYPE"] == "application/json"
        with self.change:
            self.got.append((body, str(environ.get("HTTP_X_HUB_SIGNATURE_256", ""))))
            status = self.statuses.pop(0) if self.statuses else 200
            self.change.notify_all()
        start_response(f"{status} As Told", [])
        return [b""]

    def wait(self, number: int) -> list[tuple[bytes, str]]:
        with self.change:
            assert self.change.wait_for(lambda: len(self.got) >= number, _LIMIT_S), self.got
        return self.got


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    hook.open.set()
    with WsgiServer(hook, threads=1) as server:
        hook.url = server.url
        yield hook
        hook.open.set()


@pytest.fixture
def telling(
    sandbox_pool: ConnectionPool, sandbox_credentials: Credentials, sandbox_schema: str, tmp_path: Path, hook: Hook
) -> Iterator[SandboxServers]:
    made = Sandbox(
        sandbox_pool,
        credentials=sandbox_credentials,
        clock=ClockFile(tmp_path / "clock.json", real_now=lambda: NOW),
        notify_url=lambda: hook.url,
        payout_url=lambda: hook.url,
        sweep_url=lambda: hook.url,
        holder=lambda _bank, _account: "SITI AMINAH",
        whatsapp_url=lambda: hook.url,
        schema=sandbox_schema,
    )
    with SandboxServers(made) as servers:
        yield servers


Send = Callable[[str], str]


@pytest.fixture
def send(telling: SandboxServers, sandbox_credentials: Credentials) -> Iterator[Send]:
    """Sends a message to a number and answers its id."""
    messenger = WhatsAppMessenger(
        url=telling.whatsapp_url,
        phone_number_id=sandbox_credentials.whatsapp_phone_number_id,
        token=sandbox_credentials.whatsapp_token,
    )
    with closing(messenger):
        yield lambda to: messenger.send(replace(MESSAGE, to=to))


@pytest.fixture
def receipts(sandbox_credentials: Credentials) -> WhatsAppReceipts:
    return WhatsAppReceipts(app_secret=sandbox_credentials.whatsapp_app_secret, verify_token="x")


def test_a_message_that_was_accepted_is_sent_delivered_and_read(
    hook: Hook, send: Send, receipts: WhatsAppReceipts
) -> None:
    wamid = send(MESSAGE.to)
    got = [receipts.read_statuses(raw, signature) for raw, signature in hook.wait(3)]
    assert got == [
        (MessageStatus(provider_id=wamid, status=status, at=NOW, message_id=MESSAGE.id),)
        for status in ("sent", "delivered", "read")
    ]


def test_the_callbacks_have_the_documented_shape(hook: Hook, send: Send) -> None:
    send(MESSAGE.to)
    send(f"+6281234{UNDELIVERABLE}")
    sent, delivered, read, failed = (json.loads(raw) for raw, _ in hook.wait(4))
    ours = {"biz_opaque_callback_data": "x"}
    for told in (sent, delivered):
        assert shape(told) == shape(whatsapp_callback(pricing=WHATSAPP_PRICING, **ours))
    assert shape(read) == shape(whatsapp_callback(**ours))
    assert shape(failed) == shape(whatsapp_callback(errors=[WHATSAPP_ERROR], **ours))


def test_a_client_that_others_wrote_finds_the_signature_genuine(
    hook: Hook, send: Send, sandbox_credentials: Credentials
) -> None:
    client = WhatsApp(app_secret=sandbox_credentials.whatsapp_app_secret, verify_token="x")
    send(MESSAGE.to)
    for raw, signature in hook.wait(3):
        assert client.webhook_update_validator(raw, signature) is None
        assert client.webhook_update_validator(raw + b" ", signature) == ("Forbidden", 403)


def test_a_number_that_is_not_on_whatsapp_fails_after_it_was_accepted(
    hook: Hook, telling: SandboxServers, send: Send, receipts: WhatsAppReceipts
) -> None:
    wamid = send(f"+6281234{UNDELIVERABLE}")
    ((raw, signature),) = hook.wait(1)
    (told,) = receipts.read_statuses(raw, signature)
    assert (told.provider_id, told.status, told.error) == (wamid, "failed", UNDELIVERABLE)
    assert telling.sandbox.inbox.find() == []


def test_whoever_sends_does_not_wait_for_the_callbacks(hook: Hook, send: Send) -> None:
    hook.open.clear()
    assert send(MESSAGE.to)
    assert hook.got == []
    hook.open.set()
    hook.wait(3)


@pytest.fixture
def callbacks() -> Iterator[Callable[[str], Callbacks]]:
    with ExitStack() as running:
        yield lambda url: running.enter_context(closing(Callbacks(lambda: url, retry_after_s=(0, 0, 0))))


def test_a_callback_that_is_not_taken_comes_again_and_before_the_next_one(
    hook: Hook, callbacks: Callable[[str], Callbacks]
) -> None:
    hook.statuses = [500, 503]
    sending = callbacks(hook.url)
    sending.post(b"first", {})
    sending.post(b"second", {})
    assert [raw for raw, _ in hook.wait(4)] == [b"first", b"first", b"first", b"second"]


@pytest.mark.parametrize(("statuses", "tries"), [([404], 1), ([500] * 4, 4), ([403] * 4, 4)], ids=str)
def test_a_callback_that_nobody_takes_is_dropped(
    hook: Hook,
    callbacks: Callable[[str], Callbacks],
    caplog: pytest.LogCaptureFixture,
    statuses: list[int],
    tries: int,
) -> None:
    caplog.set_level(logging.INFO)
    hook.statuses = list(statuses)
    sending = callbacks(hook.url)
    sending.post(b"lost", {})
    sending.post(b"next", {})
    assert [raw for raw, _ in hook.wait(tries + 1)] == [b"lost"] * tries + [b"next"]
    dropped = [record for record in caplog.records if record.message == "sandbox.callback-dropped"]
    assert [vars(record)["status"] for record in dropped] == [statuses[-1]]


def test_an_address_where_nobody_listens_harms_nobody(
    callbacks: Callable[[str], Callbacks], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sending = callbacks("http://127.0.0.1:9/none")
    sending.post(b"lost", {})
    # The worker takes one after the other: when it is idle, the first one has been given up.
    sending._worker.submit(lambda: None).result(_LIMIT_S)
    (dropped,) = (record for record in caplog.records if record.message == "sandbox.callback-dropped")
    assert vars(dropped)["status"] is None


def test_once_closed_nothing_more_is_sent_and_nobody_is_told_off(hook: Hook) -> None:
    sending = Callbacks(lambda: hook.url)
    sending.post(b"first", {})
    hook.wait(1)
    for _ in range(2):
        sending.close()
    sending.post(b"late", {})
    assert [raw for raw, _ in hook.got] == [b"first"]


def test_closing_ends_the_wait_for_the_next_try(hook: Hook) -> None:
    hook.statuses = [500]
    sending = Callbacks(lambda: hook.url, retry_after_s=(3600,))
    sending.post(b"first", {})
    hook.wait(1)
    closing_thread = threading.Thread(target=sending.close)
    closing_thread.start()
    closing_thread.join(_LIMIT_S)
    assert not closing_thread.is_alive()
    assert len(hook.got) == 1


def test_callbacks_are_quiet_once_the_last_has_been_answered(hook: Hook) -> None:
    hook.open.clear()
    with closing(Callbacks(lambda: hook.url)) as callbacks:
        assert callbacks.wait_until_quiet(0)
        callbacks.post(b"{}", {})
        assert not callbacks.wait_until_quiet(0)
        hook.open.set()
        assert callbacks.wait_until_quiet(_LIMIT_S)
        assert len(hook.got) == 1
        callbacks.close()
        callbacks.post(b"{}", {})
        assert callbacks.wait_until_quiet(0)
