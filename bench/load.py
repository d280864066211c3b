"""A client that asks one server the same again and again, in a process of its own: `python -m bench.load`.

It reads a request from standard input and prints how many good answers came a second, and how many others. Raw sockets
that are kept: a client must not be what a server is measured by.
"""

import json
import socket
import sys
import threading
import time
from dataclasses import dataclass

END = b"\r\n\r\n"


@dataclass
class Tally:
    """What came back, on one connection."""

    good: int = 0
    others: int = 0


def request_bytes(*, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The request as it travels."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + END + body


def ask(port: int, request: bytes, status: int, until: float, tally: Tally) -> None:
    """Ask until then, one after another; a connection that the server ends is opened again."""
    wanted = f"HTTP/1.1 {status} ".encode()
    connection = socket.create_connection(("127.0.0.1", port))
    try:
        while time.monotonic() < until:
            connection.sendall(request)
            head, ends = _answer(connection)
            if head.startswith(wanted):
                tally.good += 1
            else:
                tally.others += 1
            if ends:
                connection.close()
                connection = socket.create_connection(("127.0.0.1", port))
    finally:
        connection.close()


def _answer(connection: socket.socket) -> tuple[bytes, bool]:
    """The head of a whole answer, and whether the connection ends with it."""
    data = b""
    while END not in data:
        part = connection.recv(65536)
        if not part:
            return data, True
        data += part
    head, _, body = data.partition(END)
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    left = int(fields.get(b"content-length", b"0")) - len(body)
    while left > 0:
        part = connection.recv(65536)
        if not part:
            return head, True
        left -= len(part)
    return head, fields.get(b"connection") == b"close"


def main() -> None:
    """Ask as standard input says."""
    given = json.loads(sys.stdin.read())
    request = request_bytes(
        method=given["method"], path=given["path"], headers=given["headers"], body=given["body"].encode()
    )
    tallies = [Tally() for _ in range(given["connections"])]
    began = time.monotonic()
    threads = [
        threading.Thread(target=ask, args=(given["port"], request, given["status"], began + given["seconds"], tally))
        for tally in tallies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    good = sum(tally.good for tally in tallies)
    print(json.dumps({"a_second": good / seconds, "others": sum(tally.others for tally in tallies)}))


if __name__ == "__main__":
    main()
