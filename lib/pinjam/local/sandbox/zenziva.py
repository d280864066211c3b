"""Zenziva, an Indonesian SMS provider: takes messages and puts them in the inbox."""

import hmac
import secrets
from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request

from pinjam.local.sandbox.faults import Faults, guard
from pinjam.local.sandbox.inbox import Inbox
from pinjam.local.sandbox.one_segment import is_one_segment, mobile_number

_FIELDS = ["message", "passkey", "to", "userkey"]


def zenziva(inbox: Inbox, faults: Faults, *, userkey: str, passkey: str, pause: Callable[[], None]) -> Blueprint:
    """The endpoint is the blueprint's prefix itself."""
    api = Blueprint("zenziva", __name__)

    def send() -> Response:
        sent = request.form
        given = f"{sent.get('userkey', '')}\n{sent.get('passkey', '')}"
        if not hmac.compare_digest(given.encode(), f"{userkey}\n{passkey}".encode()):
            return _answer(401, "5", "Userkey / Passkey Salah")
        number = mobile_number(sent.get("to", ""))
        if sorted(name for name, _ in sent.items(multi=True)) != _FIELDS or number is None:
            return _answer(400, "0", "Nomor tujuan tidak valid")
        text = sent["message"]
        if not is_one_segment(text):
            return _answer(400, "6", "Konten SMS tidak sesuai")
        inbox.deliver(channel="sms", to=number, subject="", body=text)
        return _answer(200, "1", "Success")

    guard(api, faults, "sms", pause=pause, refuse=lambda: _answer(200, "6", "Konten SMS ditolak"))
    api.add_url_rule("", view_func=send, methods=["POST"])
    return api


def _answer(http_status: int, status: str, text: str) -> Response:
    body = {"messageId": secrets.randbelow(10**9), "to": request.form.get("to", ""), "status": status, "text": text}
    answer = jsonify(body)
    answer.status_code = http_status
    return answer
