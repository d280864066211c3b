"""Indexes of what waits for a person: few rows of large tables, longest untouched first."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.execute("CREATE INDEX users_in_review ON users (updated_at, id) WHERE status = 'review'")
    op.execute("CREATE INDEX loans_referred ON loans (updated_at, id) WHERE status = 'referred'")


def downgrade() -> None:
    """Remove them again."""
    op.execute("DROP INDEX loans_referred, users_in_review")
