"""All sandbox providers together, as the local system starts them."""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from wsgiref.types import WSGIApplication

from flask import Flask, Response, jsonify
from psycopg_pool import ConnectionPool
from werkzeug.exceptions import HTTPException

from pinjam.local.sandbox.callbacks import Callbacks
from pinjam.local.sandbox.clock import ClockFile
from pinjam.local.sandbox.controls import World, controls
from pinjam.local.sandbox.ekyc import ekyc
from pinjam.local.sandbox.faults import Faults
from pinjam.local.sandbox.fcm import fcm
from pinjam.local.sandbox.inbox import Inbox
from pinjam.local.sandbox.iris import iris, notice
from pinjam.local.sandbox.mail import MailServer
from pinjam.local.sandbox.midtrans import midtrans
from pinjam.local.sandbox.orders import Orders
from pinjam.local.sandbox.payouts import Holder, Payouts
from pinjam.local.sandbox.state import SandboxState
from pinjam.local.sandbox.twilio import twilio
from pinjam.local.sandbox.whatsapp import StatusCallbacks, whatsapp
from pinjam.local.sandbox.zenziva import zenziva

_NEWS_AFTER_S = 0.3
"""Longer than the adapter takes to look at what it has released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the providers let in; the adapters are given the same values."""

    server_key: str
    creator_key: str
    approver_key: str
    merchant_key: str
    ekyc_app_id: str
    ekyc_api_key: str
    smtp_user: str
    smtp_password: str
    whatsapp_phone_number_id: str
    whatsapp_token: str
    whatsapp_app_secret: str
    zenziva_userkey: str
    zenziva_passkey: str
    twilio_account_sid: str
    twilio_auth_token: str
    fcm_project: str
    fcm_token: str


class Sandbox:
    """Every provider on one state.

    `clock` is the business clock, so that orders expire when the date is moved. `notify_url` gives the
    gateway's webhook for payments, `payout_url` the one for payouts, `whatsapp_url` the one for messages (without it
    nobody is told what became of a message), `sweep_url` the sweep function's. `holder` knows whose a bank account is.
    A slow provider takes `slow_s` seconds longer; `seed` makes faults by chance repeatable; `payout_balance` is in
    rupiah. Close it before the pool.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        credentials: Credentials,
        clock: ClockFile,
        notify_url: Callable[[], str],
        payout_url: Callable[[], str],
        sweep_url: Callable[[], str],
        holder: Holder,
        whatsapp_url: Callable[[], str] | None = None,
        slow_s: float = 12,
        seed: int | None = None,
        payout_balance: int = 1_000_000_000_000,
        schema: str = "local_sandbox",
    ) -> None:
        state = SandboxState(pool, schema=schema)
        self._credentials = credentials
        self._clock = clock
        self._notify_url = notify_url
        self._sweep_url = sweep_url
        self._slow_s = slow_s
        self._closed = threading.Event()
        self._callbacks = None if whatsapp_url is None else Callbacks(whatsapp_url)
        self.faults = Faults(state, Random(seed))  # noqa: S311 - whose turn it is to fail is no secret
        self.inbox = Inbox(state, clock.now)
        self.orders = Orders(state, clock.now)
        self._payout_callbacks = Callbacks(payout_url, after_s=_NEWS_AFTER_S)
        self.payouts = Payouts(
            state,
            clock.now,
            balance=payout_balance,
            holder=holder,
            told=lambda row: self._payout_callbacks.post(*notice(row, credentials.merchant_key)),
        )

    def wait_until_quiet(self, timeout_s: float) -> bool:
        """Wait until no provider has news that it has yet to bring; False if that takes longer."""
        deadline = time.monotonic() + timeout_s
        told = [one for one in (self._callbacks, self._payout_callbacks) if one is not None]
        return all(one.wait_until_quiet(deadline - time.monotonic()) for one in told)

    def close(self) -> None:
        """Let calls that a slow provider holds go on at once, so that servers can stop, and send no more callbacks."""
        self._closed.set()
        if self._callbacks is not None:
            self._callbacks.close()
        self._payout_callbacks.close()

    def providers(self) -> WSGIApplication:
        """The HTTP providers, each under its name: `/midtrans`, `/iris`, `/ekyc`, `/whatsapp`, `/zenziva` and so on."""
        keys, faults, inbox, pause = self._credentials, self.faults, self.inbox, self._pause
        app = Flask("sandbox-providers")
        app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
        payment = midtrans(self.orders, faults, server_key=keys.server_key, now=self._clock.now, pause=pause)
        payout = iris(self.payouts, faults, creator_key=keys.creator_key, approver_key=keys.approver_key, pause=pause)
        identity = ekyc(faults, app_id=keys.ekyc_app_id, api_key=keys.ekyc_api_key, pause=pause)
        chat = whatsapp(
            inbox,
            faults,
            self._statuses(),
            phone_number_id=keys.whatsapp_phone_number_id,
            token=keys.whatsapp_token,
            pause=pause,
        )
        text = zenziva(inbox, faults, userkey=keys.zenziva_userkey, passkey=keys.zenziva_passkey, pause=pause)
        other_text = twilio(
            inbox,
            faults,
            account_sid=keys.twilio_account_sid,
            auth_token=keys.twilio_auth_token,
            now=self._clock.now,
            pause=pause,
        )
        push = fcm(inbox, faults, project=keys.fcm_project, token=keys.fcm_token, pause=pause)
        for blueprint in (payment, payout, identity, chat, text, other_text, push):
            app.register_blueprint(blueprint, url_prefix=f"/{blueprint.name}")
        app.register_error_handler(HTTPException, _error)
        return app

    def controls(self) -> WSGIApplication:
        """The calls under `/sandbox`."""
        return controls(
            World(
                orders=self.orders,
                inbox=self.inbox,
                faults=self.faults,
                clock=self._clock,
                payouts=self.payouts,
                payout_callbacks=self._payout_callbacks,
                server_key=self._credentials.server_key,
                merchant_key=self._credentials.merchant_key,
                notify_url=self._notify_url,
                sweep_url=self._sweep_url,
            )
        )

    def mail_server(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> MailServer:
        """An SMTP server that is not started yet; with `tls`, only after STARTTLS."""
        return MailServer(
            inbox=self.inbox,
            faults=self.faults,
            user=self._credentials.smtp_user,
            password=self._credentials.smtp_password,
            pause=self._pause,
            port=port,
            tls=tls,
        )

    def _statuses(self) -> StatusCallbacks | None:
        if self._callbacks is None:
            return None
        return StatusCallbacks(
            self._callbacks,
            phone_number_id=self._credentials.whatsapp_phone_number_id,
            app_secret=self._credentials.whatsapp_app_secret,
            now=self._clock.now,
        )

    def _pause(self) -> None:
        self._closed.wait(self._slow_s)


def _error(error: HTTPException) -> Response:
    answer = jsonify({"message": error.name})
    answer.status_code = error.code or 500
    return answer
