"""Midtrans Iris (Payouts): pays loans and refunds out to bank accounts.

Shapes after docs.midtrans.com/reference: validate-bank-account, create-payout, approve-payout, reject-payout,
get-payout-details, notification-payload and validating-payout-notification. A payout has two hands: the
creator's key asks for it, the approver's releases or rejects it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlencode

from pydantic import BaseModel, Field, ValidationError

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.services.ports import ForgedNotification, PayoutAnswer, Refused

if TYPE_CHECKING:
    from pinjam.adapters.http_client import Reply

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
_KEY_TAKEN = "idempotency-key is not unique"
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


class _Account(BaseModel):
    account_no: str
    account_name: str = Field(min_length=1)


class _NoAccount(BaseModel):
    class Errors(BaseModel):
        account: tuple[str, ...] = Field(min_length=1)

    errors: Errors


class _Notification(BaseModel):
    reference_no: str = Field(min_length=1)


class IrisPayouts:
    """PayoutGateway on Iris.

    `url` is the host (`https://app.midtrans.com`). `X-Idempotency-Key` is the payout's id, so that
    Iris answers a repeat with the payout it made the first time, for at least 24 hours. `merchant_key` is
    what its notifications are signed with.
    """

    def __init__(
        self, *, url: str, creator_key: str, approver_key: str, merchant_key: str, timeout_s: float = 10
    ) -> None:
        self._api = url.rstrip("/") + "/iris/api/v1"
        self._url = f"{self._api}/payouts"
        self._creator_key = creator_key
        self._approver_key = approver_key
        self._merchant_key = merchant_key
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def holder(self, *, bank_code: str, account_number: str) -> str | None:
        """The name that the bank has for the account; None for one that does not exist, is closed or dormant."""
        reply = self._http.send(
            "GET",
            f"{self._api}/account_validation?{urlencode({'bank': bank_code, 'account': account_number})}",
            auth=(self._creator_key, ""),
        )
        if reply.status == HTTPStatus.BAD_REQUEST and reply.read_if_shaped(_NoAccount) is not None:
            return None
        if not reply.accepted:
            raise _refused(reply)
        account = reply.read(_Account)
        if account.account_no != account_number:
            raise unavailable(SERVICE, "the answer is about another account")
        return account.account_name

    def pay_out(
        self, *, payout_id: str, amount: int, bank_code: str, account_number: str, account_name: str, notes: str
    ) -> PayoutAnswer:
        """Create the payout, release it if it still waits, and answer how it stands.

        A crash between the two is healed by the repeat, which finds the payout queued. One that Iris creates
        and will not release, for lack of balance, is rejected, so that nobody can release it later: it has failed.
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
            refusal = _refused(reply)
            if _KEY_TAKEN in str(refusal):
                # There is a payout of this id: whatever became of it, it was not refused.
                raise unavailable(SERVICE, "the id was used for another request")
            raise refusal
        reference = reply.read(_CreateAnswer).payouts[0].reference_no
        details = self._known(reference)
        if details.status == _QUEUED:
            details = self._release(reference)
        return _answer(details)

    def status(self, reference: str) -> PayoutAnswer:
        """The payout as Iris has it. Refused when Iris does not know the reference."""
        return _answer(self._details(reference))

    def read_notification(self, raw: bytes, signature: str) -> str:
        """The reference in a body that is signed with the merchant key: SHA-512, in hex, of the body and the key."""
        expected = hashlib.sha512(raw + self._merchant_key.encode()).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise ForgedNotification
        try:
            return _Notification.model_validate_json(raw).reference_no
        except ValidationError:
            raise ValueError("reference_no") from None

    def _release(self, reference: str) -> _Details:
        reply = self._decide("approve", {"reference_nos": [reference]})
        details = self._known(reference)
        if reply.accepted or details.status != _QUEUED:
            # Where it is no longer queued, somebody else released it in between, which is what was wanted.
            return details
        self._decide("reject", {"reference_nos": [reference], "reject_reason": "not released"})
        details = self._known(reference)
        if details.status == _QUEUED:
            raise unavailable(SERVICE, f"answered {reply.status} to the approver")
        return details

    def _decide(self, what: Literal["approve", "reject"], body: Mapping[str, object]) -> Reply:
        return self._http.send("POST", f"{self._url}/{what}", json=body, auth=(self._approver_key, ""))

    def _known(self, reference: str) -> _Details:
        """The details of a payout that exists: that Iris will not show them says nothing about the money."""
        try:
            return self._details(reference)
        except Refused as refused:
            raise unavailable(SERVICE, f"answered {refused.code} about a payout that it made") from refused

    def _details(self, reference: str) -> _Details:
        reply = self._http.send("GET", f"{self._url}/{quote(reference, safe='')}", auth=(self._creator_key, ""))
        if not reply.accepted:
            raise _refused(reply)
        details = reply.read(_Details)
        if details.reference_no != reference:
            raise unavailable(SERVICE, "the answer is about another payout")
        return details


def _refused(reply: Reply) -> Refused:
    body = reply.read_if_shaped(_Refusal)
    # Not the list of errors: it may quote the account.
    return Refused(SERVICE, str(reply.status), body.error_message if body else HTTPStatus(reply.status).phrase)


def _answer(details: _Details) -> PayoutAnswer:
    status = _STATUSES.get(details.status)
    if status is None:
        raise unavailable(SERVICE, "the payout has a status that is not known here")
    failure = (details.error_code or details.error_message or details.status) if status == "failed" else None
    return PayoutAnswer(reference=details.reference_no, status=status, failure=failure)
