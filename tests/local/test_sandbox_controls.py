import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest
from psycopg_pool import ConnectionPool

from pinjam.adapters.clock import MovableClock
from pinjam.adapters.iris import IrisPayouts
from pinjam.adapters.midtrans import MidtransGateway
from pinjam.domain.notification import Channel
from pinjam.domain.payment import Method
from pinjam.local.sandbox.clock import MAX_OFFSET_DAYS, ClockFile
from pinjam.local.sandbox.controls import NO_ANSWER
from pinjam.local.sandbox.faults import Mode
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials, Sandbox
from pinjam.local.servers import WsgiServer

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
WELL = {"mode": "ok", "times": None, "percent": None}


@dataclass
class App:
    """Stands for the system: takes notifications and sweeps, and says what it is told to."""

    status: int = 200
    answer: bytes = b'{"expired": 3}'
    bodies: list[dict[str, object]] = field(default_factory=list)
    signed: list[tuple[bytes, str]] = field(default_factory=list)
    called: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    url: str = ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raw = environ["wsgi.input"].read()
        self.bodies.append(json.loads(raw))
        self.signed.append((raw, environ.get("HTTP_IRIS_SIGNATURE", "")))
        self.called.release()
        start_response(f"{self.status} As Told", [("Content-Type", "application/json")])
        return [self.answer]


@dataclass(kw_only=True)
class World:
    app: App
    servers: SandboxServers
    gateway: MidtransGateway
    calls: httpx.Client

    def charge(self, order_id: str = "pay_1", method: Method | None = None) -> str:
        order, _ = self.gateway.charge(
            order_id=order_id,
            amount=44_000,
            method=method or Method(type="bank_transfer", bank="bca"),
            expires_at=NOW + timedelta(hours=24),
            now=NOW,
        )
        return order.transaction_id

    def pay(self, order_id: str = "pay_1", **body: object) -> httpx.Response:
        return self.calls.post(f"/sandbox/payments/{order_id}/pay", json=body)

    def status(self, order_id: str = "pay_1") -> str | None:
        order = self.gateway.status(order_id)
        return order.status if order else None


Start = Callable[[], World]


@pytest.fixture
def start(
    sandbox_pool: ConnectionPool, sandbox_credentials: Credentials, sandbox_schema: str, tmp_path: Path
) -> Iterator[Start]:
    """Starts the sandbox on the test's data; again, as after a crash."""
    with ExitStack() as running:

        def make() -> World:
            app = App()
            app.url = running.enter_context(WsgiServer(app)).url
            made = Sandbox(
                sandbox_pool,
                credentials=sandbox_credentials,
                clock=ClockFile(tmp_path / "clock.json", real_now=lambda: NOW),
                notify_url=lambda: app.url,
                payout_url=lambda: app.url,
                sweep_url=lambda: app.url,
                holder=lambda _bank, _account: "SITI AMINAH",
                slow_s=30,
                seed=1,
                schema=sandbox_schema,
            )
            servers = running.enter_context(SandboxServers(made))
            gateway = MidtransGateway(url=servers.midtrans_url, server_key=sandbox_credentials.server_key)
            running.enter_context(closing(gateway))
            calls = httpx.Client(
                transport=httpx.WSGITransport(app=made.controls()),
                base_url="http://sandbox",
            )
            running.enter_context(calls)
            return World(app=app, servers=servers, gateway=gateway, calls=calls)

        yield make


@pytest.fixture
def world(start: Start) -> World:
    return start()


def test_a_payment_settles_the_order_and_sends_one_genuine_notification(world: World) -> None:
    transaction_id = world.charge()
    answer = world.pay()
    assert answer.status_code == 200
    assert answer.json() == {"order_id": "pay_1", "transaction_status": "settlement", "notifications": [200]}
    assert world.status() == "settled"
    (body,) = world.app.bodies
    assert world.gateway.read_notification(body) == "pay_1"
    assert {name: body[name] for name in ("transaction_id", "transaction_status", "status_code", "gross_amount")} == {
        "transaction_id": transaction_id,
        "transaction_status": "settlement",
        "status_code": "200",
        "gross_amount": "44000.00",
    }
    assert body["settlement_time"] == "2026-11-24 09:00:00"


def test_duplicates_are_the_same_notification_again(world: World) -> None:
    world.charge()
    assert world.pay(duplicates=2).json()["notifications"] == [200, 200, 200]
    first, second, third = world.app.bodies
    assert first == second == third


@pytest.mark.parametrize(("to", "code", "status"), [("expire", "202", "expired"), ("deny", "202", "failed")])
def test_an_order_can_end_unpaid(world: World, to: str, code: str, status: str) -> None:
    world.charge()
    assert world.pay(transaction_status=to).status_code == 200
    (body,) = world.app.bodies
    assert world.gateway.read_notification(body) == "pay_1"
    assert (body["transaction_status"], body["status_code"]) == (to, code)
    assert world.status() == status


def test_an_unknown_payment_is_not_found(world: World) -> None:
    answer = world.pay("pay_nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, 404)
    assert world.app.bodies == []


@pytest.mark.parametrize("to", ["settlement", "expire", "deny"])
def test_a_paid_order_does_not_move_again_and_nobody_is_notified(world: World, to: str) -> None:
    world.charge()
    world.pay()
    answer = world.pay(transaction_status=to)
    assert (answer.status_code, answer.json()["code"]) == (409, 409)
    assert len(world.app.bodies) == 1
    assert world.status() == "settled"


def test_money_can_be_taken_back_by_a_refund(world: World) -> None:
    world.charge()
    world.pay()
    assert world.pay(transaction_status="refund").status_code == 200
    assert world.status() == "reversed"
    assert world.gateway.read_notification(world.app.bodies[-1]) == "pay_1"


def test_two_banks_can_deny_after_settlement(world: World) -> None:
    world.charge(method=Method(type="bank_transfer", bank="permata"))
    world.pay()
    assert world.pay(transaction_status="deny").status_code == 200
    assert world.status() == "failed"


def test_an_order_whose_time_is_over_cannot_be_paid(world: World) -> None:
    world.charge()
    world.calls.post("/sandbox/clock", json={"advance_days": 1})
    assert world.pay().status_code == 409
    assert world.status() == "expired"


def test_a_payment_made_twice_at_once_happens_once(world: World) -> None:
    world.charge()
    together = threading.Barrier(4)

    def pay(_number: int) -> int:
        together.wait(timeout=10)
        return world.pay().status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(pay, range(4))) == [200, 409, 409, 409]
    assert len(world.app.bodies) == 1


def test_the_status_codes_that_came_back_are_told(world: World) -> None:
    world.charge()
    world.app.status = 503
    assert world.pay(duplicates=1).json()["notifications"] == [503, 503]


def test_a_notification_that_nobody_takes_leaves_the_order_paid(world: World) -> None:
    world.charge()
    world.app.url = "http://127.0.0.1:9"
    assert world.pay().json()["notifications"] == [NO_ANSWER]
    assert world.status() == "settled"


@pytest.fixture
def iris(world: World, sandbox_credentials: Credentials) -> Iterator[IrisPayouts]:
    made = IrisPayouts(
        url=world.servers.iris_url,
        creator_key=sandbox_credentials.creator_key,
        approver_key=sandbox_credentials.approver_key,
        merchant_key=sandbox_credentials.merchant_key,
    )
    with closing(made):
        yield made


def pay_out(iris: IrisPayouts, account: str) -> str:
    answer = iris.pay_out(
        payout_id="out_1", amount=44_000, bank_code="bca", account_number=account, account_name="SITI", notes="x"
    )
    return answer.reference


def end(world: World, payout_id: str = "out_1", **body: object) -> httpx.Response:
    return world.calls.post(f"/sandbox/payouts/{payout_id}/end", json=body)


@pytest.mark.parametrize(("ending", "status"), [("7890", "completed"), ("9103", "failed")])
def test_a_payout_that_ends_by_itself_is_told_of_soon_and_signed(
    world: World, iris: IrisPayouts, ending: str, status: str
) -> None:
    reference = pay_out(iris, f"123456{ending}")
    assert world.app.called.acquire(timeout=10)
    ((raw, signature),) = world.app.signed
    assert iris.read_notification(raw, signature) == reference
    assert (world.app.bodies[0]["status"], world.app.bodies[0]["amount"]) == (status, "44000.0")
    assert ("error_code" in world.app.bodies[0]) == (status == "failed")


def test_a_notification_of_a_payout_that_is_not_taken_comes_again(world: World, iris: IrisPayouts) -> None:
    world.app.status = 503
    pay_out(iris, "1234567890")
    assert world.app.called.acquire(timeout=10)
    world.app.status = 200
    assert world.app.called.acquire(timeout=10)
    assert world.app.bodies[0] == world.app.bodies[1]


def test_a_payout_stays_on_its_way_until_somebody_ends_it(world: World, iris: IrisPayouts) -> None:
    reference = pay_out(iris, "1234569104")
    assert [iris.status(reference).status for _ in range(3)] == ["processing"] * 3
    assert end(world, notifications=0).json() == {"payout_id": "out_1", "status": "completed", "notifications": []}
    assert iris.status(reference).status == "completed"
    assert world.app.bodies == []
    assert end(world, notifications=2).json()["notifications"] == [200, 200]
    # A bank may send money back that had arrived; it does not come a second time.
    assert end(world, status="failed").json()["status"] == "failed"
    answer = end(world)
    assert (answer.status_code, answer.json()["message"]) == (409, "The payout is failed and cannot become completed.")
    assert [iris.read_notification(*one) for one in world.app.signed] == [reference] * 3


def test_an_unknown_payout_is_not_ended(world: World) -> None:
    assert end(world, "out_nobody").status_code == 404
    assert end(world, status="lost").json()["field"] == "status"


def test_orders_messages_and_faults_are_there_after_a_restart(start: Start) -> None:
    before = start()
    transaction_id = before.charge()
    before.servers.sandbox.inbox.deliver(channel="sms", to="+6281200000000", subject="", body="kode 1234")
    before.servers.sandbox.faults.set("sms", "down", times=2)
    before.calls.post("/sandbox/clock", json={"advance_days": 3})
    after = start()
    order = after.gateway.status("pay_1")
    assert order is not None
    assert order.transaction_id == transaction_id
    assert [entry["body"] for entry in after.calls.get("/sandbox/inbox").json()] == ["kode 1234"]
    assert after.calls.get("/sandbox/faults").json()["sms"] == {"mode": "down", "times": 2, "percent": None}
    assert after.calls.get("/sandbox/clock").json() == {"date": "2026-11-27"}


def test_the_inbox_is_newest_first_and_can_be_narrowed(world: World) -> None:
    inbox = world.servers.sandbox.inbox
    inbox.deliver(channel="sms", to="+6281200000001", subject="", body="one")
    inbox.deliver(channel="email", to="Siti@Example.com", subject="Dua", body="two", repeat_key="<a>")
    inbox.deliver(channel="whatsapp", to="+6281200000001", subject="x (id)", body="three")

    def bodies(**query: str) -> list[str]:
        return [entry["body"] for entry in world.calls.get("/sandbox/inbox", params=query).json()]

    assert bodies() == ["three", "two", "one"]
    assert bodies(to="+6281200000001") == bodies(to="6281200000001") == ["three", "one"]
    assert bodies(to="6281200000001", channel="sms") == ["one"]
    assert bodies(to="siti@example.com") == ["two"]
    assert bodies(to="nobody@example.com") == []
    for spelling in ("081200000001", "0812-0000-0001", "6281200000001"):
        assert bodies(to=spelling) == ["three", "one"]
    assert world.calls.get("/sandbox/inbox?to=+6281200000001&channel=sms").json() == [
        {"channel": "sms", "to": "+6281200000001", "subject": "", "body": "one", "at": "2026-11-24T02:00:00.000Z"}
    ]


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/plain, */*", "text/plain"])
def test_the_inbox_is_json_for_whoever_does_not_ask_for_a_page(world: World, accept: str) -> None:
    answer = world.calls.get("/sandbox/inbox", headers={"Accept": accept})
    assert (answer.headers["Content-Type"], answer.headers["Vary"]) == ("application/json", "Accept")
    assert answer.json() == []


def test_the_inbox_is_a_page_for_a_browser(world: World) -> None:
    inbox = world.servers.sandbox.inbox
    inbox.deliver(channel="email", to="siti@example.com", subject="Dua", body="plain", html='<p class="x">page</p>')
    inbox.deliver(channel="email", to="budi@example.com", subject="Tiga", body="only text")
    inbox.deliver(channel="sms", to="+6281200000001", subject="", body="Pinjam: kode")
    inbox.deliver(channel="whatsapp", to="+6281200000001", subject="loan_disbursed (id)", body="Siti")
    inbox.deliver(channel="push", to="token", subject="Judul", body="isi")
    answer = world.calls.get("/sandbox/inbox", headers=BROWSER)
    page = answer.text
    assert (answer.headers["Content-Type"], answer.headers["Vary"]) == ("text/html; charset=utf-8", "Accept")
    assert [page.index(f"<b>{name}</b>") for name in ("Push", "WhatsApp", "SMS", "E-mail")] == sorted(
        page.index(f"<b>{name}</b>") for name in ("Push", "WhatsApp", "SMS", "E-mail")
    )
    assert 'srcdoc="&lt;p class=&#34;x&#34;&gt;page&lt;/p&gt;"' in page
    assert '<iframe sandbox="" ' in page
    assert "<pre>only text</pre>" in page
    assert "2026-11-24 09:00 WIB" in page
    narrowed = world.calls.get("/sandbox/inbox?to=6281200000001&channel=sms", headers=BROWSER).text
    assert (narrowed.count("<article>"), "Pinjam: kode" in narrowed) == (1, True)
    everything = world.calls.get("/sandbox/inbox?to=&channel=", headers=BROWSER).text
    assert everything.count("<article>") == 5
    assert "No messages." in world.calls.get("/sandbox/inbox?to=nobody", headers=BROWSER).text


def test_no_message_can_write_into_the_page(world: World) -> None:
    inbox = world.servers.sandbox.inbox
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    for channel in get_args(Channel):
        inbox.deliver(channel=channel, to=f"{attack}@example.com", subject=attack, body=attack, html=attack)
    answer = world.calls.get("/sandbox/inbox", params={"to": attack, "channel": attack}, headers=BROWSER)
    everything = world.calls.get("/sandbox/inbox", headers=BROWSER)
    for page in (answer.text, everything.text):
        assert "<script" not in page
        assert "<img" not in page
    assert everything.text.count("<article>") == 4
    policy = everything.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_the_clock_can_be_set_to_an_hour(world: World, tmp_path: Path) -> None:
    answer = world.calls.post("/sandbox/clock", json={"set": "2026-12-24", "hour": 21})
    assert answer.json() == {"date": "2026-12-24"}
    world.servers.sandbox.inbox.deliver(channel="sms", to="+6281200000001", subject="", body="late")
    assert world.servers.sandbox.inbox.find()[0]["at"] == "2026-12-24T14:00:00.000Z"
    assert world.calls.post("/sandbox/clock", json={"advance_days": 1}).json() == {"date": "2026-12-25"}
    kept = json.loads((tmp_path / "clock.json").read_text())
    assert timedelta(days=kept["offset_days"], seconds=kept["offset_s"]) == timedelta(days=31, hours=12)
    assert world.calls.post("/sandbox/clock", json={"set": "2026-12-24"}).json() == {"date": "2026-12-24"}
    assert json.loads((tmp_path / "clock.json").read_text()) == {"offset_days": 30, "offset_s": 0}
    for wrong in ({"hour": 3}, {"set": "2026-12-24", "hour": 24}, {"advance_days": 1, "hour": 3}):
        assert world.calls.post("/sandbox/clock", json=wrong).status_code == 422


def test_a_fault_lasts_for_so_many_calls(world: World) -> None:
    answer = world.calls.post("/sandbox/faults", json={"provider": "payment", "mode": "down", "times": 2})
    assert answer.json() == {"provider": "payment", "mode": "down", "times": 2, "percent": None}
    stranger = httpx.get(f"{world.servers.midtrans_url}/v2/x/status", auth=("x", ""), trust_env=False)
    assert stranger.status_code == 401, "a caller without the key meets no fault"
    assert world.calls.get("/sandbox/faults").json()["payment"] == {"mode": "down", "times": 2, "percent": None}
    world.servers.sandbox.faults.take("payment")
    assert world.calls.get("/sandbox/faults").json()["payment"] == {"mode": "down", "times": 1, "percent": None}
    world.servers.sandbox.faults.take("payment")
    assert world.calls.get("/sandbox/faults").json()["payment"] == WELL
    assert world.status() is None


def test_every_provider_has_a_fault_switch(world: World) -> None:
    shown = world.calls.get("/sandbox/faults").json()
    assert set(shown) == {"ekyc", "payment", "payout", "email", "sms", "whatsapp", "push"}
    assert all(fault == WELL for fault in shown.values())


def met(world: World, calls: int) -> list[Mode]:
    return [world.servers.sandbox.faults.take("push") for _ in range(calls)]


def test_a_share_of_the_calls_meets_the_fault_by_a_chance_that_can_be_repeated(start: Start) -> None:
    seen = []
    for _ in range(2):
        world = start()
        body = {"provider": "push", "mode": "down", "percent": 30}
        assert world.calls.post("/sandbox/faults", json=body).json() == {**body, "times": None}
        seen.append(met(world, 100))
    assert seen[0] == seen[1]
    assert set(seen[0]) == {"ok", "down"}
    assert 20 <= seen[0].count("down") <= 40, "the share that the seed of these tests gives"
    world.calls.post("/sandbox/faults", json={"provider": "push", "mode": "slow", "percent": 100})
    assert met(world, 20) == ["slow"] * 20


def test_times_counts_the_calls_that_chance_spares_too(world: World) -> None:
    world.calls.post("/sandbox/faults", json={"provider": "push", "mode": "down", "times": 10, "percent": 50})
    first = met(world, 10)
    assert world.calls.get("/sandbox/faults").json()["push"] == WELL
    assert set(first) == {"ok", "down"}
    world.calls.post("/sandbox/faults", json={"provider": "push", "mode": "down"})
    assert met(world, 20) == ["down"] * 20, "a fault without a share is everybody's again"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "bank", "mode": "down"}, "provider"),
        ({"provider": "sms", "mode": "broken"}, "mode"),
        ({"provider": "sms"}, "mode"),
        ({"provider": "sms", "mode": "down", "times": 0}, "times"),
        ({"provider": "sms", "mode": "down", "times": "2"}, "times"),
        *(
            ({"provider": "sms", "mode": "down", "percent": wrong}, "percent")
            for wrong in (0, 101, -1, 2.5, "30", True)
        ),
        ({"provider": "sms", "mode": "down", "color": "red"}, "color"),
    ],
    ids=str,
)
def test_a_fault_that_makes_no_sense_names_the_field(world: World, body: Mapping[str, object], field: str) -> None:
    answer = world.calls.post("/sandbox/faults", json=body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, 422, field)
    assert field in answer.json()["message"]


@pytest.mark.parametrize("body", [{"duplicates": -1}, {"duplicates": 101}, {"duplicates": True}], ids=str)
def test_so_many_duplicates_are_refused(world: World, body: Mapping[str, object]) -> None:
    world.charge()
    answer = world.calls.post("/sandbox/payments/pay_1/pay", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "duplicates")
    assert world.status() == "pending"


def test_the_date_moves_and_the_systems_clock_follows(world: World, tmp_path: Path) -> None:
    assert world.calls.get("/sandbox/clock").json() == {"date": "2026-11-24"}
    assert world.calls.post("/sandbox/clock", json={"advance_days": 30}).json() == {"date": "2026-12-24"}
    assert world.calls.post("/sandbox/clock", json={"advance_days": 0}).json() == {"date": "2026-12-24"}
    assert MovableClock(tmp_path / "clock.json").offset_days() == 30
    assert world.calls.post("/sandbox/clock", json={"set": "2027-02-28"}).json() == {"date": "2027-02-28"}
    assert world.calls.post("/sandbox/clock", json={"advance_days": 1}).json() == {"date": "2027-03-01"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"advance_days": 1, "set": "2027-01-01"}, ""),
        ({"advance_days": -1}, "advance_days"),
        ({"advance_days": 1.5}, "advance_days"),
        ({"advance_days": MAX_OFFSET_DAYS + 1}, "advance_days"),
        ({"set": "2027-02-30"}, "set"),
        ({"set": "2099-01-01"}, "set"),
        ({"set": "1970-01-01"}, "set"),
        ({"forward": 1}, "forward"),
    ],
    ids=str,
)
def test_a_date_that_makes_no_sense_leaves_the_clock(world: World, body: Mapping[str, object], field: str) -> None:
    answer = world.calls.post("/sandbox/clock", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert world.calls.get("/sandbox/clock").json() == {"date": "2026-11-24"}


def test_the_date_cannot_be_moved_too_far_in_many_steps(world: World) -> None:
    world.calls.post("/sandbox/clock", json={"advance_days": MAX_OFFSET_DAYS})
    assert world.calls.post("/sandbox/clock", json={"advance_days": 1}).status_code == 422


def test_the_sweeps_answer_is_relayed(world: World) -> None:
    answer = world.calls.post("/sandbox/sweep")
    assert (answer.status_code, answer.json()) == (200, {"expired": 3})
    world.app.status, world.app.answer = 500, b'{"code": "internal"}'
    answer = world.calls.post("/sandbox/sweep")
    assert (answer.status_code, answer.json()) == (500, {"code": "internal"})
    world.app.url = "http://127.0.0.1:9"
    assert world.calls.post("/sandbox/sweep").status_code == 502


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sandbox/nothing", 404),
        ("GET", "/sandbox/payments/pay_1/pay", 405),
        ("DELETE", "/sandbox/faults", 405),
        ("PUT", "/sandbox/clock", 405),
        ("GET", "/sandbox/sweep", 405),
        ("GET", "/sandbox/objects/usr_1/doc_1", 404),
    ],
)
def test_what_does_not_exist_is_told_in_json(world: World, method: str, path: str, status: int) -> None:
    answer = world.calls.request(method, path)
    assert answer.status_code == status
    assert answer.json()["code"] == status
    assert answer.json()["message"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b"\xff"], ids=repr)
def test_a_body_that_is_no_object_is_refused(world: World, content: bytes) -> None:
    for path in ("/sandbox/faults", "/sandbox/clock", "/sandbox/payments/pay_1/pay"):
        assert world.calls.post(path, content=content).status_code == 422
