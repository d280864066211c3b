"""All configuration: one object, read once, from a mapping (the environment, or a test's dict)."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pinjam.runtime.choices import SettingsError, profile_of, refuse_wrong_combinations
from pinjam.runtime.passkey_settings import FINGERPRINT, ORIGIN, Apps, WebAuthn
from pinjam.runtime.provider_settings import ProviderSettings, Twilio, Zenziva
from pinjam.runtime.storage_settings import StorageSettings

__all__ = ["Settings", "SettingsError", "Twilio", "Zenziva", "state_folder"]


def state_folder(environment: Mapping[str, str]) -> Path:
    """Where a system on this machine keeps its data and its addresses: PINJAM_STATE, or its profile's own folder."""
    usual = ".local-emulators" if profile_of(environment) == "emulators" else ".local"
    return Path(environment.get("PINJAM_STATE") or usual)


class Identity(NamedTuple):
    """Where accounts live and ID tokens come from; `signer` is the service account that signs custom tokens.

    `iam_url` is None at Firebase's emulator, for which nobody signs. `admin_token` is an OAuth access token; None where
    Google's credentials give one.
    """

    url: str
    token_url: str
    iam_url: str | None
    signer: str
    api_key: str
    admin_token: str | None


class Tasks(NamedTuple):
    """Cloud Tasks: its API, where its queues are, which functions they call, and in whose name."""

    url: str
    project: str
    location: str
    functions_url: str
    account: str


@dataclass(frozen=True)
class Settings(ProviderSettings, StorageSettings):
    """Typed settings. A group is read when it is first asked for, so that a function needs only its own.

    Raises SettingsError naming the variable when one is missing or wrong.
    """

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Settings from an environment. SettingsError for a combination that cannot be meant.

        What it lacks is taken from the system that runs on this machine, which leaves its addresses in
        `<state>/system.json`; in the gcp profile there is none. That profile refuses any emulator's variable, because
        those stand for unsigned tokens.
        """
        values = dict(environment)
        if profile_of(environment) != "gcp":
            with contextlib.suppress(FileNotFoundError):
                values = {**json.loads((state_folder(environment) / "system.json").read_text()), **environment}
        refuse_wrong_combinations(values)
        return cls(values)

    @property
    def public_url(self) -> str:
        """The API's address as the outside knows it."""
        return self._text("PINJAM_PUBLIC_URL")

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
        """The movable business date of a system on one machine; None for the machine's clock."""
        name = self.values.get("PINJAM_CLOCK_FILE")
        return Path(name) if name else None

    @property
    def limits(self) -> str:
        """Which table of limits counts. Only a system on one machine may be `relaxed`."""
        return self._choice("PINJAM_LIMITS")

    @property
    def trusted_hops(self) -> int:
        """How many addresses at the end of X-Forwarded-For are from proxies of ours; the first of them is the caller's.

        The local gateway adds one.
        """
        return self._number("PINJAM_TRUSTED_HOPS", "1")

    @cached_property
    def hash_key(self) -> bytes:
        """The key of the hashes by which sealed values are found; it must never change."""
        return self._bytes("PINJAM_HASH_KEY")

    @cached_property
    def links_key(self) -> bytes:
        """The key that signs the addresses of documents."""
        return self._bytes("PINJAM_LINKS_KEY")

    @property
    def auth_emulator(self) -> bool:
        """Whether accounts are in Firebase's emulator, which signs nothing; never in the gcp profile."""
        return self.profile == "emulators" and bool(self.values.get("FIREBASE_AUTH_EMULATOR_HOST"))

    @property
    def jwks_url(self) -> str:
        """Where the keys are that ID tokens are signed with."""
        return self._text("PINJAM_JWKS_URL")

    @cached_property
    def identity(self) -> Identity:
        """Firebase Auth, or what speaks its protocol."""
        return Identity(
            url=self._text("PINJAM_IDENTITY_URL"),
            token_url=self._text("PINJAM_TOKEN_URL"),
            iam_url=None if self.auth_emulator else self._text("PINJAM_IAM_URL"),
            signer=self._text("PINJAM_SIGNING_ACCOUNT"),
            api_key=self._text("PINJAM_IDENTITY_API_KEY"),
            admin_token=self._written_token("PINJAM_IDENTITY_ADMIN_TOKEN"),
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
    def tasks(self) -> Tasks:
        """Work for later."""
        return Tasks(
            url=self._text("PINJAM_TASKS_URL"),
            project=self.project,
            location=self._text("PINJAM_TASKS_LOCATION"),
            functions_url=self._text("PINJAM_FUNCTIONS_URL"),
            account=self._text("PINJAM_TASKS_ACCOUNT"),
        )
