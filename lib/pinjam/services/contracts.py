"""A loan's papers, made when they are asked for: nothing is kept but the facts, which do not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.domain.contract import signatory
from pinjam.domain.loan import Loan
from pinjam.services.borrowers import known
from pinjam.services.errors import NotFound, StateForbids
from pinjam.services.loan_sheets import Party, contract_sheet, summary_filename, summary_sheet
from pinjam.services.messaging import Attachment

if TYPE_CHECKING:
    from pinjam.domain.loan import Contract, Signatory
    from pinjam.domain.user import Locale
    from pinjam.services.lending import Offer
    from pinjam.services.ports import PaperPress
    from pinjam.services.sealing import Vault
    from pinjam.services.store import Reader, Store

PDF = "application/pdf"
DIGITS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Contracts:
    """Prints contracts and summaries."""

    store: Store
    vault: Vault
    press: PaperPress

    def contract(self, user_id: str, loan_id: str) -> Attachment:
        """The contract as it stands: dated by the payout once there was one.

        NotFound if the loan is not the borrower's; StateForbids `no-contract` before acceptance.
        """
        return self._print(user_id, loan_id, dated=True)

    def accepted(self, user_id: str, loan_id: str) -> Attachment:
        """The contract as it was accepted, whatever happened to the loan since. Raises as `contract`."""
        return self._print(user_id, loan_id, dated=False)

    def summary(self, offer: Offer, locale: Locale) -> Attachment:
        """The personal summary of an offer."""
        sheet = summary_sheet(
            offer.loan, offer.quote, offer.policy, risks=offer.risks, statements=offer.statements, locale=locale
        )
        return Attachment(
            filename=summary_filename(offer.loan, locale), content_type=PDF, content=self.press.press(sheet)
        )

    def _print(self, user_id: str, loan_id: str, *, dated: bool) -> Attachment:
        loan, contract, borrower = self.store.read(lambda tx: _facts(tx, user_id, loan_id))
        sheet = contract_sheet(loan, contract, self._party(borrower, user_id), dated=dated)
        return Attachment(filename=f"{contract.number}.pdf", content_type=PDF, content=self.press.press(sheet))

    def _party(self, borrower: Signatory, user_id: str) -> Party:
        sealed, safe = borrower.address, self.vault.safe(user_id)
        return Party(
            full_name=borrower.full_name,
            nik_masked=borrower.nik_masked,
            address=None if sealed is None else safe.open(sealed, field="address"),
            bank_code=borrower.bank_code,
            account_number=mask(safe.open(borrower.account_number, field="account_number")),
            account_name=borrower.account_name,
        )


def mask(account_number: str) -> str:
    """An account number that its owner knows again: the last four digits, of a short one fewer."""
    shown = min(DIGITS_SHOWN, len(account_number) // 2)
    hidden = len(account_number) - shown
    return "*" * hidden + account_number[hidden:]


def _facts(tx: Reader, user_id: str, loan_id: str) -> tuple[Loan, Contract, Signatory]:
    loan = tx.get(Loan, loan_id)
    if loan is None or loan.user_id != user_id:
        raise NotFound("loan-not-found")
    contract = loan.contract
    if contract is None:
        raise StateForbids("no-contract", {"status": loan.status.value})
    return loan, contract, contract.borrower or signatory(known(tx, user_id))
