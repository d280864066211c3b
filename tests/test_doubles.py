"""The in-memory adapters do what the ports' contracts ask of every adapter."""

import pytest
from tests.contracts.test_accounts import (
    siti,
    test_a_deleted_account_is_gone_with_its_sessions_and_frees_its_address,
    test_a_new_account_signs_in_and_its_token_names_it,
    test_a_new_password_ends_every_session,
    test_a_new_password_takes_the_place_of_the_old_one,
    test_a_new_password_too_weak_for_the_service_changes_nothing,
    test_a_password_too_weak_for_the_service_is_refused_for_good,
    test_a_session_is_refreshed,
    test_a_taken_address_is_refused_however_it_is_spelt,
    test_a_taken_uid_is_refused,
    test_an_account_that_is_not_there_signs_nobody_in_and_is_not_there_afterwards,
    test_an_unknown_refresh_token_is_a_wrong_credential,
    test_guessing_is_stopped_with_a_time_to_come_back,
    test_nobodys_password_cannot_be_set,
    test_revocation_ends_a_session_of_a_custom_token_too,
    test_revocation_ends_every_session_but_not_the_next,
    test_revoking_nobody_is_harmless,
    test_what_cannot_be_an_account_is_a_wrong_credential,
    test_who_has_proven_to_us_who_they_are_signs_in_and_the_claims_outlive_a_refresh,
    test_wrong_password_and_unknown_address_cannot_be_told_apart,
)
from tests.contracts.test_object_store import Damage, ObjectStoreContract
from tests.contracts.test_payment_gateway import (
    test_a_bank_transfer_without_a_bank_is_refused,
    test_a_cancelled_order_is_expired_and_cancelling_again_or_nothing_is_harmless,
    test_a_charge_that_the_gateway_does_not_take_is_refused,
    test_a_new_order_is_pending_and_says_how_to_pay,
    test_an_order_id_is_not_reused_for_another_amount,
    test_an_order_id_is_not_reused_for_another_method,
    test_an_unknown_order_has_no_status,
    test_asking_again_gives_the_same_order_and_the_same_way_to_pay,
)
from tests.contracts.test_payouts import pay_out
from tests.doubles import MemoryAccounts, MemoryObjects, MemoryPayments, MemoryPayouts

from pinjam.services.ports import ForgedNotification, Refused, Unavailable

__all__ = [
    "siti",
    "test_a_bank_transfer_without_a_bank_is_refused",
    "test_a_cancelled_order_is_expired_and_cancelling_again_or_nothing_is_harmless",
    "test_a_charge_that_the_gateway_does_not_take_is_refused",
    "test_a_deleted_account_is_gone_with_its_sessions_and_frees_its_address",
    "test_a_new_account_signs_in_and_its_token_names_it",
    "test_a_new_order_is_pending_and_says_how_to_pay",
    "test_a_new_password_ends_every_session",
    "test_a_new_password_takes_the_place_of_the_old_one",
    "test_a_new_password_too_weak_for_the_service_changes_nothing",
    "test_a_password_too_weak_for_the_service_is_refused_for_good",
    "test_a_session_is_refreshed",
    "test_a_taken_address_is_refused_however_it_is_spelt",
    "test_a_taken_uid_is_refused",
    "test_an_account_that_is_not_there_signs_nobody_in_and_is_not_there_afterwards",
    "test_an_order_id_is_not_reused_for_another_amount",
    "test_an_order_id_is_not_reused_for_another_method",
    "test_an_unknown_order_has_no_status",
    "test_an_unknown_refresh_token_is_a_wrong_credential",
    "test_asking_again_gives_the_same_order_and_the_same_way_to_pay",
    "test_guessing_is_stopped_with_a_time_to_come_back",
    "test_nobodys_password_cannot_be_set",
    "test_revocation_ends_a_session_of_a_custom_token_too",
    "test_revocation_ends_every_session_but_not_the_next",
    "test_revoking_nobody_is_harmless",
    "test_what_cannot_be_an_account_is_a_wrong_credential",
    "test_who_has_proven_to_us_who_they_are_signs_in_and_the_claims_outlive_a_refresh",
    "test_wrong_password_and_unknown_address_cannot_be_told_apart",
]


@pytest.fixture
def gateway() -> MemoryPayments:
    return MemoryPayments()


@pytest.fixture
def service() -> MemoryAccounts:
    return MemoryAccounts()


@pytest.fixture
def accounts(service: MemoryAccounts) -> MemoryAccounts:
    return service


@pytest.fixture
def verifier(accounts: MemoryAccounts) -> MemoryAccounts:
    return accounts


class TestMemoryObjects(ObjectStoreContract):
    @pytest.fixture
    def store(self) -> MemoryObjects:
        return MemoryObjects()

    @pytest.fixture
    def damage(self, store: MemoryObjects) -> Damage:
        def change(key: str, content: bytes) -> None:
            store.objects[key] = content

        return change


def test_asking_for_a_payout_again_sends_nothing_more() -> None:
    gateway = MemoryPayouts()
    assert pay_out(gateway) == pay_out(gateway)
    with pytest.raises(Unavailable):
        pay_out(gateway, account="999000111")
    assert gateway.paid == [2_970_000]
    assert pay_out(gateway, payout_id="loan_1-2").reference != pay_out(gateway).reference
    assert gateway.paid == [2_970_000, 2_970_000]


def test_the_gateway_for_payouts_in_memory_knows_holders_and_its_own_notifications() -> None:
    gateway = MemoryPayouts()
    gateway.accounts["7"] = None
    assert gateway.holder(bank_code="bca", account_number="1") == "SITI RAHMAWATI"
    assert gateway.holder(bank_code="bca", account_number="7") is None
    assert gateway.read_notification(b'{"reference_no": "r"}', "genuine") == "r"
    with pytest.raises(ForgedNotification):
        gateway.read_notification(b'{"reference_no": "r"}', "made up")
    with pytest.raises(ValueError, match="reference_no"):
        gateway.read_notification(b"{}", "genuine")
    with pytest.raises(Refused):
        gateway.status("unknown")
