"""The sandbox's SMTP server as an independent client sees it."""

import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.certificates import self_signed

from pinjam.adapters.smtp import SmtpMessenger
from pinjam.local.sandbox.mail import MailServer
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials
from pinjam.services.messaging import Message
from pinjam.services.ports import Unavailable


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path / "certificate.pem")


@pytest.fixture
def encrypted(sandbox: SandboxServers, certificate: Path) -> Iterator[MailServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with sandbox.sandbox.mail_server(tls=context) as server:
        yield server


def messenger(server: MailServer, keys: Credentials, tls: ssl.SSLContext | None) -> SmtpMessenger:
    return SmtpMessenger(
        host=server.host,
        port=server.port,
        user=keys.smtp_user,
        password=keys.smtp_password,
        sender="halo@pinjam.example",
        starttls=True,
        tls=tls,
    )


MESSAGE = Message(id="ntf_1", to="siti@example.com", kind="welcome", locale="id", subject="Halo", body="Selamat datang")


def test_an_email_goes_over_an_encrypted_connection_to_a_known_server(
    sandbox: SandboxServers, encrypted: MailServer, sandbox_credentials: Credentials, certificate: Path
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    messenger(encrypted, sandbox_credentials, trusting).send(MESSAGE)
    assert [entry["subject"] for entry in sandbox.sandbox.inbox.find(to="siti@example.com")] == ["Halo"]


def test_an_email_does_not_go_to_a_server_that_cannot_prove_itself(
    sandbox: SandboxServers, encrypted: MailServer, sandbox_credentials: Credentials
) -> None:
    with pytest.raises(Unavailable):
        messenger(encrypted, sandbox_credentials, None).send(MESSAGE)
    assert sandbox.sandbox.inbox.find() == []


def mail(**headers: str) -> EmailMessage:
    made = EmailMessage()
    for name, value in {"From": "a@example.com", "To": "b@example.com", "Message-ID": "<1@x>", **headers}.items():
        if value:
            made[name] = value
    made.set_content("halo")
    return made


def test_an_encrypted_server_takes_no_password_in_the_clear(
    encrypted: MailServer, sandbox_credentials: Credentials
) -> None:
    with smtplib.SMTP(encrypted.host, encrypted.port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.login(sandbox_credentials.smtp_user, sandbox_credentials.smtp_password)
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.send_message(mail())
        assert refused.value.smtp_code == 530


def test_nobody_sends_without_logging_in(sandbox: SandboxServers) -> None:
    with smtplib.SMTP(sandbox.mail.host, sandbox.mail.port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.send_message(mail())
        assert refused.value.smtp_code == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("pinjam", "wrong")


def test_a_message_without_an_id_is_not_taken(sandbox: SandboxServers, sandbox_credentials: Credentials) -> None:
    with smtplib.SMTP(sandbox.mail.host, sandbox.mail.port, timeout=10) as client:
        client.login(sandbox_credentials.smtp_user, sandbox_credentials.smtp_password)
        with pytest.raises(smtplib.SMTPDataError):
            client.send_message(mail(**{"Message-ID": ""}))
    assert sandbox.sandbox.inbox.find() == []


def test_every_recipient_of_a_message_gets_it(sandbox: SandboxServers, sandbox_credentials: Credentials) -> None:
    with smtplib.SMTP(sandbox.mail.host, sandbox.mail.port, timeout=10) as client:
        client.login(sandbox_credentials.smtp_user, sandbox_credentials.smtp_password)
        client.send_message(mail(To="b@example.com, c@example.com"))
        client.send_message(mail(To="b@example.com"))
    assert sorted(entry["to"] for entry in sandbox.sandbox.inbox.find()) == ["b@example.com", "c@example.com"]


def test_a_mail_server_stops_while_somebody_is_connected_and_frees_its_port(sandbox: SandboxServers) -> None:
    server = sandbox.sandbox.mail_server().start()
    with smtplib.SMTP(server.host, server.port, timeout=10) as client:
        client.ehlo()
        server.stop()
        server.stop()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(server.host, server.port, timeout=10)


def test_a_mail_server_that_never_started_stops_too(sandbox: SandboxServers) -> None:
    server = sandbox.sandbox.mail_server()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(server.host, server.port, timeout=10)


def test_a_mail_server_can_stop_the_moment_it_has_started(sandbox: SandboxServers) -> None:
    for _ in range(100):
        sandbox.sandbox.mail_server().start().stop()
