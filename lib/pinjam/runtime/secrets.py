"""Settings that stand in Secret Manager: `secret:projects/P/secrets/S/versions/V` in the place of a value."""

import threading
from collections.abc import Callable

from pinjam.runtime.choices import SettingsError
from pinjam.services.ports import Refused

PREFIX = "secret:"


class Secrets:
    """Reads secrets when they are first asked for, each once; safe to share between threads.

    `fetch` gives the text of a version by its name, as `secret_manager.SecretManager.get` does. What it raises
    because the service does not answer (Unavailable) is raised here, and asked for again the next time.
    """

    def __init__(self, fetch: Callable[[str], str]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._read: dict[str, str] = {}

    def resolve(self, variable: str, value: str) -> str:
        """The value, or the secret that it names. SettingsError names the variable if that cannot be had."""
        if not value.startswith(PREFIX):
            return value
        name = value.removeprefix(PREFIX)
        with self._lock:
            if name not in self._read:
                try:
                    self._read[name] = self._fetch(name)
                except Refused as refused:
                    raise SettingsError(f"{variable} is a secret that cannot be read: {refused}") from refused
            secret = self._read[name]
        if not secret:
            raise SettingsError(f"{variable} is a secret that is empty: {name}")
        return secret
