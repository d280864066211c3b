"""Checks the audit log: every record's hash, and that each follows the one before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pinjam.domain.trail import AuditRecord
from pinjam.services.recording import GENESIS, audit_hash
from pinjam.services.store import Find

if TYPE_CHECKING:
    from pinjam.services.store import Store

BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first record of a subject that is not as it was written, or does not follow its predecessor."""

    record: AuditRecord
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How many records of how many subjects were read, and what is wrong with them."""

    records: int
    subjects: int
    findings: tuple[Finding, ...]


def verify(store: Store) -> Verified:
    """Read the whole log, a subject at a time, and check every chain.

    A record that was changed no longer has its hash; one that was taken out leaves a gap before its
    successor. What this cannot see is a chain whose newest records were all taken out.
    """
    records, subjects = 0, 0
    findings: list[Finding] = []
    for _, grouped in groupby(_all(store), key=lambda record: record.subject):
        chain = sorted(grouped, key=lambda one: one.number)
        records += len(chain)
        subjects += 1
        # A record whose number was changed stands in another place now: the oldest of all that are wrong is the first.
        first = min(_findings(chain), key=lambda one: one.record.id, default=None)
        if first is not None:
            findings.append(first)
    return Verified(records=records, subjects=subjects, findings=tuple(findings))


def _findings(chain: Sequence[AuditRecord]) -> Iterator[Finding]:
    number, previous = 0, GENESIS
    for record in chain:
        problem = _problem(record, number, previous)
        if problem:
            yield Finding(record=record, problem=problem)
        number, previous = record.number, record.hash


def _problem(record: AuditRecord, number: int, previous: str) -> str:
    if audit_hash(record) != record.hash:
        return "its content does not match its hash"
    if record.number != number + 1:
        return f"it is number {record.number} of its subject, after number {number}"
    if record.previous != previous:
        return "it does not carry the hash of the record before it"
    return ""


def _all(store: Store) -> Iterator[AuditRecord]:
    cursor: str | None = None
    while True:
        query = Find(kind=AuditRecord, order="subject", limit=BATCH, after=cursor)
        page = store.find(query)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
