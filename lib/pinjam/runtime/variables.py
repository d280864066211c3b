"""How one variable is read: as text, a number, a flag, a list, bytes, or one of several choices."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pinjam.runtime.choices import SettingsError, chosen, profile_of
from pinjam.runtime.secrets import PREFIX, Secrets

if TYPE_CHECKING:
    from pinjam.runtime.choices import Profile


@dataclass(frozen=True)
class Variables:
    """The variables that groups of settings are read from. SettingsError names the one that is missing or wrong."""

    values: Mapping[str, str]

    @property
    def profile(self) -> Profile:
        """Which kind of system this is part of."""
        return profile_of(self.values)

    @property
    def project(self) -> str:
        """The Google Cloud project, whose name is in ID tokens and topics."""
        return self._text("PINJAM_PROJECT")

    def _text(self, name: str) -> str:
        value = self.values.get(name, "")
        if not value:
            hint = "" if self.profile == "gcp" else " (is the local system running? `make run` starts it)"
            raise SettingsError(f"{name} is not set{hint}")
        return self._secrets.resolve(name, value) if value.startswith(PREFIX) else value

    @cached_property
    def _secrets(self) -> Secrets:
        """Secret Manager, for values that only name a secret; made when the first of them is read."""
        from pinjam.adapters.google_tokens import GoogleTokens
        from pinjam.adapters.secret_manager import SecretManager

        return Secrets(SecretManager(token=GoogleTokens()).get)

    def _text_or(self, name: str, default: str) -> str:
        """The text, or the default where it is not set; the gcp profile has no defaults."""
        return default if self.profile != "gcp" and not self.values.get(name) else self._text(name)

    def _written_token(self, name: str) -> str | None:
        """An access token that stands in a variable; None in the gcp profile, which asks Google for one."""
        return None if self.profile == "gcp" else self._text(name)

    def _choice(self, name: str) -> str:
        """What is chosen for one of `choices.CHOICES`."""
        return chosen(self.values, name)

    def _service(self, name: str, emulator: str) -> str:
        """The address of one of Google's services, or of the emulator whose variable this is."""
        if self.profile == "gcp":
            return f"https://{name}.googleapis.com"
        host = self._text(emulator)
        return host.rstrip("/") if "://" in host else f"http://{host}"

    def _listed(self, name: str, kind: re.Pattern[str]) -> tuple[str, ...]:
        """The parts of a comma-separated list, each of which is of a kind."""
        parts = tuple(part.strip() for part in self._text(name).split(","))
        for part in parts:
            if not kind.fullmatch(part):
                raise SettingsError(f"{name} holds {part!r}, which is not {kind.pattern}")
        return parts

    def _number(self, name: str, default: str = "") -> int:
        text = self._text_or(name, default) if default else self._text(name)
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
