"""Which functions hear of which events. The local broker and the deployment both read this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinjam.domain.trail import Topic

SUBSCRIPTIONS: Mapping[Topic, tuple[str, ...]] = {
    "user-documents-completed": ("verify_identity",),
    "user-verified": ("notify",),
    "loan-submitted": ("decide_loan", "notify"),
    "loan-decided": ("notify",),
    "loan-accepted": ("disburse", "notify"),
    "loan-disbursed": ("notify",),
    "payment-settled": ("notify", "disburse"),
    "payment-reversed": ("notify",),
    "loan-settled": ("notify",),
    "instalment-reminder": ("notify",),
    "account-changed": ("notify",),
    "bank-account-changed": ("disburse",),
    "payout-held": ("notify",),
    "payout-released": ("disburse",),
    "payout-failed": ("notify",),
}
