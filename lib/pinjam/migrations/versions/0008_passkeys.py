"""Passkeys, and the challenges that they sign."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PASSKEYS = """
CREATE TABLE passkeys (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    credential_id text COLLATE "C" NOT NULL CONSTRAINT passkeys_credential_id_key UNIQUE
        CHECK (credential_id ~ '^[A-Za-z0-9_-]+$'),
    public_key text NOT NULL CHECK (public_key ~ '^[A-Za-z0-9_-]+$'),
    sign_count bigint NOT NULL CHECK (sign_count BETWEEN 0 AND 4294967295),
    backup_eligible boolean NOT NULL,
    backed_up boolean NOT NULL,
    transports jsonb NOT NULL CHECK (jsonb_typeof(transports) = 'array'),
    aaguid text NOT NULL,
    device_name text NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    blocked_at timestamptz,
    removed_at timestamptz,
    CONSTRAINT passkeys_backed_up_if_eligible CHECK (backup_eligible OR NOT backed_up)
);
CREATE INDEX passkeys_user_id_id ON passkeys (user_id, id)
"""

# `user_id` refers to nobody where the identifier was unknown: the row must be like any other.
CHALLENGES = """
CREATE TABLE challenges (
    id text COLLATE "C" PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('enroll', 'login')),
    user_id text COLLATE "C",
    challenge_hash text NOT NULL CHECK (challenge_hash ~ '^[0-9a-f]{64}$'),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX challenges_expires_at ON challenges (expires_at, id)
"""


def upgrade() -> None:
    """Add them."""
    for part in (PASSKEYS, CHALLENGES):
        for statement in part.split(";"):
            op.execute(statement)


def downgrade() -> None:
    """Remove them again."""
    op.execute("DROP TABLE passkeys, challenges")
