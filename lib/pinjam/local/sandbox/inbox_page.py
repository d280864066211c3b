"""The inbox as a page: every message as its recipient would see it."""

from functools import cache

from flask import Response
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from pinjam.domain.calendar import JAKARTA
from pinjam.local.sandbox.inbox import Inbox

CHANNELS = {"email": "E-mail", "sms": "SMS", "whatsapp": "WhatsApp", "push": "Push"}

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
"""No script runs and nothing is loaded, whatever a message holds; its page inherits this."""


def inbox_page(inbox: Inbox, *, to: str | None, channel: str | None) -> Response:
    """The messages of a recipient and a channel, or all, newest first; hours are Jakarta's."""
    recipients = inbox.recipients()
    text = _template().render(
        messages=[
            {
                "channel": one.channel,
                "to": one.to,
                "subject": one.subject,
                "body": one.body,
                "html": one.html,
                "at": one.at.astimezone(JAKARTA).strftime("%Y-%m-%d %H:%M"),
            }
            for one in inbox.received(to=to, channel=channel)
        ],
        channels=CHANNELS,
        recipients=recipients if to is None or to in recipients else [to, *recipients],
        to=to or "",
        channel=channel or "",
    )
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return Response(text, 200, headers, content_type="text/html; charset=utf-8")


@cache
def _template() -> Template:
    loader = PackageLoader("pinjam.local.sandbox", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("inbox.html")
