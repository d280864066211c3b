"""A key for each borrower, birth dates and device tokens sealed, and erasure."""

from alembic import op

from pinjam.migrations import CannotMigrate

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE user_keys (
    id text COLLATE "C" PRIMARY KEY REFERENCES users,
    wrapped text,
    wrapping_key text COLLATE "C",
    created_at timestamptz NOT NULL,
    destroyed_at timestamptz,
    CONSTRAINT user_keys_whole_or_destroyed CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)
        AND (wrapping_key IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE INDEX user_keys_wrapping_key_id ON user_keys (wrapping_key, id);
ALTER TABLE users ALTER COLUMN birth_date TYPE text;
ALTER TABLE users ADD COLUMN restricted_at timestamptz;
ALTER TABLE users ADD COLUMN erase_after date;
ALTER TABLE users ADD COLUMN erased_at timestamptz;
ALTER TABLE users ADD CONSTRAINT users_erased_after_restriction CHECK (
    (restricted_at IS NOT NULL OR (erase_after IS NULL AND erased_at IS NULL))
    AND (erased_at IS NULL OR erase_after IS NULL));
ALTER TABLE users DROP CONSTRAINT users_phone_check;
ALTER TABLE users ADD CONSTRAINT users_phone_check CHECK (CASE
    WHEN erased_at IS NULL THEN phone ~ '^[+][1-9][0-9]{6,14}$'
    ELSE phone = 'erased:' || id END);
CREATE INDEX users_erase_after ON users (erase_after, id) WHERE erase_after IS NOT NULL;
CREATE INDEX refunds_user_id_id ON refunds (user_id, id);
CREATE INDEX payouts_user_id_id ON payouts (user_id, id);
ALTER TABLE devices DROP CONSTRAINT devices_token_key;
ALTER TABLE devices ALTER COLUMN token TYPE text COLLATE "default";
ALTER TABLE devices ADD COLUMN token_hash text COLLATE "C" CONSTRAINT devices_token_hash_key UNIQUE;
ALTER TABLE devices ADD CONSTRAINT devices_found_iff_reached CHECK ((token IS NULL) = (token_hash IS NULL))
"""

DOWN = """
ALTER TABLE devices DROP COLUMN token_hash;
ALTER TABLE devices ALTER COLUMN token TYPE text COLLATE "C";
ALTER TABLE devices ADD CONSTRAINT devices_token_key UNIQUE (token);
DROP INDEX payouts_user_id_id;
DROP INDEX refunds_user_id_id;
ALTER TABLE users DROP CONSTRAINT users_phone_check;
ALTER TABLE users ADD CONSTRAINT users_phone_check CHECK (phone ~ '^[+][1-9][0-9]{6,14}$');
ALTER TABLE users DROP COLUMN restricted_at, DROP COLUMN erase_after, DROP COLUMN erased_at;
ALTER TABLE users ALTER COLUMN birth_date TYPE date USING birth_date::date;
DROP TABLE user_keys
"""


def upgrade() -> None:
    """Add them. Only without borrowers: what one key for all has sealed, and what was readable, no step can seal."""
    _run(UP)


def downgrade() -> None:
    """Remove them again, under the same condition."""
    _run(DOWN)


def _run(statements: str) -> None:
    if op.get_bind().exec_driver_sql("SELECT 1 FROM users LIMIT 1").first() is not None:
        raise CannotMigrate(
            "this database holds borrowers from before each had a key of their own; begin with an empty one"
            " (on a developer's machine: make clean)"
        )
    for statement in statements.split(";"):
        op.execute(statement)
