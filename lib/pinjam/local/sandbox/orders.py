"""The sandbox's payment orders: how they begin, move and expire, as Midtrans moves them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import Cursor
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from pinjam.local.sandbox.state import SandboxState

TransactionStatus = Literal["pending", "settlement", "expire", "deny", "cancel", "refund"]

_MOVES: Mapping[str, frozenset[str]] = {
    "pending": frozenset({"settlement", "expire", "deny", "cancel"}),
    "settlement": frozenset({"refund"}),
}
_BANKS_THAT_TAKE_BACK = frozenset({"permata", "mandiri"})
"""Their virtual accounts may go from settlement to deny within minutes."""


class NoSuchOrder(Exception):
    """No order has this id."""


class CannotMove(Exception):
    """The order's status does not allow this; `status` is what it is."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOrder:
    """One order; `amount` in rupiah, `means` the fields by which it is paid, as Midtrans names them."""

    order_id: str
    transaction_id: str
    payment_type: str
    bank: str | None
    amount: int
    means: Mapping[str, object]
    created_at: datetime
    expires_at: datetime
    status: TransactionStatus = "pending"
    settled_at: datetime | None = None


class Orders:
    """Orders by id. An order whose time is over is expired whenever it is looked at."""

    def __init__(self, state: SandboxState, now: Callable[[], datetime]) -> None:
        self._state = state
        self._now = now

    def add(self, order: SandboxOrder) -> bool:
        """Keep a new order; False, and nothing kept, if its id is taken."""
        with self._state.transaction() as cursor:
            cursor.execute(
                """
                INSERT INTO orders (order_id, transaction_id, payment_type, bank, amount, status, means,
                                    created_at, expires_at)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (order_id) DO NOTHING
                """,
                (
                    order.order_id,
                    order.transaction_id,
                    order.payment_type,
                    order.bank,
                    order.amount,
                    order.status,
                    Jsonb(dict(order.means)),
                    order.created_at,
                    order.expires_at,
                ),
            )
            return cursor.rowcount == 1

    def find(self, order_id: str) -> SandboxOrder | None:
        """The order as it stands now."""
        with self._state.transaction() as cursor:
            return self._locked(cursor, order_id)

    def find_transaction(self, transaction_id: str) -> SandboxOrder | None:
        """The order that Midtrans's own id names."""
        with self._state.transaction() as cursor:
            row = cursor.execute("SELECT order_id FROM orders WHERE transaction_id = %s", (transaction_id,)).fetchone()
            return self._locked(cursor, row["order_id"]) if row else None

    def move(self, order_id: str, to: TransactionStatus) -> SandboxOrder:
        """Change the order's status and answer the order. NoSuchOrder, or CannotMove and nothing changed."""
        with self._state.transaction() as cursor:
            order = self._locked(cursor, order_id)
            if order is None:
                raise NoSuchOrder(order_id)
            taken_back = order.status == "settlement" and to == "deny" and order.bank in _BANKS_THAT_TAKE_BACK
            if to not in _MOVES.get(order.status, frozenset()) and not taken_back:
                raise CannotMove(order.status)
            row = cursor.execute(
                """
                UPDATE orders SET status = %(to)s,
                settled_at = CASE WHEN %(to)s = 'settlement' THEN %(now)s ELSE settled_at END
                WHERE order_id = %(id)s RETURNING *
                """,
                {"to": to, "now": self._now(), "id": order_id},
            ).fetchone()
        return SandboxOrder(**row) if row else order

    def _locked(self, cursor: Cursor[DictRow], order_id: str) -> SandboxOrder | None:
        cursor.execute(
            "UPDATE orders SET status = 'expire' WHERE order_id = %s AND status = 'pending' AND expires_at <= %s",
            (order_id, self._now()),
        )
        row = cursor.execute("SELECT * FROM orders WHERE order_id = %s FOR UPDATE", (order_id,)).fetchone()
        return SandboxOrder(**row) if row else None
