"""The functions behind real push subscriptions: Google's emulator of Pub/Sub brings what the system publishes."""

from collections.abc import Mapping
from contextlib import closing

import pytest
from flask import Flask
from tests.functions.conftest import Functions
from tests.world import picture

from pinjam.adapters.pubsub import PubSubPublisher
from pinjam.domain.loan import LoanStatus
from pinjam.domain.notification import Notification
from pinjam.domain.user import UserStatus
from pinjam.local.dispatch import PushSettings
from pinjam.local.emulators.pubsub import PubSubEmulator
from pinjam.local.emulators.push_door import PushDoor
from pinjam.local.emulators.topics import Topics
from pinjam.local.functions import EVENT_FUNCTIONS
from pinjam.local.gateway import mount
from pinjam.local.servers import WsgiServer

QUIET_S = 40


def test_a_loan_goes_from_the_application_to_the_payout(
    functions: Functions, apps: Mapping[str, Flask], pubsub_emulator: PubSubEmulator, lines: pytest.LogCaptureFixture
) -> None:
    world, project, url = functions.world, "pinjam-functions", f"http://{pubsub_emulator.host}"
    events = {name: app.wsgi_app for name, app in apps.items() if name in EVENT_FUNCTIONS}
    door = PushDoor(mount(events, token="shown"), push_token="hard-to-guess", token="shown")
    with WsgiServer(door) as server, closing(PubSubPublisher(project=project, url=url)) as publisher:
        topics = Topics(
            url=url, project=project, functions_url=server.url, door=door, push=PushSettings(first_pause_s=0)
        ).create()

        def bring_all() -> None:
            while fresh := world.publisher.events[world.delivered :]:
                world.delivered += len(fresh)
                # Twice, as Pub/Sub may.
                publisher.publish([*fresh, *fresh])
                assert topics.wait_until_quiet(QUIET_S)

        user = world.register()
        account = {"bank_code": "bca", "account_number": "1234567890", "account_name": "SITI"}
        functions.call("profile", "PATCH", "/api/users/profile", {"bank_account": account}, user=user.id)
        world.upload(user.id, "ktp", picture(1))
        world.upload(user.id, "selfie", picture(2))
        bring_all()
        assert world.user(user.id).status is UserStatus.VERIFIED
        loan_id = world.apply(user.id)
        bring_all()
        assert world.loan(loan_id).status is LoanStatus.APPROVED
        world.accept(user.id, loan_id)
        bring_all()
        assert topics.dead_letters() == []
        topics.stop()
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    assert world.payouts.paid == [2_970_000]
    assert sorted(one.kind for one in world.all(Notification)) == [
        "application-received",
        "contract-accepted",
        "identity-verified",
        "loan-approved",
        "loan-disbursed",
    ]
    assert [one.message for one in lines.records if one.levelname in {"WARNING", "ERROR"}] == []
