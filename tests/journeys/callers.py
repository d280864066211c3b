"""Who calls while the system is fuzzed: borrowers with something in each state, a stranger, and nobody."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

from tests.authenticator import Authenticator
from tests.journeys.fuzzing import Caller

from pinjam.local.people import People
from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem

BIOMETRIC = "/api/auth/biometric"
Known = Callable[[], Mapping[str, object]]


def make_callers(system: LocalSystem, road: Road, people: People) -> list[Caller]:
    """Everybody; between them they can succeed at every operation that needs no more than calls."""

    def walker() -> Walker:
        return Walker(road, people.person(), people)

    willing, doubtful, ready, stranger, leaver, quitter = (walker() for _ in range(6))
    for one in (willing, doubtful):
        one.become_approved()
    ready.become_verified()
    for one in (stranger, leaver, quitter):
        one.register().expect(201)
    asked = {"amount": 3_000_000, "tenor_months": 6, "monthly_income": 9_000_000, "other_instalments": 0}
    offered = ("/api/loans/{id}", "/api/loans/{id}/summary", "/api/loans/{id}/withdraw")
    _enrolled(system, doubtful)
    debtor = _debtor(system, road, walker())
    return [
        debtor,
        _caller("willing", willing, {"/api/loans/{id}/accept": dict}),
        _caller("doubtful", doubtful, dict.fromkeys((*offered, f"{BIOMETRIC}/credentials/{{id}}"), dict)),
        _caller("ready", ready, {"/api/loans/apply": lambda: asked}),
        _caller("leaver", leaver, {"/api/auth/logout": dict}),
        _caller("quitter", quitter, {"/api/users/erasure": dict}),
        Caller(name="stranger", token=stranger.token, ids=debtor.ids, foreign=True),
        Caller(
            name="nobody",
            ids=debtor.ids,
            foreign=True,
            fields={"/api/auth/register": lambda: people.person().registration},
        ),
    ]


def _debtor(system: LocalSystem, road: Road, walker: Walker) -> Caller:
    """Somebody with a loan, a payment in each state, papers, notifications and passkeys."""
    loan_id = walker.become_borrower()
    walker.repay(loan_id, key="settled")
    walker.start_payment(loan_id, key="pending", bank="mandiri").expect(201)
    expired = walker.start_payment(loan_id, key="expired", bank=None).expect(201)["id"]
    road.pay_at_bank(expired, status="expire").expect(200)

    def signed(phone: Authenticator) -> dict[str, object]:
        begun = road.call("POST", f"{BIOMETRIC}/login/options", body={}).expect(200)
        return {"challenge_id": begun["challenge_id"], "credential": phone.get(begun["public_key"])}

    document_id = walker.call("GET", "/api/documents").expect(200)["documents"][0]["id"]

    def link() -> dict[str, object]:
        url = walker.call("GET", f"/api/documents/{document_id}").expect(200)["download_url"]
        return {"id": document_id, **dict(parse_qsl(urlsplit(url).query))}

    phone = _enrolled(system, walker)
    login = {"identifier": walker.person.email, "password": walker.person.password}
    refresh_token = walker.log_in(walker.person.email).expect(200)["tokens"]["refresh_token"]
    today = road.today().isoformat()
    whatsapp = {
        "hub.mode": "subscribe",
        "hub.verify_token": system.environment["PINJAM_WHATSAPP_VERIFY_TOKEN"],
        "object": "whatsapp_business_account",
    }
    owned = (
        *("/api/documents/{id}", "/api/loans/{id}/contract", "/api/notifications/{id}/read"),
        *("/api/payments/{id}", "/api/payments/webhook/midtrans"),
    )
    return _caller(
        "debtor",
        walker,
        {
            **dict.fromkeys(owned, dict),
            "/api/auth/login": lambda: login,
            "/api/auth/refresh": lambda: {"refresh_token": refresh_token},
            f"{BIOMETRIC}/enroll": lambda: _made(_device(system), walker),
            f"{BIOMETRIC}/login": lambda: signed(phone),
            "/api/documents/{id}/content": link,
            "/api/notifications/webhook/whatsapp": lambda: whatsapp,
            "/api/payments": lambda: {"amount": 50_000},
            "/api/payments/quote": lambda: {"as_of": today},
        },
    )


def _device(system: LocalSystem) -> Authenticator:
    return Authenticator(origin=f"http://localhost:{system.url.rpartition(':')[2]}", rp_id="localhost")


def _made(phone: Authenticator, walker: Walker) -> dict[str, object]:
    """A new passkey on the phone, for a challenge of its own; nothing for an account that has all that it may."""
    begun = walker.call("POST", f"{BIOMETRIC}/enroll/options").expect(200, 409)
    if "challenge_id" not in begun:
        return {}
    return {"challenge_id": begun["challenge_id"], "credential": phone.create(begun["public_key"])}


def _enrolled(system: LocalSystem, walker: Walker) -> Authenticator:
    phone = _device(system)
    body = {**_made(phone, walker), "device_name": "Pixel 9"}
    walker.call("POST", f"{BIOMETRIC}/enroll", body=body).expect(201)
    return phone


def _caller(name: str, walker: Walker, fields: Mapping[str, Known]) -> Caller:
    """The walker, with the ids that their own lists tell."""
    lists = {kind: walker.call("GET", f"/api/{kind}").expect(200) for kind in ("loans", "payments", "documents")}
    lists["notifications"] = walker.notifications().expect(200)
    lists["credentials"] = walker.call("GET", f"{BIOMETRIC}/credentials").expect(200)
    ids = {kind: [one["id"] for one in found[kind]] for kind, found in lists.items()}
    return Caller(name=name, token=walker.token, ids=ids, fields=fields)
