"""The client that throughput is measured with."""

import time
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from bench.load import Tally, ask, request_bytes

from pinjam.local.servers import WsgiServer


@pytest.mark.parametrize(("status", "good"), [("200 OK", True), ("503 Service Unavailable", False)])
def test_it_counts_good_answers_and_others(status: str, good: bool) -> None:  # noqa: FBT001 - a case
    heard: list[bytes] = []

    def server(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        heard.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])) + environ["HTTP_X_KEY"].encode())
        start(status, [("Content-Type", "text/plain")])
        return [b"x" * 100_000]

    request = request_bytes(method="POST", path="/", headers={"X-Key": "k"}, body=b"body")
    tally = Tally()
    with WsgiServer(server) as served:
        ask(served.port, request, 200, time.monotonic() + 0.2, tally)
    assert set(heard) == {b"bodyk"}
    assert (tally.good, tally.others) == ((len(heard), 0) if good else (0, len(heard)))
