"""What acceptance freezes, and the sentences that a borrower says yes to."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pinjam.domain.contract import contract_number, freeze, percent, risks, signatory, spell_date, statements
from pinjam.domain.loan import Application, Loan, LoanStatus
from pinjam.domain.pricing import quote
from pinjam.domain.user import BankAccount, Sealed, User, UserStatus
from pinjam.policy import load_policies

POLICY = load_policies().get("2026-01-01")
NOW = datetime(2026, 3, 16, 2, 30, tzinfo=UTC)
OFFER = quote(POLICY, amount=3_000_000, tenor_months=6, start=date(2026, 3, 16))

LOAN = Loan(
    id="loan_01JQZX8T1V3W5Y7A9B1C3D5E7F",
    user_id="usr_1",
    status=LoanStatus.APPROVED,
    amount=3_000_000,
    tenor_months=6,
    purpose="home",
    application=Application(
        amount=3_000_000,
        tenor_months=6,
        purpose="home",
        monthly_income=9_000_000,
        other_instalments=0,
        consented_at=NOW,
    ),
    open_for="usr_1",
    created_at=NOW,
    updated_at=NOW,
    offer=OFFER,
)


def test_a_contract_freezes_the_price_and_the_policy() -> None:
    contract = freeze(LOAN, POLICY, borrower=None, accepted_at=NOW, locale="id")
    assert contract.number == "PJM-01JQZX8T1V3W5Y7A9B1C3D5E7F" == contract_number(LOAN.id)
    assert contract.quote == OFFER
    assert (contract.late_fee_daily_ppm, contract.late_fee_from_day, contract.total_cap_ppm) == (1_000, 4, 1_000_000)
    assert (contract.policy_id, contract.policy_hash) == (POLICY.id, POLICY.hash)
    assert (contract.locale, contract.accepted_at) == ("id", NOW)
    assert contract.statements == statements(OFFER, POLICY, "id", purpose="home")


def test_only_an_offer_can_be_frozen_and_only_under_its_policy() -> None:
    with pytest.raises(ValueError, match="has no offer to accept"):
        freeze(replace(LOAN, offer=None), POLICY, borrower=None, accepted_at=NOW, locale="id")
    with pytest.raises(ValueError, match="was offered under policy 2026-01-01, not 2026-07-01"):
        freeze(LOAN, replace(POLICY, id="2026-07-01"), borrower=None, accepted_at=NOW, locale="id")


def test_six_statements_tell_the_loan_in_indonesian() -> None:
    amount, cost, instalments, late, consequences, data = statements(OFFER, POLICY, "id", purpose="home")
    assert amount == (
        "Saya meminjam Rp3.000.000 selama 6 bulan untuk kebutuhan rumah dan menerima Rp2.970.000"
        " setelah dipotong biaya admin Rp30.000."
    )
    assert "Rp3.267.899" in cost
    assert "bunga Rp267.899 (2,5% per bulan)" in cost
    assert "setara dengan 33,62% per tahun" in cost
    assert "6 cicilan bulanan sebesar Rp544.650 (yang terakhir Rp544.649)" in instalments
    assert "16 April 2026" in instalments
    assert "16 September 2026" in instalments
    assert "hari ke-4" in late
    assert "0,1% per hari" in late
    assert "tidak akan melebihi Rp3.000.000" in late
    assert "SLIK" in consequences
    assert "UU No. 27 Tahun 2022" in data


def test_six_statements_tell_the_loan_in_english() -> None:
    amount, cost, instalments, late, consequences, data = statements(OFFER, POLICY, "en", purpose="family")
    assert "I borrow Rp3.000.000 for 6 months, for family, and receive Rp2.970.000" in amount
    assert "I pay back Rp3.267.899" in cost
    assert "(2.5% a month)" in cost
    assert "6 monthly instalments of Rp544.650 (the last one Rp544.649)" in instalments
    assert "16 April 2026" in instalments
    assert "From day 4 past due I pay a late fee of 0.1% a day" in late
    assert "will not exceed Rp3.000.000" in late
    assert "credit registry" in consequences
    assert "personal data" in data


def test_a_loan_of_one_month_is_told_in_the_singular() -> None:
    one = quote(POLICY, amount=500_000, tenor_months=1, start=date(2026, 3, 16))
    texts = statements(one, POLICY, "en", purpose="health")
    assert "for 1 month, for health" in texts[0]
    assert texts[2].startswith("I pay 1 instalment of Rp512.500. ")


@pytest.mark.parametrize("purpose", POLICY.product.purposes)
def test_every_purpose_has_words(purpose: str) -> None:
    for locale in ("id", "en"):
        assert len(statements(OFFER, POLICY, locale, purpose=purpose)) == 6  # type: ignore[arg-type]  # From the file.


def test_risks_are_told_with_the_share_of_income() -> None:
    assert risks(POLICY, "id")[-1].endswith("tidak melebihi 30% dari penghasilan Anda.")
    assert risks(POLICY, "en")[-1].endswith("below 30% of your income.")


def test_rates_and_dates_are_written_as_borrowers_read_them() -> None:
    assert percent(25_000, "id") == "2,5%"
    assert percent(300_262, "en") == "30.03%"
    assert percent(1_000, "id") == "0,1%"
    assert percent(1_000_000, "id") == "100%"
    assert spell_date(date(2026, 8, 17), "id") == "17 Agustus 2026"
    assert spell_date(date(2026, 8, 17), "en") == "17 August 2026"


def test_a_borrower_signs_as_the_profile_stands_and_not_without_a_bank_account() -> None:
    account = BankAccount(bank_code="bca", account_number=Sealed("sealed number"), account_name="SITI")
    user = User(
        id="usr_1",
        full_name="Siti Rahmawati",
        email="siti@example.com",
        phone="+6281234500001",
        nik=Sealed("sealed nik"),
        nik_hash="hash",
        nik_masked="3171********0001",
        birth_date=Sealed("sealed date"),
        gender="female",
        status=UserStatus.VERIFIED,
        locale="id",
        consents=(),
        account_created=True,
        created_at=NOW,
        updated_at=NOW,
        address=Sealed("sealed address"),
        bank_account=account,
    )
    party = signatory(user)
    assert (party.full_name, party.nik_masked) == ("Siti Rahmawati", "3171********0001")
    assert (party.address, party.account_number) == ("sealed address", "sealed number")
    assert (party.bank_code, party.account_name) == ("bca", "SITI")
    assert freeze(LOAN, POLICY, borrower=party, accepted_at=NOW, locale="id").borrower == party
    with pytest.raises(ValueError, match="usr_1 has no bank account"):
        signatory(replace(user, bank_account=None))
