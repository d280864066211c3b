"""A threaded WSGI server that starts and stops inside this process."""

import errno
import json
import secrets
import threading
from types import TracebackType
from typing import Self
from wsgiref.types import WSGIApplication

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import Task

MAX_HEADER_BYTES = 60 * 1024
"""API Gateway's limit for all headers of a request."""
MAX_BODY_BYTES = 33 * 1024 * 1024
"""A little over API Gateway's 32 MB, so that the gateway itself can refuse what is just above."""
_LAST_FLUSHES = 50


class PortInUse(Exception):
    """Another program listens on the port that was asked for."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"Port {port} on {host} is in use by another program.")
        self.port = port


class _Refusal(Task):  # type: ignore[misc]  # waitress has no types
    """The answer to a request that is not even HTTP enough for the application: JSON, like the gateway's own."""

    complete = True

    def execute(self) -> None:
        """Write status, headers and body, then close the connection."""
        error = self.request.error
        body = json.dumps({"code": error.code, "message": error.reason}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.response_headers.append(("X-Request-Id", secrets.token_hex(16)))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Refuses a target such as `http://[/`, for which waitress drops the connection with a trace in the log."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the request line and the headers."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("Bad URI") from error


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    error_task_class = _Refusal
    parser_class = _Parser


class WsgiServer:
    """Serves a WSGI application on a thread of its own until stopped.

    The socket is bound when the object is made, so `url` is known before `start` and a taken port is
    refused early (PortInUse). It holds at most so many `connections` open, those without a request for `idle_s`
    seconds and a little more, and lets others wait.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int = 8,
        connections: int = 100,
        idle_s: int = 120,
    ) -> None:
        self._sockets: dict[int, object] = {}
        try:
            self._server = create_server(
                app,
                map=self._sockets,
                host=host,
                port=port,
                threads=threads,
                ident=None,
                connection_limit=connections,
                channel_timeout=idle_s,
                cleanup_interval=min(30, idle_s),
                max_request_header_size=MAX_HEADER_BYTES,
                max_request_body_size=MAX_BODY_BYTES,
                clear_untrusted_proxy_headers=False,
            )
        except OSError as error:
            wasyncore.close_all(self._sockets, ignore_all=True)
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(host, port) from error
            raise
        self._server.channel_class = _Channel
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"http-{self.port}", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.effective_port)

    @property
    def url(self) -> str:
        """Where clients on this machine reach it, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Answer requests from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Finish what is being answered, then close every socket; harmless when stopped already."""
        if self._stopping.is_set():
            return
        self._server.task_dispatcher.shutdown()
        self._stopping.set()
        if self._thread.ident is None:
            wasyncore.close_all(self._sockets, ignore_all=True)
            return
        self._server.pull_trigger()
        self._woken.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            wasyncore.loop(timeout=1, map=self._sockets, use_poll=True, count=1)
        # The trigger is one of the sockets: it must not be closed while `stop` is about to pull it.
        self._woken.wait()
        for _ in range(_LAST_FLUSHES):
            if not any(channel.total_outbufs_len for channel in self._server.active_channels.values()):
                break
            wasyncore.loop(timeout=0.1, map=self._sockets, use_poll=True, count=1)
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()  # Unlike `close`, it lets go of the file that a long answer waited in.
        wasyncore.close_all(self._sockets, ignore_all=True)
