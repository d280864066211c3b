"""Many notifications, while three in ten calls of every provider fail: each arrives once on each of its channels.

`make soak` sends a thousand; the suite sends fewer, as real mail and HTTP take their time.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest
from tests.world import World, make_world

from pinjam.adapters.fcm import FcmMessenger
from pinjam.adapters.smtp import SmtpMessenger
from pinjam.adapters.whatsapp import WhatsAppMessenger
from pinjam.adapters.zenziva import ZenzivaMessenger
from pinjam.domain.notification import Notification
from pinjam.domain.trail import Event
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials

COUNT = int(os.environ.get("PINJAM_SOAK", "60"))
PERCENT = 30
DAY_S = 24 * 60 * 60


@pytest.fixture
def sending(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[World]:
    """A system in memory whose messages go to the sandbox's servers."""
    world, keys = make_world(), sandbox_credentials
    email = SmtpMessenger(
        host="127.0.0.1",
        port=sandbox.mail.port,
        user=keys.smtp_user,
        password=keys.smtp_password,
        sender="Pinjam <halo@pinjam.example>",
        starttls=False,
    )
    sms = ZenzivaMessenger(url=sandbox.zenziva_url, userkey=keys.zenziva_userkey, passkey=keys.zenziva_passkey)
    whatsapp = WhatsAppMessenger(
        url=sandbox.whatsapp_url, phone_number_id=keys.whatsapp_phone_number_id, token=keys.whatsapp_token
    )
    push = FcmMessenger(url=sandbox.fcm_url, project=keys.fcm_project, token=lambda: keys.fcm_token)
    with ExitStack() as open_ones:
        for one in (sms, whatsapp, push):
            open_ones.enter_context(closing(one))
        world.app.messengers = {"email": email, "sms": sms, "whatsapp": whatsapp, "push": push}
        yield world


def happened(world: World) -> Iterator[Event]:
    """So many events of one borrower with a device, of kinds that go out on one to four channels."""
    user_id = world.verified()
    world.app.devices.register(user_id, token="device:1", platform="android", actor=world.actor(user_id))
    world.pay(user_id, world.active(user_id))
    kinds = [
        world.events(topic)[0] for topic in ("loan-submitted", "loan-decided", "loan-disbursed", "payment-settled")
    ]
    for number in range(COUNT):
        event = replace(kinds[number % len(kinds)], id=f"evt_9{number:025}")
        world.put(event)
        yield event


@pytest.mark.timeout(600)
def test_each_message_arrives_once_on_each_of_its_channels(sending: World, sandbox: SandboxServers) -> None:
    world = sending
    for provider in ("email", "sms", "whatsapp", "push"):
        sandbox.sandbox.faults.set(provider, "down", percent=PERCENT)
    for event in happened(world):
        world.app.notifying.hear(event)
    started = world.clock.instant
    while world.tasks.waiting:
        world.clock.instant = max(world.clock.instant, min(one.due_at for one in world.tasks.waiting.values()))
        world.run_tasks()
    told = world.all(Notification)
    assert len(told) == COUNT
    deliveries = [delivery for one in told for delivery in one.deliveries]
    assert {delivery.status for delivery in deliveries} <= {"sent", "failed"}
    sent = Counter(delivery.channel for delivery in deliveries if delivery.status == "sent")
    assert sandbox.sandbox.inbox.copies() == sent
    # Eight failures in a row are one in fifteen thousand.
    assert sum(delivery.status == "failed" for delivery in deliveries) <= 3
    assert set(sent) == {"email", "sms", "whatsapp", "push"}
    assert sum(delivery.attempts for delivery in deliveries) > 1.3 * len(deliveries)
    assert (world.clock.instant - started).total_seconds() < DAY_S
