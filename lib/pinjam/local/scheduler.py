"""Calls the sweep as Cloud Scheduler does."""

import logging
import threading
from typing import Self

import httpx

from pinjam.adapters.authorities import trusted_authorities

_GRACE_S = 5.0
_log = logging.getLogger(__name__)


class Scheduler:
    """Posts to `url` once at the start, for what a crash left behind, and then every so many seconds.

    A failure is logged and the next turn comes in its time.
    """

    def __init__(self, url: str, *, token: str, every_s: float = 30.0, timeout_s: float = 60.0) -> None:
        self._url = url
        self._every_s = every_s
        self._client = httpx.Client(
            timeout=timeout_s,
            verify=trusted_authorities(),
            trust_env=False,
            headers={"Authorization": f"Bearer {token}", "User-Agent": "Google-Cloud-Scheduler"},
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> Self:
        """Call from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Call no more; a call that is under way has a moment to end."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_GRACE_S)
        self._client.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._call()
            self._stopping.wait(self._every_s)

    def _call(self) -> None:
        try:
            status = self._client.post(self._url, json={}).status_code
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: closed by `stop` in the middle.
            if not self._stopping.is_set():
                _log.warning("scheduler.failed", extra={"reason": type(error).__name__})
            return
        if not httpx.codes.is_success(status):
            _log.warning("scheduler.failed", extra={"reason": f"HTTP {status}"})
