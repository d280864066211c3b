"""What the system must remember beside its aggregates: events, their consumption, answers, the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Topic = Literal[
    "user-documents-completed",
    "user-verified",
    "loan-submitted",
    "loan-decided",
    "loan-accepted",
    "loan-disbursed",
    "payment-settled",
    "payment-reversed",
    "loan-settled",
    "instalment-reminder",
    "account-changed",
    "bank-account-changed",
    "payout-held",
    "payout-released",
    "payout-failed",
    "loan-invitation",
    "delivery-due",
    "reset-code-due",
]
"""The last three only tasks bring; all others have a topic of the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, kept in the outbox until published. `subject` is the aggregate's id."""

    id: str
    topic: Topic
    subject: str
    data: Mapping[str, str | int | None]
    request_id: str
    occurred_at: datetime
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """A consumer has had the effect of an event; `id` is `<consumer>:<event id>`.

    Marks that something was told are kept alike; `consumed_at` of such a one is renewed while it counts.
    """

    id: str
    consumed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """The first answer to a request that carried an idempotency key.

    `id` is `<user id>:<route>:<key>`; `fingerprint` a hash of the request. While `status` is None the
    first request is still running, on behalf of `subject`, until `leased_until`: after that a repetition
    takes the work up again.
    """

    id: str
    fingerprint: str
    subject: str
    created_at: datetime
    leased_until: datetime | None = None
    status: int | None = None
    body: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who changed what, when, on which request. `hash` covers the record and `previous`, the hash of the

    subject's record before it; `number` counts from 1 within the subject.
    """

    id: str
    subject: str
    number: int
    action: str
    actor: str
    request_id: str
    at: datetime
    before: Mapping[str, object] | None
    after: Mapping[str, object]
    previous: str
    hash: str
