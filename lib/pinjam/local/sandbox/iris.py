"""Midtrans Iris (Payouts) as its documents describe it: validation, create, approve or reject, details, notices."""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated

from flask import Blueprint, Response, g, jsonify, request
from psycopg.rows import DictRow
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinjam.local.sandbox.faults import Faults, busy, unavailable
from pinjam.local.sandbox.payouts import Beneficiary, CannotApprove, KeyTaken, Payouts

BANKS = frozenset(
    {"bca", "bni", "bri", "bsi", "btn", "cimb", "danamon", "jago", "mandiri", "maybank", "mega", "ocbc"}
    | {"panin", "permata", "seabank", "uob", "gopay", "ovo"}
)

_APPROVE = "/iris/api/v1/payouts/approve"
_REJECT = "/iris/api/v1/payouts/reject"
_VALIDATE = "/iris/api/v1/account_validation"
_NOT_CREATED = "An error occurred when creating payouts"
_NOT_APPROVED = "An error occurred when approving payouts"
_NOT_REJECTED = "An error occurred when rejecting payouts"
_NOT_VALIDATED = "An error occured when doing account validation"  # Iris's own spelling
_WHOLE = re.compile(r"(\d{1,13})(?:\.0{1,2})?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Payout(_Strict):
    beneficiary_name: Annotated[str, Field(min_length=1, max_length=120)]
    beneficiary_account: Annotated[str, Field(pattern=r"^\d{6,20}$")]
    beneficiary_bank: str
    beneficiary_email: str | None = None
    amount: str
    notes: Annotated[str, Field(min_length=1, max_length=100)]


class _Create(_Strict):
    payouts: Annotated[list[_Payout], Field(min_length=1, max_length=100)]


class _Approve(_Strict):
    reference_nos: Annotated[list[str], Field(min_length=1)]
    otp: str | None = None


class _Reject(_Strict):
    reference_nos: Annotated[list[str], Field(min_length=1)]
    reject_reason: Annotated[str, Field(min_length=1)]


class _Account(_Strict):
    bank: str
    account: Annotated[str, Field(pattern=r"^\d{6,20}$")]


def iris(
    payouts: Payouts, faults: Faults, *, creator_key: str, approver_key: str, pause: Callable[[], None]
) -> Blueprint:
    """The API under the blueprint's prefix.

    A slow fault is met by approvals only: they answer late, and the bank keeps the payout on its way. Nor does
    the validation of accounts ever refuse: what it says would be about the account.
    """
    api = Blueprint("iris", __name__)
    calls = _Calls(payouts, faults, creator_key, approver_key, pause)
    api.before_request(calls.authorise)
    api.before_request(calls.begin)
    api.add_url_rule("/iris/api/v1/payouts", view_func=calls.create, methods=["POST"])
    api.add_url_rule(_APPROVE, view_func=calls.approve, methods=["POST"])
    api.add_url_rule(_REJECT, view_func=calls.reject, methods=["POST"])
    api.add_url_rule(_VALIDATE, view_func=calls.validate)
    api.add_url_rule("/iris/api/v1/payouts/<reference_no>", view_func=calls.details)
    return api


class _Calls:
    def __init__(
        self, payouts: Payouts, faults: Faults, creator_key: str, approver_key: str, pause: Callable[[], None]
    ) -> None:
        self._payouts = payouts
        self._faults = faults
        self._creator_key = creator_key
        self._approver_key = approver_key
        self._pause = pause

    def authorise(self) -> Response | None:
        key = self._approver_key if request.path.endswith((_APPROVE, _REJECT)) else self._creator_key
        sent = request.authorization
        user = sent.username if sent and sent.type == "basic" else None
        if user is None or not hmac.compare_digest(user.encode(), key.encode()):
            return Response("HTTP Basic: Access denied.\n", 401, {"WWW-Authenticate": 'Basic realm="iris"'})
        return None

    def begin(self) -> Response | None:
        g.slowly = False
        meets = {"slow": request.path.endswith(_APPROVE), "reject": not request.path.endswith(_VALIDATE)}
        if not meets.get(self._faults.peek("payout"), True):
            return None
        mode = self._faults.take("payout")
        g.slowly = mode == "slow"
        if mode == "down":
            return unavailable()
        if mode == "busy":
            return busy()
        return _refusal(_NOT_CREATED, {"0": ["Beneficiary account is blocked"]}) if mode == "reject" else None

    def create(self) -> Response:
        try:
            wanted = _Create.model_validate_json(request.get_data())
        except ValidationError as error:
            return _refusal(_NOT_CREATED, _by_position(error))
        problems = {str(n): found for n, payout in enumerate(wanted.payouts) if (found := _problems(payout))}
        if problems:
            return _refusal(_NOT_CREATED, problems)
        key = request.headers.get("X-Idempotency-Key") or secrets.token_hex(16)
        try:
            made = self._payouts.create(key, [_beneficiary(payout) for payout in wanted.payouts])
        except KeyTaken:
            return _refusal("idempotency-key is not unique", "idempotency-key is not unique")
        answer = jsonify({"payouts": [{"status": status, "reference_no": number} for number, status in made]})
        answer.status_code = 201
        return answer

    def approve(self) -> Response:
        try:
            wanted = _Approve.model_validate_json(request.get_data())
            self._payouts.approve(wanted.reference_nos, slowly=g.slowly)
        except ValidationError as error:
            return _refusal(_NOT_APPROVED, _by_position(error))
        except CannotApprove as error:
            return _refusal(_NOT_APPROVED, [str(error)])
        if g.slowly:
            self._pause()
        answer = jsonify({"status": "ok"})
        answer.status_code = 202
        return answer

    def reject(self) -> Response:
        try:
            self._payouts.reject(_Reject.model_validate_json(request.get_data()).reference_nos)
        except ValidationError as error:
            return _refusal(_NOT_REJECTED, _by_position(error))
        except CannotApprove as error:
            return _refusal(_NOT_REJECTED, [str(error)])
        answer = jsonify({"status": "ok"})
        answer.status_code = 202
        return answer

    def validate(self) -> Response:
        try:
            wanted = _Account.model_validate(request.args.to_dict())
        except ValidationError as error:
            field = str(error.errors()[0]["loc"][0])
            return _refusal(_NOT_VALIDATED, {field: [f"{field} is invalid"]})
        if wanted.bank not in BANKS:
            return _refusal(_NOT_VALIDATED, {"bank": ["Bank is not included in the list"]})
        name = self._payouts.holder(wanted.bank, wanted.account)
        if name is None:
            return _refusal(_NOT_VALIDATED, {"account": ["Account does not exist"]})
        return jsonify(
            {
                "id": secrets.token_hex(16),
                "account_name": name,
                "account_no": wanted.account,
                "bank_name": wanted.bank,
            }
        )

    def details(self, reference_no: str) -> Response:
        row = self._payouts.look(reference_no)
        if row is None:
            return _refusal("Payout is not found", [], status=404)
        return jsonify(_details(row))


def notice(row: DictRow, merchant_key: str) -> tuple[bytes, Mapping[str, str]]:
    """The signed notification of a payout as it stands: its body and headers."""
    facts = {
        "reference_no": row["reference_no"],
        "amount": f"{row['amount']}.0",
        "status": row["status"],
        "updated_at": _instant(row["updated_at"]),
    }
    if row["error_code"] is not None:
        facts |= {"error_code": row["error_code"], "error_message": row["error_message"]}
    body = json.dumps(facts, separators=(",", ":")).encode()
    signature = hashlib.sha512(body + merchant_key.encode()).hexdigest()
    return body, {"Iris-Signature": signature}


def _problems(payout: _Payout) -> list[str]:
    problems = []
    if not _WHOLE.fullmatch(payout.amount) or not int(payout.amount.partition(".")[0]):
        problems.append("Amount is not a number")
    if payout.beneficiary_bank not in BANKS:
        problems.append("Beneficiary bank is not included in the list")
    return problems


def _beneficiary(payout: _Payout) -> Beneficiary:
    return Beneficiary(
        name=payout.beneficiary_name,
        account=payout.beneficiary_account,
        bank=payout.beneficiary_bank,
        amount=int(payout.amount.partition(".")[0]),
        notes=payout.notes,
    )


def _details(row: DictRow) -> dict[str, object]:
    shown = {
        "amount": f"{row['amount']}.00",
        "beneficiary_name": row["beneficiary_name"],
        "beneficiary_account": row["beneficiary_account"],
        "bank": row["beneficiary_bank"],
        "reference_no": row["reference_no"],
        "notes": row["notes"],
        "status": row["status"],
        "created_by": "sandbox creator",
        "created_at": _instant(row["created_at"]),
        "updated_at": _instant(row["updated_at"]),
    }
    if row["error_code"] is not None:
        shown |= {"error_code": row["error_code"], "error_message": row["error_message"]}
    return shown


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _by_position(error: ValidationError) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        location = [str(part) for part in problem["loc"]]
        position = next((part for part in location if part.isdigit()), "0")
        problems.setdefault(position, []).append(f"{location[-1] if location else 'body'}: {problem['msg']}")
    return problems


def _refusal(message: str, errors: object, *, status: int = 400) -> Response:
    answer = jsonify({"error_message": message, "errors": errors})
    answer.status_code = status
    return answer
