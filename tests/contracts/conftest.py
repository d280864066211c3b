"""The stores under contract, and records to put into them."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.identity_services import IdentityService, emulated_service, local_service

from pinjam.adapters.firestore import FirestoreStore
from pinjam.adapters.memory import MemoryStore
from pinjam.adapters.postgres import PostgresStore
from pinjam.domain.device import Device
from pinjam.domain.document import Document, DocumentKind, DocumentStatus
from pinjam.domain.keys import UserKey
from pinjam.domain.ledger import Account, JournalEntry, Posting
from pinjam.domain.loan import (
    Application,
    Contract,
    Decision,
    Instalment,
    Loan,
    LoanStatus,
    Quote,
    RuleResult,
    ScheduleRow,
    Signatory,
)
from pinjam.domain.notification import Delivery, Notification
from pinjam.domain.passkey import Challenge, Passkey
from pinjam.domain.payment import Allocation, Instructions, Method, Payment, PaymentStatus
from pinjam.domain.payout import Payout, PayoutStatus
from pinjam.domain.preferences import Preferences
from pinjam.domain.recovery import ResetCode
from pinjam.domain.refund import Refund, RefundStatus
from pinjam.domain.session import Session
from pinjam.domain.trail import AuditRecord, Consumption, Event, KeptAnswer
from pinjam.domain.user import BankAccount, Consent, Kyc, KycCheck, Sealed, User, UserStatus
from pinjam.local.emulators.auth import AuthEmulator
from pinjam.services.store import Record, Store, Transaction

AT = datetime(2026, 1, 31, 17, 30, 15, 123456, tzinfo=UTC)
JSON: dict[str, object] = {
    "text": "Rp 1.000 \N{SNOWMAN} \\u0000",
    "whole": 2**53 + 1,
    "none": None,
    "truth": True,
    "list": [1, "2", {"deep": []}],
}


class Samples:
    """Records that every store must keep: all with an id of their number."""

    at = AT

    def user(self, number: int = 1) -> User:
        return User(
            id=f"usr_{number:04}",
            full_name="Siti Rahmawati",
            email=f"siti{number}@example.com",
            phone=f"+6281234{number:06}",
            nik=Sealed("v1:opaque"),
            nik_hash=f"{number:064x}",
            nik_masked="3171********0001",
            birth_date=Sealed("v2.born"),
            gender="female",
            status=UserStatus.VERIFIED,
            locale="id",
            consents=(),
            account_created=False,
            created_at=AT,
            updated_at=AT + timedelta(microseconds=1),
        )

    def full_user(self) -> User:
        return replace(
            self.user(),
            consents=(
                Consent(purpose="credit", version="1", locale="en", given_at=AT, withdrawn_at=AT + timedelta(days=1)),
                Consent(purpose="marketing", version="2", locale="id", given_at=AT),
            ),
            account_created=True,
            kyc=Kyc(
                checks=(KycCheck(name="selfie", outcome="pass", score=91), KycCheck(name="nik", outcome="unknown")),
                reasons=("SELFIE_MATCH",),
                reference="ref",
                attempted_on=date(2026, 2, 1),
                attempts=2,
                faults=1,
            ),
            monthly_income=9_000_000,
            other_instalments=0,
            occupation="Guru",
            address=Sealed("v1:address"),
            bank_account=BankAccount(bank_code="bca", account_number=Sealed("v1:account"), account_name="SITI"),
            restricted_at=AT,
            erase_after=date(2031, 2, 1),
            sessions_ended_at=AT,
            tokens_valid_after=AT,
        )

    def user_key(self, number: int = 1) -> UserKey:
        return UserKey(id=f"usr_{number:04}", wrapped="local-1.x", wrapping_key="local-1", created_at=AT)

    def document(self, number: int = 1) -> Document:
        return Document(
            id=f"doc_{number:04}",
            user_id="usr_0001",
            kind=DocumentKind.KTP,
            status=DocumentStatus.RECEIVED,
            content_type="image/jpeg",
            size=1,
            sha256="0" * 64,
            source_sha256=f"{number:064x}",
            object_key=f"documents/{number}",
            created_at=AT,
        )

    def loan(self, number: int = 1) -> Loan:
        return Loan(
            id=f"loan_{number:04}",
            user_id="usr_0001",
            status=LoanStatus.WITHDRAWN,
            amount=3_000_000,
            tenor_months=6,
            purpose="education",
            application=Application(
                amount=3_000_000,
                tenor_months=6,
                purpose="education",
                monthly_income=9_000_000,
                other_instalments=0,
                consented_at=AT,
            ),
            open_for=None,
            created_at=AT,
            updated_at=AT,
        )

    def open_loan(self, number: int = 1) -> Loan:
        return replace(self.loan(number), status=LoanStatus.SUBMITTED, open_for="usr_0001")

    def full_loan(self) -> Loan:
        row = ScheduleRow(
            number=1, due_date=date(2026, 2, 28), principal=3_000_000, interest=75_000, total=3_075_000, balance=0
        )
        quote = Quote(
            amount=3_000_000,
            tenor_months=1,
            interest_method="declining",
            monthly_rate_ppm=25_000,
            admin_fee=30_000,
            disbursed_amount=2_970_000,
            instalment=3_075_000,
            total_interest=75_000,
            total_payable=3_075_000,
            effective_annual_rate_ppm=424_242,
            schedule=(row, replace(row, number=2)),
            policy_id="2026-01",
        )
        decision = Decision(
            outcome="approved",
            reasons=("SCORE_MIN",),
            rules=(
                RuleResult(code="DSR_MAX", stage="affordability", passed=True, effect=None, observed="1", limit="2"),
                RuleResult(code="VELOCITY", stage="velocity", passed=False, effect="decline", observed="4", limit="3"),
            ),
            score=600,
            limit=5_000_000,
            offered_amount=None,
            policy_id="2026-01",
            policy_hash="hash",
            decided_on=date(2026, 2, 1),
            decided_at=AT,
            snapshot=JSON,
        )
        return replace(
            self.open_loan(),
            status=LoanStatus.ACTIVE,
            decision=decision,
            offer=quote,
            offer_expires_on=date(2026, 2, 8),
            contract=Contract(
                number="PJ-1",
                quote=quote,
                late_fee_daily_ppm=1000,
                late_fee_from_day=4,
                total_cap_ppm=1_000_000,
                statements=("satu", "dua"),
                locale="id",
                accepted_at=AT,
                policy_id="2026-01",
                policy_hash="hash",
                borrower=Signatory(
                    full_name="Siti",
                    nik_masked="3171********0001",
                    address=None,
                    bank_code="bca",
                    account_number=Sealed("sealed"),
                    account_name="SITI",
                ),
            ),
            payout_id="payout_1",
            disbursed_on=date(2026, 2, 1),
            disbursed_at=AT,
            instalments=(
                Instalment(number=1, due_date=date(2026, 2, 28), principal=1, interest=2, fee_from=date(2026, 3, 1)),
                Instalment(number=2, due_date=date(2026, 3, 31), principal=1, interest=2, paid_on=date(2026, 3, 30)),
            ),
            next_due_on=date(2026, 2, 28),
        )

    def settled_loan(self) -> Loan:
        return replace(self.full_loan(), status=LoanStatus.SETTLED, open_for=None, next_due_on=None, settled_at=AT)

    def payment(self, number: int = 1) -> Payment:
        return Payment(
            id=f"pay_{number:04}",
            loan_id="loan_0001",
            user_id="usr_0001",
            kind="instalment",
            amount=500_000,
            status=PaymentStatus.PENDING,
            method=Method(type="qris"),
            expires_at=AT,
            created_at=AT,
            updated_at=AT,
        )

    def full_payment(self) -> Payment:
        return replace(
            self.payment(),
            status=PaymentStatus.SETTLED,
            method=Method(type="bank_transfer", bank="mandiri"),
            instructions=Instructions(
                expires_at=AT, va_number="1", biller_code="70012", bill_key="2", qr_string="000201"
            ),
            transaction_id="b3f1",
            allocation=(Allocation(number=1, late_fee=1, interest=2, principal=3),),
            surplus=7,
            settled_at=AT,
            posted_on=date(2026, 2, 1),
            closes=True,
        )

    def reversed_payment(self) -> Payment:
        return replace(
            self.payment(3),
            status=PaymentStatus.REVERSED,
            settled_at=AT,
            posted_on=date(2026, 2, 1),
            reversed_at=AT + timedelta(days=1),
        )

    def entry(self, number: int = 1) -> JournalEntry:
        return JournalEntry(
            id=f"jrn_{number:04}",
            key=f"disbursement:{number}",
            kind="disbursement",
            loan_id="loan_0001",
            subject="loan_0001",
            on=date(2026, 2, 1),
            at=AT,
            postings=(Posting(debit=Account.LOANS_RECEIVABLE, credit=Account.FEE_INCOME, amount=1),),
        )

    def reversing_entry(self) -> JournalEntry:
        return replace(self.entry(2), kind="reversal", reverses="jrn_0001")

    def refund(self, number: int = 1) -> Refund:
        return Refund(
            id=f"rfd_{number:04}",
            user_id="usr_0001",
            loan_id="loan_0001",
            payment_id=f"pay_{number:04}",
            amount=7,
            status=RefundStatus.OWED,
            created_at=AT,
            updated_at=AT,
        )

    def full_refund(self) -> Refund:
        return replace(self.refund(3), status=RefundStatus.PAID, payout_id="out_1", paid_at=AT)

    def payout(self, number: int = 1) -> Payout:
        return Payout(
            id=f"out_{number:04}",
            purpose="loan",
            subject_id="loan_0001",
            loan_id="loan_0001",
            user_id="usr_0001",
            amount=2_970_000,
            account=BankAccount(bank_code="bca", account_number=Sealed("sealed"), account_name="SITI"),
            notes="Pinjam PJ-1",
            status=PayoutStatus.SENDING,
            open_for="loan_0001",
            created_at=AT,
            updated_at=AT,
            sent_at=AT,
        )

    def full_payout(self) -> Payout:
        return replace(
            self.payout(2),
            purpose="refund",
            status=PayoutStatus.FAILED,
            open_for=None,
            hold="name-mismatch",
            released_at=AT,
            ended_at=AT,
            reference="a1b2",
            failure="002",
        )

    def notification(self, number: int = 1) -> Notification:
        return Notification(
            id=f"ntf_{number:04}",
            user_id="usr_0001",
            kind="loan-decided",
            title="Disetujui",
            body="Selamat",
            data={},
            created_at=AT,
        )

    def full_notification(self) -> Notification:
        sent = Delivery(
            channel="sms",
            status="sent",
            attempts=2,
            sent_at=AT,
            provider_id="1",
            error="late",
            leased_until=AT,
            not_before=AT,
            delivered_at=AT,
        )
        return replace(
            self.notification(),
            data={"loan_id": "loan_0001"},
            read_at=AT,
            deliveries=(sent, Delivery(channel="push")),
            waiting_until=AT,
            undelivered_at=AT,
        )

    def device(self, number: int = 1) -> Device:
        return Device(
            id=f"dev_{number:04}",
            user_id="usr_0001",
            token=Sealed(f"v2.token{number}"),
            platform="ios",
            registered_at=AT,
            token_hash=f"{number:064x}",
        )

    def preferences(self, number: int = 1) -> Preferences:
        return Preferences(id=f"usr_{number:04}", updated_at=AT, push=False, marketing=True)

    def passkey(self, number: int = 1) -> Passkey:
        return Passkey(
            id=f"psk_{number:04}",
            user_id="usr_0001",
            credential_id=f"credential-{number}",
            public_key="cHVibGlj",
            sign_count=2**32 - 1,
            backup_eligible=True,
            backed_up=False,
            transports=("internal", "hybrid"),
            aaguid="00000000-0000-0000-0000-000000000000",
            device_name="Pixel 9",
            created_at=AT,
        )

    def challenge(self, number: int = 1) -> Challenge:
        return Challenge(id=f"chl_{number:04}", purpose="login", user_id=None, challenge_hash="0" * 64, expires_at=AT)

    def session(self, number: int = 1) -> Session:
        return Session(
            id=f"ses_{number:04}",
            user_id="usr_0001",
            generation=1,
            provider_token=Sealed("v1:token"),
            opened_at=AT,
            rotated_at=AT,
        )

    def reset_code(self, number: int = 1) -> ResetCode:
        return ResetCode(id=f"usr_{number:04}", request="evt_0001", asked_at=AT, expires_at=AT)

    def event(self, number: int = 1) -> Event:
        return Event(
            id=f"evt_{number:04}",
            topic="loan-submitted",
            subject="loan_0001",
            data={"amount": 1, "reason": None, "text": "x"},
            request_id="req",
            occurred_at=AT,
        )

    def kept_answer(self, number: int = 1) -> KeptAnswer:
        return KeptAnswer(
            id=f"usr_0001:/api/loans/apply:{number:04}", fingerprint="f", subject="loan_0001", created_at=AT
        )

    def audit_record(self, number: int = 1) -> AuditRecord:
        return AuditRecord(
            id=f"aud_{number:04}",
            subject="loan_0001",
            number=number,
            action="apply",
            actor="usr_0001",
            request_id="req",
            at=AT,
            before=None,
            after={},
            previous="0",
            hash="1",
        )

    def all(self) -> tuple[Record, ...]:
        """Of each kind one with every field set and one without the optional ones, in the order of references."""
        return (
            self.full_user(),
            self.user(2),
            replace(self.user(3), restricted_at=AT, erased_at=AT, phone="erased:usr_0003"),
            self.user_key(),
            self.user_key(2).destroyed(AT),
            self.document(),
            self.full_loan(),
            self.loan(2),
            replace(self.settled_loan(), id="loan_0003", payout_id=None),
            self.full_payment(),
            self.reversed_payment(),
            self.entry(),
            self.reversing_entry(),
            self.refund(),
            self.full_refund(),
            self.payout(),
            self.full_payout(),
            self.payment(2),
            self.full_notification(),
            self.notification(2),
            self.device(),
            replace(self.device(2), token=None, token_hash=None),
            self.preferences(),
            self.preferences(2),
            replace(self.passkey(), last_used_at=AT, blocked_at=AT, removed_at=AT),
            self.passkey(2),
            replace(self.challenge(), user_id="usr_0001", used_at=AT),
            self.challenge(2),
            replace(self.session(), ended_at=AT),
            self.session(2),
            replace(self.reset_code(), leased_until=AT, used_at=AT),
            self.reset_code(2),
            replace(self.event(), published_at=AT),
            self.event(2),
            Consumption(id="notify:evt_0001", consumed_at=AT),
            replace(self.kept_answer(), leased_until=AT, status=202, body=JSON),
            self.kept_answer(2),
            replace(self.audit_record(), before=JSON, after=JSON),
            self.audit_record(2),
        )


@pytest.fixture
def samples() -> Samples:
    return Samples()


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def postgres_store(store_url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(store_url)
    yield store
    store.close()


@pytest.fixture
def firestore_store(firestore_url: str) -> Iterator[FirestoreStore]:
    """A database of the test's own; the emulator makes one for any project that is named."""
    store = FirestoreStore(project=f"t{uuid.uuid4().hex}", url=firestore_url)
    yield store
    store.close()


@pytest.fixture(params=["memory_store", "postgres_store", "firestore_store"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn; one more adapter is one more name here and a fixture of that name."""
    made: Store = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def insert(store: Store) -> Callable[..., None]:
    """Adds records in a transaction of their own."""

    def all_at_once(*records: Record) -> None:
        def work(tx: Transaction) -> None:
            for record in records:
                tx.insert(record)

        store.transact(work)

    return all_at_once


@pytest.fixture(scope="module")
def local_identity(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityService]:
    with local_service(database_url, tmp_path_factory.mktemp("identity")) as service:
        yield service


@pytest.fixture(scope="module")
def official_emulator(auth_emulator: AuthEmulator) -> Iterator[IdentityService]:
    with emulated_service(auth_emulator) as service:
        yield service
