"""Devices for push messages, what borrowers choose to hear, and messages that wait for their hour."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DEVICES = """
CREATE TABLE devices (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    token text COLLATE "C" CONSTRAINT devices_token_key UNIQUE,
    platform text NOT NULL CHECK (platform IN ('android', 'ios', 'web')),
    registered_at timestamptz NOT NULL
);
CREATE INDEX devices_user_id_id ON devices (user_id, id)
"""

PREFERENCES = """
CREATE TABLE preferences (
    id text COLLATE "C" PRIMARY KEY REFERENCES users,
    updated_at timestamptz NOT NULL,
    push boolean NOT NULL,
    email boolean NOT NULL,
    sms boolean NOT NULL,
    whatsapp boolean NOT NULL,
    marketing boolean NOT NULL
)
"""


WAITING = """
ALTER TABLE notifications ADD COLUMN waiting_until timestamptz;
CREATE INDEX notifications_waiting_until ON notifications (waiting_until, id) WHERE waiting_until IS NOT NULL
"""


def upgrade() -> None:
    """Add them."""
    for part in (DEVICES, PREFERENCES, WAITING):
        for statement in part.split(";"):
            op.execute(statement)


def downgrade() -> None:
    """Remove them again."""
    op.execute("ALTER TABLE notifications DROP COLUMN waiting_until")
    op.execute("DROP TABLE preferences, devices")
