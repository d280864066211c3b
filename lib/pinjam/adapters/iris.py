"""Midtrans Iris (Payouts): pays loans out to bank accounts.

Shapes after docs.midtrans.com/reference/create-payout, approve-payout and get-payout-details. A payout
has two hands: the creator's key asks for it, the approver's releases it.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, Field

from pinjam.adapters.http_client import HttpClient, Reply
from pinjam.services.ports import Payout, Refused, Unavailable

SERVICE = "iris"

_Status = Literal["processing", "completed", "failed"]
_QUEUED = "queued"
_STATUSES: Mapping[str, _Status] = {
    _QUEUED: "processing",
    "approved": "processing",
    "processed": "processing",
    "completed": "completed",
    "rejected": "failed",
    "failed": "failed",
}
_NOTES_CHARS = 100
_PLAIN = re.compile(r"[^A-Za-z0-9]+")
"""What banks' narratives do not carry."""


class _Created(BaseModel):
    reference_no: str = Field(min_length=1)


class _CreateAnswer(BaseModel):
    payouts: tuple[_Created, ...] = Field(min_length=1, max_length=1)


class _Details(BaseModel):
    reference_no: str
    status: str
    error_code: str | None = None
    error_message: str | None = None


class _Refusal(BaseModel):
    error_message: str


class IrisPayouts:
    """PayoutGateway on Iris.

    `url` is the host (`https://app.midtrans.com`). `X-Idempotency-Key` is the payout's id, so that
    Iris answers a repeat with the payout it made the first time.
    """

    def __init__(self, *, url: str, creator_key: str, approver_key: str, timeout_s: float = 10) -> None:
        self._url = url.rstrip("/") + "/iris/api/v1/payouts"
        self._creator_key = creator_key
        self._approver_key = approver_key
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def pay_out(
        self, *, payout_id: str, amount: int, bank_code: str, account_number: str, account_name: str, notes: str
    ) -> Payout:
        """Create the payout, release it if it still waits, and answer how it stands.

        A crash between the two is healed by the repeat, which finds the payout queued.
        """
        payout = {
            "beneficiary_name": account_name,
            "beneficiary_account": account_number,
            "beneficiary_bank": bank_code,
            "amount": str(amount),
            "notes": _PLAIN.sub(" ", notes).strip()[:_NOTES_CHARS],
        }
        reply = self._http.send(
            "POST",
            self._url,
            json={"payouts": [payout]},
            headers={"X-Idempotency-Key": payout_id},
            auth=(self._creator_key, ""),
        )
        if not reply.accepted:
            raise _refused(reply)
        reference = reply.read(_CreateAnswer).payouts[0].reference_no
        details = self._details(reference)
        if details.status == _QUEUED:
            details = self._release(reference)
        return _payout(details)

    def status(self, reference: str) -> Payout:
        """The payout as Iris has it. Refused when Iris does not know the reference."""
        return _payout(self._details(reference))

    def _release(self, reference: str) -> _Details:
        reply = self._http.send(
            "POST", f"{self._url}/approve", json={"reference_nos": [reference]}, auth=(self._approver_key, "")
        )
        details = self._details(reference)
        if not reply.accepted and details.status == _QUEUED:
            # Otherwise somebody else released it in between, which is what was wanted.
            raise _refused(reply)
        return details

    def _details(self, reference: str) -> _Details:
        reply = self._http.send("GET", f"{self._url}/{quote(reference, safe='')}", auth=(self._creator_key, ""))
        if not reply.accepted:
            raise _refused(reply)
        details = reply.read(_Details)
        if details.reference_no != reference:
            raise Unavailable(SERVICE, "the answer is about another payout")
        return details


def _refused(reply: Reply) -> Refused:
    body = reply.read_if_shaped(_Refusal)
    # Not the list of errors: it may quote the account.
    return Refused(SERVICE, str(reply.status), body.error_message if body else HTTPStatus(reply.status).phrase)


def _payout(details: _Details) -> Payout:
    status = _STATUSES.get(details.status)
    if status is None:
        raise Unavailable(SERVICE, "the payout has a status that is not known here")
    failure = (details.error_code or details.error_message or details.status) if status == "failed" else None
    return Payout(reference=details.reference_no, status=status, failure=failure)
