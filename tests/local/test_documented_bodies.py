"""The sandbox takes the bodies that the providers document, answers in their shape, and refuses everything else.

Any other client of the real thing would meet the same: these requests are posted raw, past our adapters.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.documented import (
    FCM_SEND,
    MIDTRANS_BILL,
    MIDTRANS_CHARGES,
    MIDTRANS_CREATED,
    MIDTRANS_EXPIRY,
    MIDTRANS_NOT_FOUND,
    MIDTRANS_PENDING_QRIS,
    MIDTRANS_SETTLED,
    TWILIO_CREATED,
    TWILIO_ERROR,
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

from pinjam.local.sandbox.midtrans import notification
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Where a provider's bodies go, and whether an answer refuses in its own words."""

    body: Json
    url: Callable[[SandboxServers, Credentials], str]
    headers: Callable[[Credentials], Mapping[str, str]] = lambda _keys: {}
    auth: Callable[[Credentials], httpx.Auth] = lambda _keys: httpx.Auth()
    form: bool = False
    refuses: Callable[[int, Any], bool]


def _bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _midtrans_refuses(status: int, body: Any) -> bool:
    fields = {"status_code", "status_message", "validation_messages", "id"}
    return (status, body["status_code"], set(body)) == (400, "400", fields)


def _meta_refuses(status: int, body: Any) -> bool:
    error = body["error"]
    fields = {"message", "type", "code", "error_data", "fbtrace_id"}
    return (status, error["code"], set(error), set(body)) == (400, 100, fields, {"error"})


def _google_refuses(status: int, body: Any) -> bool:
    error = body["error"]
    (detail,) = error["details"]
    return (status, error["code"], error["status"], detail["errorCode"]) == (400, 400, *["INVALID_ARGUMENT"] * 2)


PROVIDERS = {
    "midtrans": Provider(
        body=MIDTRANS_CHARGES["bca"],
        url=lambda sandbox, _keys: f"{sandbox.midtrans_url}/v2/charge",
        auth=lambda keys: httpx.BasicAuth(keys.server_key, ""),
        refuses=_midtrans_refuses,
    ),
    "whatsapp": Provider(
        body=WHATSAPP_TEMPLATE,
        url=lambda sandbox, keys: f"{sandbox.whatsapp_url}/v23.0/{keys.whatsapp_phone_number_id}/messages",
        headers=lambda keys: _bearer(keys.whatsapp_token),
        refuses=_meta_refuses,
    ),
    "fcm": Provider(
        body=FCM_SEND,
        url=lambda sandbox, keys: f"{sandbox.fcm_url}/v1/projects/{keys.fcm_project}/messages:send",
        headers=lambda keys: _bearer(keys.fcm_token),
        refuses=_google_refuses,
    ),
    "verihubs": Provider(
        body=VERIHUBS_VERIFY,
        url=lambda sandbox, _keys: f"{sandbox.ekyc_url}/data-verification/certificate-electronic/verify",
        headers=lambda keys: {"App-ID": keys.ekyc_app_id, "API-Key": keys.ekyc_api_key},
        refuses=lambda status, body: (status, set(body)) == (400, {"message", "error_code", "error_fields"}),
    ),
    "twilio": Provider(
        body=TWILIO_FORM,
        url=lambda sandbox, keys: f"{sandbox.twilio_url}/2010-04-01/Accounts/{keys.twilio_account_sid}/Messages.json",
        auth=lambda keys: httpx.BasicAuth(keys.twilio_account_sid, keys.twilio_auth_token),
        form=True,
        refuses=lambda status, body: shape(body) == shape(TWILIO_ERROR) and status == body["status"] == 400,
    ),
    "zenziva": Provider(
        body=ZENZIVA_FORM,
        url=lambda sandbox, _keys: sandbox.zenziva_url,
        form=True,
        refuses=lambda status, body: shape(body) == shape(ZENZIVA_ANSWER) and status >= 400 and body["status"] != "1",
    ),
}
ANSWERS: Mapping[str, Json] = {
    "whatsapp": WHATSAPP_ACCEPTED,
    "fcm": {"name": "projects/p/messages/1"},
    "twilio": TWILIO_CREATED,
    "zenziva": ZENZIVA_ANSWER,
}
# May be left out, as the same documents say; Mandiri's two lines are not even printed.
OPTIONAL = {
    *("recipient_type", "template.components", "validate_only", "message.data", "message.android", "message.apns"),
    *("message.android.collapse_key", "message.android.notification", "message.android.notification.channel_id"),
    *("message.android.priority", "message.android.ttl", "message.apns.headers", "message.apns.headers.apns-priority"),
    *("message.apns.payload", "message.apns.payload.aps.sound", "message.fcm_options"),
}
# Anybody's names: the keys of `data` are the app's.
FREE = {"message.data"}


Post = Callable[[str, Json], httpx.Response]


@pytest.fixture
def post(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[Post]:
    """Posts a body to the provider of that name."""
    keys = sandbox_credentials
    with httpx.Client(trust_env=False) as client:

        def send(name: str, body: Json) -> httpx.Response:
            provider = PROVIDERS[name]
            sent: dict[str, Any] = {"data": dict(body)} if provider.form else {"json": body}
            url, headers, auth = provider.url(sandbox, keys), provider.headers(keys), provider.auth(keys)
            return client.post(url, headers=headers, auth=auth, **sent)

        yield send


def _places(body: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every field of a body, as the way to it."""
    entries: Any = body.items() if isinstance(body, Mapping) else enumerate(body) if isinstance(body, list) else ()
    for name, value in entries:
        yield (*path, name)
        yield from _places(value, (*path, name))


def _named(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


def _changed(body: Json, path: tuple[str | int, ...], change: str) -> Json:
    changed = copy.deepcopy(body)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner[part]
    name = path[-1]
    if change == "extra":
        inner[f"{name}_x"] = inner[name]
    elif change == "renamed":
        inner[f"{name}_x"] = inner.pop(name)
    elif change == "another kind":
        inner[name] = {"x": 1} if isinstance(inner[name], str | int) else 7
    else:
        del inner[name]
    return changed


def _wrong() -> Iterator[Any]:
    for name, provider in PROVIDERS.items():
        for path in _places(provider.body):
            if not isinstance(path[-1], str):
                continue
            place = _named(path)
            inside_free = place.rpartition(".")[0] in FREE
            for change in ("missing", "renamed", "extra", "another kind"):
                if change == "missing" and (place in OPTIONAL or inside_free):
                    continue
                if inside_free and change != "another kind":
                    continue
                if provider.form and change == "another kind":
                    continue
                yield pytest.param(name, path, change, id=f"{name}: {place} {change}")


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_documented_request_is_taken_and_answered_in_the_documented_shape(post: Post, name: str) -> None:
    answer = post(name, PROVIDERS[name].body)
    assert answer.status_code == (201 if name == "twilio" else 200)
    if name == "midtrans":
        assert shape(answer.json()) == shape(MIDTRANS_CREATED["bca"])
    elif name == "verihubs":
        # The score is an extension, and `request_id` is Verihubs's own.
        expected = {**VERIHUBS_VERDICT, "reject_field": [], "selfie_similarity": 97, "request_id": "x"}
        assert shape(answer.json()) == shape(expected)
    else:
        assert shape(answer.json()) == shape(ANSWERS[name])


def test_no_field_may_be_missing_or_have_another_name_or_kind_and_none_be_added(
    sandbox: SandboxServers, post: Post
) -> None:
    """One test for all, on one sandbox: there are hundreds, of a few milliseconds each."""
    tried = 0
    for parameters in _wrong():
        name, path, change = parameters.values
        provider = PROVIDERS[name]
        answer = post(name, _changed(provider.body, path, change))
        assert provider.refuses(answer.status_code, answer.json()), (parameters.id, answer.status_code, answer.text)
        tried += 1
    assert tried > 150
    assert sandbox.sandbox.inbox.find() == []


@pytest.mark.parametrize("body", MIDTRANS_CHARGES.values(), ids=MIDTRANS_CHARGES)
def test_every_documented_charge_is_taken_and_answered_like_its_kind(post: Post, body: Json) -> None:
    answer = post("midtrans", body).json()
    kind = next(kind for kind, one in MIDTRANS_CHARGES.items() if one is body)
    documented = MIDTRANS_CREATED.get(kind, MIDTRANS_CREATED["bca"])
    # The text of the code is what an app draws; today's answers carry it beside its pictures.
    assert shape(answer) == shape({**documented, **({"qr_string": "0002"} if kind == "qris" else {})})
    fixed = ("status_code", "status_message", "gross_amount", "payment_type", "transaction_status", "fraud_status")
    assert {name: answer[name] for name in fixed} == {name: documented[name] for name in fixed}
    if kind == "qris":
        assert [one["name"] for one in answer["actions"]] == [one["name"] for one in documented["actions"]]


def test_what_a_documented_charge_may_have_besides_is_taken(post: Post) -> None:
    for more in (
        {**MIDTRANS_CHARGES["bni"], "custom_expiry": MIDTRANS_EXPIRY},
        {
            **MIDTRANS_CHARGES["mandiri"],
            "echannel": MIDTRANS_BILL,
            "transaction_details": {"order_id": "order-102", "gross_amount": 1},
        },
    ):
        answer = post("midtrans", more)
        assert (answer.status_code, answer.json()["status_code"]) == (200, "201")


def test_an_order_that_is_unknown_is_answered_in_the_documented_words(
    sandbox: SandboxServers, sandbox_credentials: Credentials
) -> None:
    url, auth = f"{sandbox.midtrans_url}/v2/none/status", (sandbox_credentials.server_key, "")
    assert httpx.get(url, auth=auth, trust_env=False).json() == MIDTRANS_NOT_FOUND


@pytest.mark.parametrize("kind", ["bca", "bri", "qris"])
def test_a_notification_has_the_documented_fields(
    sandbox: SandboxServers, sandbox_credentials: Credentials, post: Post, kind: str
) -> None:
    body = MIDTRANS_CHARGES[kind]
    post("midtrans", body)
    order_id = body["transaction_details"]["order_id"]
    order = sandbox.sandbox.orders.find(order_id)
    assert order is not None
    told = notification(order, sandbox_credentials.server_key)
    if kind == "qris":
        assert shape(told) == shape(MIDTRANS_PENDING_QRIS)
    told = notification(sandbox.sandbox.orders.move(order_id, "settlement"), sandbox_credentials.server_key)
    documented = MIDTRANS_SETTLED[kind]
    assert shape(told) == shape(documented)
    fixed = ("transaction_status", "status_message", "status_code", "payment_type", "fraud_status", "currency")
    assert {name: told[name] for name in fixed} == {name: documented[name] for name in fixed}


WRONG_VALUES: list[tuple[str, tuple[str | int, ...], object]] = [
    ("whatsapp", ("to",), "+6281234567890"),
    ("whatsapp", ("template", "name"), "payment-reminder"),
    ("whatsapp", ("template", "language", "code"), "xx"),
    ("whatsapp", ("template", "components", 0, "type"), "body text"),
    ("whatsapp", ("template", "components", 0, "parameters"), []),
    ("fcm", ("message", "data", "loan_id"), 1),
    ("fcm", ("message", "data"), {"from": "x"}),
    ("fcm", ("message", "data"), {"google.x": "x"}),
    ("fcm", ("message", "android", "ttl"), "12h"),
    ("fcm", ("message", "android", "priority"), "urgent"),
    ("fcm", ("message", "apns", "headers", "apns-priority"), "7"),
    ("fcm", ("message", "fcm_options", "analytics_label"), "with space"),
    ("verihubs", ("birth_date",), "2001-08-17"),
    ("verihubs", ("birth_date",), "31-02-2001"),
    ("verihubs", ("nik",), "317101570801000"),
    ("verihubs", ("phone",), "+6281200000000"),
    ("verihubs", ("ktp_photo",), "not base64!"),
    ("verihubs", ("ktp_photo",), "cGljdHVyZQ=="),
    ("verihubs", ("ktp_photo",), VERIHUBS_VERIFY["ktp_photo"][:8] + "A" * 2_000_000),
    ("verihubs", ("selfie_photo",), VERIHUBS_VERIFY["selfie_photo"][:8] + "A" * 4_000_000),
    ("twilio", ("To",), "6281234567890"),
    ("twilio", ("From",), "A NAME TOO LONG"),
    ("zenziva", ("to",), "+1 555 712 2661"),
]


def test_no_value_may_have_another_form(sandbox: SandboxServers, post: Post) -> None:
    for name, path, value in WRONG_VALUES:
        body = copy.deepcopy(PROVIDERS[name].body)
        inner: Any = body
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value
        answer = post(name, body)
        assert PROVIDERS[name].refuses(answer.status_code, answer.json()), (name, path, str(value)[:80], answer.text)
    assert sandbox.sandbox.inbox.find() == []
