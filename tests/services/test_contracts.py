"""The contract as a paper: whose it is, when there is one, and that nothing later changes what was accepted."""

import io
from dataclasses import replace

import pytest
from pypdf import PdfReader
from tests.world import World

from pinjam.domain.loan import LoanStatus
from pinjam.domain.notification import Notification
from pinjam.domain.user import Locale
from pinjam.services.contracts import mask
from pinjam.services.errors import NotFound, StateForbids
from pinjam.services.messaging import Attachment
from pinjam.services.profiles import NewBankAccount
from pinjam.wording import load


@pytest.fixture
def user_id(world: World) -> str:
    return world.verified()


def text(paper: Attachment) -> str:
    pages = PdfReader(io.BytesIO(paper.content)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_there_is_no_contract_before_acceptance(world: World, user_id: str) -> None:
    loan_id = world.apply(user_id)
    for status in ("submitted", "approved"):
        assert world.loan(loan_id).status == status
        with pytest.raises(StateForbids) as refused:
            world.app.contracts.contract(user_id, loan_id)
        assert (refused.value.code, refused.value.params) == ("no-contract", {"status": status})
        if status == "submitted":
            world.decide(loan_id)


def test_a_contract_is_its_borrowers_alone(world: World, user_id: str) -> None:
    loan_id = world.accepted(user_id)
    other = world.verified(2)
    for asker, asked in ((other, loan_id), (user_id, "loan_none")):
        with pytest.raises(NotFound):
            world.app.contracts.contract(asker, asked)


def test_the_contract_names_the_parties_and_hides_what_a_finder_must_not_read(world: World, user_id: str) -> None:
    world.app.profiles.change(user_id, actor=world.actor(user_id), address="Jalan Melati 5, Jakarta")
    loan_id = world.accepted(user_id)
    paper = world.app.contracts.contract(user_id, loan_id)
    number = world.loan(loan_id).contract.number  # type: ignore[union-attr]  # it was accepted
    assert (paper.filename, paper.content_type) == (f"{number}.pdf", "application/pdf")
    found = text(paper)
    for shown in (number, "PT XYZ", "Siti Rahmawati", "3171********0001", "Jalan Melati 5, Jakarta", "******7890"):
        assert shown in found
    assert "1234567890" not in found
    assert "3171015508900001" not in found


def test_what_changes_in_the_profile_later_does_not_change_the_contract(world: World, user_id: str) -> None:
    world.app.profiles.change(user_id, actor=world.actor(user_id), address="Jalan Melati 5, Jakarta")
    loan_id = world.accepted(user_id)
    before = world.app.contracts.contract(user_id, loan_id)
    account = NewBankAccount(bank_code="bni", account_number="99998888", account_name="SOMEBODY ELSE")
    world.app.profiles.change(
        user_id, actor=world.actor(user_id), address="Jalan Mawar 9", bank_account=account, locale="en"
    )
    assert world.app.contracts.contract(user_id, loan_id) == before


@pytest.mark.parametrize("locale", ["id", "en"])
def test_the_statements_stay_as_they_were_accepted_whatever_becomes_of_their_wording(
    world: World, user_id: str, locale: Locale, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan_id = world.apply(user_id)
    world.decide(loan_id)
    shown = world.app.lending.summary(user_id, loan_id, locale=locale).statements
    world.app.lending.accept(
        user_id,
        loan_id,
        understood=(True,) * 6,
        locale=locale,
        keyed=world.keyed(user_id),
        actor=world.actor(user_id),
    )
    before = world.app.contracts.contract(user_id, loan_id)
    monkeypatch.setattr("pinjam.domain.contract._statements_id", lambda *_: ("Kalimat baru.",) * 6)
    monkeypatch.setattr("pinjam.domain.contract._statements_en", lambda *_: ("New sentence.",) * 6)
    papers = dict(load("papers"))
    clauses = {**papers["contract"]["clauses"], "default": "Pasal baru."}  # type: ignore[dict-item]  # a table
    papers["contract"] = {**papers["contract"], "clauses": clauses}
    monkeypatch.setattr("pinjam.services.loan_sheets.load", lambda _name: papers)
    assert world.app.lending.summary(user_id, loan_id, locale=locale).statements != shown
    after = text(world.app.contracts.contract(user_id, loan_id))
    assert "Pasal baru." in after
    for found in (text(before), after):
        assert all(f"{number}. {statement}" in found for number, statement in enumerate(shown, 1))
        assert "24 November 2026 pukul 09.00.00 WIB" in found
        assert "2026-11-24T02:00:00.000Z" in found
        assert ("bahasa Inggris" if locale == "en" else "dalam bahasa Indonesia") in found


def test_once_the_money_is_paid_out_the_schedule_is_dated_by_that_and_repayments_do_not_change_it(
    world: World, user_id: str
) -> None:
    loan_id = world.accepted(user_id)
    accepted = world.app.contracts.contract(user_id, loan_id)
    world.pass_days(2)
    world.app.payout_desk.take_up(world.accepted_event(loan_id))
    assert world.loan(loan_id).status is LoanStatus.ACTIVE
    dated = world.app.contracts.contract(user_id, loan_id)
    assert "24 Des 2026" in text(accepted)
    assert "26 Des 2026" in text(dated)
    assert "24 Des 2026" not in text(dated)
    world.pay(user_id, loan_id)
    world.pass_days(60)
    world.pay(user_id, loan_id, kind="settlement")
    assert world.loan(loan_id).status is LoanStatus.SETTLED
    assert world.app.contracts.contract(user_id, loan_id) == dated
    assert world.app.contracts.accepted(user_id, loan_id) == accepted


def test_a_contract_from_before_parties_were_kept_takes_them_from_the_profile(world: World, user_id: str) -> None:
    loan_id = world.accepted(user_id)
    kept = world.app.contracts.contract(user_id, loan_id)
    loan = world.loan(loan_id)
    assert loan.contract is not None
    assert loan.contract.borrower is not None
    world.put(replace(loan, contract=replace(loan.contract, borrower=None)))
    assert world.app.contracts.contract(user_id, loan_id) == kept


def test_accepting_sends_the_contract_by_email_once(world: World, user_id: str) -> None:
    loan_id = world.accepted(user_id)
    world.deliver(repeat=2)
    (notification,) = world.notifications("contract-accepted")
    assert [one.channel for one in notification.deliveries] == ["email"]
    (mail,) = [one for one in world.messengers["email"].sent if one.kind == "contract-accepted"]
    assert mail.attachments == (world.app.contracts.accepted(user_id, loan_id),)
    assert mail.attachments[0].filename in mail.body.replace(" kami", ".pdf kami")
    others = [one for messenger in world.messengers.values() for one in messenger.sent if one is not mail]
    assert others
    assert not any(one.attachments for one in others)


def test_the_mail_has_the_contract_as_accepted_even_when_it_goes_out_after_the_money(
    world: World, user_id: str
) -> None:
    loan_id = world.accepted(user_id)
    accepted = world.app.contracts.contract(user_id, loan_id)
    event = world.accepted_event(loan_id)
    world.pass_days(3)
    world.app.payout_desk.take_up(event)
    world.notify(event)
    assert world.messengers["email"].sent[0].attachments == (accepted,)
    assert [one.kind for one in world.all(Notification)] == ["contract-accepted"]


@pytest.mark.parametrize(("number", "masked"), [("1234567890", "******7890"), ("12345", "***45"), ("1", "*"), ("", "")])
def test_a_masked_number_never_shows_more_than_half(number: str, masked: str) -> None:
    assert mask(number) == masked
