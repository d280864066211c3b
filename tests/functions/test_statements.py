"""How much each call asks of PostgreSQL: statements and round trips, counted at the driver; never times."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from tests.functions.conftest import Functions
from tests.world import BCA, World, make_world

from pinjam.adapters.postgres import PostgresStore

ASKED = {"amount": 3_000_000, "tenor_months": 6, "purpose": "education", "consent": True}


@dataclass
class Spent:
    """The statements that reached the server, by transaction, and how often one had to wait for it."""

    transactions: list[list[str]] = field(default_factory=list)
    round_trips: int = 0
    begun: bool = False

    @property
    def sizes(self) -> list[int]:
        """How many statements each transaction has between its beginning and its commit; one by itself is one."""
        return [len(one) for one in self.transactions]

    def took(self, text: str) -> None:
        if text.startswith("BEGIN"):
            self.transactions.append([])
            self.begun = True
        elif text == "COMMIT":
            self.begun = False
        elif self.begun:
            self.transactions[-1].append(text)
        else:
            self.transactions.append([text])


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    store = PostgresStore(store_url)
    yield make_world(store=store)
    store.close()


@pytest.fixture
def borrower(world: World) -> str:
    return world.verified()


@contextmanager
def spending(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spent]:
    """What is spent meanwhile. A pipeline is one round trip, and so is a statement outside of one."""
    spent = Spent()
    execute, pipeline = psycopg.Connection.execute, psycopg.Connection.pipeline
    inside: list[object] = []

    def executing(connection: Any, query: bytes, *given: Any, **how: Any) -> Any:
        spent.took(query.decode())
        spent.round_trips += not inside
        return execute(connection, query, *given, **how)

    @contextmanager
    def piping(connection: Any) -> Iterator[Any]:
        spent.round_trips += 1
        with pipeline(connection) as one:
            inside.append(one)
            try:
                yield one
            finally:
                inside.pop()

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", executing)
        patched.setattr(psycopg.Connection, "pipeline", piping)
        yield spent


def test_a_quote_asks_nothing(functions: Functions, borrower: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with spending(monkeypatch) as spent:
        answer = functions.call("loans", "GET", "/api/loans/quote?amount=3000000&tenor_months=6", user=borrower)
    assert (answer.status_code, spent) == (200, Spent())


@pytest.mark.parametrize("loans", [0, 1, 3])
def test_a_dashboard_is_one_query(
    functions: Functions, world: World, borrower: str, monkeypatch: pytest.MonkeyPatch, loans: int
) -> None:
    for _ in range(loans):
        world.repaid(borrower)
    with spending(monkeypatch) as spent:
        answer = functions.call("loans", "GET", "/api/loans", user=borrower)
    assert (answer.status_code, len(answer.json["loans"])) == (200, loans)
    assert (spent.sizes, spent.round_trips) == ([1], 1)


@pytest.mark.parametrize(
    ("declared", "statements"),
    [({}, 4), ({"monthly_income": 8_000_000}, 5)],
    ids=["the-profile's-income", "another-income"],
)
def test_an_application_is_one_transaction_of_few_statements(
    functions: Functions,
    world: World,
    borrower: str,
    monkeypatch: pytest.MonkeyPatch,
    declared: dict[str, int],
    statements: int,
) -> None:
    world.app.profiles.change(borrower, actor=world.actor(borrower), monthly_income=9_000_000, other_instalments=0)
    with spending(monkeypatch) as spent:
        answer = functions.call("apply_loan", "POST", "/api/loans/apply", ASKED | declared, user=borrower, key="k")
    assert answer.status_code == 202
    # Behind it stands the outbox's own: that its event was published.
    assert spent.sizes == [statements, 1]
    assert spent.transactions[1][0].startswith('UPDATE "outbox"')
    assert spent.round_trips == 4


def test_an_acceptance_is_one_transaction(
    functions: Functions, world: World, borrower: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan_id = world.apply(borrower)
    world.decide(loan_id)
    body = {"consent": True, "statements": [True] * 6}
    with spending(monkeypatch) as spent:
        answer = functions.call("loans", "POST", f"/api/loans/{loan_id}/accept", body, user=borrower, key="k")
    assert answer.status_code == 200
    assert (spent.sizes, spent.round_trips) == ([6, 1], 4)


def test_a_repayment_is_two_transactions_around_the_gateway(
    functions: Functions, world: World, borrower: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {
        "loan_id": world.active(borrower),
        "kind": "instalment",
        "method": {"type": BCA.type, "bank": BCA.bank},
    }
    with spending(monkeypatch) as spent:
        answer = functions.call("pay", "POST", "/api/payments", body, user=borrower, key="k")
    assert answer.status_code == 201
    assert (spent.sizes, spent.round_trips) == ([5, 3], 5)


def test_money_that_arrives_is_posted_in_one_transaction(
    functions: Functions, world: World, borrower: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = world.order(borrower, world.active(borrower))
    world.payments.move(payment_id, "settled", paid_at=world.clock.now())
    body = {
        "order_id": payment_id,
        "status_code": "200",
        "gross_amount": "1.00",
        "signature_key": "genuine",
        "transaction_status": "settlement",
    }
    with spending(monkeypatch) as spent:
        answer = functions.call("pay", "POST", "/api/payments/webhook/midtrans", body)
    assert (answer.status_code, world.payment(payment_id).status) == (200, "settled")
    # The payment is looked up, posted, and its event marked as published.
    assert (spent.sizes, spent.round_trips) == ([1, 7, 1], 5)
