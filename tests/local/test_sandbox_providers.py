"""The sandbox as an independent client sees it: strict requests, the providers' own words in answers."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from pinjam.adapters.whatsapp import WhatsAppMessenger
from pinjam.domain.user import Locale
from pinjam.local.sandbox.qris import crc16, qris_text
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials
from pinjam.services.messaging import Message
from pinjam.services.ports import Refused

DETAILS: Mapping[str, object] = {"order_id": "order-101", "gross_amount": 44000}
BCA: Mapping[str, object] = {
    "payment_type": "bank_transfer",
    "transaction_details": DETAILS,
    "bank_transfer": {"bank": "bca"},
}
QRIS: Mapping[str, object] = {"payment_type": "qris", "transaction_details": DETAILS, "qris": {"acquirer": "gopay"}}


@pytest.fixture
def midtrans(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[httpx.Client]:
    auth = (sandbox_credentials.server_key, "")
    with httpx.Client(base_url=sandbox.midtrans_url, auth=auth, trust_env=False) as client:
        yield client


@pytest.fixture
def iris(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[httpx.Client]:
    url = f"{sandbox.iris_url}/iris/api/v1"
    with httpx.Client(base_url=url, auth=(sandbox_credentials.creator_key, ""), trust_env=False) as client:
        yield client


# The fields of the answers printed at docs.midtrans.com for each way to pay.
COMMON = {
    *("status_code", "status_message", "transaction_id", "order_id", "merchant_id", "gross_amount"),
    *("currency", "payment_type", "transaction_time", "transaction_status", "fraud_status"),
}


@pytest.mark.parametrize(
    ("request_body", "payment_type", "means"),
    [
        (BCA, "bank_transfer", {"va_numbers"}),
        ({"payment_type": "permata", "transaction_details": DETAILS}, "bank_transfer", {"permata_va_number"}),
        (
            {
                "payment_type": "echannel",
                "transaction_details": DETAILS,
                "echannel": {"bill_info1": "Payment:", "bill_info2": "Loan"},
            },
            "echannel",
            {"bill_key", "biller_code"},
        ),
        (QRIS, "qris", {"acquirer", "actions", "qr_string"}),
    ],
    ids=["bca", "permata", "mandiri", "qris"],
)
def test_a_charge_is_answered_with_the_documented_fields(
    midtrans: httpx.Client, request_body: Mapping[str, object], payment_type: str, means: set[str]
) -> None:
    answer = midtrans.post("/v2/charge", json=request_body)
    body = answer.json()
    assert answer.status_code == 200
    assert COMMON | means <= set(body)
    assert (body["status_code"], body["gross_amount"], body["payment_type"]) == ("201", "44000.00", payment_type)
    assert body["transaction_time"] == "2026-11-24 09:00:00"


def test_the_address_of_a_qr_code_gives_its_text_without_a_key(midtrans: httpx.Client) -> None:
    body = midtrans.post("/v2/charge", json=QRIS).json()
    assert len(body["actions"]) == 2
    for action in body["actions"]:
        answer = httpx.get(action["url"], trust_env=False)
        assert (answer.status_code, answer.text) == (200, body["qr_string"])
        assert httpx.get(action["url"].replace(body["transaction_id"], "x"), trust_env=False).status_code == 404


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"transaction_details": {"order_id": "x" * 51, "gross_amount": 1}}, "order_id"),
        ({"transaction_details": {"order_id": "a/b", "gross_amount": 1}}, "order_id"),
        ({"transaction_details": {"order_id": "a", "gross_amount": 0}}, "gross_amount"),
        ({"transaction_details": {"order_id": "a", "gross_amount": "44000"}}, "gross_amount"),
        ({"transaction_details": {"order_id": "a", "gross_amount": 44000.5}}, "gross_amount"),
        ({"transaction_details": {"gross_amount": 1}}, "order_id"),
        ({"bank_transfer": {"bank": "mandiri"}}, "bank"),
        ({"bank_transfer": None}, "bank_transfer"),
        ({"surprise": 1}, "surprise"),
        ({"item_details": [{"price": 44_000, "quantity": 2, "name": "Angsuran"}]}, "item_details"),
        ({"customer_details": {"email": "nobody"}}, "email"),
        ({"custom_expiry": {"order_time": "tomorrow", "expiry_duration": 1}}, "order_time"),
        ({"custom_expiry": {"order_time": "2026-11-24 09:00:00 +0700", "expiry_duration": 0}}, "expiry_duration"),
    ],
    ids=str,
)
def test_a_charge_with_a_fault_is_refused_by_name(
    midtrans: httpx.Client, change: Mapping[str, object], named: str
) -> None:
    answer = midtrans.post("/v2/charge", json={**BCA, **change})
    assert (answer.status_code, answer.json()["status_code"]) == (400, "400")
    assert any(named in message for message in answer.json()["validation_messages"])
    assert midtrans.get("/v2/a/status").status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "413"),
        (b'{"payment_type": "cash"}', "400"),
        (b"[]", "400"),
    ],
)
def test_a_charge_that_is_none_is_refused(midtrans: httpx.Client, body: bytes, code: str) -> None:
    assert midtrans.post("/v2/charge", content=body).json()["status_code"] == code


def test_a_time_that_does_not_exist_is_refused(midtrans: httpx.Client) -> None:
    expiry = {"order_time": "2026-02-30 09:00:00 +0700", "expiry_duration": 1, "unit": "day"}
    assert midtrans.post("/v2/charge", json={**BCA, "custom_expiry": expiry}).json()["status_code"] == "400"


def test_a_duplicate_order_is_406_and_the_first_stays(midtrans: httpx.Client) -> None:
    first = midtrans.post("/v2/charge", json=BCA).json()
    again = midtrans.post("/v2/charge", json=QRIS)
    assert (again.status_code, again.json()["status_code"]) == (406, "406")
    assert midtrans.get("/v2/order-101/status").json()["transaction_id"] == first["transaction_id"]


def test_charges_of_one_order_at_once_make_one_order(midtrans: httpx.Client) -> None:
    together = threading.Barrier(4)

    def charge(_number: int) -> str:
        together.wait(timeout=10)
        return str(midtrans.post("/v2/charge", json=BCA).json()["status_code"])

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(charge, range(4))) == ["201", "406", "406", "406"]


def test_an_unknown_order_is_answered_as_documented(midtrans: httpx.Client) -> None:
    answer = midtrans.get("/v2/none/status")
    assert answer.status_code == 404
    assert answer.json() == {"status_code": "404", "status_message": "The requested resource is not found"}
    assert midtrans.post("/v2/none/expire").status_code == 404


def test_an_order_is_expired_once_and_never_after_it_is_paid(midtrans: httpx.Client, sandbox: SandboxServers) -> None:
    midtrans.post("/v2/charge", json=BCA)
    expired = midtrans.post("/v2/order-101/expire")
    assert (expired.status_code, expired.json()["status_code"]) == (200, "407")
    assert midtrans.post("/v2/order-101/cancel").json()["status_code"] == "412"
    midtrans.post("/v2/charge", json={**BCA, "transaction_details": {"order_id": "paid", "gross_amount": 1}})
    sandbox.sandbox.orders.move("paid", "settlement")
    assert midtrans.post("/v2/paid/expire").json()["status_code"] == "412"


@pytest.mark.parametrize(
    ("expiry", "ends"),
    [
        (None, datetime(2026, 11, 25, 2, 0, tzinfo=UTC)),
        (
            {"order_time": "2026-11-24 09:30:00 +0700", "expiry_duration": 90, "unit": "minute"},
            datetime(2026, 11, 24, 4, 0, tzinfo=UTC),
        ),
        (
            {"order_time": "2026-11-24 02:00:00 +0000", "expiry_duration": 2, "unit": "day"},
            datetime(2026, 11, 26, 2, 0, tzinfo=UTC),
        ),
    ],
    ids=["default", "minutes", "days"],
)
def test_an_order_ends_when_it_was_told_to(
    midtrans: httpx.Client, sandbox: SandboxServers, expiry: Mapping[str, object] | None, ends: datetime
) -> None:
    midtrans.post("/v2/charge", json={**BCA, **({"custom_expiry": expiry} if expiry else {})})
    order = sandbox.sandbox.orders.find("order-101")
    assert order is not None
    assert order.expires_at == ends


def test_a_status_answer_is_signed_like_a_notification(
    midtrans: httpx.Client, sandbox_credentials: Credentials
) -> None:
    midtrans.post("/v2/charge", json=BCA)
    body = midtrans.get("/v2/order-101/status").json()
    signed = f"order-10120144000.00{sandbox_credentials.server_key}"
    assert body["signature_key"] == hashlib.sha512(signed.encode()).hexdigest()


@pytest.mark.parametrize("auth", [None, ("", ""), ("another", ""), ("é", "")], ids=repr)
def test_nobody_gets_in_without_the_key(sandbox: SandboxServers, auth: tuple[str, str] | None) -> None:
    for url in (f"{sandbox.midtrans_url}/v2/x/status", f"{sandbox.iris_url}/iris/api/v1/payouts/x"):
        assert httpx.get(url, auth=auth, trust_env=False).status_code == 401


def test_the_creator_cannot_approve_its_own_payout(iris: httpx.Client) -> None:
    assert iris.post("/payouts/approve", json={"reference_nos": ["x"]}).status_code == 401


def test_the_creator_cannot_reject_either(iris: httpx.Client) -> None:
    answer = iris.post("/payouts/reject", json={"reference_nos": ["x"], "reject_reason": "no"})
    assert answer.status_code == 401


def test_a_bank_names_the_holder_of_an_account(iris: httpx.Client) -> None:
    answer = iris.get("/account_validation", params={"bank": "danamon", "account": "000001137298"})
    assert answer.status_code == 200
    assert set(answer.json()) == {"id", "account_name", "account_no", "bank_name"}
    assert (answer.json()["account_name"], answer.json()["account_no"]) == ("SITI AMINAH", "000001137298")


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ({"bank": "bca", "account": "1234569102"}, "account", "Account does not exist"),
        ({"bank": "abc", "account": "1234567890"}, "bank", "Bank is not included in the list"),
        ({"bank": "bca", "account": "12"}, "account", "account is invalid"),
        ({"bank": "bca"}, "account", "account is invalid"),
        ({"bank": "bca", "account": "1234567890", "name": "x"}, "name", "name is invalid"),
    ],
    ids=str,
)
def test_an_account_that_cannot_be_looked_up_is_refused_by_its_field(
    iris: httpx.Client, query: dict[str, str], field: str, said: str
) -> None:
    answer = iris.get("/account_validation", params=query)
    assert answer.status_code == 400
    assert answer.json()["error_message"] == "An error occured when doing account validation"
    assert answer.json()["errors"] == {field: [said]}


PAYOUT: Mapping[str, object] = {
    "beneficiary_name": "Jon Snow",
    "beneficiary_account": "1172993826",
    "beneficiary_bank": "bni",
    "amount": "100000.00",
    "notes": "Payout April 17",
}


def test_payouts_are_created_together_and_wait_for_their_approval(iris: httpx.Client) -> None:
    answer = iris.post("/payouts", json={"payouts": [PAYOUT, {**PAYOUT, "amount": "50000"}]})
    assert answer.status_code == 201
    first, second = answer.json()["payouts"]
    assert first["status"] == second["status"] == "queued"
    assert first["reference_no"] != second["reference_no"]
    details = iris.get(f"/payouts/{second['reference_no']}").json()
    assert (details["amount"], details["status"], details["bank"]) == ("50000.00", "queued", "bni")


def test_a_key_that_was_used_makes_no_other_payout(iris: httpx.Client) -> None:
    answers = [
        iris.post("/payouts", json={"payouts": [PAYOUT]}, headers={"X-Idempotency-Key": "a"}).json() for _ in range(2)
    ]
    assert answers[0] == answers[1]
    for another in ({**PAYOUT, "amount": "100001"}, {**PAYOUT, "beneficiary_account": "1172993827"}):
        refused = iris.post("/payouts", json={"payouts": [another]}, headers={"X-Idempotency-Key": "a"})
        assert (refused.status_code, refused.json()["error_message"]) == (400, "idempotency-key is not unique")
    other = iris.post("/payouts", json={"payouts": [PAYOUT]}, headers={"X-Idempotency-Key": "b"}).json()
    assert other != answers[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount": "abc"}, "Amount is not a number"),
        ({"amount": "0"}, "Amount is not a number"),
        ({"amount": "1.50"}, "Amount is not a number"),
        ({"beneficiary_bank": "abc"}, "Beneficiary bank is not included in the list"),
        ({"amount": 100000}, "amount"),
        ({"beneficiary_account": "12"}, "beneficiary_account"),
        ({"surprise": 1}, "surprise"),
    ],
    ids=str,
)
def test_a_payout_with_a_fault_is_refused_by_its_place(
    iris: httpx.Client, change: Mapping[str, object], said: str
) -> None:
    answer = iris.post("/payouts", json={"payouts": [PAYOUT, {**PAYOUT, **change}]})
    assert answer.status_code == 400
    assert answer.json()["error_message"] == "An error occurred when creating payouts"
    assert list(answer.json()["errors"]) == ["1"]
    assert said in answer.json()["errors"]["1"][0]


@pytest.mark.parametrize("path", ["/midtrans/v3/none", "/nobody", "/iris/payouts"])
def test_what_no_provider_has_is_not_found(sandbox: SandboxServers, path: str) -> None:
    root = sandbox.midtrans_url.removesuffix("/midtrans")
    assert httpx.get(root + path, trust_env=False).status_code == 404


def test_a_qris_text_carries_its_amount_and_a_checksum_that_holds() -> None:
    text = qris_text(transaction_id="0d8178e1-c6c7-4ab4-81a6-893be9d924ab", amount=275_000)
    assert "5406275000" in text
    assert int(text[-4:], 16) == crc16(text[:-4].encode())


def test_the_checksum_is_the_published_one() -> None:
    # CRC-16/CCITT-FALSE of "123456789", the check value of the catalogue of CRC algorithms.
    assert crc16(b"123456789") == 0x29B1


@pytest.mark.parametrize(
    ("language", "reads"),
    [
        ("id", "Halo Budi, pembayaran Rp500.000 sudah kami terima. Sisa utang Anda Rp0."),
        ("en", "Hello Budi, we have received your payment of Rp500.000. You still owe Rp0."),
    ],
)
def test_a_template_of_ours_reads_as_it_is_registered(
    sandbox: SandboxServers, sandbox_credentials: Credentials, language: Locale, reads: str
) -> None:
    messenger = WhatsAppMessenger(
        url=sandbox.whatsapp_url,
        phone_number_id=sandbox_credentials.whatsapp_phone_number_id,
        token=sandbox_credentials.whatsapp_token,
    )
    message = Message(
        id="ntf_1-whatsapp",
        to="+6281234567890",
        kind="payment-received",
        locale=language,
        subject="",
        body="",
        parameters=("Budi", "Rp500.000", "Rp0"),
    )
    with closing(messenger):
        messenger.send(message)
        with pytest.raises(Refused, match="132000"):
            messenger.send(replace(message, parameters=("Budi",)))
    (received,) = sandbox.sandbox.inbox.find(to=message.to, channel="whatsapp")
    assert received["body"] == reads
