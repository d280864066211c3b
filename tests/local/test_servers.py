import json
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest

from pinjam.local.servers import MAX_HEADER_BYTES, PortInUse, WsgiServer


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_a_server_answers_and_tells_nothing_of_itself() -> None:
    with WsgiServer(echo) as server:
        answer = httpx.post(server.url, content=b"halo", trust_env=False)
    assert answer.text == "halo"
    assert "server" not in answer.headers


def test_a_stopped_server_frees_its_port() -> None:
    with WsgiServer(echo) as server:
        port = server.port
    again = WsgiServer(echo, port=port)
    again.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_taken_port_is_refused_before_anything_starts() -> None:
    with WsgiServer(echo) as server, pytest.raises(PortInUse, match=str(server.port)):
        WsgiServer(echo, port=server.port)


def test_stopping_lets_a_large_answer_out_whole() -> None:
    size = 3_000_000

    def large(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(size))])
        return [b"x" * size]

    with WsgiServer(large) as server:
        assert len(httpx.get(server.url, trust_env=False).content) == size


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: nine\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n", 501),
    ],
)
def test_a_request_that_is_not_proper_http_is_refused_in_json(request_bytes: bytes, code: int) -> None:
    with WsgiServer(echo) as server:
        head, _, body = raw(server.port, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith((f"HTTP/1.1 {code} ".encode(), f"HTTP/1.0 {code} ".encode()))
    assert json.loads(body)["code"] == code
    assert b"X-Request-Id: " in head
    assert b"Server:" not in head


def test_connections_that_clients_forget_do_not_keep_others_out() -> None:
    with WsgiServer(echo, connections=150) as server, ExitStack() as forgotten:
        for _ in range(120):
            forgotten.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert httpx.get(server.url, trust_env=False, timeout=10).status_code == 200
