"""What a piece of code sends to PostgreSQL and to other services, taken down and sent again without that code.

Taken down at the drivers, psycopg's connection and httpx's transport, and of one thread only: others serve meanwhile.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import httpx
import psycopg

Statement = tuple[Any, Any]


@dataclass
class Sent:
    """Groups of statements, each of which waits for its answers together; and requests, in their order.

    And what came of each, so that what is sent again can be held to it.
    """

    groups: list[list[Statement]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    cursors: list[Any] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


@contextmanager
def taking_down() -> Iterator[Sent]:
    """What this thread sends meanwhile."""
    sent, mine = Sent(), threading.get_ident()
    execute, pipeline = psycopg.Connection.execute, psycopg.Connection.pipeline
    handle = httpx.HTTPTransport.handle_request
    inside: list[list[Statement]] = []

    def executing(connection: Any, query: Any, params: Any = None, **how: Any) -> Any:
        if threading.get_ident() != mine:
            return execute(connection, query, params, **how)
        if inside:
            inside[-1].append((query, params))
        else:
            sent.groups.append([(query, params)])
        cursor = execute(connection, query, params, **how)
        sent.cursors.append(cursor)
        return cursor

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
        if threading.get_ident() != mine:
            return handle(transport, request)
        request.read()
        sent.requests.append(request)
        response = handle(transport, request)
        sent.statuses.append(response.status_code)
        return response

    with ExitStack() as patches:
        patches.enter_context(patch.object(psycopg.Connection, "execute", executing))
        patches.enter_context(patch.object(psycopg.Connection, "pipeline", piping))
        patches.enter_context(patch.object(httpx.HTTPTransport, "handle_request", handling))
        yield sent


def again(connection: "psycopg.Connection[Any]", groups: list[list[Statement]]) -> list[Any]:
    """Send the statements again in the same groups, and fetch what they answer; their cursors."""
    sent: list[Any] = []
    for group in groups:
        if len(group) == 1:
            cursors = [connection.execute(*group[0])]
        else:
            with connection.pipeline():
                cursors = [connection.execute(*statement) for statement in group]
        for cursor in cursors:
            if cursor.description:
                cursor.fetchall()
        sent += cursors
    return sent


def ask_again(
    client: httpx.Client, requests: list[httpx.Request], content: Callable[[httpx.Request], bytes] | None = None
) -> list[int]:
    """Send the requests again, with another content where it says so; their statuses."""
    statuses = []
    for one in requests:
        body = content(one) if content else one.content
        answer = client.send(httpx.Request(one.method, one.url, headers=one.headers, content=body))
        answer.read()
        statuses.append(answer.status_code)
    return statuses


def hold(sent: Sent, cursors: list[Any], statuses: list[int]) -> None:
    """ValueError unless what was sent again met as many rows, and was answered, as what was taken down."""
    rows, met = ([cursor.rowcount for cursor in all_] for all_ in (sent.cursors, cursors))
    if (met, statuses) != (rows, sent.statuses):
        raise ValueError(f"sent again, {rows} rows became {met}, and the answers {sent.statuses} became {statuses}")
