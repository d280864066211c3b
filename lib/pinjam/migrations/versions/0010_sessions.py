"""Sessions, one-time codes for forgotten passwords, and since when a borrower's tokens count."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SESSIONS = """
CREATE TABLE sessions (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    generation bigint NOT NULL CHECK (generation > 0),
    provider_token text NOT NULL,
    opened_at timestamptz NOT NULL,
    rotated_at timestamptz NOT NULL,
    ended_at timestamptz
);
ALTER TABLE users ADD COLUMN sessions_ended_at timestamptz, ADD COLUMN tokens_valid_after timestamptz
"""

# The id is a borrower's, or is made up for an identifier that is nobody's: so it refers to nothing.
CODES = """
CREATE TABLE reset_codes (
    id text COLLATE "C" PRIMARY KEY,
    request text NOT NULL,
    asked_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    tries bigint NOT NULL CHECK (tries >= 0),
    leased_until timestamptz,
    used_at timestamptz
)
"""

TOPICS = """
ALTER TABLE outbox DROP CONSTRAINT outbox_topic_check;
ALTER TABLE outbox ADD CONSTRAINT outbox_topic_check CHECK (topic IN ('user-documents-completed', 'user-verified',
    'loan-submitted', 'loan-decided', 'loan-accepted', 'loan-disbursed', 'payment-settled', 'payment-reversed',
    'loan-settled', 'instalment-reminder', 'account-changed', 'bank-account-changed', 'payout-held', 'payout-released',
    'payout-failed', 'loan-invitation', 'delivery-due', 'reset-code-due'))
"""


def upgrade() -> None:
    """Add them."""
    for part in (SESSIONS, CODES, TOPICS):
        for statement in part.split(";"):
            op.execute(statement)


def downgrade() -> None:
    """Remove them again; the wider check stays, as rows may need it."""
    op.execute("DROP TABLE reset_codes, sessions")
    op.execute("ALTER TABLE users DROP COLUMN tokens_valid_after, DROP COLUMN sessions_ended_at")
