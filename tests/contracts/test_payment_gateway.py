"""What every PaymentGateway does, shown by Midtrans's adapter against the sandbox and against garbage."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from pinjam.adapters.midtrans import MidtransGateway
from pinjam.domain.payment import Bank, Instructions, Method
from pinjam.local.sandbox.faults import Mode
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials
from pinjam.services.ports import ForgedNotification, Order, OrderStatus, PaymentGateway, Refused, Unavailable

KEY = "SB-Mid-server-TESTONLY"
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(hours=24)
BCA = Method(type="bank_transfer", bank="bca")
QRIS = Method(type="qris")
BANKS: tuple[Bank, ...] = ("bca", "bni", "bri", "permata", "mandiri", "cimb")
METHODS = [*(Method(type="bank_transfer", bank=bank) for bank in BANKS), QRIS]


def charge(
    gateway: PaymentGateway, order_id: str = "pay_1", amount: int = 44_000, method: Method = BCA
) -> tuple[Order, Instructions]:
    return gateway.charge(order_id=order_id, amount=amount, method=method, expires_at=EXPIRES, now=NOW)


@pytest.fixture
def gateway(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[MidtransGateway]:
    with closing(MidtransGateway(url=sandbox.midtrans_url, server_key=sandbox_credentials.server_key)) as made:
        yield made


@pytest.fixture
def told(answering: Callable[[bytes, int], str]) -> Iterator[Callable[..., MidtransGateway]]:
    """A gateway that is told the given answer, whatever it asks."""
    with ExitStack() as running:

        def make(answer: object, status: int = 200) -> MidtransGateway:
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            return running.enter_context(closing(MidtransGateway(url=answering(content, status), server_key=KEY)))

        yield make


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.bank or "qris")
def test_a_new_order_is_pending_and_says_how_to_pay(gateway: PaymentGateway, method: Method) -> None:
    order, means = charge(gateway, method=method)
    assert (order.order_id, order.status, order.amount) == ("pay_1", "pending", 44_000)
    assert order.transaction_id
    assert means.expires_at == EXPIRES
    filled = {name for name in ("va_number", "biller_code", "bill_key", "qr_string") if getattr(means, name)}
    expected = {"mandiri": {"biller_code", "bill_key"}, None: {"qr_string"}}
    assert filled == expected.get(method.bank, {"va_number"})


@pytest.mark.parametrize("method", METHODS[:-1], ids=lambda method: str(method.bank))
def test_asking_again_gives_the_same_order_and_the_same_way_to_pay(gateway: PaymentGateway, method: Method) -> None:
    assert charge(gateway, method=method) == charge(gateway, method=method)


def test_asking_again_for_a_qris_gives_the_same_order_and_the_address_of_its_picture(gateway: PaymentGateway) -> None:
    """Midtrans tells a code's text once, to whoever made the order."""
    order, means = charge(gateway, method=QRIS)
    again, picture = charge(gateway, method=QRIS)
    assert again == order
    assert httpx.get(str(picture.qr_string), trust_env=False).text == means.qr_string


def test_an_order_id_is_not_reused_for_another_amount(gateway: PaymentGateway) -> None:
    charge(gateway, amount=44_000)
    with pytest.raises(Refused) as refused:
        charge(gateway, amount=45_000)
    assert refused.value.code == "406"


@pytest.mark.parametrize(
    "method", [METHODS[1], METHODS[3], METHODS[4], QRIS], ids=["bni", "permata", "mandiri", "qris"]
)
def test_an_order_id_is_not_reused_for_another_method(gateway: PaymentGateway, method: Method) -> None:
    charge(gateway)
    with pytest.raises(Refused) as refused:
        charge(gateway, method=method)
    assert refused.value.code == "406"


def test_a_charge_that_the_gateway_does_not_take_is_refused(gateway: PaymentGateway) -> None:
    with pytest.raises(Refused) as refused:
        charge(gateway, amount=10_000_001, method=QRIS)
    assert refused.value.code == "400"


def test_a_bank_transfer_without_a_bank_is_refused(gateway: PaymentGateway) -> None:
    with pytest.raises(Refused):
        charge(gateway, method=Method(type="bank_transfer"))


def test_an_unknown_order_has_no_status(gateway: PaymentGateway) -> None:
    assert gateway.status("pay_nobody") is None


def test_a_paid_order_is_settled_and_cancelling_leaves_it_so(sandbox: SandboxServers, gateway: PaymentGateway) -> None:
    order, _ = charge(gateway)
    sandbox.sandbox.orders.move("pay_1", "settlement")
    gateway.cancel("pay_1")
    settled = gateway.status("pay_1")
    assert settled is not None
    assert settled.paid_at is not None
    assert settled.paid_at.utcoffset() == timedelta(hours=7)
    assert settled == replace(order, status="settled", paid_at=settled.paid_at)


@pytest.mark.parametrize(("to", "status"), [("expire", "expired"), ("deny", "failed"), ("cancel", "failed")], ids=str)
def test_an_unpaid_order_ends_as_the_gateway_ends_it(
    sandbox: SandboxServers, gateway: PaymentGateway, to: str, status: OrderStatus
) -> None:
    charge(gateway)
    sandbox.sandbox.orders.move("pay_1", to)  # type: ignore[arg-type]  # one of the literals above
    order = gateway.status("pay_1")
    assert order is not None
    assert order.status == status


def test_money_that_was_taken_back_is_reversed(sandbox: SandboxServers, gateway: PaymentGateway) -> None:
    charge(gateway)
    sandbox.sandbox.orders.move("pay_1", "settlement")
    sandbox.sandbox.orders.move("pay_1", "refund")
    order = gateway.status("pay_1")
    assert order is not None
    assert order.status == "reversed"


def test_a_cancelled_order_is_expired_and_cancelling_again_or_nothing_is_harmless(gateway: PaymentGateway) -> None:
    charge(gateway)
    for _ in range(2):
        gateway.cancel("pay_1")
    gateway.cancel("pay_nobody")
    order = gateway.status("pay_1")
    assert order is not None
    assert order.status == "expired"


CALLS: list[Callable[[PaymentGateway], object]] = [
    charge,
    lambda gateway: gateway.status("pay_1"),
    lambda gateway: gateway.cancel("pay_1"),
]
EACH_CALL = pytest.mark.parametrize("call", CALLS, ids=["charge", "status", "cancel"])


@EACH_CALL
@pytest.mark.parametrize(("mode", "expected"), [("down", Unavailable), ("reject", Refused)], ids=["down", "reject"])
def test_a_fault_is_told_apart_from_a_refusal(
    sandbox: SandboxServers,
    gateway: PaymentGateway,
    call: Callable[[PaymentGateway], object],
    mode: Mode,
    expected: type[Exception],
) -> None:
    sandbox.sandbox.faults.set("payment", mode, times=1)
    with pytest.raises(expected):
        call(gateway)
    call(gateway)


def test_an_order_whose_answer_came_too_late_is_found_by_asking_again(
    sandbox: SandboxServers, gateway: PaymentGateway, sandbox_credentials: Credentials
) -> None:
    sandbox.sandbox.faults.set("payment", "slow", times=1)
    hasty = MidtransGateway(url=sandbox.midtrans_url, server_key=sandbox_credentials.server_key, timeout_s=0.2)
    with closing(hasty), pytest.raises(Unavailable):
        charge(hasty)
    order, _ = charge(gateway)
    assert order.status == "pending"


def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        MidtransGateway(url="http://127.0.0.1:9", server_key=KEY).status("pay_1")


def test_a_wrong_key_is_refused(sandbox: SandboxServers) -> None:
    stranger = MidtransGateway(url=sandbox.midtrans_url, server_key="another")
    with closing(stranger), pytest.raises(Refused) as refused:
        charge(stranger)
    assert refused.value.code == "401"


PENDING = {
    "status_code": "201",
    "order_id": "pay_1",
    "transaction_id": "tx",
    "transaction_status": "pending",
    "gross_amount": "44000.00",
    "payment_type": "bank_transfer",
    "va_numbers": [{"bank": "bca", "va_number": "8123"}],
}


@EACH_CALL
@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(b"<html>Not Found</html>", 404, id="html 404"),
        pytest.param(b"<html>OK</html>", 200, id="html"),
        pytest.param(b'{"status_code": "201", "order_id": "pay', 200, id="truncated"),
        pytest.param(b"[]", 200, id="array"),
        pytest.param(b'{"status_code": 201}', 200, id="number for a string"),
        pytest.param(b'{"status_code": "500", "status_message": "Sorry"}', 200, id="500 inside 200"),
        pytest.param(b'{"status_code": "429"}', 200, id="429 inside 200"),
        pytest.param(b"", 302, id="redirect"),
        pytest.param(b"", 429, id="429"),
        pytest.param(b"x" * 1_000_001, 200, id="endless"),
    ],
)
def test_garbage_is_an_unknown_outcome(
    told: Callable[..., MidtransGateway], call: Callable[[PaymentGateway], object], content: bytes, status: int
) -> None:
    with pytest.raises(Unavailable):
        call(told(content, status))


@pytest.mark.parametrize(
    "change",
    [
        {"gross_amount": "44000.50"},
        {"gross_amount": "4.4e4"},
        {"gross_amount": "-44000.00"},
        {"gross_amount": None},
        {"currency": "USD"},
        {"order_id": "pay_2"},
        {"transaction_id": None},
        {"transaction_status": "dreaming"},
        {"va_numbers": "8123"},
    ],
    ids=str,
)
def test_an_answer_that_does_not_add_up_is_never_believed(
    told: Callable[..., MidtransGateway], change: dict[str, object]
) -> None:
    with pytest.raises(Unavailable):
        told(PENDING | change).status("pay_1")


def test_an_order_without_a_way_to_pay_is_an_unknown_outcome(told: Callable[..., MidtransGateway]) -> None:
    with pytest.raises(Unavailable):
        charge(told(PENDING | {"va_numbers": []}))


@pytest.mark.parametrize(
    ("transaction", "code", "fraud", "expected"),
    [
        ("settlement", "200", "accept", "settled"),
        ("settlement", "200", None, "settled"),
        ("capture", "200", "accept", "settled"),
        ("settlement", "200", "challenge", "pending"),
        ("capture", "201", "accept", "pending"),
        ("settlement", "200", "deny", "failed"),
        ("pending", "201", "accept", "pending"),
        ("expire", "407", "accept", "expired"),
        ("deny", "202", "deny", "failed"),
        ("cancel", "200", "accept", "failed"),
        ("failure", "202", None, "failed"),
        ("refund", "200", "accept", "reversed"),
        ("partial_refund", "200", "accept", "reversed"),
        ("chargeback", "200", "accept", "reversed"),
    ],
)
def test_paid_means_that_status_code_and_fraud_check_agree(
    told: Callable[..., MidtransGateway], transaction: str, code: str, fraud: str | None, expected: OrderStatus
) -> None:
    answer = PENDING | {"transaction_status": transaction, "status_code": code, "fraud_status": fraud}
    order = told(answer).status("pay_1")
    assert order is not None
    assert order.status == expected


def test_a_missing_order_may_be_told_with_http_200(told: Callable[..., MidtransGateway]) -> None:
    assert told({"status_code": "404", "status_message": "The requested resource is not found"}).status("x") is None


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"qr_string": "000201", "actions": [{"name": "generate-qr-code", "url": "https://old"}]}, "000201"),
        (
            {
                "actions": [
                    {"name": "generate-qr-code", "url": "https://old"},
                    {"name": "generate-qr-code-v2", "url": "https://new"},
                ]
            },
            "https://new",
        ),
        ({"actions": [{"name": "generate-qr-code", "url": "https://old"}]}, "https://old"),
    ],
    ids=["text", "second picture", "first picture"],
)
def test_a_qris_is_its_text_or_else_its_picture(
    told: Callable[..., MidtransGateway], extra: dict[str, object], expected: str
) -> None:
    _, means = charge(told(PENDING | {"payment_type": "qris", "va_numbers": []} | extra), method=QRIS)
    assert means.qr_string == expected


# The first: inputs printed at docs.midtrans.com/reference/receiving-notifications. The keys are made up.
SIGNATURES = [
    (
        ("1111", "200", "100000.00", "askvnoibnosifnboseofinbofinfgbiufglnbfg"),
        "edc076b21793ebe3e17926350f5b8ae67d902fe657b3d0aa31b932d5c127e2375d308a2bc94f3265ac2d80a1f181a79b997ac178a236fcff35af263fc4d4c231",
    ),
    (
        ("LOAN-0001-INST-01-a1", "200", "1150000.00", KEY),
        "ebc1142bd2d2bd2e00eccdc300398e82ca0eb1cf60976a54d17be7534951e740b8ac7de68e5abfc0c05caee4daf0cbc4f3f6e80cb0466404c6142f22ed4ab091",
    ),
    (
        ("LOAN-0001-INST-01-a1", "202", "1150000.00", KEY),
        "a71b9d08876989ea0da2a3fe45fd5b3ac92d069bf4a55b9029211ce4a7671f832d11ef9297e13df1441664131199214c73658d48cd42c33e7ac39f5cabc7f82b",
    ),
]


def notification(signed: tuple[str, str, str, str], signature: str) -> dict[str, object]:
    order_id, status_code, gross_amount, _ = signed
    return {
        "order_id": order_id,
        "status_code": status_code,
        "gross_amount": gross_amount,
        "signature_key": signature,
        "transaction_status": "settlement",
    }


def reader(server_key: str) -> PaymentGateway:
    return MidtransGateway(url="http://127.0.0.1:9", server_key=server_key)


@pytest.mark.parametrize(("signed", "signature"), SIGNATURES)
def test_a_genuine_notification_names_its_order(signed: tuple[str, str, str, str], signature: str) -> None:
    assert reader(signed[3]).read_notification(notification(signed, signature)) == signed[0]


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "LOAN-0001-INST-01-a2"},
        {"status_code": "201"},
        {"gross_amount": "1150000.0"},
        {"signature_key": ""},
        {"signature_key": "é" * 128},
        {"signature_key": SIGNATURES[2][1]},
    ],
    ids=str,
)
def test_a_changed_notification_is_forged(change: dict[str, str]) -> None:
    with pytest.raises(ForgedNotification):
        reader(KEY).read_notification(notification(*SIGNATURES[1]) | change)


@pytest.mark.parametrize("field", ["order_id", "status_code", "gross_amount", "signature_key"])
@pytest.mark.parametrize("value", [None, 200, ["200"], "\ud800"], ids=["missing", "number", "list", "half a character"])
def test_a_notification_without_what_is_signed_is_not_one(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"missing or not a string|surrogates"):
        reader(KEY).read_notification(notification(*SIGNATURES[1]) | {field: value})


def test_the_gateway_closes_the_order_at_the_minute_that_follows_its_end(
    sandbox: SandboxServers, gateway: PaymentGateway
) -> None:
    later = NOW + timedelta(minutes=59, seconds=1)
    gateway.charge(order_id="pay_1", amount=44_000, method=BCA, expires_at=later, now=NOW)
    order = sandbox.sandbox.orders.find("pay_1")
    assert order is not None
    assert order.expires_at == NOW + timedelta(minutes=60)
