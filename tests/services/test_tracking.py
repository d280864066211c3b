"""What WhatsApp says became of a message: it may fail after all, or have arrived although nobody heard so."""

import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from tests.world import START, World

from pinjam.adapters.whatsapp import WhatsAppReceipts
from pinjam.domain.notification import Channel, Delivery, Notification
from pinjam.domain.trail import Event
from pinjam.services.errors import Forbidden, Invalid
from pinjam.services.ports import Unavailable

SECRET = "app-secret"
AT = int((START + timedelta(minutes=1)).timestamp())


@pytest.fixture
def paid(world: World) -> Event:
    """The event of a payment, of which a borrower hears by e-mail and WhatsApp."""
    world.app.message_receipts = WhatsAppReceipts(app_secret=SECRET, verify_token="ours")
    user_id = world.verified()
    loan_id = world.active(user_id)
    world.pay(user_id, loan_id)
    (event,) = world.events("payment-settled")
    return event


def told(world: World) -> Notification:
    (notification,) = world.notifications("payment-received")
    return notification


def copy(world: World, channel: Channel = "whatsapp") -> Delivery:
    found = told(world).delivery(channel)
    assert found is not None
    return found


def call_back(
    world: World, status: str, *, provider_id: str = "whatsapp-1", message_id: str | None = None, secret: str = SECRET
) -> None:
    one = {"id": provider_id, "status": status, "timestamp": str(AT), "recipient_id": "6281234500001"}
    one["biz_opaque_callback_data"] = f"{told(world).id}-whatsapp" if message_id is None else message_id
    more = {"errors": [{"code": 131026, "title": "Message undeliverable"}]} if status == "failed" else {}
    change = {
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "628000000000", "phone_number_id": "1"},
            "statuses": [one | more],
        },
    }
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    world.app.tracking.hear(body, signature, request_id="req_meta")
    world.run_tasks()


def test_a_message_that_arrived_is_known_to_have(world: World, paid: Event) -> None:
    world.notify(paid)
    for status in ("read", "delivered", "sent", "read"):
        call_back(world, status)
    assert (copy(world).status, copy(world).attempts) == ("sent", 1)
    assert copy(world).delivered_at == START + timedelta(minutes=1)


def test_a_message_that_fails_after_all_goes_by_sms_once(world: World, paid: Event) -> None:
    world.notify(paid)
    assert [one.channel for one in told(world).deliveries] == ["email", "whatsapp"]
    for _ in range(2):
        call_back(world, "failed")
    assert (copy(world).status, copy(world).error) == ("failed", "whatsapp: 131026")
    assert copy(world, "sms").status == "sent"
    assert len(world.messengers["sms"].sent) == 1
    assert told(world).undelivered_at is not None


def test_who_wants_no_sms_gets_none(world: World, paid: Event) -> None:
    world.notify(paid)
    world.app.preferring.choose(
        told(world).user_id,
        channels={"push": True, "email": True, "sms": False, "whatsapp": True},
        marketing=False,
        actor=world.actor(told(world).user_id),
    )
    call_back(world, "failed")
    assert copy(world).status == "failed"
    assert world.messengers["sms"].sent == []


def test_a_message_whose_answer_was_lost_is_not_sent_again_once_it_is_known_to_have_arrived(
    world: World, paid: Event
) -> None:
    world.messengers["whatsapp"].down = True
    world.notify(paid)
    assert copy(world).status == "pending"
    call_back(world, "delivered", provider_id="wamid.1")
    world.messengers["whatsapp"].down = False
    world.pass_days(1)
    world.run_tasks()
    assert (copy(world).status, copy(world).provider_id) == ("sent", "wamid.1")
    assert world.messengers["whatsapp"].sent == []


def test_what_is_said_of_an_earlier_try_changes_nothing(world: World, paid: Event) -> None:
    world.notify(paid)
    call_back(world, "failed", provider_id="wamid.earlier")
    assert copy(world).status == "sent"


def test_a_forged_callback_changes_nothing(world: World, paid: Event) -> None:
    world.notify(paid)
    before = told(world)
    with pytest.raises(Forbidden):
        call_back(world, "failed", secret="guessed")
    assert told(world) == before


@pytest.mark.parametrize("message_id", ["", "ntf_nothing-whatsapp", "ntf_nothing-pigeon"])
def test_a_status_of_no_message_of_ours_is_harmless(world: World, paid: Event, message_id: str) -> None:
    world.notify(paid)
    before = told(world)
    call_back(world, "failed", message_id=message_id)
    assert told(world) == before


def test_a_genuine_body_that_is_not_a_callback_is_refused(world: World, paid: Event) -> None:
    world.notify(paid)
    body = b"[]"
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    with pytest.raises(Invalid) as refused:
        world.app.tracking.hear(body, signature, request_id="req_meta")
    assert [(one.field, one.code) for one in refused.value.fields] == [("entry", "invalid")]


def test_a_callback_is_not_taken_while_the_sms_is_not_safely_kept(world: World, paid: Event) -> None:
    world.notify(paid)
    world.tasks.down = True
    with pytest.raises(Unavailable):
        call_back(world, "failed")
    world.tasks.down = False
    call_back(world, "failed")
    assert len(world.messengers["sms"].sent) == 1


@pytest.mark.usefixtures("paid")
def test_only_who_knows_the_token_gets_the_challenge_back(world: World) -> None:
    answer = world.app.tracking.answer_challenge(mode="subscribe", verify_token="ours", challenge="42")
    assert answer == "42"
    with pytest.raises(Forbidden):
        world.app.tracking.answer_challenge(mode="subscribe", verify_token="theirs", challenge="42")
