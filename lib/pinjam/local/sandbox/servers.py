"""The sandbox providers listening: one HTTP server for all of them, and one SMTP server."""

from typing import Self

from pinjam.local.sandbox.mail import MailServer
from pinjam.local.sandbox.system import Sandbox
from pinjam.local.servers import WsgiServer


class SandboxServers:
    """Starts and stops the providers of a sandbox on loopback ports; 0 is any free one.

    The addresses are what the adapters are made with, and are known before `start`.
    """

    def __init__(self, sandbox: Sandbox, *, http_port: int = 0, smtp_port: int = 0) -> None:
        self.sandbox = sandbox
        self._http = WsgiServer(sandbox.providers(), port=http_port)
        self.mail: MailServer = sandbox.mail_server(port=smtp_port)

    @property
    def midtrans_url(self) -> str:
        """For MidtransGateway."""
        return f"{self._http.url}/midtrans"

    @property
    def iris_url(self) -> str:
        """For IrisPayouts."""
        return f"{self._http.url}/iris"

    @property
    def ekyc_url(self) -> str:
        """For VerihubsCheck."""
        return f"{self._http.url}/ekyc"

    @property
    def whatsapp_url(self) -> str:
        """For WhatsAppMessenger."""
        return f"{self._http.url}/whatsapp"

    @property
    def zenziva_url(self) -> str:
        """For ZenzivaMessenger: the whole endpoint."""
        return f"{self._http.url}/zenziva"

    @property
    def twilio_url(self) -> str:
        """For TwilioMessenger."""
        return f"{self._http.url}/twilio"

    @property
    def fcm_url(self) -> str:
        """For FcmMessenger."""
        return f"{self._http.url}/fcm"

    def start(self) -> Self:
        """Answer from now on."""
        self._http.start()
        self.mail.start()
        return self

    def stop(self) -> None:
        """Finish what is being answered and close the ports; harmless when stopped already."""
        self.sandbox.close()
        self.mail.stop()
        self._http.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()
