"""The papers that a borrower keeps: downloaded after acceptance, and in the mailbox."""

import io
from collections.abc import Callable
from typing import Any

from pypdf import PdfReader

from pinjam.local.road import Road, Walker

Check = Callable[..., dict[str, Any]]


def text(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages).split())


def test_the_contract_can_be_downloaded_after_acceptance_and_is_in_the_mailbox(
    walker: Walker, road: Road, problem: Check
) -> None:
    loan_id = walker.become_approved()
    path = f"/api/loans/{loan_id}"
    problem(walker.call("GET", f"{path}/contract"), 409, "no-contract")
    offer = walker.call("GET", f"{path}/summary").expect(200)
    summary = walker.call("GET", f"{path}/summary", headers={"Accept": "application/pdf"})
    assert (summary.status, summary.headers["content-type"]) == (200, "application/pdf")

    # An account that the bank does not know keeps the loan accepted and not paid out.
    account = {**walker.person.bank_account, "account_number": "1234569103"}
    walker.change(bank_account=account).expect(200)
    walker.accept(loan_id, key="one").expect(200)
    contract = walker.call("GET", f"{path}/contract")
    assert (contract.status, contract.headers["content-type"]) == (200, "application/pdf")
    number = f"PJM-{loan_id.removeprefix('loan_')}"
    assert contract.headers["content-disposition"] == f'inline; filename="{number}.pdf"'
    assert contract.headers["cache-control"] == "no-store"
    found = text(contract.content)
    for shown in (walker.person.full_name, number, "******9103", *(one["text"] for one in offer["statements"])):
        assert shown in found
    assert walker.person.nik not in found

    walker.told("contract-accepted")
    (mail,) = [one for one in road.inbox(walker.person.email) if one["subject"] == "Perjanjian pinjaman Anda"]
    assert mail["body"].endswith(f"[{number}.pdf: application/pdf, {len(contract.content)} bytes]")
    assert walker.call("GET", f"{path}/contract").content == contract.content


def test_a_paid_out_contract_has_the_schedule_of_the_loan(walker: Walker) -> None:
    loan_id = walker.become_borrower()
    contract = walker.call("GET", f"/api/loans/{loan_id}/contract")
    assert contract.status == 200
    assert "Dana cair pada" in text(contract.content)
