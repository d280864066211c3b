"""A borrower says where to hear from us, hears there, and reads."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pinjam.local.people import People
from pinjam.local.road import Reply, Road, Walker
from pinjam.local.system import LocalSystem

Check = Callable[..., dict[str, Any]]
DEVICES = "/api/notifications/devices"
PREFERENCES = "/api/notifications/preferences"
ALL = {"push": True, "email": True, "sms": True, "whatsapp": True}


def put_device(walker: Walker, token: str, platform: str = "android") -> Reply:
    return walker.call("PUT", DEVICES, body={"token": token, "platform": platform})


def test_a_borrower_hears_on_chosen_channels_and_reads(walker: Walker, road: Road) -> None:
    walker.register().expect(201)
    mine = f"device:{walker.person.phone_e164}"
    for token in (mine, f"unregistered-{walker.person.phone_e164}"):
        assert put_device(walker, token).expect(204) is None
    assert walker.call("GET", PREFERENCES).expect(200) == {"channels": ALL, "marketing": False}
    wanted = {"channels": {**ALL, "email": False, "whatsapp": False}, "marketing": True}
    for _ in range(2):
        assert walker.call("PUT", PREFERENCES, body=wanted).expect(200) == wanted
    assert walker.call("GET", PREFERENCES).expect(200) == wanted
    for kind in ("ktp", "selfie"):
        walker.upload(kind).expect(201)
    walker.checked()
    walker.change(monthly_income=9_000_000, other_instalments=0).expect(200)
    walker.decided(walker.apply(3_000_000, 6, key="apply").expect(202)["loan"]["id"])
    told = {
        one["kind"]: one
        for one in walker.told("security-new-device", "identity-verified", "application-received", "loan-approved")
    }
    reached = {
        kind: [(one["channel"], one["status"]) for one in each["deliveries"]] for kind, each in sorted(told.items())
    }
    assert reached == {
        "application-received": [],
        "identity-verified": [("email", "sent"), ("push", "sent")],
        "loan-approved": [("email", "sent"), ("sms", "sent"), ("push", "sent")],
        "security-new-device": [("email", "sent"), ("push", "sent")],
    }
    pushed = road.inbox(mine, channel="push")
    assert [(one["subject"], one["body"]) for one in pushed] == [
        (told[kind]["title"], told[kind]["body"])
        for kind in ("loan-approved", "identity-verified", "security-new-device")
    ]
    page = road.call("GET", "/sandbox/inbox", query={"to": walker.person.email}, headers={"Accept": "text/html"})
    assert page.status == 200
    assert "Pinjaman Anda disetujui" in page.content.decode()
    assert page.content.count(b"<iframe") == 3

    first = told["loan-approved"]["id"]
    for _ in range(2):
        walker.call("POST", f"/api/notifications/{first}/read").expect(204)
    assert walker.notifications().expect(200)["unread_count"] == 3
    assert first not in {one["id"] for one in walker.notifications(unread="true").expect(200)["notifications"]}
    for _ in range(2):
        walker.call("POST", "/api/notifications/read-all").expect(204)
    assert walker.notifications().expect(200)["unread_count"] == 0


def test_somebody_elses_notification_is_not_there_to_be_read(
    walker: Walker, new_walker: Callable[..., Walker], problem: Check
) -> None:
    walker.register().expect(201)
    for kind in ("ktp", "selfie"):
        walker.upload(kind).expect(201)
    (notification,) = walker.told("identity-verified")
    other = new_walker()
    other.register().expect(201)
    for id_ in (notification["id"], "ntf_none"):
        problem(other.call("POST", f"/api/notifications/{id_}/read"), 404, "not-found")
    other.call("POST", "/api/notifications/read-all").expect(204)
    assert walker.notifications().expect(200)["unread_count"] == 1


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        (DEVICES, {"platform": "ios"}, {"token": "required"}),
        (DEVICES, {"token": "", "platform": "ios"}, {"token": "too-short"}),
        (DEVICES, {"token": "x" * 1025, "platform": "ios"}, {"token": "too-long"}),
        (DEVICES, {"token": "a b", "platform": "ios"}, {"token": "invalid"}),
        (DEVICES, {"token": "a", "platform": "symbian"}, {"platform": "not-allowed"}),
        (PREFERENCES, {"channels": ALL}, {"marketing": "required"}),
        (PREFERENCES, {"channels": {**ALL, "sms": "yes"}, "marketing": False}, {"channels.sms": "wrong-type"}),
        (PREFERENCES, {"channels": {**ALL, "fax": True}, "marketing": False}, {"channels.fax": "unknown-field"}),
        (PREFERENCES, {"channels": {"sms": True}, "marketing": 1}, {
            "channels.push": "required",
            "channels.email": "required",
            "channels.whatsapp": "required",
            "marketing": "wrong-type",
        }),
    ],
    ids=str,
)  # fmt: skip
def test_a_device_or_a_choice_that_is_none_is_refused_by_field(
    walker: Walker, problem: Check, path: str, body: object, fields: dict[str, str]
) -> None:
    walker.register().expect(201)
    refused = problem(walker.call("PUT", path, body=body), 422, "invalid-fields")
    assert {one["field"]: one["code"] for one in refused["errors"]} == fields


def test_a_number_without_whatsapp_hears_by_sms(road: Road, people: People, system: LocalSystem) -> None:
    walker = Walker(road, replace(people.person(), phone="081299131026"), people)
    loan_id = walker.become_borrower()
    payment = walker.start_payment(loan_id, key="pay").expect(201)
    road.pay_at_bank(payment["id"]).expect(200)
    assert system.wait_until_quiet(30)
    road.until(
        "the SMS in the place of the WhatsApp message",
        lambda: [one["body"] for one in road.inbox(walker.person.phone_e164, channel="sms")],
        lambda texts: any("pembayaran" in text for text in texts),
    )
    (told,) = [one for one in walker.told("payment-received") if one["kind"] == "payment-received"]
    assert {one["channel"]: one["status"] for one in told["deliveries"]} == {
        "email": "sent",
        "whatsapp": "failed",
        "sms": "sent",
    }
