"""`python -m pinjam.generate`: books of loans that never were, as if they had been."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date

import psycopg
import pytest

from pinjam.adapters.postgres import PostgresStore
from pinjam.domain.loan import Loan, LoanStatus
from pinjam.domain.payment import Payment, PaymentStatus
from pinjam.domain.user import User, UserStatus
from pinjam.generate import Generated, generate, main
from pinjam.local.lives import Life, lives
from pinjam.services.checking import Checking
from pinjam.services.store import KINDS, Find, R, each

TODAY = date(2027, 3, 1)
LOANS = 35


@pytest.fixture(scope="module")
def walked() -> Mapping[str, Life]:
    return lives(today=TODAY, seed=7, told=lambda _: None)


@pytest.fixture
def made(fresh_url: str, walked: Mapping[str, Life]) -> Generated:
    return generate(fresh_url, walked, loans=LOANS, told=lambda _: None)


@pytest.fixture
def store(fresh_url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(fresh_url)
    yield store
    store.close()


def of_kind(store: PostgresStore, kind: type[R]) -> list[R]:
    return list(each(store, Find(kind=kind, limit=100)))


def test_there_are_as_many_loans_as_were_asked_for_and_each_record_reads_back(
    made: Generated, store: PostgresStore
) -> None:
    assert LOANS <= made.loans == len(of_kind(store, Loan)) <= LOANS + 9
    for kind in KINDS:
        assert len(of_kind(store, kind)) == store.read(lambda tx, kind=kind: tx.count(kind, {}))  # type: ignore[misc]  # bound per turn


def test_books_balance_and_the_audit_logs_chains_hold(made: Generated, store: PostgresStore) -> None:
    checked = Checking(store).check()
    assert checked.records > 5 * made.loans
    assert (checked.broken_chains, checked.difference) == (0, 0)


def test_most_applications_come_to_nothing_and_nobody_has_two_at_a_time(made: Generated, store: PostgresStore) -> None:
    of_whom: dict[str, Counter[LoanStatus]] = {}
    for loan in of_kind(store, Loan):
        of_whom.setdefault(loan.user_id, Counter())[loan.status] += 1
    assert made.borrowers == len(of_kind(store, User)) == 4
    debtor = {LoanStatus.SETTLED: 2, LoanStatus.WITHDRAWN: 2, LoanStatus.DECLINED: 5, LoanStatus.ACTIVE: 1}
    done = {LoanStatus.SETTLED: 2, LoanStatus.WITHDRAWN: 4, LoanStatus.DECLINED: 4}
    of_each = [tuple(sorted(counted.items())) for counted in of_whom.values()]
    assert Counter(of_each) == {tuple(sorted(debtor.items())): 2, tuple(sorted(done.items())): 2}


def test_those_to_ask_about_owe_on_a_loan_and_have_an_order_open(made: Generated, store: PostgresStore) -> None:
    assert len(made.debtors) == len(made.pending) == 2
    for user_id, payment_id in zip(made.debtors, made.pending, strict=True):
        user = store.read(lambda tx, user_id=user_id: tx.get(User, user_id))  # type: ignore[misc]  # bound per turn
        payment = store.read(lambda tx, id_=payment_id: tx.get(Payment, id_))  # type: ignore[misc]  # as above
        assert user is not None
        assert payment is not None
        assert (user.status, payment.status, payment.user_id) == (UserStatus.VERIFIED, PaymentStatus.PENDING, user_id)


def test_a_second_run_adds_others(
    made: Generated, store: PostgresStore, fresh_url: str, walked: Mapping[str, Life]
) -> None:
    more = generate(fresh_url, walked, loans=1, told=lambda _: None)
    assert len(of_kind(store, Loan)) == made.loans + more.loans
    assert not set(more.debtors) & set(made.debtors)
    assert Checking(store).check().broken_chains == 0


def test_a_run_that_fails_leaves_nothing(fresh_url: str, walked: Mapping[str, Life], store: PostgresStore) -> None:
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_log ADD CONSTRAINT never CHECK (number < 0)")
    with pytest.raises(psycopg.errors.CheckViolation):
        generate(fresh_url, walked, loans=1, told=lambda _: None)
    assert of_kind(store, User) == []


@pytest.mark.parametrize("loans", ["0", "-1", "10000001", "many"])
def test_a_number_of_loans_that_cannot_be_is_refused(loans: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--loans", loans])
    assert ended.value.code == 2
    assert "--loans" in capsys.readouterr().err


def test_lives_cannot_begin_before_there_was_a_policy() -> None:
    with pytest.raises(LookupError, match="the first one starts on 2026-01-01"):
        lives(today=date(2026, 4, 30), seed=1, told=lambda _: None)


def test_a_database_that_is_not_there_is_told_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PINJAM_STATE", "/nonexistent/pinjam-tests")
    assert main(["--loans", "10", "--to", "postgresql://127.0.0.1:1/none"]) == 2
    assert "nothing was written" in capsys.readouterr().err


def test_a_store_that_it_does_not_fill_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PINJAM_PROFILE", "emulators")
    monkeypatch.setenv("PINJAM_STATE", "/nonexistent/pinjam-tests")
    assert main(["--loans", "10"]) == 2
    assert "PINJAM_STORE is 'firestore'" in capsys.readouterr().err


def test_a_deployment_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PINJAM_PROFILE", "gcp")
    assert main(["--loans", "10"]) == 2
    assert "PINJAM_PROFILE is 'gcp'" in capsys.readouterr().err
