"""All sandbox providers together, as the local system starts them."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from wsgiref.types import WSGIApplication

from flask import Flask, Response, jsonify
from psycopg_pool import ConnectionPool
from werkzeug.exceptions import HTTPException

from pinjam.adapters.folder import FolderObjects
from pinjam.local.sandbox.clock import ClockFile
from pinjam.local.sandbox.controls import World, controls
from pinjam.local.sandbox.ekyc import ekyc
from pinjam.local.sandbox.faults import Faults
from pinjam.local.sandbox.fcm import fcm
from pinjam.local.sandbox.inbox import Inbox
from pinjam.local.sandbox.iris import iris
from pinjam.local.sandbox.mail import MailServer
from pinjam.local.sandbox.midtrans import midtrans
from pinjam.local.sandbox.orders import Orders
from pinjam.local.sandbox.payouts import Payouts
from pinjam.local.sandbox.sms import sms
from pinjam.local.sandbox.state import SandboxState
from pinjam.local.sandbox.whatsapp import whatsapp


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the providers let in; the adapters are given the same values."""

    server_key: str
    creator_key: str
    approver_key: str
    ekyc_app_id: str
    ekyc_api_key: str
    smtp_user: str
    smtp_password: str
    whatsapp_phone_number_id: str
    whatsapp_token: str
    sms_userkey: str
    sms_passkey: str
    fcm_project: str
    fcm_token: str


class Sandbox:
    """Every provider on one state.

    `clock` is the business clock, so that orders expire when the date is moved. `notify_url` gives the
    gateway's webhook for payments, `sweep_url` the sweep function's. A slow provider takes `slow_s`
    seconds longer; `seed` makes faults by chance repeatable; `payout_balance` is in rupiah. Close it before the pool.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        credentials: Credentials,
        clock: ClockFile,
        notify_url: Callable[[], str],
        sweep_url: Callable[[], str],
        objects: FolderObjects | None = None,
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
        self._objects = objects
        self._slow_s = slow_s
        self._closed = threading.Event()
        self.faults = Faults(state, Random(seed))  # noqa: S311 - whose turn it is to fail is no secret
        self.inbox = Inbox(state, clock.now)
        self.orders = Orders(state, clock.now)
        self.payouts = Payouts(state, clock.now, balance=payout_balance)

    def close(self) -> None:
        """Let calls that a slow provider holds go on at once, so that servers can stop."""
        self._closed.set()

    def providers(self) -> WSGIApplication:
        """The HTTP providers, under `/midtrans`, `/iris`, `/ekyc`, `/whatsapp`, `/sms` and `/fcm`."""
        keys, faults, inbox, pause = self._credentials, self.faults, self.inbox, self._pause
        app = Flask("sandbox-providers")
        app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
        payment = midtrans(self.orders, faults, server_key=keys.server_key, now=self._clock.now, pause=pause)
        payout = iris(self.payouts, faults, creator_key=keys.creator_key, approver_key=keys.approver_key, pause=pause)
        identity = ekyc(faults, app_id=keys.ekyc_app_id, api_key=keys.ekyc_api_key, pause=pause)
        chat = whatsapp(
            inbox,
            faults,
            phone_number_id=keys.whatsapp_phone_number_id,
            token=keys.whatsapp_token,
            pause=pause,
        )
        text = sms(inbox, faults, userkey=keys.sms_userkey, passkey=keys.sms_passkey, pause=pause)
        push = fcm(inbox, faults, project=keys.fcm_project, token=keys.fcm_token, pause=pause)
        for blueprint in (payment, payout, identity, chat, text, push):
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
                objects=self._objects,
                server_key=self._credentials.server_key,
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

    def _pause(self) -> None:
        self._closed.wait(self._slow_s)


def _error(error: HTTPException) -> Response:
    answer = jsonify({"message": error.name})
    answer.status_code = error.code or 500
    return answer
