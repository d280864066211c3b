"""Idempotency keys: the first answer to a request is kept, and its repetition gets the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from pinjam.domain.trail import KeptAnswer
from pinjam.services.errors import Invalid, StateForbids

if TYPE_CHECKING:
    from pinjam.services.store import Reader, Transaction

A = TypeVar("A")

LEASE = timedelta(seconds=30)
"""How long a request may be running before its repetition takes the work up; longer than a gateway's deadline."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it is kept: what the edge sends, and whether it was sent before."""

    status: int
    body: Mapping[str, object]
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed(Generic[A]):
    """A request with an idempotency key. `render` shapes the result into the answer that will be kept."""

    id: str
    fingerprint: str
    status: int
    render: Callable[[A], Mapping[str, object]]

    def recall(self, tx: Reader, *, now: datetime) -> Answered | KeptAnswer | None:
        """The kept answer; or the record of a request that died half-way; or None for a first request.

        Invalid if the key was used for another request, StateForbids while the first is running.
        """
        kept = tx.get(KeptAnswer, self.id)
        if kept is None:
            return None
        if kept.fingerprint != self.fingerprint:
            raise Invalid(code="idempotency-key-reused")
        if kept.status is not None and kept.body is not None:
            return Answered(kept.status, kept.body, replayed=True)
        if kept.leased_until is not None and kept.leased_until > now:
            raise StateForbids("request-running")
        return kept

    def begin(self, subject: str, *, now: datetime) -> KeptAnswer:
        """A record of the request as running on behalf of `subject`."""
        return KeptAnswer(
            id=self.id, fingerprint=self.fingerprint, subject=subject, created_at=now, leased_until=now + LEASE
        )

    def answer(self, running: KeptAnswer, result: A) -> tuple[KeptAnswer, Answered]:
        """The record with the answer in it, and the answer."""
        body = self.render(result)
        return replace(running, status=self.status, body=body, leased_until=None), Answered(self.status, body)

    def keep(self, tx: Transaction, subject: str, result: A, *, now: datetime) -> Answered:
        """Keep the answer of a request that was done within this one transaction."""
        record, answered = self.answer(self.begin(subject, now=now), result)
        tx.insert(record)
        return answered
