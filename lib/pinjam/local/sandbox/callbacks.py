"""Callbacks that providers send by themselves, later: from a thread of their own, so that no caller waits."""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from http import HTTPStatus

import httpx

_TIMEOUT_S = 15
_RETRY_AFTER_S = (0.5, 2, 10)

log = logging.getLogger(__name__)


class Callbacks:
    """Posts bodies to an address, one after the other, each again a few times until it is answered with 2xx.

    `url` is asked before each try. The first comes `after_s` seconds later: whoever asked a provider for something
    has its answer before the news of it. An address that does not exist (404) is not tried again. What waits when
    this is closed is dropped: unlike the real providers, which go on for days.
    """

    def __init__(
        self, url: Callable[[], str], *, after_s: float = 0, retry_after_s: Sequence[float] = _RETRY_AFTER_S
    ) -> None:
        self._url = url
        self._after_s = after_s
        self._retry_after_s = retry_after_s
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._open = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="callbacks")

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(timeout=_TIMEOUT_S, trust_env=False)

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send the body soon."""
        # Refused only once closed: a call that was being answered then has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            with self._changed:
                sending = self._worker.submit(self._deliver, body, headers)
                self._open += 1
            sending.add_done_callback(self._over)

    def wait_until_quiet(self, timeout_s: float) -> bool:
        """Wait until nothing is to be sent; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, max(0, timeout_s))

    def send(self, body: bytes, headers: Mapping[str, str]) -> int | None:
        """Send the body now and once; the status code of the answer, None if nobody answered."""
        try:
            return self._client.post(
                self._url(), content=body, headers={"Content-Type": "application/json", **headers}
            ).status_code
        except httpx.HTTPError:
            return None

    def close(self) -> None:
        """Let go of what waits, and finish what is being sent; harmless when closed already."""
        self._closed.set()
        self._worker.shutdown(cancel_futures=True)
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    def _over(self, _done: Future[None]) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def _deliver(self, body: bytes, headers: Mapping[str, str]) -> None:
        if self._closed.wait(self._after_s):
            return
        status = self.send(body, headers)
        for wait_s in self._retry_after_s:
            if status is not None and (status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.NOT_FOUND):
                break
            if self._closed.wait(wait_s):
                break
            status = self.send(body, headers)
        if status is None or status >= HTTPStatus.MULTIPLE_CHOICES:
            log.info("sandbox.callback-dropped", extra={"status": status})
