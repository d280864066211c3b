"""A real SMTP server, with AUTH and, if wanted, STARTTLS: puts what it is given in the inbox."""

import asyncio
import email
import email.policy
import hmac
import socket
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage
from typing import Self
from weakref import WeakKeyDictionary, WeakSet

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from pinjam.local.sandbox.faults import Faults, Mode
from pinjam.local.sandbox.inbox import Inbox

MAX_BYTES = 10_000_000


class MailServer:
    """Listens on a loopback port until stopped.

    With `tls`, it takes no login before STARTTLS. The socket is bound when the object is made, so the
    port is known before `start`.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        inbox: Inbox,
        faults: Faults,
        user: str,
        password: str,
        pause: Callable[[], None],
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._handler = _Handler(inbox, faults, user, password, pause)
        self._tls = tls
        self._socket = socket.create_server((self.host, port))
        self.port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._connections: WeakSet[SMTP] = WeakSet()
        self._thread = threading.Thread(target=self._serve, name=f"smtp-{self.port}", daemon=True)

    def start(self) -> Self:
        """Take messages from now on."""
        listening = self._loop.create_server(self._connect, sock=self._socket)
        # Finished before the thread begins: a stop right after start must not cut it off.
        self._server = self._loop.run_until_complete(listening)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close every connection and the port; harmless when stopped already."""
        if self._loop.is_closed():
            return
        if self._thread.ident is None:
            self._socket.close()
            self._loop.close()
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _connect(self) -> SMTP:
        made = SMTP(
            self._handler,
            data_size_limit=MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname="sandbox.localhost",
            ident="sandbox",
            tls_context=self._tls,
            require_starttls=self._tls is not None,
            auth_require_tls=self._tls is not None,
            authenticator=self._handler.authenticate,
            loop=self._loop,
        )
        self._connections.add(made)
        return made

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            if isinstance(connection.transport, asyncio.WriteTransport):
                connection.transport.abort()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class _Handler:
    """What the server does at each step; replies are RFC 5321's, with RFC 3463's enhanced codes."""

    def __init__(self, inbox: Inbox, faults: Faults, user: str, password: str, pause: Callable[[], None]) -> None:
        self._inbox = inbox
        self._faults = faults
        self._credentials = f"{user}\n{password}".encode()
        self._pause = pause
        self._modes: WeakKeyDictionary[Session, Mode] = WeakKeyDictionary()

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object
    ) -> AuthResult:
        good = isinstance(given, LoginPassword) and hmac.compare_digest(
            given.login + b"\n" + given.password, self._credentials
        )
        return AuthResult(success=good, handled=False)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd finds its hooks by name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        mode = await asyncio.to_thread(self._faults.take, "email")
        if mode in ("down", "busy"):
            return "421 4.3.2 Service not available"
        self._modes[session] = mode
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds its hooks by name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._modes[session] == "reject":
            return "550 5.1.1 Mailbox does not exist"
        if "@" not in address.strip("@"):
            return "553 5.1.3 The address is not one"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd finds its hooks by name
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = email.message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
        if message["From"] is None or message["Message-ID"] is None:
            return "550 5.7.1 A message needs From and Message-ID"
        for recipient in envelope.rcpt_tos:
            await asyncio.to_thread(self._keep, recipient, message)
        if self._modes[session] == "slow":
            await asyncio.to_thread(self._pause)
        return "250 2.0.0 Accepted"

    def _keep(self, recipient: str, message: EmailMessage) -> None:
        text = message.get_body(preferencelist=("plain", "html"))
        body = "" if text is None else str(text.get_content()).replace("\r\n", "\n").rstrip("\n")
        page = message.get_body(preferencelist=("html",))
        self._inbox.deliver(
            channel="email",
            to=recipient,
            subject=str(message["Subject"] or ""),
            body="\n".join([body, *map(_told, message.iter_attachments())]),
            repeat_key=str(message["Message-ID"]).strip(),
            html=None if page is None else str(page.get_content()),
        )


def _told(attachment: EmailMessage) -> str:
    """An attachment as a line of the inbox, which keeps text only."""
    content = attachment.get_payload(decode=True)
    size = len(content) if isinstance(content, bytes) else 0
    return f"[{attachment.get_filename()}: {attachment.get_content_type()}, {size} bytes]"
