"""Midtrans Core API as its documents describe it: charge, status, expire, cancel, and signed notifications."""

import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from pinjam.local.sandbox.faults import Faults, guard
from pinjam.local.sandbox.orders import CannotMove, NoSuchOrder, Orders, SandboxOrder, TransactionStatus
from pinjam.local.sandbox.qris import qris_text

MERCHANT_ID = "G000000001"
MAX_QRIS = 10_000_000
"""Rupiah, Bank Indonesia's limit for one QRIS payment."""

_JAKARTA = ZoneInfo("Asia/Jakarta")
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_DEFAULT_LIFE = {"qris": timedelta(minutes=15)}
_STATUS_CODES: Mapping[str, str] = {"pending": "201", "deny": "202", "expire": "407"}
_CLOSED: Mapping[str, str] = {
    "expire": "Success, transaction has expired",
    "cancel": "Success, transaction is canceled",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Transaction(_Strict):
    order_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-_.~]{1,50}$")]
    gross_amount: Annotated[int, Field(gt=0, lt=10**12)]


class _Expiry(_Strict):
    order_time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}$")]
    expiry_duration: Annotated[int, Field(gt=0, lt=10**6)]
    unit: Literal["second", "minute", "hour", "day"] = "minute"


class _Item(_Strict):
    id: Annotated[str, Field(max_length=50)] | None = None
    price: int
    quantity: Annotated[int, Field(gt=0)]
    name: Annotated[str, Field(min_length=1, max_length=50)]


class _Customer(_Strict):
    first_name: Annotated[str, Field(max_length=255)] | None = None
    last_name: Annotated[str, Field(max_length=255)] | None = None
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    phone: Annotated[str, Field(pattern=r"^[+0-9() -]{5,19}$")] | None = None


class _Charge(_Strict):
    transaction_details: _Transaction
    item_details: Annotated[list[_Item], Field(min_length=1)] | None = None
    customer_details: _Customer | None = None
    custom_expiry: _Expiry | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.item_details is not None:
            total = sum(item.price * item.quantity for item in self.item_details)
            if total != self.transaction_details.gross_amount:
                raise ValueError("transaction_details.gross_amount is not equal to the sum of item_details")
        return self


class _Bank(_Strict):
    bank: Literal["bca", "bni", "bri", "cimb"]


class _BankTransfer(_Charge):
    payment_type: Literal["bank_transfer"]
    bank_transfer: _Bank


class _Permata(_Charge):
    payment_type: Literal["permata"]


class _BillInfo(_Strict):
    bill_info1: Annotated[str, Field(min_length=1, max_length=10)]
    bill_info2: Annotated[str, Field(min_length=1, max_length=30)]


class _MandiriBill(_Charge):
    payment_type: Literal["echannel"]
    echannel: _BillInfo | None = None


class _QrisTransaction(_Transaction):
    gross_amount: Annotated[int, Field(gt=0, le=MAX_QRIS)]


class _Acquirer(_Strict):
    acquirer: Literal["gopay", "airpay shopee"] = "gopay"


class _Qris(_Charge):
    payment_type: Literal["qris"]
    transaction_details: _QrisTransaction
    qris: _Acquirer = _Acquirer()


_CHARGE: TypeAdapter[_BankTransfer | _Permata | _MandiriBill | _Qris] = TypeAdapter(
    Annotated[_BankTransfer | _Permata | _MandiriBill | _Qris, Field(discriminator="payment_type")]
)


def midtrans(
    orders: Orders,
    faults: Faults,
    *,
    server_key: str,
    now: Callable[[], datetime],
    pause: Callable[[], None],
) -> Blueprint:
    """The API under the blueprint's prefix."""
    api = Blueprint("midtrans", __name__)
    calls = _Calls(orders, server_key, now)
    api.before_request(calls.authorise)
    guard(api, faults, "payment", pause=pause, refuse=lambda: _refusal("402", "Payment channel is not activated."))
    api.add_url_rule("/v2/charge", view_func=calls.charge, methods=["POST"])
    api.add_url_rule("/v2/<order_id>/status", view_func=calls.status)
    for version in ("v2", "v4"):
        path = f"/{version}/qris/<transaction_id>/qr-code"
        api.add_url_rule(path, endpoint=f"qr-code-{version}", view_func=calls.qr_code)
    for action in ("expire", "cancel"):
        path = f"/v2/<order_id>/{action}"
        api.add_url_rule(path, endpoint=action, view_func=calls.close, methods=["POST"], defaults={"to": action})
    return api


class _Calls:
    def __init__(self, orders: Orders, server_key: str, now: Callable[[], datetime]) -> None:
        self._orders = orders
        self._server_key = server_key
        self._now = now

    def authorise(self) -> Response | None:
        if request.path.endswith("/qr-code"):
            return None  # The borrower's browser opens it.
        sent = request.authorization
        user = sent.username if sent and sent.type == "basic" else None
        if user is None or not hmac.compare_digest(user.encode(), self._server_key.encode()):
            return _refusal("401", "Transaction cannot be authorized with the current client/server key.")
        return None

    def charge(self) -> Response:
        try:
            order = _order(_CHARGE.validate_json(request.get_data(), strict=True), self._now())
        except ValidationError as error:
            return _invalid(error)
        except ValueError:
            return _refusal("400", "custom_expiry.order_time is not a time")
        if not self._orders.add(order):
            return _refusal("406", "The request could not be completed due to a conflict with its order_id")
        return jsonify({**_details(order, _created(order)), **order.means, **_actions(order)})

    def status(self, order_id: str) -> Response:
        order = self._orders.find(order_id)
        if order is None:
            return _not_found()
        details = _details(order, "Success, transaction is found")
        return jsonify(details | _told(order) | _signed(order, str(details["status_code"]), self._server_key))

    def close(self, order_id: str, to: TransactionStatus) -> Response:
        try:
            order = self._orders.move(order_id, to)
        except NoSuchOrder:
            return _not_found()
        except CannotMove:
            return _refusal("412", "Transaction status cannot be updated.")
        return jsonify(_details(order, _CLOSED[to]) | _told(order))

    def qr_code(self, transaction_id: str) -> Response:
        order = self._orders.find_transaction(transaction_id)
        if order is None or "qr_string" not in order.means:
            return _not_found()
        # The real one is a picture; what it says is all that a machine needs.
        return Response(str(order.means["qr_string"]), mimetype="text/plain")


def notification(order: SandboxOrder, server_key: str) -> dict[str, object]:
    """The body of the HTTP notification that tells of the order as it stands."""
    body = _details(order, "midtrans payment notification") | _told(order)
    # Where the status answer says 407 for an expired order, notifications say 202.
    code = "202" if order.status == "expire" else str(body["status_code"])
    if order.payment_type == "bank_transfer":
        body["payment_amounts"] = []
    return {**body, "status_code": code, **_signed(order, code, server_key)}


def _order(charge: _BankTransfer | _Permata | _MandiriBill | _Qris, now: datetime) -> SandboxOrder:
    transaction_id = str(uuid.uuid4())
    amount = charge.transaction_details.gross_amount
    number = f"{secrets.randbelow(10**11):011d}"
    payment_type: str = charge.payment_type
    bank: str | None = None
    means: dict[str, object]
    match charge:
        case _BankTransfer():
            bank = charge.bank_transfer.bank
            means = {"va_numbers": [{"bank": bank, "va_number": f"8127{number}"}]}
        case _Permata():
            # Permata's own field, but the same payment type in answers.
            payment_type, bank, means = "bank_transfer", "permata", {"permata_va_number": f"8500{number}"}
        case _MandiriBill():
            bank, means = "mandiri", {"bill_key": f"7{number}", "biller_code": "70012"}
        case _Qris():
            means = {
                "acquirer": charge.qris.acquirer,
                "qr_string": qris_text(transaction_id=transaction_id, amount=amount),
            }
    begins, life = now, _DEFAULT_LIFE.get(payment_type, timedelta(hours=24))
    if charge.custom_expiry is not None:
        begins = datetime.strptime(charge.custom_expiry.order_time, "%Y-%m-%d %H:%M:%S %z")
        life = timedelta(seconds=charge.custom_expiry.expiry_duration * _UNITS[charge.custom_expiry.unit])
    return SandboxOrder(
        order_id=charge.transaction_details.order_id,
        transaction_id=transaction_id,
        payment_type=payment_type,
        bank=bank,
        amount=amount,
        means=means,
        created_at=now,
        expires_at=begins + life,
    )


def _created(order: SandboxOrder) -> str:
    if order.payment_type == "qris":
        return "QRIS transaction is created"
    if order.bank == "mandiri":
        return "OK, Mandiri Bill transaction is successful"
    if order.bank == "permata":
        return "Success, PERMATA VA transaction is successful"
    return "Success, Bank Transfer transaction is created"


def _details(order: SandboxOrder, message: str) -> dict[str, object]:
    """What every answer and notification says of an order."""
    details: dict[str, object] = {
        "status_code": _STATUS_CODES.get(order.status, "200"),
        "status_message": message,
        "transaction_id": order.transaction_id,
        "order_id": order.order_id,
        "merchant_id": MERCHANT_ID,
        "gross_amount": _gross(order),
        "currency": "IDR",
        "payment_type": order.payment_type,
        "transaction_time": _local(order.created_at),
        "transaction_status": order.status,
        "fraud_status": "deny" if order.status == "deny" else "accept",
    }
    if order.settled_at is not None:
        details["settlement_time"] = _local(order.settled_at)
    if order.status == "refund":
        details["refund_amount"] = _gross(order)
    return details


def _told(order: SandboxOrder) -> dict[str, object]:
    """How the order is paid, as told after it was made: no more what is in a QR code, but whose it was."""
    told = {name: value for name, value in order.means.items() if name != "qr_string"}
    if order.payment_type == "qris" and order.settled_at is not None:
        told |= {"issuer": order.means["acquirer"], "transaction_type": "on-us"}
    return told


def _actions(order: SandboxOrder) -> dict[str, object]:
    if order.payment_type != "qris":
        return {}
    root = f"{request.root_url.rstrip('/')}{request.path.removesuffix('/v2/charge')}"
    return {
        "actions": [
            {"name": name, "method": "GET", "url": f"{root}/{version}/qris/{order.transaction_id}/qr-code"}
            for name, version in (("generate-qr-code", "v2"), ("generate-qr-code-v2", "v4"))
        ]
    }


def _gross(order: SandboxOrder) -> str:
    return f"{order.amount}.00"


def _local(instant: datetime) -> str:
    return instant.astimezone(_JAKARTA).strftime("%Y-%m-%d %H:%M:%S")


def _signed(order: SandboxOrder, status_code: str, server_key: str) -> dict[str, object]:
    covered = f"{order.order_id}{status_code}{_gross(order)}{server_key}"
    return {"signature_key": hashlib.sha512(covered.encode()).hexdigest()}


def _not_found() -> Response:
    return _refusal("404", "The requested resource is not found")


def _invalid(error: ValidationError) -> Response:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if any(problem["type"] == "json_invalid" for problem in problems):
        return _refusal("413", "The request cannot be processed due to syntax error in the request body")
    messages = [f"{'.'.join(str(part) for part in problem['loc'][1:])} {problem['msg']}" for problem in problems]
    return _refusal("400", "One or more parameters in the payload is invalid.", validation_messages=messages)


def _refusal(code: str, message: str, **more: object) -> Response:
    body = {"status_code": code, "status_message": message, **more}
    if code != "404":
        body["id"] = str(uuid.uuid4())
    return Response(json.dumps(body), int(code), mimetype="application/json")
