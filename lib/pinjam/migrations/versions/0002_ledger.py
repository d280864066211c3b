"""The journal, refunds, what a payment needs to be replayed or taken back, and views for reporting."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PAYMENTS = """
ALTER TABLE payments
    ADD COLUMN posted_on date,
    ADD COLUMN closes boolean NOT NULL DEFAULT false,
    ADD COLUMN reversed_at timestamptz;
UPDATE payments SET posted_on = (settled_at AT TIME ZONE 'Asia/Jakarta')::date WHERE settled_at IS NOT NULL;
UPDATE payments SET reversed_at = updated_at WHERE status = 'reversed';
ALTER TABLE payments
    ADD CONSTRAINT payments_posted_once_settled CHECK (posted_on IS NOT NULL OR settled_at IS NULL),
    ADD CONSTRAINT payments_reversed_at_iff_reversed CHECK ((status = 'reversed') = (reversed_at IS NOT NULL))
"""

JOURNAL = """
CREATE TABLE journal (
    id text COLLATE "C" PRIMARY KEY,
    key text COLLATE "C" NOT NULL CONSTRAINT journal_key_key UNIQUE,
    kind text NOT NULL CHECK (kind IN ('payout_sent', 'payout_returned', 'disbursement', 'repayment', 'refund',
        'reversal', 'write_off')),
    loan_id text COLLATE "C" NOT NULL REFERENCES loans,
    subject text COLLATE "C" NOT NULL,
    "on" date NOT NULL,
    at timestamptz NOT NULL,
    postings jsonb NOT NULL CHECK (jsonb_typeof(postings) = 'array' AND jsonb_array_length(postings) > 0),
    reverses text COLLATE "C" CONSTRAINT journal_reverses_key UNIQUE REFERENCES journal
);
CREATE INDEX journal_loan_id_id ON journal (loan_id, id);
CREATE INDEX journal_subject_id ON journal (subject, id)
"""

REFUNDS = """
CREATE TABLE refunds (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    loan_id text COLLATE "C" NOT NULL REFERENCES loans,
    payment_id text COLLATE "C" NOT NULL CONSTRAINT refunds_payment_id_key UNIQUE REFERENCES payments,
    amount bigint NOT NULL CHECK (amount >= 0),
    status text COLLATE "C" NOT NULL CHECK (status IN ('owed', 'sending', 'paid', 'void')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    payout_id text COLLATE "C" CONSTRAINT refunds_payout_id_key UNIQUE,
    paid_at timestamptz,
    CONSTRAINT refunds_paid_at_iff_paid CHECK ((status = 'paid') = (paid_at IS NOT NULL))
);
CREATE INDEX refunds_status_id ON refunds (status, id);
CREATE INDEX refunds_loan_id_id ON refunds (loan_id, id)
"""

VIEWS = """
CREATE VIEW report_instalments AS
SELECT loan.id AS loan_id, loan.user_id, loan.status AS loan_status, part.number, part.due_date,
    part.principal, part.interest, part.waived_interest, part.paid_principal, part.paid_interest,
    part.paid_late_fee, part.paid_on,
    part.principal - part.paid_principal AS unpaid_principal,
    part.interest - part.waived_interest - part.paid_interest AS unpaid_interest
FROM loans AS loan
CROSS JOIN LATERAL (
    SELECT (one ->> 'number')::integer AS number, (one ->> 'due_date')::date AS due_date,
        (one ->> 'principal')::bigint AS principal, (one ->> 'interest')::bigint AS interest,
        coalesce((one ->> 'waived_interest')::bigint, 0) AS waived_interest,
        (one ->> 'paid_principal')::bigint AS paid_principal, (one ->> 'paid_interest')::bigint AS paid_interest,
        (one ->> 'paid_late_fee')::bigint AS paid_late_fee, (one ->> 'paid_on')::date AS paid_on
    FROM jsonb_array_elements(loan.instalments) AS one
) AS part;

CREATE VIEW report_arrears AS
WITH standing AS (
    SELECT loan.id AS loan_id,
        greatest(0, (now() AT TIME ZONE 'Asia/Jakarta')::date - loan.next_due_on) AS days_past_due,
        (SELECT sum(part.unpaid_principal) FROM report_instalments AS part WHERE part.loan_id = loan.id)
            AS unpaid_principal
    FROM loans AS loan
    WHERE loan.status = 'active'
)
SELECT bucket, count(loan_id) AS loans, coalesce(sum(unpaid_principal), 0)::bigint AS unpaid_principal
FROM (VALUES (1, 'current', 0, 0), (2, '1-30', 1, 30), (3, '31-60', 31, 60), (4, '61-90', 61, 90),
    (5, '>90', 91, 1000000)) AS class (place, bucket, from_day, to_day)
LEFT JOIN standing ON days_past_due BETWEEN from_day AND to_day
GROUP BY place, bucket
ORDER BY place;

CREATE VIEW report_daily_collections AS
SELECT posted_on AS day, count(*) AS payments, sum(amount)::bigint AS amount,
    sum(coalesce(part.principal, 0))::bigint AS principal, sum(coalesce(part.interest, 0))::bigint AS interest,
    sum(coalesce(part.late_fee, 0))::bigint AS late_fee, sum(surplus)::bigint AS surplus
FROM payments
LEFT JOIN LATERAL (
    SELECT sum((one ->> 'principal')::bigint) AS principal, sum((one ->> 'interest')::bigint) AS interest,
        sum((one ->> 'late_fee')::bigint) AS late_fee
    FROM jsonb_array_elements(payments.allocation) AS one
) AS part ON true
WHERE status = 'settled'
GROUP BY posted_on
ORDER BY posted_on;

CREATE VIEW report_trial_balance AS
SELECT account, sum(debit)::bigint AS debits, sum(credit)::bigint AS credits, sum(debit - credit)::bigint AS balance
FROM (
    SELECT side.account, side.debit, side.credit
    FROM journal
    CROSS JOIN LATERAL jsonb_array_elements(journal.postings) AS one
    CROSS JOIN LATERAL (VALUES
        (one ->> 'debit', (one ->> 'amount')::bigint, 0::bigint),
        (one ->> 'credit', 0::bigint, (one ->> 'amount')::bigint)
    ) AS side (account, debit, credit)
) AS sides
GROUP BY account
ORDER BY account
"""

LOANS = """
ALTER TABLE loans
    DROP CONSTRAINT loans_open_while_it_lives,
    ADD CONSTRAINT loans_open_while_it_lives CHECK (CASE
        WHEN status IN ('submitted', 'referred', 'approved', 'accepted', 'disbursing') THEN open_for IS NOT NULL
        WHEN status IN ('declined', 'expired', 'withdrawn', 'settled') THEN open_for IS NULL
        ELSE true END)
"""

LOANS_BEFORE = """
ALTER TABLE loans
    DROP CONSTRAINT loans_open_while_it_lives,
    ADD CONSTRAINT loans_open_while_it_lives CHECK (CASE
        WHEN status IN ('submitted', 'referred', 'approved', 'accepted', 'disbursing', 'active')
            THEN open_for IS NOT NULL
        WHEN status IN ('declined', 'expired', 'withdrawn', 'settled') THEN open_for IS NULL
        ELSE true END) NOT VALID
"""


def upgrade() -> None:
    """Add them; a loan that a reversal reopened may live beside another, which then holds `open_for`."""
    for part in (PAYMENTS, LOANS, JOURNAL, REFUNDS, VIEWS):
        for statement in part.split(";"):
            op.execute(statement)


def downgrade() -> None:
    """Remove them again. A loan that lives beside another keeps doing so: the older rule is for new rows."""
    op.execute("DROP VIEW report_trial_balance, report_daily_collections, report_arrears, report_instalments")
    op.execute("DROP TABLE refunds, journal")
    op.execute("ALTER TABLE payments DROP COLUMN posted_on, DROP COLUMN closes, DROP COLUMN reversed_at")
    for statement in LOANS_BEFORE.split(";"):
        op.execute(statement)
