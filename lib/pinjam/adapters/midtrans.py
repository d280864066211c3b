"""Midtrans Core API: collects repayments by virtual account, Mandiri bill and QRIS.

Fields and statuses after docs.midtrans.com (Core API reference, HTTP notification). The code that
counts is `status_code` in the body: Midtrans sends some refusals with HTTP 200.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from pinjam.adapters.faults import unavailable
from pinjam.adapters.http_client import HttpClient
from pinjam.domain.payment import Instructions
from pinjam.services.ports import ForgedNotification, Order, Refused

if TYPE_CHECKING:
    from pinjam.domain.payment import Method
    from pinjam.services.ports import OrderStatus

SERVICE = "midtrans"

_JAKARTA = ZoneInfo("Asia/Jakarta")
_WHOLE_RUPIAH = re.compile(r"(\d{1,15})(?:\.0{1,2})?")
_SIGNED_FIELDS = ("order_id", "status_code", "gross_amount", "signature_key")
_STATUSES: Mapping[str, OrderStatus] = {
    "pending": "pending",
    "expire": "expired",
    "deny": "failed",
    "cancel": "failed",
    "failure": "failed",
    "refund": "reversed",
    "partial_refund": "reversed",
    "chargeback": "reversed",
    "partial_chargeback": "reversed",
}
_NOT_FOUND, _DUPLICATE, _EXPIRED, _CANNOT_CHANGE = "404", "406", "407", "412"


class _VirtualAccount(BaseModel):
    bank: str
    va_number: str


class _Action(BaseModel):
    name: str
    url: str


class _Answer(BaseModel):
    """Every answer of the Core API; which fields are there depends on the outcome and the method."""

    status_code: str
    status_message: str = ""
    order_id: str | None = None
    transaction_id: str | None = None
    transaction_status: str | None = None
    fraud_status: str | None = None
    gross_amount: str | None = None
    currency: str = "IDR"
    payment_type: str | None = None
    settlement_time: str | None = None
    va_numbers: tuple[_VirtualAccount, ...] = ()
    permata_va_number: str | None = None
    bill_key: str | None = None
    biller_code: str | None = None
    qr_string: str | None = None
    actions: tuple[_Action, ...] = ()


class MidtransGateway:
    """PaymentGateway on Midtrans.

    `url` is the host (`https://api.midtrans.com`); `server_key` is the Basic user and the signing key.
    """

    def __init__(self, *, url: str, server_key: str, timeout_s: float = 10) -> None:
        self._url = url.rstrip("/")
        self._server_key = server_key
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def charge(
        self, *, order_id: str, amount: int, method: Method, expires_at: datetime, now: datetime
    ) -> tuple[Order, Instructions]:
        """Open an order; one that is there already is answered again if it is for the same sum and method."""
        answer = self._ask(
            "POST",
            "/v2/charge",
            {
                "transaction_details": {"order_id": order_id, "gross_amount": amount},
                "custom_expiry": _custom_expiry(now, expires_at),
                **_method_fields(method),
            },
        )
        if answer.status_code == _DUPLICATE:
            answer = self._ask("GET", _order_path(order_id, "status"))
        if answer.transaction_status is None or not answer.status_code.startswith("2"):
            raise Refused(SERVICE, answer.status_code, answer.status_message)
        order = _order(answer, order_id)
        if order.amount != amount:
            raise Refused(SERVICE, _DUPLICATE, "the order id belongs to another amount")
        return order, self._instructions(answer, method, expires_at)

    def status(self, order_id: str) -> Order | None:
        """The order as Midtrans has it; None only when Midtrans itself says that there is none."""
        answer = self._ask("GET", _order_path(order_id, "status"))
        if answer.status_code == _NOT_FOUND:
            return None
        if answer.transaction_status is None:
            raise Refused(SERVICE, answer.status_code, answer.status_message)
        return _order(answer, order_id)

    def cancel(self, order_id: str) -> None:
        """Expire the order. An order that is paid or closed already stays as it is."""
        answer = self._ask("POST", _order_path(order_id, "expire"))
        # 407 is how Midtrans says that an order is expired now, 412 that it cannot change any more.
        if answer.status_code not in {"200", _NOT_FOUND, _EXPIRED, _CANNOT_CHANGE}:
            raise Refused(SERVICE, answer.status_code, answer.status_message)

    def read_notification(self, body: Mapping[str, object]) -> str:
        """The order id of a notification whose SHA-512 signature is genuine.

        The signature does not cover `transaction_status`: ask `status` before money is posted.
        """
        fields: list[str] = []
        for name in _SIGNED_FIELDS:
            value = body.get(name)
            if not isinstance(value, str):
                raise ValueError(f"{name} is missing or not a string")  # noqa: TRY004 - the port names ValueError
            fields.append(value)
        order_id, status_code, gross_amount, given = fields
        signed = f"{order_id}{status_code}{gross_amount}{self._server_key}"
        genuine = hashlib.sha512(signed.encode()).hexdigest()
        if not hmac.compare_digest(genuine.encode(), given.encode()):
            raise ForgedNotification
        return order_id

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> _Answer:
        reply = self._http.send(
            method,
            self._url + path,
            json=body,
            headers={"Accept": "application/json"},
            auth=(self._server_key, ""),
        )
        answer = reply.read(_Answer)
        if answer.status_code.startswith("5") or answer.status_code == "429":
            raise unavailable(SERVICE, f"answered {answer.status_code}")
        return answer

    def _instructions(self, answer: _Answer, method: Method, expires_at: datetime) -> Instructions:
        if answer.payment_type != _payment_type(method) or _is_of_another_bank(answer, method):
            raise Refused(SERVICE, _DUPLICATE, "the order id belongs to another method")
        if method.type == "qris":
            return Instructions(expires_at=expires_at, qr_string=self._qr(answer))
        if method.bank == "mandiri" and answer.bill_key and answer.biller_code:
            return Instructions(expires_at=expires_at, bill_key=answer.bill_key, biller_code=answer.biller_code)
        if method.bank == "permata" and answer.permata_va_number:
            return Instructions(expires_at=expires_at, va_number=answer.permata_va_number)
        if answer.va_numbers:
            return Instructions(expires_at=expires_at, va_number=answer.va_numbers[0].va_number)
        raise unavailable(SERVICE, "the order carries no way to pay it")

    def _qr(self, answer: _Answer) -> str:
        pictures = {action.name: action.url for action in answer.actions}
        # A status answer has neither; the picture's address follows from the transaction.
        return (
            answer.qr_string
            or pictures.get("generate-qr-code-v2")
            or pictures.get("generate-qr-code")
            or f"{self._url}/v2/qris/{quote(answer.transaction_id or '', safe='')}/qr-code"
        )


def _order_path(order_id: str, action: str) -> str:
    return f"/v2/{quote(order_id, safe='')}/{action}"


def _custom_expiry(now: datetime, expires_at: datetime) -> dict[str, object]:
    minutes = -((now - expires_at) // timedelta(minutes=1))  # Rounded up: never closed before we say.
    return {
        "order_time": now.astimezone(UTC).astimezone(_JAKARTA).strftime("%Y-%m-%d %H:%M:%S +0700"),
        "expiry_duration": max(minutes, 1),
        "unit": "minute",
    }


def _method_fields(method: Method) -> dict[str, object]:
    if method.type == "qris":
        return {"payment_type": "qris", "qris": {"acquirer": "gopay"}}
    if method.bank is None:
        raise Refused(SERVICE, "bank-missing", "a bank transfer needs a bank")
    if method.bank == "mandiri":
        # Shown on the ATM's screen: at most 10 and 30 characters.
        return {
            "payment_type": "echannel",
            "echannel": {"bill_info1": "Pinjaman:", "bill_info2": "Pembayaran angsuran"},
        }
    if method.bank == "permata":
        return {"payment_type": "permata"}
    return {"payment_type": "bank_transfer", "bank_transfer": {"bank": method.bank}}


def _payment_type(method: Method) -> str:
    """The payment type in answers, where Permata is a bank transfer like the others."""
    if method.type == "qris":
        return "qris"
    return "echannel" if method.bank == "mandiri" else "bank_transfer"


def _is_of_another_bank(answer: _Answer, method: Method) -> bool:
    banks = {account.bank for account in answer.va_numbers} | ({"permata"} if answer.permata_va_number else set())
    return bool(banks) and method.bank not in banks


def _order(answer: _Answer, order_id: str) -> Order:
    whole = _WHOLE_RUPIAH.fullmatch(answer.gross_amount or "")
    if whole is None or answer.currency != "IDR":
        raise unavailable(SERVICE, "the amount is not in whole rupiah")
    if answer.order_id != order_id or not answer.transaction_id:
        raise unavailable(SERVICE, "the answer is about another order")
    return Order(
        order_id=order_id,
        transaction_id=answer.transaction_id,
        status=_status(answer),
        amount=int(whole[1]),
        paid_at=_instant(answer.settlement_time),
    )


def _instant(text: str | None) -> datetime | None:
    """A time as Midtrans writes it, in Jakarta; None when there is none."""
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_JAKARTA)
    except ValueError:
        raise unavailable(SERVICE, "the settlement time is not a time") from None


def _status(answer: _Answer) -> OrderStatus:
    if answer.transaction_status in {"settlement", "capture"}:
        if answer.fraud_status == "deny":
            return "failed"
        # Paid only when all three agree; a challenged one waits for a person at Midtrans.
        paid = answer.status_code == "200" and answer.fraud_status in {None, "accept"}
        return "settled" if paid else "pending"
    known = _STATUSES.get(answer.transaction_status or "")
    if known is None:
        raise unavailable(SERVICE, "the order has a status that is not known here")
    return known
