"""The price of a loan before anybody asks for one. It needs neither a borrower nor the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinjam.domain.pricing import check_request, quote
from pinjam.services.errors import Invalid

if TYPE_CHECKING:
    from pinjam.domain.loan import Quote
    from pinjam.domain.policy import Policies
    from pinjam.services.ports import Clock


@dataclass(frozen=True, slots=True)
class Quoting:
    """Quotes by the policy in force."""

    policies: Policies
    clock: Clock

    def quote(self, *, amount: int, tenor_months: int) -> Quote:
        """The whole price, were the loan paid out today. Invalid if the policy does not offer it."""
        today = self.clock.today()
        policy = self.policies.on(today)
        problems = check_request(policy, amount=amount, tenor_months=tenor_months, purpose=None)
        if problems:
            raise Invalid(*problems)
        return quote(policy, amount=amount, tenor_months=tenor_months, start=today)
