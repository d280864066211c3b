"""Rows in bulk, statements, and stores that are closed again, for the tests of PostgreSQL's own."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import psycopg
import pytest

from pinjam.adapters.postgres import PostgresStore


class Run(Protocol):
    """Runs one statement and answers with its rows."""

    def __call__(self, url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]: ...


class Fill(Protocol):
    """Adds so many borrowers, and what hangs on them."""

    def __call__(self, url: str, *, users: int, loans_each: int) -> None: ...


@pytest.fixture(scope="session")
def run() -> Run:
    return _run


@pytest.fixture(scope="session")
def fill() -> Fill:
    return _fill


@pytest.fixture
def open_store() -> Iterator[Callable[..., PostgresStore]]:
    """Makes stores, and closes them after the test."""
    made: list[PostgresStore] = []

    def make(url: str, **settings: Any) -> PostgresStore:
        made.append(PostgresStore(url, **settings))
        return made[-1]

    yield make
    for store in made:
        store.close()


def _run(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def _fill(url: str, *, users: int, loans_each: int) -> None:
    """Borrowers with loans, and for each loan a payment, a refund and what else a loan leaves behind, as rows."""
    with psycopg.connect(url) as connection:
        connection.execute(
            """INSERT INTO users SELECT 'usr_' || lpad(n::text, 5, '0'), 'x', n || '@example.com',
            '+62812' || (10000 + n), 'x', to_hex(n), '3171********0001', 'sealed', 'male', 'verified', 'id', '[]',
            true, now(), now(), '{}'
            FROM generate_series(1, %s) n""",
            (users,),
        )
        connection.execute(
            """INSERT INTO loans (id, user_id, status, amount, tenor_months, purpose, application, created_at,
            updated_at, instalments, next_due_on, offer_expires_on)
            SELECT 'loan_' || lpad(n::text, 6, '0'), 'usr_' || lpad((1 + n %% %s)::text, 5, '0'), 'withdrawn', 1, 1,
            'home', '{}', now(), now(), '[]', date '2026-01-01' + n %% 365, date '2026-01-01' + n %% 365
            FROM generate_series(1, %s) n""",
            (users, users * loans_each),
        )
        connection.execute(
            """INSERT INTO notifications SELECT replace(l.id, 'loan', 'ntf'), user_id, 'k', 't', 'b', '{}', now(),
            CASE WHEN random() < 0.9 THEN now() END, '[]' FROM loans l"""
        )
        connection.execute(
            """INSERT INTO payments (id, loan_id, user_id, kind, amount, status, method, expires_at, created_at,
            updated_at, allocation, surplus) SELECT replace(l.id, 'loan', 'pay'), id, user_id, 'partial', 1, 'pending',
            '{}', timestamptz '2026-01-01' + random() * interval '1 year', now(), now(), '[]', 0 FROM loans l"""
        )
        connection.execute(
            """INSERT INTO journal SELECT replace(l.id, 'loan', 'jrn'), 'repayment:' || l.id, 'repayment', l.id, l.id,
            date '2026-01-01', now(), '[{"debit": "cash_at_gateway", "credit": "loans_receivable", "amount": 1}]'
            FROM loans l"""
        )
        connection.execute(
            """INSERT INTO refunds SELECT replace(p.id, 'pay', 'rfd'), user_id, loan_id, id, 1,
            CASE WHEN random() < 0.99 THEN 'void' ELSE 'owed' END, now(), now() FROM payments p"""
        )
        connection.execute(
            """INSERT INTO payouts (id, purpose, subject_id, loan_id, user_id, amount, account, notes, status, open_for,
            created_at, updated_at, hold, sent_at, ended_at, reference)
            SELECT replace(id, 'loan', 'out'), 'loan', id, id, user_id, 1, '{}', 'n', kind,
            CASE WHEN kind <> 'paid' THEN id END, now(), timestamptz '2026-01-01' + random() * interval '1 year',
            CASE WHEN kind = 'held' THEN 'name-mismatch' END, CASE WHEN kind <> 'held' THEN now() END,
            CASE WHEN kind = 'paid' THEN now() END, id FROM
            (SELECT *, CASE WHEN n < 0.98 THEN 'paid' WHEN n < 0.99 THEN 'held' ELSE 'sending' END AS kind
             FROM (SELECT id, user_id, random() AS n FROM loans) one) l"""
        )
        connection.execute(
            """INSERT INTO audit_log SELECT replace(l.id, 'loan', 'aud'), l.id, 1, 'a', 'x', 'r', now(), NULL, '{}',
            'x', 'x' FROM loans l"""
        )
        connection.execute(
            """INSERT INTO outbox SELECT replace(l.id, 'loan', 'evt'), 'loan-submitted', id, '{}', 'r', now(),
            CASE WHEN random() < 0.99 THEN now() END FROM loans l"""
        )
