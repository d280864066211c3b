"""The local system with the people who are measured on it, and the functions' packages beside it."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from itertools import count
from pathlib import Path

from bench.deployed import Call, Deployed
from bench.figures import Progress

from pinjam.adapters.event_messages import event_message
from pinjam.domain.trail import Event
from pinjam.local.people import People
from pinjam.local.road import Road, Walker
from pinjam.local.sandbox.midtrans import notification
from pinjam.local.system import LocalSystem
from pinjam.services.store import Find
from pinjam.services.subscriptions import SUBSCRIPTIONS

DAY = date(2027, 3, 1)
"""A Monday that is no holiday, so that every message goes out at once."""
PATIENCE_S = 60
AMOUNT, TENOR = 3_000_000, 6
PART = 10_000
"""The least that may be paid at a time, so that one loan takes hundreds of payments."""


@dataclass
class Stage:
    """A running system on `state`; whoever is asked for is made on it, as the app would."""

    system: LocalSystem
    road: Road
    state: Path
    people: People = field(default_factory=lambda: People(8, today=DAY))
    _keys: Iterator[int] = field(default_factory=count)

    @cached_property
    def deployed(self) -> Deployed:
        """The functions' packages, installed."""
        made = Deployed(self.state / "deployed")
        made.prepare()
        return made

    @cached_property
    def borrower(self) -> Walker:
        """Somebody whose loan is paid out and partly repaid, so that every event function has had an event."""
        walker = self.walker()
        walker.repay(walker.become_borrower(AMOUNT, TENOR), key="bench")
        self.quiet()
        return walker

    def walker(self) -> Walker:
        """A stranger."""
        return Walker(self.road, self.people.person(), self.people)

    def verified(self) -> Walker:
        """Somebody who may apply."""
        walker = self.walker()
        walker.become_verified()
        return walker

    def quiet(self) -> None:
        """Wait until nothing is on its way."""
        if not self.system.wait_until_quiet(PATIENCE_S):
            raise TimeoutError("the system did not come to rest")

    def key(self) -> str:
        """An idempotency key that nobody had."""
        return f"bench-{next(self._keys)}"

    def loan_of(self, walker: Walker) -> str:
        """The id of the newest loan of somebody."""
        loan_id: str = walker.call("GET", "/api/loans").expect(200)["loans"][0]["id"]
        return loan_id

    # Calls as the gateway passes them on

    def get(self, walker: Walker, path: str, *, token: bool = False) -> Call:
        """A look at something. With the `token`, the function proves it again, as it does behind a real gateway."""
        return Call(method="GET", path=path, headers=_passed_on(walker, token=token), token=walker.token or "")

    def quote(self, walker: Walker, *, token: bool = False) -> Call:
        """A price."""
        return self.get(walker, f"/api/loans/quote?amount={AMOUNT}&tenor_months={TENOR}", token=token)

    def log_in(self, walker: Walker) -> Call:
        """By e-mail address and password."""
        body = {"identifier": walker.person.email, "password": walker.person.password}
        return _post("/api/auth/login", body)

    def register(self) -> Call:
        """A sign-up of somebody new."""
        return _post("/api/auth/register", self.people.person().registration, status=201)

    def taken(self) -> Call:
        """A sign-up with an address that somebody has."""
        body = {**self.people.person().registration, "email": self.borrower.person.email}
        return _post("/api/auth/register", body, status=409)

    def apply(self, walker: Walker) -> Call:
        """An application."""
        body = {"amount": AMOUNT, "tenor_months": TENOR, "purpose": "education", "consent": True}
        return _post("/api/loans/apply", body, walker=walker, key=self.key(), status=202)

    def pay(self, walker: Walker, loan_id: str) -> Call:
        """An order to pay a little."""
        method = {"type": "bank_transfer", "bank": "bca"}
        body = {"loan_id": loan_id, "kind": "partial", "amount": PART, "method": method}
        return _post("/api/payments", body, walker=walker, key=self.key(), status=201)

    def settled(self, payment_id: str) -> Call:
        """The gateway's signed notification of an order that is paid at the bank this moment."""
        order = self.system.sandbox.sandbox.orders.move(payment_id, "settlement")
        body = notification(order, self.system.environment["PINJAM_MIDTRANS_SERVER_KEY"])
        return _post("/api/payments/webhook/midtrans", body)

    def event_again(self, function: str) -> Call:
        """An event that a function has had, as a push subscription brings it."""
        topic = next(topic for topic, names in SUBSCRIPTIONS.items() if function in names)
        find = Find(kind=Event, where={"topic": topic}, limit=1)
        (event,) = self.system.app.store.read(lambda tx: tx.find(find)).items
        message = {**event_message(event), "messageId": "1", "publishTime": "2027-03-01T02:00:00Z"}
        return _post("/", {"message": message, "subscription": "s"})


@contextmanager
def stage(progress: Progress) -> Iterator[Stage]:
    """A stage in a folder of its own, which goes with it. Its data outlive a crash, as a user's do."""
    with tempfile.TemporaryDirectory(prefix="pinjam-bench-") as folder:
        progress("starting the local system")
        state = Path(folder)
        with LocalSystem(state, 0, sweep_every_s=3600) as system, Road(system.url) as road:
            made = Stage(system, road, state)
            made.road.set_date(DAY, hour=9).expect(200)
            yield made


def claims_of(walker: Walker) -> str:
    """The payload of somebody's ID token, as API Gateway puts it into X-Apigateway-Api-Userinfo."""
    if walker.token is None:
        raise ValueError("nobody logged in")
    return walker.token.split(".")[1]


def _passed_on(walker: Walker, *, token: bool = False) -> dict[str, str]:
    headers = {"X-Apigateway-Api-Userinfo": claims_of(walker)}
    return headers | ({"X-Forwarded-Authorization": f"Bearer {walker.token}"} if token else {})


def _post(
    path: str, body: Mapping[str, object], *, walker: Walker | None = None, key: str = "", status: int = 200
) -> Call:
    return Call(
        method="POST",
        path=path,
        headers={
            "Content-Type": "application/json",
            **(_passed_on(walker) if walker else {}),
            **({"Idempotency-Key": key} if key else {}),
        },
        body=json.dumps(body).encode(),
        status=status,
        token=(walker.token or "") if walker else "",
    )
