"""The audit log's chains: whole as they are written, and broken by whatever is done to them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.world import World

from pinjam.domain.trail import AuditRecord
from pinjam.services.auditing import verify
from pinjam.services.recording import audit_hash


@pytest.fixture
def loan_id(world: World) -> str:
    """A loan with a trail, among others'."""
    for number in (2, 3):
        world.active(world.verified(number))
    user_id = world.verified()
    loan_id = world.active(user_id)
    world.take_back(world.pay(user_id, loan_id))
    return loan_id


def rewrite(world: World, *records: AuditRecord, drop: str | None = None) -> None:
    """What somebody with a hand in the database does."""
    rows = dict(world.memory._rows[AuditRecord])
    rows.update({record.id: record for record in records})
    rows.pop(drop or "", None)
    world.memory._rows[AuditRecord] = rows


def test_what_the_services_wrote_is_whole(world: World, loan_id: str) -> None:
    found = verify(world.store)
    assert found.findings == ()
    assert found.records == len(world.all(AuditRecord)) > len(world.trail(loan_id)) > 5
    assert found.subjects == len({one.subject for one in world.all(AuditRecord)})


def test_an_empty_log_is_whole(world: World) -> None:
    found = verify(world.store)
    assert (found.records, found.subjects, found.findings) == (0, 0, ())


CHANGES: list[Mapping[str, Any]] = [
    {"after": {"status": "settled"}},
    {"before": None},
    {"actor": "staff:nobody"},
    {"action": "loan-forgiven"},
    {"request_id": "req_other"},
    {"number": 77},
    {"previous": "0" * 64},
    {"hash": "f" * 64},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
@pytest.mark.parametrize("at", [1, 3])
def test_whatever_is_changed_of_a_record_names_it(
    world: World, loan_id: str, change: Mapping[str, Any], at: int
) -> None:
    record = world.trail(loan_id)[at]
    rewrite(world, replace(record, **change))
    (finding,) = verify(world.store).findings
    assert finding.record.id == record.id
    assert finding.problem == "its content does not match its hash"


def test_a_changed_time_names_its_record(world: World, loan_id: str) -> None:
    record = world.trail(loan_id)[2]
    rewrite(world, replace(record, at=record.at + timedelta(microseconds=1)))
    assert [one.record.id for one in verify(world.store).findings] == [record.id]


def test_a_forged_hash_names_the_record_that_follows(world: World, loan_id: str) -> None:
    trail = world.trail(loan_id)
    forged = replace(trail[1], actor="staff:nobody")
    rewrite(world, replace(forged, hash=audit_hash(forged)))
    (finding,) = verify(world.store).findings
    assert (finding.record.id, finding.problem) == (
        trail[2].id,
        "it does not carry the hash of the record before it",
    )


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_record_that_was_taken_out_leaves_a_gap(world: World, loan_id: str, at: int) -> None:
    trail = world.trail(loan_id)
    rewrite(world, drop=trail[at].id)
    (finding,) = verify(world.store).findings
    assert (finding.record.id, finding.problem) == (
        trail[at + 1].id,
        f"it is number {at + 2} of its subject, after number {at}",
    )


def test_only_the_first_broken_record_of_each_chain_is_named(world: World, loan_id: str) -> None:
    mine = world.trail(loan_id)
    other = next(one for one in world.all(AuditRecord) if one.subject.startswith("loan_") and one.subject != loan_id)
    rewrite(world, *(replace(one, actor="x") for one in (mine[1], mine[3], other)))
    assert {one.record.id for one in verify(world.store).findings} == {mine[1].id, other.id}


def test_more_than_a_page_of_records_is_read(world: World) -> None:
    user_id = world.verified()
    loan_id = world.active(user_id)
    payments = [world.pay(user_id, loan_id, kind="partial", amount=10_000) for _ in range(110)]
    found = verify(world.store)
    assert (found.findings, found.records > 330) == ((), True)
    last = world.trail(loan_id)[-1]
    rewrite(world, replace(last, actor="x"))
    assert [one.record.id for one in verify(world.store).findings] == [last.id]
    assert payments
