"""When a payout that failed is tried again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pinjam.domain.payout import MOST_FAILURES, PAUSES, Payout, PayoutStatus, ended, failures_to, next_try, sent
from pinjam.domain.user import BankAccount, Sealed

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
ACCOUNT = BankAccount(bank_code="bca", account_number=Sealed("sealed"), account_name="SITI")
ANOTHER = replace(ACCOUNT, account_number=Sealed("sealed again"))


def payout(number: int = 1, account: BankAccount = ACCOUNT) -> Payout:
    return Payout(
        id=f"out_{number}",
        purpose="loan",
        subject_id="loan_1",
        loan_id="loan_1",
        user_id="usr_1",
        amount=1,
        account=account,
        notes="Pinjam",
        status=PayoutStatus.HELD,
        open_for="loan_1",
        created_at=AT,
        updated_at=AT,
        hold="name-mismatch",
    )


def failed(number: int, at: datetime, account: BankAccount = ACCOUNT) -> Payout:
    return ended(sent(payout(number, account), at), PayoutStatus.FAILED, at, failure="002")


def test_an_ended_payout_leaves_its_subject_open_for_another() -> None:
    on_its_way = sent(payout(), AT)
    assert (on_its_way.status, on_its_way.open_for, on_its_way.sent_at) == (PayoutStatus.SENDING, "loan_1", AT)
    paid = ended(on_its_way, PayoutStatus.PAID, AT + timedelta(hours=1))
    assert (paid.status, paid.open_for, paid.ended_at) == (PayoutStatus.PAID, None, AT + timedelta(hours=1))


def test_the_first_try_waits_for_nothing() -> None:
    assert next_try([]) is None


def test_each_failure_is_followed_by_a_longer_pause_and_the_last_by_a_person() -> None:
    assert list(PAUSES) == sorted(set(PAUSES))
    failures: list[Payout] = []
    for number, pause in enumerate(PAUSES, 1):
        failures.insert(0, failed(number, AT + timedelta(days=number)))
        assert next_try(failures) == AT + timedelta(days=number) + pause
    failures.insert(0, failed(9, AT))
    assert len(failures) == MOST_FAILURES
    assert next_try(failures) is None


def test_only_failures_to_the_same_account_count() -> None:
    past = [failed(3, AT), failed(2, AT, ANOTHER), payout(1), ended(payout(4), PayoutStatus.VOID, AT)]
    assert [one.id for one in failures_to(ACCOUNT, past)] == ["out_3"]
    assert [one.id for one in failures_to(ANOTHER, past)] == ["out_2"]
