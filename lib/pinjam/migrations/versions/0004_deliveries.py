"""Messages that were given up, to be found; and what else borrowers are told."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE notifications ADD COLUMN undelivered_at timestamptz;
CREATE INDEX notifications_undelivered_at ON notifications (undelivered_at, id) WHERE undelivered_at IS NOT NULL;
ALTER TABLE outbox DROP CONSTRAINT outbox_topic_check;
ALTER TABLE outbox ADD CONSTRAINT outbox_topic_check CHECK (topic IN ('user-documents-completed', 'user-verified',
    'loan-submitted', 'loan-decided', 'loan-accepted', 'loan-disbursed', 'payment-settled', 'payment-reversed',
    'loan-settled', 'instalment-reminder', 'account-changed', 'loan-invitation', 'delivery-due'))
"""


def upgrade() -> None:
    """Add them."""
    for statement in UP.split(";"):
        op.execute(statement)


def downgrade() -> None:
    """Remove the column; the wider check stays, as rows may need it."""
    op.execute("ALTER TABLE notifications DROP COLUMN undelivered_at")
