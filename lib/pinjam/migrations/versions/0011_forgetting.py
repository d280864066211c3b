"""Indexes by which what has passed is found, the oldest first; and what never passes is guarded."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

GUARD = """
CREATE FUNCTION refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""
GUARDED = ("audit_log", "journal")


def upgrade() -> None:
    """Add the indexes that are not there yet, and the guards."""
    op.execute("CREATE INDEX sessions_rotated_at ON sessions (rotated_at, id)")
    op.execute("CREATE INDEX reset_codes_expires_at ON reset_codes (expires_at, id)")
    op.execute("CREATE INDEX outbox_published_at ON outbox (published_at, id) WHERE published_at IS NOT NULL")
    op.execute("CREATE INDEX consumptions_consumed_at ON consumptions (consumed_at, id)")
    op.execute(GUARD)
    for table in GUARDED:
        op.execute(
            f"CREATE TRIGGER {table}_stays BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_deletion()"
        )


def downgrade() -> None:
    """Remove them again."""
    for table in GUARDED:
        op.execute(f"DROP TRIGGER {table}_stays ON {table}")
    op.execute("DROP FUNCTION refuse_deletion()")
    op.execute("DROP INDEX consumptions_consumed_at, outbox_published_at, reset_codes_expires_at, sessions_rotated_at")
