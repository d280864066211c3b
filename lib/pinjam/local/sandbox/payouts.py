"""The sandbox's payouts: created once for each idempotency key, released by the approver, paid by the banks."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import Cursor
from psycopg.rows import DictRow

from pinjam.local.sandbox.state import SandboxState

OTHERS_ACCOUNT = "9101"
"""An account that ends so belongs to somebody else."""
UNKNOWN_ACCOUNT = "9102"
"""An account that ends so does not exist."""
FAILING_ACCOUNT = "9103"
"""What is sent to an account that ends so comes back from the bank."""
SLOW_ACCOUNT = "9104"
"""What is sent to an account that ends so stays on its way until somebody ends it."""
SOMEBODY_ELSE = "BAMBANG SUDARSONO"

Holder = Callable[[str, str], str | None]
"""The name of an account's holder, by bank and number; None if there is no such account."""


class KeyTaken(Exception):
    """The idempotency key was used for another request."""


class NoSuchPayout(Exception):
    """No payout has this idempotency key."""


class CannotEnd(Exception):
    """The payout's status does not allow this; `status` is what it is."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


_TOLD = frozenset({"completed", "failed"})
_ENDS = frozenset({("processed", "completed"), ("processed", "failed"), ("completed", "failed")})


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
    """Payouts by reference. `balance` is what the sandbox has to pay out from, in rupiah.

    `told` hears of each payout that ends by itself.
    """

    def __init__(
        self,
        state: SandboxState,
        now: Callable[[], datetime],
        *,
        balance: int,
        holder: Holder,
        told: Callable[[DictRow], None],
    ) -> None:
        self._state = state
        self._now = now
        self._balance = balance
        self._holder = holder
        self._told = told

    def holder(self, bank: str, account: str) -> str | None:
        """The name that the bank has for an account."""
        if account.endswith(OTHERS_ACCOUNT):
            return SOMEBODY_ELSE
        return None if account.endswith(UNKNOWN_ACCOUNT) else self._holder(bank, account)

    def create(self, key: str, wanted: Sequence[Beneficiary]) -> list[tuple[str, str]]:
        """(reference, status) of each payout; a key that was used answers with what it made then.

        KeyTaken, and nothing is made, when that was not the same.
        """
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
                "SELECT * FROM payouts WHERE idempotency_key = %s ORDER BY position", (key,)
            ).fetchall()
            if [_asked(row) for row in rows] != list(wanted):
                raise KeyTaken
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
            moved = [self._pay(cursor, row, slowly=slowly) for row in rows]
        self._tell(moved)

    def reject(self, references: Sequence[str]) -> None:
        """Close all of them, or none (CannotApprove), before anybody releases them."""
        with self._state.transaction() as cursor:
            cursor.execute(
                "SELECT FROM payouts WHERE reference_no = ANY(%s) AND status = 'queued' FOR UPDATE", (list(references),)
            )
            if cursor.rowcount != len(set(references)):
                raise CannotApprove("Payouts are not found or cannot be rejected")
            cursor.execute(
                "UPDATE payouts SET status = 'rejected', updated_at = %s WHERE reference_no = ANY(%s)",
                (self._now(), list(references)),
            )

    def end(self, key: str, status: Literal["completed", "failed"]) -> DictRow:
        """The bank ends a payout that is on its way, or sends one back that had arrived; NoSuchPayout, CannotEnd."""
        with self._state.transaction() as cursor:
            row = cursor.execute("SELECT * FROM payouts WHERE idempotency_key = %s FOR UPDATE", (key,)).fetchone()
            if row is None:
                raise NoSuchPayout(key)
            if row["status"] != status and (row["status"], status) not in _ENDS:
                raise CannotEnd(row["status"])
            return self._move(cursor, row, status, slow_answers=0)

    def look(self, reference: str) -> DictRow | None:
        """The payout's row; a slow one moves on after this look."""
        with self._state.transaction() as cursor:
            row = cursor.execute("SELECT * FROM payouts WHERE reference_no = %s FOR UPDATE", (reference,)).fetchone()
            if row is None or row["status"] != "processed":
                return row
            if row["slow_answers"] > 0:
                cursor.execute(
                    "UPDATE payouts SET slow_answers = slow_answers - 1 WHERE reference_no = %s", (reference,)
                )
                return row
            row = self._pay(cursor, row, slowly=False)
        self._tell([row])
        return row

    def _tell(self, rows: Sequence[DictRow]) -> None:
        """Once it is committed: whoever hears of it may ask."""
        for row in rows:
            if row["status"] in _TOLD:
                self._told(row)

    def _pay(self, cursor: Cursor[DictRow], row: DictRow, *, slowly: bool) -> DictRow:
        if slowly or row["beneficiary_account"].endswith(SLOW_ACCOUNT):
            return self._move(cursor, row, "processed", slow_answers=int(slowly))
        failing = row["beneficiary_account"].endswith(FAILING_ACCOUNT)
        return self._move(cursor, row, "failed" if failing else "completed", slow_answers=0)

    def _move(self, cursor: Cursor[DictRow], row: DictRow, status: str, *, slow_answers: int) -> DictRow:
        code, message = ("002", "Beneficiary account is not found") if status == "failed" else (None, None)
        moved = cursor.execute(
            """
            UPDATE payouts SET status = %s, error_code = %s, error_message = %s, slow_answers = %s, updated_at = %s
            WHERE reference_no = %s RETURNING *
            """,
            (status, code, message, slow_answers, self._now(), row["reference_no"]),
        ).fetchone()
        return moved or row


def _asked(row: DictRow) -> Beneficiary:
    """What a payout was asked for."""
    return Beneficiary(
        name=row["beneficiary_name"],
        account=row["beneficiary_account"],
        bank=row["beneficiary_bank"],
        amount=row["amount"],
        notes=row["notes"],
    )


def _spent(cursor: Cursor[DictRow]) -> int:
    row = cursor.execute(
        "SELECT coalesce(sum(amount), 0)::bigint AS spent FROM payouts WHERE status IN ('processed', 'completed')"
    ).fetchone()
    return int(row["spent"]) if row else 0
