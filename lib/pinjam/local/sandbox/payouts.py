"""The sandbox's payouts: created once for each idempotency key, released by the approver, paid at once."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Cursor
from psycopg.rows import DictRow

from pinjam.local.sandbox.state import SandboxState

FAILING_ACCOUNT = "9009"
"""A beneficiary account that ends so is one that the bank does not know."""


class CannotApprove(Exception):
    """The approval is refused as a whole; the text is Iris's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beneficiary:
    """Who is paid what; `amount` in rupiah."""

    name: str
    account: str
    bank: str
    amount: int
    notes: str


class Payouts:
    """Payouts by reference. `balance` is what the sandbox has to pay out from, in rupiah."""

    def __init__(self, state: SandboxState, now: Callable[[], datetime], *, balance: int) -> None:
        self._state = state
        self._now = now
        self._balance = balance

    def create(self, key: str, wanted: Sequence[Beneficiary]) -> list[tuple[str, str]]:
        """(reference, status) of each payout; a key that was used answers with what it made then."""
        with self._state.transaction() as cursor:
            for position, beneficiary in enumerate(wanted):
                cursor.execute(
                    """
                    INSERT INTO payouts (reference_no, idempotency_key, position, beneficiary_name,
                        beneficiary_account, beneficiary_bank, amount, notes, status, created_at, updated_at)
                    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'queued', %s, %s)
                    ON CONFLICT (idempotency_key, position) DO NOTHING
                    """,
                    (
                        secrets.token_hex(7),
                        key,
                        position,
                        beneficiary.name,
                        beneficiary.account,
                        beneficiary.bank,
                        beneficiary.amount,
                        beneficiary.notes,
                        self._now(),
                        self._now(),
                    ),
                )
            rows = cursor.execute(
                "SELECT reference_no FROM payouts WHERE idempotency_key = %s ORDER BY position", (key,)
            ).fetchall()
        # A repeat gets the first answer, so the status of then.
        return [(row["reference_no"], "queued") for row in rows]

    def approve(self, references: Sequence[str], *, slowly: bool) -> None:
        """Pay all of them, or none (CannotApprove). Slowly: the next look still finds them on their way."""
        with self._state.transaction() as cursor:
            # One at a time: two approvals together must not spend the same balance.
            cursor.execute("LOCK TABLE payouts IN SHARE ROW EXCLUSIVE MODE")
            rows = cursor.execute("SELECT * FROM payouts WHERE reference_no = ANY(%s)", (list(references),)).fetchall()
            if len(rows) != len(set(references)) or any(row["status"] != "queued" for row in rows):
                raise CannotApprove("Payouts are not found or cannot be approved")
            if sum(row["amount"] for row in rows) > self._balance - _spent(cursor):
                raise CannotApprove("Insufficient balance")
            for row in rows:
                self._pay(cursor, row, slowly=slowly)

    def look(self, reference: str) -> DictRow | None:
        """The payout's row; a slow one moves on after this look."""
        with self._state.transaction() as cursor:
            row = cursor.execute("SELECT * FROM payouts WHERE reference_no = %s FOR UPDATE", (reference,)).fetchone()
            if row is not None and row["status"] == "processed":
                if row["slow_answers"] > 0:
                    cursor.execute(
                        "UPDATE payouts SET slow_answers = slow_answers - 1 WHERE reference_no = %s", (reference,)
                    )
                else:
                    self._pay(cursor, row, slowly=False)
                    row = cursor.execute("SELECT * FROM payouts WHERE reference_no = %s", (reference,)).fetchone()
        return row

    def _pay(self, cursor: Cursor[DictRow], row: DictRow, *, slowly: bool) -> None:
        code = message = None
        if slowly:
            status = "processed"
        elif row["beneficiary_account"].endswith(FAILING_ACCOUNT):
            status, code, message = "failed", "002", "Beneficiary account is not found"
        else:
            status = "completed"
        cursor.execute(
            """
            UPDATE payouts SET status = %s, error_code = %s, error_message = %s, slow_answers = %s, updated_at = %s
            WHERE reference_no = %s
            """,
            (status, code, message, int(slowly), self._now(), row["reference_no"]),
        )


def _spent(cursor: Cursor[DictRow]) -> int:
    row = cursor.execute(
        "SELECT coalesce(sum(amount), 0)::bigint AS spent FROM payouts WHERE status IN ('processed', 'completed')"
    ).fetchone()
    return int(row["spent"]) if row else 0
