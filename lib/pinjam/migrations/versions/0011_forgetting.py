"""Indexes by which what has passed is found, the oldest first."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add those that are not there yet."""
    op.execute("CREATE INDEX sessions_rotated_at ON sessions (rotated_at, id)")
    op.execute("CREATE INDEX reset_codes_expires_at ON reset_codes (expires_at, id)")
    op.execute("CREATE INDEX outbox_published_at ON outbox (published_at, id) WHERE published_at IS NOT NULL")
    op.execute("CREATE INDEX consumptions_consumed_at ON consumptions (consumed_at, id)")


def downgrade() -> None:
    """Remove them again."""
    op.execute("DROP INDEX consumptions_consumed_at, outbox_published_at, reset_codes_expires_at, sessions_rotated_at")
