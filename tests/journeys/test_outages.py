"""Each provider in turn is down for ten minutes of business time: the road goes on, nothing is lost or doubled."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pinjam.local.people import People
from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem
from pinjam.runtime.composition import install

WAIT_S = 30


@contextmanager
def down(provider: str, road: Road, system: LocalSystem) -> Iterator[None]:
    """The provider is down for what is in the block and ten minutes more, and then back for two hours."""
    road.fault(provider, "down")
    yield
    for _ in range(2):
        assert system.wait_until_quiet(WAIT_S)
        road.pass_minutes(5).expect(200)
        road.sweep().expect(200)
    assert system.wait_until_quiet(WAIT_S)
    road.fault(provider, "ok")
    for _ in range(2):
        road.pass_minutes(60).expect(200)
        road.sweep().expect(200)
        assert system.wait_until_quiet(WAIT_S)


def test_the_road_completes_with_each_provider_down_in_turn(walker: Walker, road: Road, system: LocalSystem) -> None:
    walker.register().expect(201)
    device = f"device:{walker.person.phone_e164}"
    walker.call("PUT", "/api/notifications/devices", body={"token": device, "platform": "android"}).expect(204)
    with down("ekyc", road, system):
        for kind in ("ktp", "selfie"):
            walker.upload(kind).expect(201)
    assert walker.profile().expect(200)["status"] == "verified"
    walker.change(bank_account=walker.person.bank_account, monthly_income=9_000_000, other_instalments=0).expect(200)
    with down("email", road, system):
        first = walker.apply(3_000_000, 6, key="first").expect(202)["loan"]["id"]
        assert walker.decided(first)["status"] == "approved"
    walker.call("POST", f"/api/loans/{first}/withdraw").expect(200)
    with down("sms", road, system):
        loan_id = walker.apply(3_000_000, 6, key="second").expect(202)["loan"]["id"]
        assert walker.decided(loan_id)["status"] == "approved"
    with down("payout", road, system):
        walker.accept(loan_id, key="accept").expect(200)
    assert walker.loan(loan_id).expect(200)["status"] == "active"
    with down("payment", road, system):
        assert walker.start_payment(loan_id, key="pay").status == 503
    payment = walker.start_payment(loan_id, key="pay").expect(201)
    with down("whatsapp", road, system):
        road.pay_at_bank(payment["id"]).expect(200)
    with down("push", road, system):
        rest = walker.start_payment(loan_id, key="settle", kind="settlement").expect(201)
        road.pay_at_bank(rest["id"]).expect(200)
    assert walker.loan(loan_id).expect(200)["status"] == "settled"

    told = walker.notifications(limit=100).expect(200)["notifications"]
    assert Counter(one["kind"] for one in told) >= Counter(
        {
            "identity-verified": 1,
            "application-received": 2,
            "loan-approved": 2,
            "contract-accepted": 1,
            "loan-disbursed": 1,
            "payment-received": 2,
            "loan-settled": 1,
        }
    )
    deliveries = [delivery for one in told for delivery in one["deliveries"]]
    assert {one["status"] for one in deliveries} == {"sent"}
    came = [one for to in (walker.person.email, walker.person.phone_e164, device) for one in road.inbox(to)]
    assert Counter(one["channel"] for one in came) == Counter(one["channel"] for one in deliveries)
    with psycopg.connect(system.app.settings.database_url) as connection:
        query = "SELECT status, amount FROM local_sandbox.payouts WHERE beneficiary_account = %s"
        paid = connection.execute(query, (walker.person.account_number,)).fetchall()
    assert paid == [("completed", 2_970_000)]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[LocalSystem]:
    """A system whose slow providers answer after an hour, which no test waits for."""
    with LocalSystem(tmp_path, 0, slow_provider_s=3600, durable=False) as running:
        install(running.app)
        yield running


def test_no_call_of_a_borrower_waits_for_a_provider_that_does_not_answer(held: LocalSystem, people: People) -> None:
    with Road(held.url) as road:
        walker = Walker(road, people.person(), people)
        walker.become_verified()
        walker.change(monthly_income=9_000_000, other_instalments=0).expect(200)
        for provider in ("email", "sms", "whatsapp", "push", "payout"):
            road.fault(provider, "slow")
        loan_id = walker.apply(3_000_000, 6, key="apply").expect(202)["loan"]["id"]
        assert walker.decided(loan_id)["status"] == "approved"
        assert walker.accept(loan_id, key="accept").expect(200)["loan"]["status"] == "accepted"
        assert walker.loan(loan_id).expect(200)["outstanding"] == 0
        other = Walker(road, people.person(), people)
        road.fault("ekyc", "slow")
        other.register().expect(201)
        for kind in ("ktp", "selfie"):
            other.upload(kind).expect(201)
        assert other.profile().expect(200)["status"] == "verifying"
