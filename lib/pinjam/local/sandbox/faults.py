"""Faults on demand: a provider that is down, slow or refusing, for so many calls or until told otherwise.

With a share in percent, the calls that meet the fault are chosen by chance.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Literal, get_args

from flask import Blueprint, Response, g

from pinjam.local.sandbox.state import SandboxState

Provider = Literal["ekyc", "payment", "payout", "email", "sms", "whatsapp", "push"]
Mode = Literal["ok", "down", "slow", "busy", "reject"]
BUSY_S = 20
"""After how long a provider that has too much to do may be asked again."""
PROVIDERS: tuple[Provider, ...] = get_args(Provider)


class Faults:
    """Which provider misbehaves how; `chance` decides whose turn it is where only a share of calls fails."""

    def __init__(self, state: SandboxState, chance: Random) -> None:
        self._state = state
        self._chance = chance

    def set(self, provider: Provider, mode: Mode, times: int | None = None, percent: int | None = None) -> None:
        """From now on, for the next `times` calls or for all; with `percent`, for about that share of them."""
        with self._state.transaction() as cursor:
            cursor.execute(
                """
                INSERT INTO faults VALUES (%s, %s, %s, %s)
                ON CONFLICT (provider) DO UPDATE
                SET mode = EXCLUDED.mode, remaining = EXCLUDED.remaining, percent = EXCLUDED.percent
                """,
                (provider, mode, times, percent),
            )

    def take(self, provider: Provider) -> Mode:
        """How the call that begins now goes; it counts, whichever way it goes."""
        with self._state.transaction() as cursor:
            row = cursor.execute(
                """
                UPDATE faults SET remaining = remaining - 1
                WHERE provider = %s AND (remaining IS NULL OR remaining > 0)
                RETURNING mode, percent
                """,
                (provider,),
            ).fetchone()
        if row is None or (row["percent"] is not None and self._chance.randrange(100) >= row["percent"]):
            return "ok"
        mode: Mode = row["mode"]
        return mode

    def peek(self, provider: Provider) -> Mode:
        """How the next call would go, if its turn came."""
        return self.shown()[provider]["mode"]  # type: ignore[return-value]  # the table holds modes only

    def cleared(self, provider: Provider) -> bool:
        """Whether somebody said in so many words that this provider is well."""
        with self._state.transaction() as cursor:
            cursor.execute("SELECT FROM faults WHERE provider = %s AND mode = 'ok'", (provider,))
            return cursor.rowcount == 1

    def shown(self) -> Mapping[str, Mapping[str, object]]:
        """Every provider's mode, how many calls it lasts and which share of them meets it (None: all)."""
        with self._state.transaction() as cursor:
            rows = cursor.execute("SELECT * FROM faults WHERE remaining IS NULL OR remaining > 0").fetchall()
        active = {
            row["provider"]: {"mode": row["mode"], "times": row["remaining"], "percent": row["percent"]} for row in rows
        }
        well = {"mode": "ok", "times": None, "percent": None}
        return {provider: active.get(provider, well) for provider in PROVIDERS}


def guard(
    blueprint: Blueprint,
    faults: Faults,
    provider: Provider,
    *,
    refuse: Callable[[], Response],
    pause: Callable[[], None],
) -> None:
    """Let every call of the blueprint meet the provider's fault.

    A slow provider does the work and then answers late, which is the case that repeats must survive.
    """

    def begin() -> Response | None:
        mode = faults.take(provider)
        g.late = mode == "slow"
        if mode == "down":
            return unavailable()
        if mode == "busy":
            return busy()
        return refuse() if mode == "reject" else None

    def end(response: Response) -> Response:
        if g.get("late"):
            pause()
        return response

    blueprint.before_request(begin)
    blueprint.after_request(end)


def unavailable() -> Response:
    """What a provider's load balancer says when the provider is down: no JSON."""
    return Response("Service Unavailable\n", 503, {"Retry-After": "1"}, mimetype="text/plain")


def busy() -> Response:
    """What a provider says that has been asked too often."""
    return Response("Too Many Requests\n", 429, {"Retry-After": str(BUSY_S)}, mimetype="text/plain")
