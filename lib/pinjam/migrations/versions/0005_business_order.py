"""Several refunds of one payment, and claims on refunds that were paid of money that was taken back."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

REFUNDS = """
ALTER TABLE refunds DROP CONSTRAINT refunds_payment_id_key;
CREATE INDEX refunds_payment_id_id ON refunds (payment_id, id)
"""

JOURNAL = """
ALTER TABLE journal
    DROP CONSTRAINT journal_kind_check,
    ADD CONSTRAINT journal_kind_check CHECK (kind IN ('payout_sent', 'payout_returned', 'disbursement', 'repayment',
        'refund', 'claim', 'reversal', 'write_off'))
"""

REFUNDS_BEFORE = """
DROP INDEX refunds_payment_id_id;
ALTER TABLE refunds ADD CONSTRAINT refunds_payment_id_key UNIQUE (payment_id)
"""

JOURNAL_BEFORE = """
ALTER TABLE journal
    DROP CONSTRAINT journal_kind_check,
    ADD CONSTRAINT journal_kind_check CHECK (kind IN ('payout_sent', 'payout_returned', 'disbursement', 'repayment',
        'refund', 'reversal', 'write_off')) NOT VALID
"""


def upgrade() -> None:
    """Allow them."""
    for part in (REFUNDS, JOURNAL):
        for statement in part.split(";"):
            op.execute(statement)


def downgrade() -> None:
    """Allow them no more; refused while a payment has two refunds. Claims that were made stay: the journal does."""
    for part in (REFUNDS_BEFORE, JOURNAL_BEFORE):
        for statement in part.split(";"):
            op.execute(statement)
