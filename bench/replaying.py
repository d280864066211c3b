"""What a piece of code sends to PostgreSQL and to other services, taken down and sent again without that code.

Taken down at the drivers, psycopg's connection and httpx's transport, and of one thread only: others serve meanwhile.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import httpx
import psycopg

Statement = tuple[Any, Any]


@dataclass
class Sent:
    """Groups of statements, each of which waits for its answers together; and requests, in their order."""

    groups: list[list[Statement]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)


@contextmanager
def taking_down() -> Iterator[Sent]:
    """What this thread sends meanwhile."""
    sent, mine = Sent(), threading.get_ident()
    execute, pipeline = psycopg.Connection.execute, psycopg.Connection.pipeline
    handle = httpx.HTTPTransport.handle_request
    inside: list[list[Statement]] = []

    def executing(connection: Any, query: Any, params: Any = None, **how: Any) -> Any:
        if threading.get_ident() == mine:
            if inside:
                inside[-1].append((query, params))
            else:
                sent.groups.append([(query, params)])
        return execute(connection, query, params, **how)

    @contextmanager
    def piping(connection: Any) -> Iterator[Any]:
        if threading.get_ident() != mine:
            with pipeline(connection) as one:
                yield one
            return
        group: list[Statement] = []
        sent.groups.append(group)
        inside.append(group)
        try:
            with pipeline(connection) as one:
                yield one
        finally:
            inside.pop()

    def handling(transport: Any, request: httpx.Request) -> httpx.Response:
        if threading.get_ident() == mine:
            request.read()
            sent.requests.append(request)
        return handle(transport, request)

    with ExitStack() as patches:
        patches.enter_context(patch.object(psycopg.Connection, "execute", executing))
        patches.enter_context(patch.object(psycopg.Connection, "pipeline", piping))
        patches.enter_context(patch.object(httpx.HTTPTransport, "handle_request", handling))
        yield sent


def again(connection: "psycopg.Connection[Any]", groups: list[list[Statement]]) -> int:
    """Send the statements again in the same groups, and fetch what they answer; how many rows came."""
    found = 0
    for group in groups:
        if len(group) == 1:
            cursors = [connection.execute(*group[0])]
        else:
            with connection.pipeline():
                cursors = [connection.execute(*statement) for statement in group]
        found += sum(len(cursor.fetchall()) for cursor in cursors if cursor.description)
    return found


def ask_again(client: httpx.Client, requests: list[httpx.Request]) -> None:
    """Send the requests again, whatever is answered."""
    for one in requests:
        client.send(httpx.Request(one.method, one.url, headers=one.headers, content=one.content)).read()
