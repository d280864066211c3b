"""What every Messenger does, shown by the adapter of each channel against the sandbox and against garbage."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import pytest

from pinjam.adapters.fcm import UNREGISTERED, FcmMessenger
from pinjam.adapters.smtp import SmtpMessenger
from pinjam.adapters.twilio import TwilioMessenger
from pinjam.adapters.whatsapp import WhatsAppMessenger
from pinjam.adapters.zenziva import ZenzivaMessenger
from pinjam.domain.notification import Channel
from pinjam.local.sandbox.servers import SandboxServers
from pinjam.local.sandbox.system import Credentials
from pinjam.services.messaging import AddressGone, Attachment, Message, Messenger
from pinjam.services.ports import Refused, Unavailable

MESSAGE = Message(
    id="ntf_01-email",
    to="+6281234567890",
    kind="payment_reminder",
    locale="id",
    subject="Cicilan jatuh tempo",
    body="Pinjam: cicilan Rp1.150.000 jatuh tempo 24 Nov 2026",
    parameters=("Budi", "Rp1.150.000", "24 November 2026"),
    data={"loan_id": "loan_1"},
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One channel: how to make its adapter, who gets the message, and what the recipient sees."""

    channel: Channel
    make: Callable[..., Messenger]
    to: str
    sees: tuple[str, str]
    copies_of_a_repeat: int


def _email(sandbox: SandboxServers, keys: Credentials, url: str | None = None, timeout_s: float = 10) -> SmtpMessenger:
    port = sandbox.mail.port if url is None else int(url.rpartition(":")[2])
    return SmtpMessenger(
        host="127.0.0.1",
        port=port,
        user=keys.smtp_user,
        password=keys.smtp_password,
        sender="Pinjam <halo@pinjam.example>",
        starttls=False,
        timeout_s=timeout_s,
    )


def _whatsapp(
    sandbox: SandboxServers, keys: Credentials, url: str | None = None, timeout_s: float = 10
) -> WhatsAppMessenger:
    return WhatsAppMessenger(
        url=url or sandbox.whatsapp_url,
        phone_number_id=keys.whatsapp_phone_number_id,
        token=keys.whatsapp_token,
        timeout_s=timeout_s,
    )


def _zenziva(
    sandbox: SandboxServers, keys: Credentials, url: str | None = None, timeout_s: float = 10
) -> ZenzivaMessenger:
    return ZenzivaMessenger(
        url=url or sandbox.zenziva_url, userkey=keys.zenziva_userkey, passkey=keys.zenziva_passkey, timeout_s=timeout_s
    )


def _twilio(
    sandbox: SandboxServers, keys: Credentials, url: str | None = None, timeout_s: float = 10
) -> TwilioMessenger:
    return TwilioMessenger(
        url=url or sandbox.twilio_url,
        account_sid=keys.twilio_account_sid,
        auth_token=keys.twilio_auth_token,
        sender="PINJAM",
        timeout_s=timeout_s,
    )


def _push(sandbox: SandboxServers, keys: Credentials, url: str | None = None, timeout_s: float = 10) -> FcmMessenger:
    return FcmMessenger(
        url=url or sandbox.fcm_url, project=keys.fcm_project, token=lambda: keys.fcm_token, timeout_s=timeout_s
    )


EMAIL = Line(
    channel="email",
    make=_email,
    to="budi@example.com",
    sees=(MESSAGE.subject, MESSAGE.body),
    copies_of_a_repeat=1,
)
WHATSAPP = Line(
    channel="whatsapp",
    make=_whatsapp,
    to=MESSAGE.to,
    sees=("payment_reminder (id)", "\n".join(MESSAGE.parameters)),
    copies_of_a_repeat=2,
)
ZENZIVA = Line(channel="sms", make=_zenziva, to=MESSAGE.to, sees=("", MESSAGE.body), copies_of_a_repeat=2)
TWILIO = replace(ZENZIVA, make=_twilio)
PUSH = Line(
    channel="push",
    make=_push,
    to="device-token",
    sees=(MESSAGE.subject, MESSAGE.body),
    copies_of_a_repeat=1,
)
HTTP_LINES = [WHATSAPP, ZENZIVA, TWILIO, PUSH]
LINES = [EMAIL, *HTTP_LINES]
EACH_LINE = pytest.mark.parametrize("line", LINES, ids=lambda line: line.make.__name__)
EACH_HTTP_LINE = pytest.mark.parametrize("line", HTTP_LINES, ids=lambda line: line.make.__name__)
EACH_SMS_LINE = pytest.mark.parametrize("line", [ZENZIVA, TWILIO], ids=lambda line: line.make.__name__)

Connect = Callable[..., Messenger]


@pytest.fixture
def connect(sandbox: SandboxServers, sandbox_credentials: Credentials) -> Iterator[Connect]:
    with ExitStack() as running:

        def make(
            line: Line, *, url: str | None = None, timeout_s: float = 10, keys: Credentials = sandbox_credentials
        ) -> Messenger:
            messenger = line.make(sandbox, keys, url=url, timeout_s=timeout_s)
            if not isinstance(messenger, SmtpMessenger):
                running.enter_context(closing(messenger))  # type: ignore[type-var]  # the HTTP adapters have close
            return messenger

        yield make


def message(line: Line, **change: object) -> Message:
    return replace(MESSAGE, to=line.to, **change)  # type: ignore[arg-type]  # fields of the right type


def inbox(sandbox: SandboxServers, line: Line) -> list[tuple[str, str]]:
    found = sandbox.sandbox.inbox.find(to=line.to, channel=line.channel)
    return [(entry["subject"], entry["body"]) for entry in found]


@EACH_LINE
def test_a_message_reaches_its_recipient_and_has_the_providers_id(
    sandbox: SandboxServers, connect: Connect, line: Line
) -> None:
    messenger = connect(line)
    assert messenger.channel == line.channel
    assert messenger.send(message(line))
    assert inbox(sandbox, line) == [line.sees]


@EACH_LINE
def test_an_attachment_goes_along_by_email_and_harms_no_other_channel(
    sandbox: SandboxServers, connect: Connect, line: Line
) -> None:
    files = tuple(
        Attachment(filename=name, content_type="application/pdf", content=b"%PDF-" + bytes(range(256)))
        for name in ("PJM-1.pdf", "PJM-2.pdf")
    )
    connect(line).send(message(line, attachments=files))
    subject, body = line.sees
    if line.channel == "email":
        body += "\n[PJM-1.pdf: application/pdf, 261 bytes]\n[PJM-2.pdf: application/pdf, 261 bytes]"
    assert inbox(sandbox, line) == [(subject, body)]


@EACH_LINE
def test_a_repeat_is_treated_as_the_provider_treats_it(sandbox: SandboxServers, connect: Connect, line: Line) -> None:
    messenger = connect(line)
    for _ in range(2):
        messenger.send(message(line))
    assert inbox(sandbox, line) == [line.sees] * line.copies_of_a_repeat


@pytest.mark.parametrize(("line", "shown"), [(EMAIL, "first"), (PUSH, "second")], ids=["email", "push"])
def test_of_a_repeat_a_mailbox_keeps_the_first_and_a_device_shows_the_last(
    sandbox: SandboxServers, connect: Connect, line: Line, shown: str
) -> None:
    messenger = connect(line)
    for body in ("first", "second"):
        messenger.send(message(line, body=body))
    assert [body for _, body in inbox(sandbox, line)] == [shown]


@EACH_LINE
def test_another_message_is_never_taken_for_a_repeat(sandbox: SandboxServers, connect: Connect, line: Line) -> None:
    messenger = connect(line)
    first, second = messenger.send(message(line)), messenger.send(message(line, id="ntf_02-email"))
    assert first != second
    assert len(inbox(sandbox, line)) == 2


@EACH_LINE
def test_a_provider_that_is_down_is_unavailable_until_it_is_back(
    sandbox: SandboxServers, connect: Connect, line: Line
) -> None:
    sandbox.sandbox.faults.set(line.channel, "down", times=1)
    messenger = connect(line)
    with pytest.raises(Unavailable):
        messenger.send(message(line))
    assert inbox(sandbox, line) == []
    messenger.send(message(line))
    assert inbox(sandbox, line) == [line.sees]


@EACH_LINE
def test_a_provider_that_refuses_is_told_apart(sandbox: SandboxServers, connect: Connect, line: Line) -> None:
    sandbox.sandbox.faults.set(line.channel, "reject")
    with pytest.raises(Refused):
        connect(line).send(message(line))
    assert inbox(sandbox, line) == []


@EACH_LINE
def test_a_provider_that_is_slow_is_unavailable(sandbox: SandboxServers, connect: Connect, line: Line) -> None:
    sandbox.sandbox.faults.set(line.channel, "slow")
    with pytest.raises(Unavailable):
        connect(line, timeout_s=0.2).send(message(line))


@EACH_LINE
def test_nobody_listening_is_unavailable(connect: Connect, line: Line) -> None:
    with pytest.raises(Unavailable):
        connect(line, url="http://127.0.0.1:9").send(message(line))


@EACH_LINE
def test_wrong_credentials_are_refused(connect: Connect, sandbox_credentials: Credentials, line: Line) -> None:
    secrets = dict.fromkeys(
        ("smtp_password", "whatsapp_token", "zenziva_passkey", "twilio_auth_token", "fcm_token"), "x"
    )
    strangers = replace(sandbox_credentials, **secrets)
    with pytest.raises(Refused):
        connect(line, keys=strangers).send(message(line))


@EACH_HTTP_LINE
@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(b"<html>", 200, id="html"),
        pytest.param(b'{"messages": [{"id": "wam', 200, id="truncated"),
        pytest.param(b"{}", 200, id="empty object"),
        pytest.param(b'{"messages": [], "name": "", "status": "1", "sid": ""}', 200, id="without an id"),
        pytest.param(b'{"messages": 7, "name": 7, "status": [1], "sid": 7}', 200, id="wrong types"),
        pytest.param(b"", 429, id="429"),
        pytest.param(b"", 502, id="502"),
    ],
)
def test_garbage_is_an_unknown_outcome(
    connect: Connect, answering: Callable[[bytes, int], str], line: Line, content: bytes, status: int
) -> None:
    with pytest.raises(Unavailable):
        connect(line, url=answering(content, status)).send(message(line))


@EACH_HTTP_LINE
def test_a_refusal_in_no_shape_is_still_a_refusal(
    connect: Connect, answering: Callable[[bytes, int], str], line: Line
) -> None:
    with pytest.raises(Refused) as refused:
        connect(line, url=answering(b"<html>Forbidden</html>", 403)).send(message(line))
    assert refused.value.code == "403"


@pytest.mark.parametrize("code", [130429, 131056, 131016])
def test_whatsapps_limits_are_not_refusals(connect: Connect, answering: Callable[[bytes, int], str], code: int) -> None:
    content = f'{{"error": {{"message": "limit", "code": {code}}}}}'.encode()
    with pytest.raises(Unavailable):
        connect(WHATSAPP, url=answering(content, 400)).send(message(WHATSAPP))


def test_whatsapp_takes_a_template_without_gaps(sandbox: SandboxServers, connect: Connect) -> None:
    connect(WHATSAPP).send(message(WHATSAPP, parameters=()))
    assert inbox(sandbox, WHATSAPP) == [("payment_reminder (id)", "")]


@pytest.mark.parametrize("parameter", ["two\nlines", "a\ttab", "five     spaces", ""], ids=repr)
def test_whatsapp_refuses_a_parameter_that_would_change_the_template(connect: Connect, parameter: str) -> None:
    with pytest.raises(Refused) as refused:
        connect(WHATSAPP).send(message(WHATSAPP, parameters=(parameter,)))
    assert refused.value.code == "100"


@pytest.mark.parametrize(("status", "expected"), [("89", Unavailable), ("99", Unavailable), ("5", Refused)])
def test_zenzivas_status_says_whether_to_try_again(
    connect: Connect, answering: Callable[[bytes, int], str], status: str, expected: type[Exception]
) -> None:
    content = f'{{"messageId": 1, "to": "62812", "status": "{status}", "text": "-"}}'.encode()
    with pytest.raises(expected):
        connect(ZENZIVA, url=answering(content, 200)).send(message(ZENZIVA))


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        # twilio.com/docs/api/errors: 20429 too many requests, 21611 the sender's queue is full, 21610 unsubscribed.
        (429, b'{"code": 20429, "status": 429}', Unavailable),
        (400, b'{"code": 21611, "status": 400}', Unavailable),
        (400, b'{"code": 21610, "status": 400}', Refused),
        (201, b'{"sid": "SM1", "status": "failed", "error_code": null}', Refused),
        (201, b'{"sid": "SM1", "status": "queued", "error_code": 30006}', Refused),
        (201, b'{"sid": "SM1", "status": "queued", "error_code": 30001}', Unavailable),
    ],
)
def test_twilios_code_says_whether_to_try_again(
    connect: Connect, answering: Callable[[bytes, int], str], status: int, content: bytes, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        connect(TWILIO, url=answering(content, status)).send(message(TWILIO))


@EACH_SMS_LINE
@pytest.mark.parametrize("change", [{"body": "x" * 160}, {"body": "x" * 158 + "€"}], ids=str)
def test_an_sms_may_fill_its_segment(
    sandbox: SandboxServers, connect: Connect, line: Line, change: dict[str, str]
) -> None:
    connect(line).send(message(line, **change))
    assert inbox(sandbox, line) == [("", change["body"])]


@EACH_SMS_LINE
@pytest.mark.parametrize(
    "change",
    [
        *({"body": body} for body in ("", "x" * 161, "x" * 159 + "€", "cicilan 😀", "cicilan\t")),
        *({"to": to} for to in ("+622112345", "+1234567890123", "")),
    ],
    ids=str,
)
def test_an_sms_that_would_not_be_one_segment_to_a_mobile_is_refused(
    sandbox: SandboxServers, connect: Connect, line: Line, change: dict[str, object]
) -> None:
    with pytest.raises(Refused):
        connect(line).send(replace(message(line), **change))  # type: ignore[arg-type]  # fields of the right type
    assert sandbox.sandbox.inbox.find() == []


def test_a_token_of_a_removed_app_is_refused_by_name(connect: Connect) -> None:
    with pytest.raises(AddressGone) as refused:
        connect(PUSH).send(replace(message(PUSH), to="unregistered-token"))
    assert refused.value.code == UNREGISTERED


def test_a_wrong_project_is_no_fault_of_the_token(connect: Connect, sandbox_credentials: Credentials) -> None:
    with pytest.raises(Refused) as refused:
        connect(PUSH, keys=replace(sandbox_credentials, fcm_project="another")).send(message(PUSH))
    assert not isinstance(refused.value, AddressGone)


def test_an_email_is_plain_text_and_the_same_as_a_page(sandbox: SandboxServers, connect: Connect) -> None:
    page = "<!doctype html><p>Cicilan <b>Rp1.150.000</b> ✓</p>"
    connect(EMAIL).send(message(EMAIL, html=page))
    assert inbox(sandbox, EMAIL) == [EMAIL.sees]
    (received,) = sandbox.sandbox.inbox.received(channel="email")
    assert (received.html or "").strip() == page


def test_an_email_without_a_page_is_plain_text_only(sandbox: SandboxServers, connect: Connect) -> None:
    connect(EMAIL).send(message(EMAIL))
    (received,) = sandbox.sandbox.inbox.received(channel="email")
    assert received.html is None


def test_a_push_without_data_is_sent(sandbox: SandboxServers, connect: Connect) -> None:
    connect(PUSH).send(message(PUSH, data=None))
    assert inbox(sandbox, PUSH) == [PUSH.sees]


def test_an_email_keeps_its_characters(sandbox: SandboxServers, connect: Connect) -> None:
    body = "Halo Siti,\n\nBiaya: Rp 30.000, terima kasih ✓\n.titik di awal baris"
    connect(EMAIL).send(message(EMAIL, subject="Pinjaman Anda ✓ " + "panjang " * 15, body=body))
    assert inbox(sandbox, EMAIL) == [("Pinjaman Anda ✓ " + "panjang " * 14 + "panjang ", body)]


def test_an_emails_id_follows_from_the_messages_own(connect: Connect) -> None:
    assert connect(EMAIL).send(message(EMAIL)) == "<ntf_01-email@pinjam.example>"


@pytest.mark.parametrize(
    "change", [{"subject": "Halo\nBcc: all@example.com"}, {"to": "a@example.com\nBcc: b@example.com"}], ids=str
)
def test_an_email_cannot_smuggle_a_header(sandbox: SandboxServers, connect: Connect, change: dict[str, object]) -> None:
    with pytest.raises(Refused):
        connect(EMAIL).send(replace(message(EMAIL), **change))  # type: ignore[arg-type]  # fields of the right type
    assert sandbox.sandbox.inbox.find(channel="email") == []


def test_an_address_that_is_none_is_refused(connect: Connect) -> None:
    with pytest.raises(Refused):
        connect(EMAIL).send(replace(message(EMAIL), to="nobody"))


def test_an_email_that_must_be_encrypted_is_not_sent_in_the_clear(
    sandbox: SandboxServers, sandbox_credentials: Credentials
) -> None:
    messenger = SmtpMessenger(
        host="127.0.0.1",
        port=sandbox.mail.port,
        user=sandbox_credentials.smtp_user,
        password=sandbox_credentials.smtp_password,
        sender="halo@pinjam.example",
        starttls=True,
    )
    with pytest.raises(Refused) as refused:
        messenger.send(message(EMAIL))
    assert refused.value.code == "not-supported"
    assert inbox(sandbox, EMAIL) == []


@pytest.fixture
def talking() -> Iterator[Callable[[bytes], str]]:
    """Starts a server that says its piece to the first caller and hangs up."""
    with ExitStack() as running:

        def start(piece: bytes) -> str:
            listener = running.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(piece)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            running.callback(thread.join)
            return f"smtp:{listener.getsockname()[1]}"

        yield start


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        (b"", Unavailable),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Unavailable),
        (b"\x00\xff\xfe\r\n", Unavailable),
        (b"421 too busy\r\n", Unavailable),
        (b"554 go away\r\n", Refused),
        (b"220 hello\r\n", Unavailable),
        (b"2" * 10_000 + b"\r\n", Unavailable),
    ],
    ids=["silence", "http", "binary", "421", "554", "hangs up", "endless line"],
)
def test_a_server_that_does_not_speak_smtp_to_the_end_is_unavailable(
    connect: Connect, talking: Callable[[bytes], str], piece: bytes, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        connect(EMAIL, url=talking(piece)).send(message(EMAIL))
