"""Who holds a bank account, as far as the sandbox's banks know: they believe the borrowers of the local system."""

from collections.abc import Callable

from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from pinjam.services.sealing import Vault

_WAITING = """
    EXISTS (SELECT FROM loans WHERE open_for = person.id AND status = 'accepted')
    OR EXISTS (SELECT FROM refunds WHERE user_id = person.id AND status = 'owed')
"""


class BorrowersAsHolders:
    """Every account is that of the borrower who gave it; of several who wait for money, all together.

    `vault` is asked for when it is needed: the system that has it starts after its banks.
    """

    def __init__(self, pool: ConnectionPool, vault: Callable[[], Vault]) -> None:
        self._pool = pool
        self._vault = vault

    def __call__(self, bank: str, account: str) -> str | None:
        """The name that the bank prints, in capitals; None where nobody has given such an account."""
        query = f"""
            SELECT id, full_name, bank_account ->> 'account_number' AS sealed, {_WAITING} AS waiting
            FROM users AS person WHERE bank_account ->> 'bank_code' = %s ORDER BY waiting DESC, updated_at DESC
        """  # noqa: S608 - the words above
        with self._pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query, (bank,)).fetchall()
        vault = self._vault()
        holders = [
            (row["full_name"], row["waiting"])
            for row in rows
            if vault.safe(row["id"]).open(row["sealed"], field="account_number") == account
        ]
        names = [name for name, waiting in holders if waiting] or [name for name, _ in holders[:1]]
        return " DAN/ATAU ".join(dict.fromkeys(name.upper() for name in names)) or None
