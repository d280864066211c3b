"""Twilio's Messages resource: takes messages and puts them in the inbox."""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime

from flask import Blueprint, Response, jsonify, request

from pinjam.local.sandbox.faults import Faults, guard
from pinjam.local.sandbox.inbox import Inbox
from pinjam.local.sandbox.one_segment import is_one_segment, mobile_number

_VERSION = "2010-04-01"
_SENDER = re.compile(r"[A-Za-z0-9 ]{2,11}|\+[1-9]\d{6,14}")
"""A name of at most 11 characters, or a number."""
_MESSAGING_SERVICE = re.compile(r"MG[0-9a-f]{32}")


def twilio(
    inbox: Inbox,
    faults: Faults,
    *,
    account_sid: str,
    auth_token: str,
    now: Callable[[], datetime],
    pause: Callable[[], None],
) -> Blueprint:
    """The API under the blueprint's prefix."""
    api = Blueprint("twilio", __name__)

    def authorise() -> Response | None:
        sent = request.authorization
        given = f"{sent.username}\n{sent.password}" if sent and sent.type == "basic" else ""
        if not hmac.compare_digest(given.encode(), f"{account_sid}\n{auth_token}".encode()):
            return _refusal(401, 20003, "Authenticate")
        return None

    def create(named: str) -> Response:
        if named != account_sid:
            return _refusal(404, 20404, f"The requested resource {request.path} was not found")
        fields = list(request.form.items(multi=True))
        sent = dict(fields)
        problem = _problem(sent) if len(sent) == len(fields) else (20001, "A parameter is given twice")
        if problem is not None:
            return _refusal(400, *problem)
        inbox.deliver(channel="sms", to=sent["To"], subject="", body=sent["Body"])
        answer = jsonify(_message(sent, account_sid, now()))
        answer.status_code = 201
        return answer

    api.before_request(authorise)
    guard(
        api,
        faults,
        "sms",
        pause=pause,
        refuse=lambda: _refusal(400, 21610, "Attempt to send to unsubscribed recipient"),
    )
    api.add_url_rule(f"/{_VERSION}/Accounts/<named>/Messages.json", view_func=create, methods=["POST"])
    return api


def _problem(sent: Mapping[str, str]) -> tuple[int, str] | None:
    """The error code and message of the first thing wrong with the form."""
    to, text = sent.get("To", ""), sent.get("Body", "")
    senders = sent.keys() & {"From", "MessagingServiceSid"}
    unknown = sorted(sent.keys() - senders - {"To", "Body"})
    checks = (
        (bool(to), 21604, "A 'To' phone number is required."),
        (len(senders) == 1, 21603, "A 'From' phone number is required."),
        (bool(text), 21602, "Message body is required."),
        (not unknown, 20001, f"Unknown parameters: {', '.join(unknown)}"),
        (_SENDER.fullmatch(sent.get("From", "SENDER")), 21212, f"Invalid From Number (caller ID): {sent.get('From')}"),
        (
            _MESSAGING_SERVICE.fullmatch(sent.get("MessagingServiceSid", f"MG{0:032x}")),
            21701,
            "The Messaging Service does not exist",
        ),
        (mobile_number(to) == to, 21211, f"Invalid 'To' Phone Number: {to}"),
        (is_one_segment(text), 21617, "The body is more than one segment, which is all that this sandbox takes."),
    )
    return next(((code, message) for good, code, message in checks if not good), None)


def _message(sent: Mapping[str, str], account_sid: str, at: datetime) -> dict[str, object]:
    sid = f"SM{secrets.token_hex(16)}"
    path = f"/{_VERSION}/Accounts/{account_sid}/Messages/{sid}"
    by_service = "MessagingServiceSid" in sent
    return {
        "sid": sid,
        "account_sid": account_sid,
        "api_version": _VERSION,
        "to": sent["To"],
        "from": sent.get("From"),
        "messaging_service_sid": sent.get("MessagingServiceSid"),
        "body": sent["Body"],
        # A service chooses its sender later, and the parts are counted then.
        "status": "accepted" if by_service else "queued",
        "num_segments": "0" if by_service else "1",
        "num_media": "0",
        "direction": "outbound-api",
        "date_created": format_datetime(at),
        "date_updated": format_datetime(at),
        "date_sent": None,
        "price": None,
        "price_unit": "USD",
        "error_code": None,
        "error_message": None,
        "uri": f"{path}.json",
        "subresource_uris": {"media": f"{path}/Media.json"},
    }


def _refusal(status: int, code: int, message: str) -> Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    answer = jsonify({"code": code, "message": message, "more_info": more, "status": status})
    answer.status_code = status
    return answer
