"""The calls under `/sandbox`: what a developer does to the world around the system."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal, TypeVar
from wsgiref.types import WSGIApplication

import httpx
from flask import Flask, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from werkzeug.exceptions import HTTPException

from pinjam.adapters.authorities import trusted_authorities
from pinjam.local.sandbox.callbacks import Callbacks
from pinjam.local.sandbox.clock import MAX_OFFSET_DAYS, ClockFile, TooFar
from pinjam.local.sandbox.faults import Faults, Mode, Provider
from pinjam.local.sandbox.inbox import Inbox
from pinjam.local.sandbox.inbox_page import inbox_page
from pinjam.local.sandbox.iris import notice
from pinjam.local.sandbox.midtrans import notification
from pinjam.local.sandbox.orders import CannotMove, NoSuchOrder, Orders, SandboxOrder
from pinjam.local.sandbox.passkey_page import passkey_page, passkey_script
from pinjam.local.sandbox.payouts import CannotEnd, NoSuchPayout, Payouts

NO_ANSWER = 0
"""Stands for the status code of a notification that nobody answered."""

_NOTIFY_TIMEOUT_S = 15
_SWEEP_TIMEOUT_S = 120

Shape = TypeVar("Shape", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Pay(_Strict):
    transaction_status: Literal["settlement", "expire", "deny", "refund"] = "settlement"
    duplicates: Annotated[int, Field(ge=0, le=100, strict=True)] = 0


class _End(_Strict):
    status: Literal["completed", "failed"] = "completed"
    notifications: Annotated[int, Field(ge=0, le=100, strict=True)] = 1


class _Fault(_Strict):
    provider: Provider
    mode: Mode
    times: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None = None
    percent: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None


class _Clock(_Strict):
    advance_days: Annotated[int, Field(ge=0, le=MAX_OFFSET_DAYS, strict=True)] | None = None
    advance_minutes: Annotated[int, Field(ge=0, le=MAX_OFFSET_DAYS * 24 * 60, strict=True)] | None = None
    set: date | None = None
    hour: Annotated[int, Field(ge=0, le=23, strict=True)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "_Clock":
        if sum(one is not None for one in (self.advance_days, self.advance_minutes, self.set)) != 1:
            raise ValueError("give advance_days, advance_minutes or set")
        if self.hour is not None and self.set is None:
            raise ValueError("hour goes with set")
        return self


class _Invalid(Exception):
    """A body that does not fit; `field` is at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that the controls can reach. `notify_url` and `sweep_url` are asked when needed."""

    orders: Orders
    inbox: Inbox
    faults: Faults
    clock: ClockFile
    payouts: Payouts
    payout_callbacks: Callbacks
    server_key: str
    merchant_key: str
    notify_url: Callable[[], str]
    sweep_url: Callable[[], str]


def controls(world: World) -> WSGIApplication:
    """The WSGI application; its paths begin with `/sandbox`."""
    app = Flask("sandbox")
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    calls = _Controls(world)
    views: tuple[tuple[str, str, Callable[..., Response]], ...] = (
        ("/sandbox/inbox", "GET", calls.inbox),
        ("/sandbox/payments/<payment_id>/pay", "POST", calls.pay),
        ("/sandbox/payouts/<payout_id>/end", "POST", calls.end_payout),
        ("/sandbox/faults", "GET", calls.faults),
        ("/sandbox/faults", "POST", calls.set_fault),
        ("/sandbox/clock", "GET", calls.clock),
        ("/sandbox/clock", "POST", calls.move_clock),
        ("/sandbox/sweep", "POST", calls.sweep),
        ("/sandbox/passkey", "GET", passkey_page),
        ("/sandbox/passkey.js", "GET", passkey_script),
    )
    for path, method, view in views:
        app.add_url_rule(path, endpoint=view.__name__, view_func=view, methods=[method])
    app.register_error_handler(HTTPException, lambda error: _error(error.code or 500, error.name))
    app.register_error_handler(_Invalid, lambda error: _error(422, str(error), field=error.field))
    return app


class _Controls:
    def __init__(self, world: World) -> None:
        self._world = world

    def inbox(self) -> Response:
        to, channel = request.args.get("to"), request.args.get("channel")
        # A browser asks for text/html by name; curl and other programs take anything, and get JSON.
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            answer = inbox_page(self._world.inbox, to=to or None, channel=channel or None)
        else:
            answer = jsonify(self._world.inbox.find(to=to, channel=channel))
        answer.headers["Vary"] = "Accept"
        return answer

    def pay(self, payment_id: str) -> Response:
        wanted = _body(_Pay)
        try:
            order = self._world.orders.move(payment_id, wanted.transaction_status)
        except NoSuchOrder:
            return _error(404, "The payment gateway has no order of this payment.")
        except CannotMove as error:
            return _error(409, f"The order is {error.status} and cannot become {wanted.transaction_status}.")
        return jsonify(
            {
                "order_id": order.order_id,
                "transaction_status": order.status,
                "notifications": self._notify(order, 1 + wanted.duplicates),
            }
        )

    def end_payout(self, payout_id: str) -> Response:
        wanted = _body(_End)
        try:
            row = self._world.payouts.end(payout_id, wanted.status)
        except NoSuchPayout:
            return _error(404, "The payout gateway has no payout of this id.")
        except CannotEnd as error:
            return _error(409, f"The payout is {error.status} and cannot become {wanted.status}.")
        told = notice(row, self._world.merchant_key)
        codes = [self._world.payout_callbacks.send(*told) or NO_ANSWER for _ in range(wanted.notifications)]
        return jsonify({"payout_id": payout_id, "status": row["status"], "notifications": codes})

    def faults(self) -> Response:
        return jsonify(self._world.faults.shown())

    def set_fault(self) -> Response:
        wanted = _body(_Fault)
        self._world.faults.set(wanted.provider, wanted.mode, wanted.times, wanted.percent)
        return jsonify(wanted.model_dump())

    def clock(self) -> Response:
        return _day(self._world.clock.today())

    def move_clock(self) -> Response:
        wanted = _body(_Clock)
        try:
            if wanted.set is not None:
                return _day(self._world.clock.set(wanted.set, hour=wanted.hour))
            return _day(self._world.clock.advance(wanted.advance_days or 0, minutes=wanted.advance_minutes or 0))
        except TooFar as error:
            raise _Invalid(next(iter(wanted.model_fields_set)), str(error)) from error

    def sweep(self) -> Response:
        try:
            answer = httpx.post(
                self._world.sweep_url(),
                json={},
                timeout=_SWEEP_TIMEOUT_S,
                verify=trusted_authorities(),
                trust_env=False,
            )
        except httpx.HTTPError as error:
            return _error(502, f"The sweep did not answer ({type(error).__name__}).")
        return Response(answer.content, answer.status_code, content_type=answer.headers.get("Content-Type"))

    def _notify(self, order: SandboxOrder, times: int) -> list[int]:
        body = notification(order, self._world.server_key)
        url = self._world.notify_url()
        codes = []
        with httpx.Client(timeout=_NOTIFY_TIMEOUT_S, verify=trusted_authorities(), trust_env=False) as client:
            for _ in range(times):
                try:
                    codes.append(client.post(url, json=body).status_code)
                except httpx.HTTPError:
                    codes.append(NO_ANSWER)
        return codes


def _body(shape: type[Shape]) -> Shape:
    try:
        return shape.model_validate_json(request.get_data() or b"{}")
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise _Invalid(".".join(str(part) for part in problem["loc"]), problem["msg"]) from error


def _day(today: date) -> Response:
    return jsonify({"date": today.isoformat()})


def _error(status: int, message: str, **more: object) -> Response:
    body: Mapping[str, object] = {"code": status, "message": message, **more}
    answer = jsonify(body)
    answer.status_code = status
    return answer
