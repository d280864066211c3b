"""An Indonesian SMS provider's HTTP API (Zenziva's shape): takes messages and puts them in the inbox."""

import hmac
import re
import secrets
from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request

from pinjam.local.sandbox.faults import Faults, guard
from pinjam.local.sandbox.inbox import Inbox

_FIELDS = frozenset({"userkey", "passkey", "to", "message"})
_MOBILE = re.compile(r"(?:62|0)(8\d{7,12})")
_GSM_7 = re.compile(r"[A-Za-z0-9@£$¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,\-./:;<=>?¡ÄÖÑÜ§¿äöñüà_\n\r^{}\\\[~\]|€]*")
_MAX_CHARS = 160


def sms(inbox: Inbox, faults: Faults, *, userkey: str, passkey: str, pause: Callable[[], None]) -> Blueprint:
    """The endpoint is the blueprint's prefix itself."""
    api = Blueprint("sms", __name__)

    def send() -> Response:
        sent = request.form
        given = f"{sent.get('userkey', '')}\n{sent.get('passkey', '')}"
        if not hmac.compare_digest(given.encode(), f"{userkey}\n{passkey}".encode()):
            return _answer(401, "5", "Userkey / Passkey Salah")
        number = _MOBILE.fullmatch(sent.get("to", ""))
        if set(sent) != _FIELDS or number is None:
            return _answer(400, "0", "Nomor tujuan tidak valid")
        text = sent["message"]
        if not text or len(text) > _MAX_CHARS or not _GSM_7.fullmatch(text):
            # The real one would send several parts, at several times the price.
            return _answer(400, "6", "Konten SMS tidak sesuai")
        inbox.deliver(channel="sms", to=f"+62{number[1]}", subject="", body=text)
        return _answer(200, "1", "Success")

    guard(api, faults, "sms", pause=pause, refuse=lambda: _answer(200, "6", "Konten SMS ditolak"))
    api.add_url_rule("", view_func=send, methods=["POST"])
    return api


def _answer(http_status: int, status: str, text: str) -> Response:
    body = {"messageId": secrets.randbelow(10**9), "to": request.form.get("to", ""), "status": status, "text": text}
    answer = jsonify(body)
    answer.status_code = http_status
    return answer
