import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from pinjam.adapters.http_client import HttpClient
from pinjam.services.ports import Unavailable


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that answers one byte at a time, each soon enough, and never comes to an end."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not over.wait(0.02):
                    connection.sendall(b"x")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join()


@pytest.mark.timeout(20)
def test_an_answer_that_never_ends_does_not_hold_the_caller(dripping: str) -> None:
    with closing(HttpClient(service="slowpoke", timeout_s=0.3)) as client, pytest.raises(Unavailable, match="slowpoke"):
        client.send("GET", dripping)


@pytest.mark.timeout(20)
def test_a_provider_that_fails_is_one_line_in_the_log(dripping: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(HttpClient(service="slowpoke", timeout_s=0.3)) as client, pytest.raises(Unavailable):
        client.send("GET", dripping)
    (line,) = [one for one in caplog.records if one.message == "provider-failed"]
    assert (line.provider, line.fault) == (  # type: ignore[attr-defined]  # what the call passed as facts
        "slowpoke",
        "did not finish its answer in time",
    )
