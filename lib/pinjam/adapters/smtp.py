"""E-mail over SMTP."""

from __future__ import annotations

import contextlib
import smtplib
from email.message import EmailMessage
from email.utils import parseaddr
from typing import TYPE_CHECKING

from pinjam.adapters.authorities import trusted_authorities
from pinjam.adapters.faults import unavailable
from pinjam.services.ports import Refused

if TYPE_CHECKING:
    import ssl

    from pinjam.domain.notification import Channel
    from pinjam.services.messaging import Message

SERVICE = "smtp"

_REFUSALS = range(500, 600)


class SmtpMessenger:
    """Messenger for e-mail, one connection a message.

    Plain text, with the same as HTML where there is such, and attachments.

    `sender` is an address, with or without a name. With `starttls`, nothing is sent before the
    connection is encrypted and the certificate checked (`tls`, by default the public authorities).
    """

    channel: Channel = "email"

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        password: str,
        sender: str,
        starttls: bool,
        timeout_s: float = 10,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._sender = sender
        self._domain = parseaddr(sender)[1].rpartition("@")[2]
        self._starttls = starttls
        self._timeout_s = timeout_s
        self._tls = tls

    def send(self, message: Message) -> str:
        """Hand the message over and answer its Message-ID.

        The Message-ID follows from the message's own id, so that a mailbox can drop a repeat.
        """
        mail = self._compose(message)
        try:
            with contextlib.closing(smtplib.SMTP(self._host, self._port, timeout=self._timeout_s)) as smtp:
                self._deliver(smtp, mail)
        except smtplib.SMTPRecipientsRefused as error:
            # One message has one recipient.
            code = next(iter(error.recipients.values()))[0]
            raise _failure(code) from error
        except smtplib.SMTPResponseException as error:
            if isinstance(error.smtp_error, str):
                # Words of smtplib's own, about a server that does not speak SMTP; a server's are bytes.
                raise unavailable(SERVICE, "answered no SMTP") from error
            raise _failure(error.smtp_code) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Refused(SERVICE, "not-supported") from error
        except (smtplib.SMTPException, OSError) as error:
            raise unavailable(SERVICE, type(error).__name__) from error
        return str(mail["Message-ID"])

    def _deliver(self, smtp: smtplib.SMTP, mail: EmailMessage) -> None:
        if self._starttls:
            smtp.starttls(context=self._tls or trusted_authorities())
        smtp.login(self._user, self._password)
        smtp.send_message(mail)
        # The server has the message: a goodbye that goes wrong must not make it be sent again.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            smtp.quit()

    def _compose(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        try:
            mail["From"] = self._sender
            mail["To"] = message.to
            mail["Subject"] = message.subject
            mail["Message-ID"] = f"<{message.id}@{self._domain}>"
        except ValueError as error:
            # A line break in a header: an attempt to add headers.
            raise Refused(SERVICE, "bad-header") from error
        mail["Content-Language"] = message.locale
        mail.set_content(message.body)
        if message.html is not None:
            mail.add_alternative(message.html, subtype="html")
        for one in message.attachments:
            main, _, sub = one.content_type.partition("/")
            mail.add_attachment(one.content, maintype=main, subtype=sub, filename=one.filename)
        return mail


def _failure(code: int) -> Exception:
    if code in _REFUSALS:
        return Refused(SERVICE, str(code))
    return unavailable(SERVICE, f"answered {code}")
