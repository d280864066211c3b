"""Payouts as records of their own; those on their way get theirs, with the account as it is now."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PAYOUTS = """
CREATE TABLE payouts (
    id text COLLATE "C" PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('loan', 'refund')),
    subject_id text COLLATE "C" NOT NULL,
    loan_id text COLLATE "C" NOT NULL REFERENCES loans,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    amount bigint NOT NULL CHECK (amount > 0),
    account jsonb NOT NULL CHECK (jsonb_typeof(account) = 'object'),
    notes text NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN ('held', 'sending', 'paid', 'failed', 'void')),
    open_for text COLLATE "C" CONSTRAINT payouts_open_for_key UNIQUE,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    hold text CHECK (hold IN ('name-mismatch', 'account-unknown', 'too-many-failures')),
    released_at timestamptz,
    sent_at timestamptz,
    ended_at timestamptz,
    reference text COLLATE "C" CONSTRAINT payouts_reference_key UNIQUE,
    failure text,
    CONSTRAINT payouts_open_while_it_may_be_paid CHECK (CASE
        WHEN status IN ('held', 'sending') THEN open_for IS NOT NULL AND open_for = subject_id AND ended_at IS NULL
        ELSE open_for IS NULL AND ended_at IS NOT NULL END),
    CONSTRAINT payouts_held_for_a_reason CHECK (status <> 'held' OR hold IS NOT NULL),
    CONSTRAINT payouts_sent_unless_held CHECK (status IN ('held', 'void') = (sent_at IS NULL)),
    CONSTRAINT payouts_failed_for_a_reason CHECK (status <> 'failed' OR failure IS NOT NULL)
);
CREATE INDEX payouts_subject_id_id ON payouts (subject_id, id);
CREATE INDEX payouts_status_id ON payouts (status, id);
CREATE INDEX payouts_status_updated_at ON payouts (status, updated_at, id);
CREATE INDEX refunds_user_id_status_id ON refunds (user_id, status, id)
"""

ON_THEIR_WAY = """
INSERT INTO payouts (id, purpose, subject_id, loan_id, user_id, amount, account, notes, status, open_for, created_at,
    updated_at, sent_at)
SELECT loan.payout_id, 'loan', loan.id, loan.id, loan.user_id,
    (loan.contract -> 'quote' ->> 'disbursed_amount')::bigint, person.bank_account,
    'Pinjam ' || (loan.contract ->> 'number'), 'sending', loan.id, loan.updated_at, loan.updated_at, loan.updated_at
FROM loans AS loan JOIN users AS person ON person.id = loan.user_id
WHERE loan.status = 'disbursing';
INSERT INTO payouts (id, purpose, subject_id, loan_id, user_id, amount, account, notes, status, open_for, created_at,
    updated_at, sent_at)
SELECT refund.payout_id, 'refund', refund.id, refund.loan_id, refund.user_id, refund.amount, person.bank_account,
    'Pinjam refund', 'sending', refund.id, refund.updated_at, refund.updated_at, refund.updated_at
FROM refunds AS refund JOIN users AS person ON person.id = refund.user_id
WHERE refund.status = 'sending'
"""

TOPICS = (
    "user-documents-completed",
    "user-verified",
    "loan-submitted",
    "loan-decided",
    "loan-accepted",
    "loan-disbursed",
    "payment-settled",
    "payment-reversed",
    "loan-settled",
    "instalment-reminder",
    "account-changed",
    "loan-invitation",
    "delivery-due",
)
NEW_TOPICS = ("bank-account-changed", "payout-held", "payout-released", "payout-failed")


def upgrade() -> None:
    """Add them."""
    for part in (PAYOUTS, ON_THEIR_WAY):
        for statement in part.split(";"):
            op.execute(statement)
    _allow((*TOPICS, *NEW_TOPICS))


def downgrade() -> None:
    """Remove them again, and the events that nobody would take."""
    op.execute(f"DELETE FROM outbox WHERE topic NOT IN ({_listed(TOPICS)})")  # noqa: S608 - the words above
    _allow(TOPICS)
    op.execute("DROP INDEX refunds_user_id_status_id")
    op.execute("DROP TABLE payouts")


def _allow(topics: tuple[str, ...]) -> None:
    op.execute("ALTER TABLE outbox DROP CONSTRAINT outbox_topic_check")
    op.execute(f"ALTER TABLE outbox ADD CONSTRAINT outbox_topic_check CHECK (topic IN ({_listed(topics)}))")


def _listed(topics: tuple[str, ...]) -> str:
    return ", ".join(f"'{topic}'" for topic in topics)
