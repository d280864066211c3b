"""A small HTTP client that walks the road from sign-up to the last instalment, as the app does.

The demonstration and the journey tests share it. A step answers what came; `Reply.expect` and the waits
raise Unexpected, which names the step, what was expected and what came.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx

from pinjam.adapters.authorities import trusted_authorities
from pinjam.local.people import People, Person

T = TypeVar("T")
Json = dict[str, Any]
File = tuple[str, bytes, str]
"""A file's name, its bytes and the content type that the client claims."""

STATEMENTS = 6
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.25
_SHOWN_CHARACTERS = 300
_MEANWHILE = frozenset({"registered", "verifying", "submitted", "accepted", "disbursing"})
"""States that end by themselves."""


class Unexpected(Exception):
    """Something else came than was expected."""

    def __init__(self, step: str, *, expected: object, came: object) -> None:
        super().__init__(f"{step}: expected {expected}, but {came} came")
        self.step = step
        self.expected = expected
        self.came = came


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One exchange, as the client saw it."""

    method: str
    path: str
    status: int
    headers: httpx.Headers
    content: bytes
    ms: float

    @property
    def body(self) -> Any:
        """The JSON in the answer; None for an empty one."""
        return json.loads(self.content) if self.content else None

    def expect(self, *statuses: int) -> Any:
        """The body, if the status is one of these. Unexpected otherwise."""
        if self.status not in statuses:
            came = f"{self.status} {self.content[:_SHOWN_CHARACTERS].decode(errors='replace')}"
            raise Unexpected(f"{self.method} {self.path}", expected=" or ".join(map(str, statuses)), came=came)
        return self.body


class Listener(Protocol):
    """Is told what happens on the road."""

    def called(self, reply: Reply) -> None:
        """A call was answered."""
        ...

    def waiting(self, what: str, seconds: float) -> None:
        """Something has been waited for so long; told at the beginning and then at each look."""
        ...


class Road:
    """The system at `url`, over HTTP. `language` is the caller's Accept-Language."""

    def __init__(
        self, url: str, *, language: str = "id", listener: Listener | None = None, patience_s: float = 30
    ) -> None:
        self._client = httpx.Client(base_url=url, timeout=patience_s, verify=trusted_authorities(), trust_env=False)
        self._language = language
        self._listener = listener
        self._patience_s = patience_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        key: str | None = None,
        body: object = None,
        content: bytes | None = None,
        fields: Mapping[str, str] | None = None,
        files: list[tuple[str, File]] | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        quietly: bool = False,
    ) -> Reply:
        """One exchange; `body` goes as JSON, `content` as it is, `fields` and `files` as a form."""
        sent = {"Accept-Language": self._language}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if key is not None:
            sent["Idempotency-Key"] = key
        sent |= headers or {}
        started = time.perf_counter()
        answer = self._client.request(
            method, path, headers=sent, json=body, content=content, data=fields, files=files, params=query
        )
        reply = Reply(
            method=method,
            path=path,
            status=answer.status_code,
            headers=answer.headers,
            content=answer.content,
            ms=(time.perf_counter() - started) * 1000,
        )
        if self._listener is not None and not quietly:
            self._listener.called(reply)
        return reply

    def until(self, what: str, ask: Callable[[], T], good: Callable[[T], bool], *, within_s: float = 0) -> T:
        """Ask until the answer is good, and answer it. Unexpected after `within_s`, by default the road's patience."""
        started, pause = time.monotonic(), _FIRST_PAUSE_S
        limit = within_s or self._patience_s
        while True:
            waited = time.monotonic() - started
            if self._listener is not None:
                self._listener.waiting(what, waited)
            answer = ask()
            if good(answer):
                return answer
            if waited > limit:
                raise Unexpected(what, expected=f"it within {limit:.0f} s", came=_short(answer))
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    # What a developer does to the world around the system

    def inbox(self, to: str, *, channel: str | None = None) -> list[dict[str, str]]:
        """The messages that a person has got, newest first."""
        query = {"to": to} | ({"channel": channel} if channel else {})
        messages: list[dict[str, str]] = self.call("GET", "/sandbox/inbox", query=query, quietly=True).expect(200)
        return messages

    def pay_at_bank(self, payment_id: str, *, status: str = "settlement", duplicates: int = 0) -> Reply:
        """The borrower pays, and the payment gateway says so, perhaps more than once."""
        body = {"transaction_status": status, "duplicates": duplicates}
        return self.call("POST", f"/sandbox/payments/{payment_id}/pay", body=body)

    def end_payout(self, payout_id: str, *, status: str = "completed", notifications: int = 1) -> Reply:
        """The bank ends a payout that is on its way, and the payout gateway says so, or does not."""
        body = {"status": status, "notifications": notifications}
        return self.call("POST", f"/sandbox/payouts/{payout_id}/end", body=body)

    def today(self) -> date:
        """The business date."""
        return date.fromisoformat(self.call("GET", "/sandbox/clock", quietly=True).expect(200)["date"])

    def pass_minutes(self, minutes: int) -> Reply:
        """Move the business time on."""
        return self.call("POST", "/sandbox/clock", body={"advance_minutes": minutes})

    def set_date(self, day: date, *, hour: int | None = None) -> Reply:
        """Move the business date, perhaps to an hour in Jakarta."""
        body: Json = {"set": day.isoformat()} | ({} if hour is None else {"hour": hour})
        return self.call("POST", "/sandbox/clock", body=body)

    def sweep(self) -> Reply:
        """Run what the scheduler runs."""
        return self.call("POST", "/sandbox/sweep")

    def fault(self, provider: str, mode: str, *, times: int | None = None) -> None:
        """Make a provider misbehave, or `ok` again."""
        body: dict[str, object] = {"provider": provider, "mode": mode}
        if times is not None:
            body["times"] = times
        self.call("POST", "/sandbox/faults", body=body).expect(200)


class Walker:
    """One person on the road; `token` is set by `register` and `log_in`."""

    def __init__(self, road: Road, person: Person, people: People) -> None:
        self.road = road
        self.person = person
        self.people = people
        self.token: str | None = None

    def call(self, method: str, path: str, **given: Any) -> Reply:
        """One exchange as this person; the arguments are those of `Road.call`."""
        return self.road.call(method, path, **{"token": self.token, **given})

    def register(self) -> Reply:
        """Sign up."""
        return self._authenticated(self.road.call("POST", "/api/auth/register", body=self.person.registration))

    def log_in(self, identifier: str, password: str | None = None) -> Reply:
        """Log in by e-mail address or phone number."""
        body = {"identifier": identifier, "password": password or self.person.password}
        return self._authenticated(self.road.call("POST", "/api/auth/login", body=body))

    def upload(self, kind: str, picture: bytes | None = None, *, claims: str = "image/jpeg") -> Reply:
        """Send a paper; a new picture, unless one is given."""
        content = self.people.picture() if picture is None else picture
        files = [("file", (f"{kind}.jpg", content, claims))]
        return self.call("POST", "/api/documents/upload", fields={"kind": kind}, files=files)

    def profile(self, *, quietly: bool = False) -> Reply:
        """Look at the profile."""
        return self.call("GET", "/api/users/profile", quietly=quietly)

    def change(self, **fields: object) -> Reply:
        """Change the profile."""
        return self.call("PATCH", "/api/users/profile", body=fields)

    def quote(self, amount: int, tenor_months: int) -> Reply:
        """Ask for a price."""
        return self.call("GET", "/api/loans/quote", query={"amount": amount, "tenor_months": tenor_months})

    def apply(self, amount: int, tenor_months: int, *, key: str, **more: object) -> Reply:
        """Apply for a loan."""
        body = {"amount": amount, "tenor_months": tenor_months, "purpose": "education", "consent": True, **more}
        return self.call("POST", "/api/loans/apply", key=key, body=body)

    def loan(self, loan_id: str, *, quietly: bool = False) -> Reply:
        """Look at a loan."""
        return self.call("GET", f"/api/loans/{loan_id}", quietly=quietly)

    def accept(self, loan_id: str, *, key: str) -> Reply:
        """Accept an offer, every statement understood."""
        body = {"consent": True, "statements": [True] * STATEMENTS}
        return self.call("POST", f"/api/loans/{loan_id}/accept", key=key, body=body)

    def start_payment(
        self, loan_id: str, *, key: str, kind: str = "instalment", amount: int | None = None, bank: str | None = "bca"
    ) -> Reply:
        """Start a payment by virtual account, or by QRIS without a bank; `amount` for a partial one."""
        method = {"type": "qris"} if bank is None else {"type": "bank_transfer", "bank": bank}
        body: Json = {"loan_id": loan_id, "kind": kind, "method": method}
        if amount is not None:
            body["amount"] = amount
        return self.call("POST", "/api/payments", key=key, body=body)

    def bill(self, loan_id: str, *, kind: str = "instalment", as_of: date | None = None) -> Reply:
        """Simulate a bill, of today or of another day."""
        query = {"loan_id": loan_id, "kind": kind} | ({"as_of": as_of.isoformat()} if as_of else {})
        return self.call("GET", "/api/payments/quote", query=query)

    def payment(self, payment_id: str) -> Reply:
        """Look at a payment."""
        return self.call("GET", f"/api/payments/{payment_id}")

    def notifications(self, *, quietly: bool = False, **query: str | int) -> Reply:
        """Look at the list of notifications."""
        return self.call("GET", "/api/notifications", query=query, quietly=quietly)

    def _authenticated(self, reply: Reply) -> Reply:
        if reply.status in (httpx.codes.OK, httpx.codes.CREATED):
            self.token = reply.body["tokens"]["id_token"]
        return reply

    # Waits

    def checked(self) -> Json:
        """The profile, once the identity check has ended."""
        found: Json = self.road.until("the identity check", lambda: self.profile(quietly=True).expect(200), _rests)
        return found

    def decided(self, loan_id: str) -> Json:
        """The loan, once it is decided."""
        return self._settled_down("the decision", loan_id)

    def disbursed(self, loan_id: str) -> Json:
        """The loan, once the money is at the bank, or would not go there."""
        return self._settled_down("the money", loan_id)

    def told(self, *kinds: str) -> list[Json]:
        """The notifications, newest first, once those kinds (each as often as named) are there and delivered."""
        wanted = Counter(kinds)
        return self.road.until(
            f"the notifications {', '.join(wanted)}",
            lambda: self.notifications(quietly=True, limit=100).expect(200)["notifications"],
            lambda found: wanted <= Counter(one["kind"] for one in found) and all(map(_delivered, found)),
        )

    def _settled_down(self, what: str, loan_id: str) -> Json:
        found: Json = self.road.until(what, lambda: self.loan(loan_id, quietly=True).expect(200), _rests)
        return found

    # Stretches of the road

    def become_verified(self) -> Json:
        """Sign up, send both pictures, wait, and give a bank account; the profile."""
        self.register().expect(201)
        for kind in ("ktp", "selfie"):
            self.upload(kind).expect(201)
        status = self.checked()["status"]
        if status != "verified":
            raise Unexpected("the identity check", expected="verified", came=status)
        income = {"monthly_income": 9_000_000, "other_instalments": 0}
        profile: Json = self.change(**income, bank_account=self.person.bank_account).expect(200)
        return profile

    def repay(
        self, loan_id: str, *, key: str, kind: str = "instalment", amount: int | None = None, bank: str | None = "bca"
    ) -> Json:
        """Start a payment, pay it at the bank, and look at it again."""
        started = self.start_payment(loan_id, key=key, kind=kind, amount=amount, bank=bank).expect(201)
        self.road.pay_at_bank(started["id"]).expect(200)
        paid: Json = self.payment(started["id"]).expect(200)
        return paid

    def become_approved(self, amount: int = 3_000_000, tenor_months: int = 6) -> str:
        """From sign-up to an offer; the loan's id."""
        self.become_verified()
        loan_id: str = self.apply(amount, tenor_months, key="apply").expect(202)["loan"]["id"]
        _must("the decision", self.decided(loan_id), {"approved"})
        return loan_id

    def become_borrower(self, amount: int = 3_000_000, tenor_months: int = 6) -> str:
        """From sign-up to money in the bank; the loan's id."""
        loan_id = self.become_approved(amount, tenor_months)
        self.accept(loan_id, key="accept").expect(200)
        _must("the money", self.disbursed(loan_id), {"active"})
        return loan_id


def _must(step: str, loan: Json, statuses: Collection[str]) -> None:
    if loan["status"] not in statuses:
        raise Unexpected(step, expected=" or ".join(statuses), came=_short(loan))


def _rests(thing: Json) -> bool:
    return thing["status"] not in _MEANWHILE


def _delivered(notification: Json) -> bool:
    return all(one["status"] in ("sent", "failed") for one in notification["deliveries"])


def _short(answer: object) -> str:
    return json.dumps(answer, ensure_ascii=False, default=str)[:_SHOWN_CHARACTERS]
