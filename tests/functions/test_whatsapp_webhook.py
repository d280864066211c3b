"""Meta's webhook: a challenge answered in plain text, and signed callbacks."""

import hashlib
import hmac

import pytest
from tests.functions.conftest import Functions

from pinjam.adapters.whatsapp import WhatsAppReceipts

PATH = "/api/notifications/webhook/whatsapp"
BODY = b'{"object": "whatsapp_business_account",  "entry": []}'


@pytest.fixture(autouse=True)
def _receipts(functions: Functions) -> None:
    functions.world.app.message_receipts = WhatsAppReceipts(app_secret="secret", verify_token="ours")


def test_the_challenge_comes_back_as_it_was(functions: Functions) -> None:
    asked = f"{PATH}?hub.mode=subscribe&hub.verify_token=ours&hub.challenge=1158201444"
    answer = functions.clients["notifications"].get(asked)
    assert (answer.status_code, answer.mimetype, answer.text) == (200, "text/plain", "1158201444")


def test_a_stranger_gets_no_challenge_back(functions: Functions) -> None:
    asked = f"{PATH}?hub.mode=subscribe&hub.verify_token=theirs&hub.challenge=1"
    answer = functions.call("notifications", "GET", asked)
    assert (answer.status_code, answer.json["code"]) == (403, "bad-signature")


def test_a_challenge_that_lacks_something_names_the_field(functions: Functions) -> None:
    answer = functions.call("notifications", "GET", f"{PATH}?hub.mode=subscribe&hub.challenge=1")
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json["errors"]] == ["hub.verify_token"]


@pytest.mark.parametrize(("secret", "status"), [("secret", 204), ("guessed", 403)])
def test_only_signed_callbacks_are_taken_in(functions: Functions, secret: str, status: int) -> None:
    signed = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signed}"}
    answer = functions.call("notifications", "POST", PATH, headers=headers, data=BODY, content_type="application/json")
    assert answer.status_code == status
