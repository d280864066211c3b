"""A person's answer to a referred application: it can settle a doubt, and never lifts a limit."""

from dataclasses import replace
from datetime import datetime

from pinjam.domain.decision import REASONS_SHOWN, Effect
from pinjam.domain.loan import Application, Decision, Outcome, Review
from pinjam.domain.policy import Policy
from pinjam.domain.pricing import check_request

DECLINED = "REVIEWED_DECLINED"
"""The reason code of a person's refusal of an application."""


class RulesForbid(Exception):
    """An application that no person may approve; `codes` are the rules or limits in the way."""

    def __init__(self, *codes: str) -> None:
        super().__init__(", ".join(codes))
        self.codes = codes


def approved(
    decision: Decision, again: Decision, application: Application, policy: Policy, *, decided_at: datetime
) -> Decision:
    """The decision with a person's yes: to what was asked for, or to the most that the limits allow.

    `again` is the decision on the same application made anew under `policy`, the one in force now: what
    declines, there, no person can overrule, and the smaller of the two amounts is offered. RulesForbid otherwise.
    """
    amounts = [one.offered_amount for one in (decision, again) if one.offered_amount is not None]
    forbidden = _codes(again, "decline")
    if forbidden or not amounts:
        raise RulesForbid(*forbidden)
    amount = min(amounts)
    outside = check_request(policy, amount=amount, tenor_months=application.tenor_months, purpose=application.purpose)
    if outside:
        raise RulesForbid(*(problem.code for problem in outside))
    less = amount < application.amount
    codes = (*_codes(again, "counter_offer"), *_codes(decision, "counter_offer")) if less else ()
    outcome: Outcome = "counter_offer" if less else "approved"
    return _reviewed(decision, outcome, codes, amount, policy, decided_at)


def declined(decision: Decision, policy: Policy, *, decided_at: datetime) -> Decision:
    """The decision with a person's no; the doubts that a person was asked about are told along."""
    return _reviewed(decision, "declined", (DECLINED, *_codes(decision, "refer")), None, policy, decided_at)


def _reviewed(
    decision: Decision, outcome: Outcome, codes: tuple[str, ...], amount: int | None, policy: Policy, at: datetime
) -> Decision:
    review = Review(
        outcome=outcome,
        reasons=tuple(dict.fromkeys(codes))[:REASONS_SHOWN],
        offered_amount=amount,
        policy_id=policy.id,
        decided_at=at,
    )
    return replace(decision, review=review)


def _codes(decision: Decision, effect: Effect) -> tuple[str, ...]:
    return tuple(rule.code for rule in decision.rules if rule.effect == effect)
