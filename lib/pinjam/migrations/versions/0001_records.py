"""The tables of every stored record.

Columns are the records' fields: a scalar has a column of its own, what is nested is JSONB. Keys compare by
bytes (collation "C") whatever the server's locale, since ids sort by time. The name of a unique constraint is
`<table>_<fields>_key`: the store tells from it which values are taken.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

USERS = """
CREATE TABLE users (
    id text COLLATE "C" PRIMARY KEY,
    full_name text NOT NULL,
    email text COLLATE "C" NOT NULL CONSTRAINT users_email_key UNIQUE CHECK (email = lower(email)),
    phone text COLLATE "C" NOT NULL CONSTRAINT users_phone_key UNIQUE CHECK (phone ~ '^[+][1-9][0-9]{6,14}$'),
    nik text NOT NULL,
    nik_hash text COLLATE "C" NOT NULL CONSTRAINT users_nik_hash_key UNIQUE CHECK (nik_hash ~ '^[0-9a-f]+$'),
    nik_masked text NOT NULL CHECK (nik_masked ~ '^[0-9]{4}[*]{8}[0-9]{4}$'),
    birth_date date NOT NULL,
    gender text NOT NULL CHECK (gender IN ('male', 'female')),
    status text NOT NULL CHECK (status IN ('registered', 'verifying', 'verified', 'rejected', 'review')),
    locale text NOT NULL CHECK (locale IN ('id', 'en')),
    consents jsonb NOT NULL CHECK (jsonb_typeof(consents) = 'array'),
    account_created boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    kyc jsonb NOT NULL CHECK (jsonb_typeof(kyc) = 'object'),
    monthly_income bigint CHECK (monthly_income >= 0),
    other_instalments bigint CHECK (other_instalments >= 0),
    occupation text,
    address text,
    bank_account jsonb CHECK (jsonb_typeof(bank_account) = 'object')
)
"""

DOCUMENTS = """
CREATE TABLE documents (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('ktp', 'selfie', 'income')),
    status text NOT NULL CHECK (status IN ('received', 'accepted', 'rejected', 'replaced')),
    content_type text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    source_sha256 text COLLATE "C" NOT NULL CHECK (source_sha256 ~ '^[0-9a-f]{64}$'),
    object_key text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT documents_user_id_kind_source_sha256_key UNIQUE (user_id, kind, source_sha256)
);
CREATE INDEX documents_user_id_id ON documents (user_id, id)
"""

LOANS = """
CREATE TABLE loans (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    status text COLLATE "C" NOT NULL CHECK (status IN ('submitted', 'approved', 'referred', 'declined', 'accepted',
        'expired', 'withdrawn', 'disbursing', 'active', 'settled', 'written_off')),
    amount bigint NOT NULL CHECK (amount > 0),
    tenor_months bigint NOT NULL CHECK (tenor_months BETWEEN 1 AND 12),
    purpose text NOT NULL CHECK (purpose IN ('education', 'health', 'home', 'business', 'travel', 'family', 'other')),
    application jsonb NOT NULL CHECK (jsonb_typeof(application) = 'object'),
    open_for text COLLATE "C" CONSTRAINT loans_open_for_key UNIQUE,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    decision jsonb CHECK (jsonb_typeof(decision) = 'object'),
    offer jsonb CHECK (jsonb_typeof(offer) = 'object'),
    offer_expires_on date,
    contract jsonb CHECK (jsonb_typeof(contract) = 'object'),
    payout_id text COLLATE "C" CONSTRAINT loans_payout_id_key UNIQUE,
    disbursed_on date,
    disbursed_at timestamptz,
    instalments jsonb NOT NULL CHECK (jsonb_typeof(instalments) = 'array'),
    next_due_on date,
    settled_at timestamptz,
    CONSTRAINT loans_open_for_its_borrower CHECK (open_for = user_id),
    CONSTRAINT loans_open_while_it_lives CHECK (CASE
        WHEN status IN ('submitted', 'referred', 'approved', 'accepted', 'disbursing', 'active')
            THEN open_for IS NOT NULL
        WHEN status IN ('declined', 'expired', 'withdrawn', 'settled') THEN open_for IS NULL
        ELSE true END),
    CONSTRAINT loans_contract_once_accepted CHECK (contract IS NOT NULL
        OR status NOT IN ('accepted', 'disbursing', 'active', 'settled', 'written_off')),
    CONSTRAINT loans_disbursed_once_active CHECK ((disbursed_on IS NULL) = (disbursed_at IS NULL)
        AND (disbursed_on IS NOT NULL OR status NOT IN ('active', 'settled', 'written_off'))),
    CONSTRAINT loans_settled_at_iff_settled CHECK ((status = 'settled') = (settled_at IS NOT NULL))
);
CREATE INDEX loans_user_id_id ON loans (user_id, id DESC);
CREATE INDEX loans_status_next_due_on ON loans (status, next_due_on, id);
CREATE INDEX loans_status_offer_expires_on ON loans (status, offer_expires_on, id)
"""

PAYMENTS = """
CREATE TABLE payments (
    id text COLLATE "C" PRIMARY KEY,
    loan_id text COLLATE "C" NOT NULL REFERENCES loans,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    kind text NOT NULL CHECK (kind IN ('instalment', 'settlement', 'partial')),
    amount bigint NOT NULL CHECK (amount > 0),
    status text COLLATE "C" NOT NULL CHECK (status IN ('pending', 'settled', 'expired', 'failed', 'reversed')),
    method jsonb NOT NULL CHECK (jsonb_typeof(method) = 'object'),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    instructions jsonb CHECK (jsonb_typeof(instructions) = 'object'),
    transaction_id text,
    allocation jsonb NOT NULL CHECK (jsonb_typeof(allocation) = 'array'),
    surplus bigint NOT NULL CHECK (surplus >= 0 AND surplus <= amount),
    settled_at timestamptz,
    CONSTRAINT payments_settled_at_iff_settled CHECK (CASE status
        WHEN 'settled' THEN settled_at IS NOT NULL
        WHEN 'reversed' THEN true
        ELSE settled_at IS NULL END)
);
CREATE INDEX payments_user_id_id ON payments (user_id, id);
CREATE INDEX payments_loan_id_id ON payments (loan_id, id);
CREATE INDEX payments_status_expires_at ON payments (status, expires_at, id)
"""

NOTIFICATIONS = """
CREATE TABLE notifications (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES users,
    kind text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    created_at timestamptz NOT NULL,
    read_at timestamptz,
    deliveries jsonb NOT NULL CHECK (jsonb_typeof(deliveries) = 'array')
);
CREATE INDEX notifications_user_id_id ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id, id) WHERE read_at IS NULL
"""

OUTBOX = """
CREATE TABLE outbox (
    id text COLLATE "C" PRIMARY KEY,
    topic text NOT NULL CHECK (topic IN ('user-documents-completed', 'user-verified', 'loan-submitted',
        'loan-decided', 'loan-accepted', 'loan-disbursed', 'payment-settled', 'payment-reversed', 'loan-settled',
        'instalment-reminder')),
    subject text COLLATE "C" NOT NULL,
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    request_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    published_at timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL
"""

CONSUMPTIONS = """
CREATE TABLE consumptions (
    id text COLLATE "C" PRIMARY KEY,
    consumed_at timestamptz NOT NULL
)
"""

KEPT_ANSWERS = """
CREATE TABLE kept_answers (
    id text COLLATE "C" PRIMARY KEY,
    fingerprint text NOT NULL,
    subject text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    leased_until timestamptz,
    status bigint CHECK (status BETWEEN 100 AND 599),
    body jsonb CHECK (jsonb_typeof(body) = 'object')
);
CREATE INDEX kept_answers_created_at ON kept_answers (created_at, id)
"""

AUDIT_LOG = """
CREATE TABLE audit_log (
    id text COLLATE "C" PRIMARY KEY,
    subject text COLLATE "C" NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    action text NOT NULL,
    actor text NOT NULL,
    request_id text NOT NULL,
    at timestamptz NOT NULL,
    before jsonb CHECK (jsonb_typeof(before) = 'object'),
    after jsonb NOT NULL CHECK (jsonb_typeof(after) = 'object'),
    previous text NOT NULL,
    hash text NOT NULL,
    CONSTRAINT audit_log_subject_number_key UNIQUE (subject, number)
)
"""


def upgrade() -> None:
    """Create the tables, those that others refer to first."""
    for table in (USERS, DOCUMENTS, LOANS, PAYMENTS, NOTIFICATIONS, OUTBOX, CONSUMPTIONS, KEPT_ANSWERS, AUDIT_LOG):
        for statement in table.split(";"):
            op.execute(statement)


def downgrade() -> None:
    """Remove everything."""
    tables = "audit_log, kept_answers, consumptions, outbox, notifications, payments, loans, documents, users"
    op.execute(f"DROP TABLE {tables}")
