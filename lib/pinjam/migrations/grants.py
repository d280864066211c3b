"""What the users of the functions may do in the database: work with rows as the store does, and nothing else.

The rights are those of one role, which each user is a member of, so that a user can go without leaving any behind.
"""

from collections.abc import Iterable

from psycopg import Connection, sql

from pinjam.domain.ledger import JournalEntry
from pinjam.domain.trail import AuditRecord
from pinjam.services.store import KINDS

ROLE = "pinjam_functions"
APPEND_ONLY = (AuditRecord, JournalEntry)
"""Kinds of which no row is ever changed."""


def grant(connection: Connection, users: Iterable[str]) -> None:
    """Have exactly `users`, which exist, work with the rows of every kind of record.

    The role is made if it is missing, and its rights are set anew each time. Who runs this owns the tables and may
    make roles. psycopg.errors.UndefinedObject for a user that there is not.
    """
    role = sql.Identifier(ROLE)
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
    connection.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role))
    for kind, kept in KINDS.items():
        rights = ["SELECT", "INSERT"]
        rights += [] if kind in APPEND_ONLY else ["UPDATE"]
        rights += ["DELETE"] if kept.passing else []
        connection.execute(
            sql.SQL("GRANT {} ON {} TO {}").format(
                sql.SQL(", ").join(map(sql.SQL, rights)), sql.Identifier(kept.collection), role
            )
        )
    wanted = set(users)
    members = {name for (name,) in connection.execute(_MEMBERS, (ROLE,))}
    for gone in sorted(members - wanted):
        connection.execute(sql.SQL("REVOKE {} FROM {}").format(role, sql.Identifier(gone)))
    for new in sorted(wanted - members):
        connection.execute(sql.SQL("GRANT {} TO {}").format(role, sql.Identifier(new)))


_MEMBERS = """
SELECT member.rolname FROM pg_auth_members AS one
JOIN pg_roles AS role ON role.oid = one.roleid JOIN pg_roles AS member ON member.oid = one.member
WHERE role.rolname = %s AND one.inherit_option
"""
"""Whoever made the role is a member, too, but inherits nothing from it."""
