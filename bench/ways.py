"""Ways to call the functions: by themselves in this process, behind their servers, and behind the local gateway."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication, WSGIEnvironment

import functions_framework
from bench.deployed import EMPTY, EMPTY_SOURCE, REPOSITORY, Call
from bench.stage import Stage
from werkzeug.test import EnvironBuilder

from pinjam.local.functions import load_functions

Send: TypeAlias = Callable[[str, Call], bytes]
"""Makes a call to a function and gives the answer's body. ValueError for an answer of another status."""
IN_PROCESS, SERVER, GATEWAY = "in process", "server", "gateway"


def ways(on: Stage, functions: frozenset[str]) -> Mapping[str, Callable[[], AbstractContextManager[Send]]]:
    """Each way by its name, opened when it is taken."""
    return {
        IN_PROCESS: in_process,
        SERVER: lambda: _behind_servers(on, functions),
        GATEWAY: lambda: _behind_the_gateway(on),
    }


@contextmanager
def in_process() -> Iterator[Send]:
    """The functions by themselves, as their framework hosts them, on this process's App."""
    apps = dict(load_functions(REPOSITORY / "functions"))
    apps[EMPTY] = _empty_app()

    def send(function: str, call: Call) -> bytes:
        environ = EnvironBuilder(
            path=call.path, method=call.method, headers=list(call.headers.items()), data=call.body
        ).get_environ()
        environ["wsgi.input"] = io.BytesIO(call.body or b"")
        return _answered(apps[function], environ, call)

    yield send


def _empty_app() -> WSGIApplication:
    with TemporaryDirectory() as folder:
        source = Path(folder) / "main.py"
        source.write_bytes(EMPTY_SOURCE)
        made: WSGIApplication = functions_framework.create_app(EMPTY, str(source), "http")  # type: ignore[no-untyped-call]  # it has no types
        return made


def _answered(app: WSGIApplication, environ: WSGIEnvironment, call: Call) -> bytes:
    statuses: list[str] = []

    def start(status: str, *_: object) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _: None

    parts = app(environ, start)
    body = b"".join(parts)
    close = getattr(parts, "close", None)
    if close:
        close()
    _must(call, int(statuses[0].split()[0]), body)
    return body


@contextmanager
def _behind_servers(on: Stage, functions: frozenset[str]) -> Iterator[Send]:
    with ExitStack() as held:
        connections = {}
        for name in (EMPTY, *sorted(functions)):
            port = held.enter_context(on.deployed.running(name, on.state))
            connections[name] = HTTPConnection("127.0.0.1", port, timeout=30)
            held.callback(connections[name].close)
        yield lambda function, call: _over(connections[function], call, call.headers)


@contextmanager
def _behind_the_gateway(on: Stage) -> Iterator[Send]:
    address = urlsplit(on.system.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)

    def send(_: str, call: Call) -> bytes:
        headers = {name: value for name, value in call.headers.items() if name != "X-Apigateway-Api-Userinfo"}
        return _over(connection, call, headers | ({"Authorization": f"Bearer {call.token}"} if call.token else {}))

    try:
        yield send
    finally:
        connection.close()


def _over(connection: HTTPConnection, call: Call, headers: Mapping[str, str]) -> bytes:
    """One exchange on a connection that is kept; one that the server gave up meanwhile is made anew."""
    try:
        connection.request(call.method, call.path, call.body, dict(headers))
        answer = connection.getresponse()
    except ConnectionError:
        connection.close()
        connection.request(call.method, call.path, call.body, dict(headers))
        answer = connection.getresponse()
    body = answer.read()
    _must(call, answer.status, body)
    return body


def _must(call: Call, status: int, body: bytes) -> None:
    if status != call.status:
        raise ValueError(f"{call.method} {call.path} answered {status}, not {call.status}: {body[:200]!r}")
