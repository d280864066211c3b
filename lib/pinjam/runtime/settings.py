"""All configuration: one object, read once, from a mapping (the environment, or a test's dict)."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from pinjam.runtime.passkey_settings import FINGERPRINT, ORIGIN, Apps, WebAuthn

Profile = Literal["local", "emulators", "gcp"]

EMULATOR_VARIABLES = (
    "FIREBASE_AUTH_EMULATOR_HOST",
    "FIRESTORE_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
)


class SettingsError(Exception):
    """A setting is missing or wrong; the text names the variable and says what it must be."""


@dataclass(frozen=True)
class Identity:
    """Where accounts live and ID tokens come from; `signer` is the service account that signs custom tokens."""

    url: str
    token_url: str
    jwks_url: str
    iam_url: str
    signer: str
    api_key: str
    admin_token: str


@dataclass(frozen=True)
class Ekyc:
    """The e-KYC provider."""

    url: str
    app_id: str
    api_key: str


@dataclass(frozen=True)
class Midtrans:
    """The payment gateway."""

    url: str
    server_key: str


@dataclass(frozen=True)
class Iris:
    """The payout gateway."""

    url: str
    creator_key: str
    approver_key: str
    merchant_key: str


@dataclass(frozen=True)
class Smtp:
    """The mail server."""

    host: str
    port: int
    user: str
    password: str
    sender: str
    starttls: bool


@dataclass(frozen=True)
class WhatsApp:
    """The WhatsApp Cloud API. `app_secret` signs its callbacks; `verify_token` is what it proves itself with first."""

    url: str
    phone_number_id: str
    token: str
    app_secret: str
    verify_token: str


@dataclass(frozen=True)
class Zenziva:
    """An SMS provider. `url` is its whole endpoint."""

    url: str
    userkey: str
    passkey: str


@dataclass(frozen=True)
class Twilio:
    """An SMS provider. `sender` is a name, a number, or the id of a messaging service."""

    url: str
    account_sid: str
    auth_token: str
    sender: str


@dataclass(frozen=True)
class Fcm:
    """Firebase Cloud Messaging. `token` is an OAuth access token."""

    url: str
    project: str
    token: str


@dataclass(frozen=True)
class Tasks:
    """Cloud Tasks: its API, where its queues are, which functions they call, and in whose name."""

    url: str
    project: str
    location: str
    functions_url: str
    account: str


@dataclass(frozen=True)
class Settings:
    """Typed settings. A group is read when it is first asked for, so that a function needs only its own.

    Raises SettingsError naming the variable when one is missing or wrong.
    """

    values: Mapping[str, str]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Settings from an environment.

        In the local profile, what it lacks is taken from the running local system, which leaves its
        addresses in `<state>/system.json`. The `gcp` profile refuses any emulator's variable, because
        the client libraries then accept unsigned tokens.
        """
        profile = environment.get("PINJAM_PROFILE", "local")
        if profile not in get_args(Profile):
            raise SettingsError(f"PINJAM_PROFILE is {profile!r}; it must be one of {', '.join(get_args(Profile))}")
        if profile == "gcp":
            for name in EMULATOR_VARIABLES:
                if environment.get(name):
                    raise SettingsError(f"{name} is set; the gcp profile does not run against emulators")
        if profile != "local":
            return cls(dict(environment))
        beside = Path(environment.get("PINJAM_STATE", ".local")) / "system.json"
        try:
            running: Mapping[str, str] = json.loads(beside.read_text())
        except FileNotFoundError:
            running = {}
        return cls({**running, **environment})

    @property
    def profile(self) -> Profile:
        """Which kind of system this is part of."""
        profile: Profile = "gcp"
        for known in get_args(Profile):
            if self.values.get("PINJAM_PROFILE", "local") == known:
                profile = known
        return profile

    @property
    def project(self) -> str:
        """The Google Cloud project, whose name is in ID tokens and topics."""
        return self._text("PINJAM_PROJECT")

    @property
    def public_url(self) -> str:
        """The API's address as the outside knows it."""
        return self._text("PINJAM_PUBLIC_URL")

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is."""
        return self._text("PINJAM_DATABASE_URL")

    @property
    def operations_email(self) -> str:
        """Where those who run the lender hear of what needs a person."""
        return self._text("PINJAM_OPERATIONS_EMAIL")

    @property
    def pubsub_url(self) -> str:
        """Where events are published."""
        return self._text("PINJAM_PUBSUB_URL")

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """Web origins that may call the API, from a comma-separated list; none unless named."""
        return tuple(part.strip() for part in self.values.get("PINJAM_CORS_ORIGINS", "").split(",") if part.strip())

    @property
    def clock_file(self) -> Path | None:
        """The local profile's movable business date; None for the system's clock."""
        name = self.values.get("PINJAM_CLOCK_FILE")
        return Path(name) if name and self.profile != "gcp" else None

    @property
    def redis_url(self) -> str | None:
        """Where the cache is that all instances share; None where each has its own, as in the local profile."""
        return self._text("PINJAM_REDIS_URL") if self._choice("PINJAM_CACHE", "memory", "redis") == "redis" else None

    @property
    def limits(self) -> str:
        """Which table of limits counts. Only a system on one machine may be `relaxed`."""
        chosen = self._choice("PINJAM_LIMITS", "strict", "relaxed")
        if chosen == "relaxed" and self.profile == "gcp":
            raise SettingsError("PINJAM_LIMITS is 'relaxed'; the gcp profile has strict limits only")
        return chosen

    @property
    def trusted_hops(self) -> int:
        """How many addresses at the end of X-Forwarded-For are from proxies of ours; the first of them is the caller's.

        The local gateway adds one.
        """
        if self.profile == "local" and not self.values.get("PINJAM_TRUSTED_HOPS"):
            return 1
        return self._number("PINJAM_TRUSTED_HOPS")

    @property
    def key_file(self) -> Path:
        """The file of the keys that wrap the borrowers' keys."""
        return Path(self._text("PINJAM_KEY_FILE"))

    @cached_property
    def hash_key(self) -> bytes:
        """The key of the hashes by which sealed values are found; it must never change."""
        return self._bytes("PINJAM_HASH_KEY")

    @cached_property
    def links_key(self) -> bytes:
        """The key that signs the addresses of documents."""
        return self._bytes("PINJAM_LINKS_KEY")

    @cached_property
    def identity(self) -> Identity:
        """Firebase Auth, or what speaks its protocol."""
        return Identity(
            url=self._text("PINJAM_IDENTITY_URL"),
            token_url=self._text("PINJAM_TOKEN_URL"),
            jwks_url=self._text("PINJAM_JWKS_URL"),
            iam_url=self._text("PINJAM_IAM_URL"),
            signer=self._text("PINJAM_SIGNING_ACCOUNT"),
            api_key=self._text("PINJAM_IDENTITY_API_KEY"),
            admin_token=self._text("PINJAM_IDENTITY_ADMIN_TOKEN"),
        )

    @cached_property
    def webauthn(self) -> WebAuthn:
        """Who may ask for passkeys."""
        return WebAuthn(
            rp_id=self._text("PINJAM_WEBAUTHN_RP_ID"), origins=self._listed("PINJAM_WEBAUTHN_ORIGINS", ORIGIN)
        )

    @cached_property
    def apps(self) -> Apps:
        """The mobile apps."""
        return Apps(
            android_package=self._text("PINJAM_ANDROID_PACKAGE"),
            android_fingerprints=self._listed("PINJAM_ANDROID_FINGERPRINTS", FINGERPRINT),
            apple_team_id=self._text("PINJAM_APPLE_TEAM_ID"),
            apple_bundle_id=self._text("PINJAM_APPLE_BUNDLE_ID"),
        )

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
        return Fcm(url=self._text("PINJAM_FCM_URL"), project=self.project, token=self._text("PINJAM_FCM_TOKEN"))

    @cached_property
    def tasks(self) -> Tasks:
        """Work for later."""
        return Tasks(
            url=self._text("PINJAM_TASKS_URL"),
            project=self.project,
            location=self._text("PINJAM_TASKS_LOCATION"),
            functions_url=self._text("PINJAM_FUNCTIONS_URL"),
            account=self._text("PINJAM_TASKS_ACCOUNT"),
        )

    @property
    def objects_path(self) -> Path:
        """The folder of documents' bytes."""
        return Path(self._text("PINJAM_OBJECTS_PATH"))

    def _text(self, name: str) -> str:
        value = self.values.get(name, "")
        if not value:
            raise SettingsError(f"{name} is not set (is the local system running? `make run` starts it)")
        return value

    def _choice(self, name: str, first: str, *others: str) -> str:
        """One of the choices; the local profile takes the first one unless told otherwise."""
        if self.profile == "local" and not self.values.get(name):
            return first
        text = self._text(name)
        if text not in (first, *others):
            raise SettingsError(f"{name} is {text!r}; it must be one of {', '.join((first, *others))}")
        return text

    def _listed(self, name: str, kind: re.Pattern[str]) -> tuple[str, ...]:
        """The parts of a comma-separated list, each of which is of a kind."""
        parts = tuple(part.strip() for part in self._text(name).split(","))
        for part in parts:
            if not kind.fullmatch(part):
                raise SettingsError(f"{name} holds {part!r}, which is not {kind.pattern}")
        return parts

    def _number(self, name: str) -> int:
        text = self._text(name)
        if not text.isdecimal():
            raise SettingsError(f"{name} is {text!r}; it must be a whole number")
        return int(text)

    def _flag(self, name: str) -> bool:
        text = self._text(name)
        if text not in ("true", "false"):
            raise SettingsError(f"{name} is {text!r}; it must be true or false")
        return text == "true"

    def _bytes(self, name: str) -> bytes:
        try:
            return base64.b64decode(self._text(name), validate=True)
        except ValueError:
            raise SettingsError(f"{name} must be base64") from None
