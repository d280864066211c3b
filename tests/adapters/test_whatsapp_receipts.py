"""What Meta calls back with, read: genuine or not, and what became of the messages."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.documented import WHATSAPP_ERROR, WHATSAPP_PRICING, Json, whatsapp_callback

from pinjam.adapters.whatsapp import WhatsAppReceipts
from pinjam.services.messaging import MessageReceipts, MessageStatus
from pinjam.services.ports import ForgedNotification

AT = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
RECEIPTS: MessageReceipts = WhatsAppReceipts(app_secret="app-secret", verify_token="hub-token")
"""As long as the secret is the one with which the tests sign."""


def signed(raw: bytes, secret: str = "app-secret") -> str:
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def read(body: Json) -> tuple[MessageStatus, ...]:
    raw = json.dumps(body).encode()
    return RECEIPTS.read_statuses(raw, signed(raw))


@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_a_status_is_read_from_the_documented_callback(status: Any) -> None:
    (told,) = read(whatsapp_callback(status=status, pricing=WHATSAPP_PRICING))
    assert told == MessageStatus(provider_id="wamid.EXAMPLE", status=status, at=AT)


def test_a_failure_says_why_and_whose_message_it_is() -> None:
    body = whatsapp_callback(status="failed", errors=[WHATSAPP_ERROR], biz_opaque_callback_data="ntf_1-whatsapp")
    (told,) = read(body)
    assert told == MessageStatus(
        provider_id="wamid.EXAMPLE", status="failed", at=AT, message_id="ntf_1-whatsapp", error="131050"
    )


def test_a_failure_without_a_reason_is_still_one() -> None:
    (told,) = read(whatsapp_callback(status="failed"))
    assert (told.status, told.error) == ("failed", None)


def test_a_callback_may_tell_of_many_messages() -> None:
    one, other = whatsapp_callback(id="wamid.1"), whatsapp_callback(id="wamid.2", status="read")
    both = {**one, "entry": [*one["entry"], *other["entry"]]}
    assert [(told.provider_id, told.status) for told in read(both)] == [("wamid.1", "delivered"), ("wamid.2", "read")]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(whatsapp_callback(status="played"), id="a status of voice messages"),
        pytest.param(whatsapp_callback(status="deleted"), id="a status of later versions"),
        pytest.param(
            {
                "object": "whatsapp_business_account",
                "entry": [{"id": "1", "changes": [{"field": "messages", "value": {"messages": [{"id": "wamid.2"}]}}]}],
            },
            id="somebody writes to us",
        ),
        pytest.param(
            {
                "object": "whatsapp_business_account",
                "entry": [{"id": "1", "changes": [{"field": "account_update", "value": {"event": "x"}}]}],
            },
            id="news of the account",
        ),
    ],
)
def test_what_is_not_about_our_messages_is_no_status(body: Json) -> None:
    assert read(body) == ()


RAW = json.dumps(whatsapp_callback()).encode()


@pytest.mark.parametrize(
    "signature",
    ["", "sha256=", signed(RAW).removeprefix("sha256="), signed(RAW, "another"), signed(RAW + b" "), "sha1=é"],
    ids=["none", "empty", "without its kind", "of another app", "of another body", "no signature at all"],
)
def test_a_callback_that_meta_did_not_sign_is_forged(signature: str) -> None:
    with pytest.raises(ForgedNotification):
        RECEIPTS.read_statuses(RAW, signature)


@given(place=st.integers(0, len(RAW) - 1), byte=st.integers(0, 255))
def test_no_byte_of_a_signed_callback_can_be_changed(place: int, byte: int) -> None:
    changed = RAW[:place] + bytes([byte]) + RAW[place + 1 :]
    if changed != RAW:
        with pytest.raises(ForgedNotification):
            RECEIPTS.read_statuses(changed, signed(RAW))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        json.dumps({**whatsapp_callback(), "object": "page"}).encode(),
        json.dumps(whatsapp_callback(timestamp="soon")).encode(),
        json.dumps(whatsapp_callback(timestamp="9" * 12)).encode(),
        json.dumps(whatsapp_callback(id="")).encode(),
        json.dumps(whatsapp_callback(id=None)).encode(),
    ],
    ids=repr,
)
def test_a_signed_body_that_is_no_callback_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        RECEIPTS.read_statuses(raw, signed(raw))


def test_metas_challenge_is_answered_if_it_knows_the_token() -> None:
    assert RECEIPTS.answer_challenge(mode="subscribe", verify_token="hub-token", challenge="1158201444") == "1158201444"


@pytest.mark.parametrize(
    ("mode", "verify_token"),
    [("subscribe", "another"), ("subscribe", ""), ("subscribe", "hub-token "), ("unsubscribe", "hub-token"), ("", "é")],
)
def test_nobody_else_gets_an_answer_to_a_challenge(mode: str, verify_token: str) -> None:
    with pytest.raises(ForgedNotification):
        RECEIPTS.answer_challenge(mode=mode, verify_token=verify_token, challenge="1")
