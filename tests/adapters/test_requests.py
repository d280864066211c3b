"""What the adapters really send, byte by byte at a bare server, is what the providers' documents print."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from tests.documented import (
    FCM_SEND,
    MIDTRANS_BILL,
    MIDTRANS_CHARGES,
    MIDTRANS_CREATED,
    MIDTRANS_EXPIRY,
    TWILIO_CREATED,
    TWILIO_FORM,
    VERIHUBS_VERDICT,
    VERIHUBS_VERIFY,
    WHATSAPP_ACCEPTED,
    WHATSAPP_TEMPLATE,
    ZENZIVA_ANSWER,
    ZENZIVA_FORM,
    Json,
    shape,
)

from pinjam.adapters.ekyc import VerihubsCheck
from pinjam.adapters.fcm import FcmMessenger
from pinjam.adapters.midtrans import MidtransGateway
from pinjam.adapters.twilio import TwilioMessenger
from pinjam.adapters.whatsapp import WhatsAppMessenger
from pinjam.adapters.zenziva import ZenzivaMessenger
from pinjam.domain.payment import Bank, Method
from pinjam.local.servers import WsgiServer
from pinjam.services.messaging import Message
from pinjam.services.ports import IdentityClaim

NOW = datetime(2016, 12, 7, 4, 54, 12, tzinfo=UTC)
MESSAGE = Message(
    id="ntf_1-push",
    to="+6281234567890",
    kind="payment-reminder-v1",
    locale="id",
    subject="Cicilan jatuh tempo",
    body=TWILIO_FORM["Body"],
    parameters=("Budi", "Rp1.150.000", "24 November 2026"),
    data={"loan_id": "loan_1"},
)


@dataclass
class Listener:
    """A server that answers everything alike and keeps the last request."""

    answer: Json
    url: str = ""
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] | None = None
    content: bytes = b""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.method, self.path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.content = environ["wsgi.input"].read()
        kept = {name.removeprefix("HTTP_"): str(value) for name, value in environ.items() if name.startswith("HTTP_")}
        self.headers = {**kept, "CONTENT_TYPE": environ.get("CONTENT_TYPE", "")}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self.answer).encode()]

    @property
    def json(self) -> Any:
        assert self.header("Content-Type") == "application/json"
        return json.loads(self.content)

    @property
    def form(self) -> dict[str, str]:
        assert self.header("Content-Type") == "application/x-www-form-urlencoded"
        fields = parse_qsl(self.content.decode(), keep_blank_values=True, strict_parsing=True)
        assert len(dict(fields)) == len(fields)
        return dict(fields)

    def header(self, name: str) -> str:
        assert self.headers is not None
        return self.headers.get(name.upper().replace("-", "_"), "")


@pytest.fixture
def listen() -> Iterator[Callable[[Json], Listener]]:
    running: list[WsgiServer] = []

    def start(answer: Json) -> Listener:
        listener = Listener(answer)
        server = WsgiServer(listener, threads=1).start()
        running.append(server)
        listener.url = server.url
        return listener

    yield start
    for server in running:
        server.stop()


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def charged(listener: Listener, method: Method, documented: Json) -> Any:
    """The body of the adapter's charge for what the documented one is for."""
    details = documented["transaction_details"]
    with closing(MidtransGateway(url=listener.url, server_key="SB-Mid-server-TESTONLY")) as gateway:
        gateway.charge(
            order_id=details["order_id"],
            amount=details["gross_amount"],
            method=method,
            expires_at=NOW + timedelta(minutes=60),
            now=NOW,
        )
    assert (listener.method, listener.path) == ("POST", "/v2/charge")
    assert listener.header("Accept") == "application/json"
    assert listener.header("Authorization") == basic("SB-Mid-server-TESTONLY")
    return listener.json


@pytest.mark.parametrize("bank", ["bca", "bni", "bri", "cimb", "permata"])
def test_a_charge_by_virtual_account_is_the_documented_one(listen: Callable[[Json], Listener], bank: Bank) -> None:
    documented = MIDTRANS_CHARGES[bank]
    created = MIDTRANS_CREATED.get(bank) or {
        **MIDTRANS_CREATED["bca"],
        "va_numbers": [{"bank": bank, "va_number": "1"}],
    }
    listener = listen({**created, "order_id": "order-101"})
    sent = charged(listener, Method(type="bank_transfer", bank=bank), documented)
    assert sent == {**documented, "custom_expiry": MIDTRANS_EXPIRY}


def test_a_charge_by_mandiri_bill_is_the_documented_one(listen: Callable[[Json], Listener]) -> None:
    documented = MIDTRANS_CHARGES["mandiri"]
    listener = listen({**MIDTRANS_CREATED["mandiri"], "order_id": "order-101"})
    sent = charged(listener, Method(type="bank_transfer", bank="mandiri"), documented)
    assert shape(sent.pop("echannel")) == shape(MIDTRANS_BILL)
    assert sent == {**documented, "custom_expiry": MIDTRANS_EXPIRY}


def test_a_charge_by_qris_is_the_documented_one_without_what_may_be_left_out(
    listen: Callable[[Json], Listener],
) -> None:
    documented = MIDTRANS_CHARGES["qris"]
    sent = charged(listen({**MIDTRANS_CREATED["qris"], "order_id": "order03"}), Method(type="qris"), documented)
    optional = {"item_details", "customer_details"}
    required = {name: value for name, value in documented.items() if name not in optional}
    assert sent == {**required, "custom_expiry": MIDTRANS_EXPIRY}


def test_a_whatsapp_message_is_the_documented_one_with_our_own_id(listen: Callable[[Json], Listener]) -> None:
    listener = listen(WHATSAPP_ACCEPTED)
    with closing(WhatsAppMessenger(url=listener.url, phone_number_id="1", token="t", version="v23.0")) as messenger:
        assert messenger.send(MESSAGE) == "wamid.EXAMPLE"
    assert (listener.method, listener.path) == ("POST", "/v23.0/1/messages")
    assert listener.header("Authorization") == "Bearer t"
    # developers.facebook.com, webhooks, status messages: it comes back with every status.
    assert listener.json == {**WHATSAPP_TEMPLATE, "biz_opaque_callback_data": MESSAGE.id}


def test_a_push_message_has_only_fields_that_are_documented(listen: Callable[[Json], Listener]) -> None:
    listener = listen({"name": "projects/p/messages/1"})
    with closing(FcmMessenger(url=listener.url, project="p", token=lambda: "t")) as messenger:
        messenger.send(replace(MESSAGE, to="DEVICE_TOKEN"))
    assert (listener.method, listener.path) == ("POST", "/v1/projects/p/messages:send")
    assert listener.header("Authorization") == "Bearer t"
    sent, documented = listener.json["message"], json.loads(json.dumps(FCM_SEND["message"]))
    assert sent.pop("data") == {"loan_id": "loan_1"}
    del documented["data"]
    # The same reference names the tag and APNs's collapse id, by which a device shows a repeat once; the channel is
    # the app's own to choose.
    assert sent["android"]["notification"].pop("tag") == MESSAGE.id
    assert sent["apns"]["headers"].pop("apns-collapse-id") == MESSAGE.id
    del documented["android"]["notification"]["channel_id"]
    assert shape(sent) == shape(documented)
    assert sent["notification"] == {"title": MESSAGE.subject, "body": MESSAGE.body}
    assert (sent["token"], sent["fcm_options"]) == ("DEVICE_TOKEN", {"analytics_label": MESSAGE.kind})


def test_an_identity_check_is_the_documented_one(listen: Callable[[Json], Listener]) -> None:
    listener = listen(VERIHUBS_VERDICT)
    picture = base64.b64decode(VERIHUBS_VERIFY["ktp_photo"])
    claim = IdentityClaim(
        reference="ref-1",
        nik=VERIHUBS_VERIFY["nik"],
        full_name=VERIHUBS_VERIFY["name"],
        birth_date=date(2001, 8, 17),
        email=VERIHUBS_VERIFY["email"],
        phone="+6281200000000",
        ktp_image=picture,
        selfie_image=picture,
    )
    with closing(VerihubsCheck(url=listener.url, app_id="app", api_key="key")) as check:
        outcome = {one.name: one.outcome for one in check.check(claim)}
    assert outcome["birth_date"] == "fail"
    assert (listener.method, listener.path) == ("POST", "/data-verification/certificate-electronic/verify")
    assert (listener.header("App-ID"), listener.header("API-Key")) == ("app", "key")
    assert listener.json == VERIHUBS_VERIFY


def test_an_sms_by_twilio_is_the_documented_form(listen: Callable[[Json], Listener]) -> None:
    listener = listen(TWILIO_CREATED)
    account = str(TWILIO_CREATED["account_sid"])
    with closing(
        TwilioMessenger(url=listener.url, account_sid=account, auth_token="t", sender="+15557122661")
    ) as messenger:
        assert messenger.send(MESSAGE) == TWILIO_CREATED["sid"]
    assert (listener.method, listener.path) == ("POST", f"/2010-04-01/Accounts/{account}/Messages.json")
    assert listener.header("Authorization") == basic(account, "t")
    assert listener.form == TWILIO_FORM


def test_an_sms_by_twilio_may_leave_the_sender_to_a_messaging_service(listen: Callable[[Json], Listener]) -> None:
    listener = listen(TWILIO_CREATED)
    service = f"MG{1:032x}"
    with closing(TwilioMessenger(url=listener.url, account_sid="AC1", auth_token="t", sender=service)) as messenger:
        messenger.send(MESSAGE)
    assert listener.form == {"To": MESSAGE.to, "MessagingServiceSid": service, "Body": MESSAGE.body}


def test_an_sms_by_zenziva_is_the_documented_form(listen: Callable[[Json], Listener]) -> None:
    listener = listen(ZENZIVA_ANSWER)
    with closing(ZenzivaMessenger(url=f"{listener.url}/sms", userkey="userkey", passkey="passkey")) as messenger:
        assert messenger.send(MESSAGE) == "1"
    assert (listener.method, listener.path) == ("POST", "/sms")
    assert listener.form == {**ZENZIVA_FORM, "to": "6281234567890"}
