"""The settings of providers: who checks identities, moves money and carries messages."""

from functools import cached_property
from typing import NamedTuple

from pinjam.runtime.choices import SettingsError
from pinjam.runtime.variables import Variables


class Ekyc(NamedTuple):
    """The e-KYC provider."""

    url: str
    app_id: str
    api_key: str


class Midtrans(NamedTuple):
    """The payment gateway."""

    url: str
    server_key: str


class Iris(NamedTuple):
    """The payout gateway."""

    url: str
    creator_key: str
    approver_key: str
    merchant_key: str


class Smtp(NamedTuple):
    """The mail server."""

    host: str
    port: int
    user: str
    password: str
    sender: str
    starttls: bool


class WhatsApp(NamedTuple):
    """The WhatsApp Cloud API. `app_secret` signs its callbacks; `verify_token` is what it proves itself with first."""

    url: str
    phone_number_id: str
    token: str
    app_secret: str
    verify_token: str


class Zenziva(NamedTuple):
    """An SMS provider. `url` is its whole endpoint."""

    url: str
    userkey: str
    passkey: str


class Twilio(NamedTuple):
    """An SMS provider. `sender` is a name, a number, or the id of a messaging service."""

    url: str
    account_sid: str
    auth_token: str
    sender: str


class Fcm(NamedTuple):
    """Firebase Cloud Messaging. `token` is an OAuth access token; None where Google's credentials give one."""

    url: str
    project: str
    token: str | None


class ProviderSettings(Variables):
    """Each provider's own group."""

    @cached_property
    def ekyc(self) -> Ekyc:
        """The e-KYC provider."""
        return Ekyc(
            url=self._text("PINJAM_EKYC_URL"),
            app_id=self._text("PINJAM_EKYC_APP_ID"),
            api_key=self._text("PINJAM_EKYC_API_KEY"),
        )

    @cached_property
    def midtrans(self) -> Midtrans:
        """The payment gateway."""
        return Midtrans(url=self._text("PINJAM_MIDTRANS_URL"), server_key=self._text("PINJAM_MIDTRANS_SERVER_KEY"))

    @cached_property
    def iris(self) -> Iris:
        """The payout gateway."""
        return Iris(
            url=self._text("PINJAM_IRIS_URL"),
            creator_key=self._text("PINJAM_IRIS_CREATOR_KEY"),
            approver_key=self._text("PINJAM_IRIS_APPROVER_KEY"),
            merchant_key=self._text("PINJAM_IRIS_MERCHANT_KEY"),
        )

    @cached_property
    def smtp(self) -> Smtp:
        """The mail server."""
        return Smtp(
            host=self._text("PINJAM_SMTP_HOST"),
            port=self._number("PINJAM_SMTP_PORT"),
            user=self._text("PINJAM_SMTP_USER"),
            password=self._text("PINJAM_SMTP_PASSWORD"),
            sender=self._text("PINJAM_SMTP_SENDER"),
            starttls=self._flag("PINJAM_SMTP_STARTTLS"),
        )

    @cached_property
    def whatsapp(self) -> WhatsApp:
        """The WhatsApp Cloud API."""
        return WhatsApp(
            url=self._text("PINJAM_WHATSAPP_URL"),
            phone_number_id=self._text("PINJAM_WHATSAPP_PHONE_NUMBER_ID"),
            token=self._text("PINJAM_WHATSAPP_TOKEN"),
            app_secret=self._text("PINJAM_WHATSAPP_APP_SECRET"),
            verify_token=self._text("PINJAM_WHATSAPP_VERIFY_TOKEN"),
        )

    @cached_property
    def sms(self) -> Zenziva | Twilio:
        """The SMS provider that PINJAM_SMS_PROVIDER names; only its own variables are read."""
        provider = self._text("PINJAM_SMS_PROVIDER")
        if provider == "zenziva":
            return Zenziva(
                url=self._text("PINJAM_ZENZIVA_URL"),
                userkey=self._text("PINJAM_ZENZIVA_USERKEY"),
                passkey=self._text("PINJAM_ZENZIVA_PASSKEY"),
            )
        if provider == "twilio":
            return Twilio(
                url=self._text("PINJAM_TWILIO_URL"),
                account_sid=self._text("PINJAM_TWILIO_ACCOUNT_SID"),
                auth_token=self._text("PINJAM_TWILIO_AUTH_TOKEN"),
                sender=self._text("PINJAM_TWILIO_SENDER"),
            )
        raise SettingsError(f"PINJAM_SMS_PROVIDER is {provider!r}; it must be zenziva or twilio")

    @cached_property
    def fcm(self) -> Fcm:
        """Firebase Cloud Messaging."""
        return Fcm(
            url=self._text("PINJAM_FCM_URL"), project=self.project, token=self._written_token("PINJAM_FCM_TOKEN")
        )
