"""How the queries that are asked often are answered: from an index, and no further than the page."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pinjam.adapters import postgres_rows
from pinjam.adapters.records import cursor_after
from pinjam.domain.device import Device
from pinjam.domain.document import Document
from pinjam.domain.keys import UserKey
from pinjam.domain.ledger import JournalEntry
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.notification import Notification
from pinjam.domain.passkey import Challenge
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.payout import Payout, PayoutStatus
from pinjam.domain.recovery import ResetCode
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.session import Session
from pinjam.domain.trail import AuditRecord, Consumption, Event, KeptAnswer
from pinjam.domain.user import User, UserStatus
from pinjam.services.store import Find

if TYPE_CHECKING:
    from tests.adapters.conftest import Fill, Run


MIDDLE = date(2026, 6, 1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINE = {"user_id": "usr_00007"}
WITHDRAWN = {"status": LoanStatus.WITHDRAWN}
IN_REVIEW = {"status": UserStatus.REVIEW}
REFERRED = {"status": LoanStatus.REFERRED}
PENDING = {"status": PaymentStatus.PENDING}


@pytest.fixture(scope="module")
def filled_url(database_url: str, migrated_url: str, run: "Run", fill: "Fill") -> Iterator[str]:
    """Twenty thousand loans, and as many of what hangs on them."""
    assert "dbname=template_migrated" in migrated_url
    run(database_url, "CREATE DATABASE filled TEMPLATE template_migrated")
    url = make_conninfo(migrated_url, dbname="filled")
    fill(url, users=2000, loans_each=10)
    run(url, "ANALYZE")
    yield url
    run(database_url, "DROP DATABASE filled WITH (FORCE)")


@pytest.mark.parametrize(
    ("query", "place", "index"),
    [
        (Find(kind=Loan, where=MINE, descending=True), "loan_010000", "loans_user_id_id"),
        (Find(kind=User, where=IN_REVIEW, order="updated_at"), NOON, "users_in_review"),
        (Find(kind=Loan, where=REFERRED, order="updated_at"), NOON, "loans_referred"),
        (Find(kind=Payment, where=MINE, descending=True), "pay_010000", "payments_user_id_id"),
        (Find(kind=Payment, where={"loan_id": "loan_000007"}), "pay_000001", "payments_loan_id_id"),
        (
            Find(kind=Loan, where=WITHDRAWN, order="next_due_on", at_least=MIDDLE, below=date(2026, 6, 9)),
            date(2026, 6, 3),
            "loans_status_next_due_on",
        ),
        (
            Find(kind=Loan, where=WITHDRAWN, order="offer_expires_on", below=MIDDLE),
            date(2026, 2, 3),
            "loans_status_offer_expires_on",
        ),
        (Find(kind=Payment, where=PENDING, order="expires_at", below=NOON), NOON, "payments_status_expires_at"),
        (Find(kind=Notification, where=MINE, descending=True), "ntf_010000", "notifications_user_id_id"),
        (
            Find(kind=Notification, order="waiting_until", below=NOON),
            datetime(2026, 6, 1, tzinfo=UTC),
            "notifications_waiting_until",
        ),
        (
            Find(kind=Notification, order="undelivered_at", at_least=datetime(2000, 1, 1, tzinfo=UTC)),
            datetime(2026, 6, 1, tzinfo=UTC),
            "notifications_undelivered_at",
        ),
        (Find(kind=Device, where=MINE), "dev_1", "devices_user_id_id"),
        (Find(kind=Event, where={"published_at": None}), "evt_010000", "outbox_unpublished"),
        (Find(kind=Document, where=MINE, descending=True), "doc_2", "documents_user_id_id"),
        (Find(kind=KeptAnswer, order="created_at", below=NOON), NOON, "kept_answers_created_at"),
        (Find(kind=Challenge, order="expires_at", below=NOON), NOON, "challenges_expires_at"),
        (Find(kind=ResetCode, order="expires_at", below=NOON), NOON, "reset_codes_expires_at"),
        (Find(kind=Session, order="rotated_at", below=NOON), NOON, "sessions_rotated_at"),
        (Find(kind=Consumption, order="consumed_at", below=NOON), NOON, "consumptions_consumed_at"),
        (Find(kind=Event, order="published_at", below=NOON), NOON, "outbox_published_at"),
        (
            Find(kind=AuditRecord, where={"subject": "x"}, order="number", descending=True, limit=1),
            7,
            "audit_log_subject_number_key",
        ),
        (Find(kind=JournalEntry, where={"loan_id": "loan_000007"}), "jrn_000001", "journal_loan_id_id"),
        (Find(kind=JournalEntry), "jrn_000007", "journal_pkey"),
        (Find(kind=Refund, where={"status": RefundStatus.OWED}), "rfd_000001", "refunds_status_id"),
        (Find(kind=Refund, where={"loan_id": "loan_000007"}), "rfd_000001", "refunds_loan_id_id"),
        (Find(kind=Refund, where=MINE), "rfd_000001", "refunds_user_id_id"),
        (Find(kind=Payout, where=MINE), "out_000001", "payouts_user_id_id"),
        (Find(kind=UserKey, where={"wrapping_key": "local-1"}), "usr_00001", "user_keys_wrapping_key_id"),
        (Find(kind=UserKey, order="wrapping_key", at_least="local-1"), "local-1", "user_keys_wrapping_key_id"),
        (Find(kind=User, order="erase_after", below=MIDDLE), date(2026, 5, 1), "users_erase_after"),
        (Find(kind=Refund, where={**MINE, "status": RefundStatus.OWED}), "rfd_000001", "refunds_user_id_status_id"),
        (
            Find(kind=Payout, where={"subject_id": "loan_000007"}, descending=True),
            "out_010000",
            "payouts_subject_id_id",
        ),
        (Find(kind=Payout, where={"status": PayoutStatus.HELD}), "out_000001", "payouts_status_id"),
        (
            Find(kind=Payout, where={"status": PayoutStatus.SENDING}, order="updated_at", below=NOON),
            datetime(2026, 6, 1, tzinfo=UTC),
            "payouts_status_updated_at",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_page_is_read_from_an_index_that_holds_its_order(
    filled_url: str, query: Find[Any], place: Any, index: str
) -> None:
    last: Any = SimpleNamespace(**{query.order: place, "id": place if query.order == "id" else "x"})
    for page in (query, replace(query, after=cursor_after(query, last))):
        text, values = postgres_rows.find(page)
        with psycopg.connect(filled_url, autocommit=True) as connection:
            # An empty table is read whole whatever its indexes are.
            connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
            row = connection.execute(b"EXPLAIN (FORMAT JSON, ANALYZE, TIMING OFF) " + text, values).fetchone()
        assert row is not None
        limit = row[0][0]["Plan"]
        assert limit["Node Type"] == "Limit"
        (scan,) = limit["Plans"]
        if scan["Node Type"] == "Incremental Sort":  # A number is unique in its subject: nothing is left to sort.
            (scan,) = scan["Plans"]
        # A consumption is no more than what its index holds.
        wanted = "Index Only Scan" if index == "consumptions_consumed_at" else "Index Scan"
        assert (scan["Node Type"], scan.get("Index Name")) == (wanted, index)
        assert scan["Actual Rows"] <= query.limit + 1
        assert scan.get("Rows Removed by Filter", 0) == 0


def test_what_is_asked_on_every_request_and_event_chooses_its_index_unasked(filled_url: str) -> None:
    for (text, values), index in (
        (postgres_rows.find(Find(kind=Loan, where=MINE, descending=True, limit=20)), "loans_user_id_id"),
        (postgres_rows.count(Notification, {**MINE, "read_at": None}), "notifications_unread"),
        (postgres_rows.find(Find(kind=Refund, where={"payment_id": "pay_000007"}, limit=1)), "refunds_payment_id_id"),
        (postgres_rows.find(Find(kind=Payout, where={"reference": "x"}, limit=1)), "payouts_reference_key"),
        (postgres_rows.find(Find(kind=Loan, where={"open_for": "usr_00007"}, limit=1)), "loans_open_for_key"),
        (
            postgres_rows.find(Find(kind=Payment, where={"loan_id": "loan_000007", **PENDING}, limit=20)),
            "payments_loan_id_id",
        ),
    ):
        with psycopg.connect(filled_url, autocommit=True) as connection:
            row = connection.execute(b"EXPLAIN (FORMAT JSON) " + text, values).fetchone()
        assert row is not None
        assert index in str(row[0])


def test_the_whole_audit_log_is_read_a_subject_at_a_time_without_sorting_it(filled_url: str) -> None:
    query = Find(kind=AuditRecord, order="subject", limit=100)
    last: Any = SimpleNamespace(subject="loan_010000", id="x")
    for page in (query, replace(query, after=cursor_after(query, last))):
        text, values = postgres_rows.find(page)
        with psycopg.connect(filled_url, autocommit=True) as connection:
            row = connection.execute(b"EXPLAIN (FORMAT JSON, ANALYZE, TIMING OFF) " + text, values).fetchone()
        assert row is not None
        (sort,) = row[0][0]["Plan"]["Plans"]
        (scan,) = sort["Plans"]
        assert (sort["Node Type"], sort["Presorted Key"]) == ("Incremental Sort", ["subject"])
        assert scan["Index Name"] == "audit_log_subject_number_key"
        assert scan["Actual Rows"] <= 2 * query.limit
