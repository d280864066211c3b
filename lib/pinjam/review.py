"""What waits for a person, on a command line: `python -m pinjam.review`, or `make review`.

`list` shows the cases of the store that the environment names (by default that of the running local system),
`show ID` what a person needs to decide one, `decide ID --approve|--reject --reason "..." --by NAME` decides it.
Exits with 1 when a decision is refused, with 2 when the command is wrong or a service is away.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime

from pinjam.domain.calendar import JAKARTA
from pinjam.domain.money import PPM, divide, format_rupiah
from pinjam.runtime.composition import App, current
from pinjam.runtime.models.reviewing import (
    ApplicationShown,
    CaseShown,
    DecidedShown,
    IdentityShown,
    PayoutShown,
    QueueShown,
)
from pinjam.runtime.problems import document, message, problem_of
from pinjam.runtime.settings import SettingsError
from pinjam.services.errors import Denied, Invalid
from pinjam.services.ports import Unavailable
from pinjam.services.reviewing import Verdict
from pinjam.services.store import Contention, StoreUnavailable


def main(arguments: list[str]) -> int:
    """Run one command; 0 when it did what was asked."""
    asked = _parser().parse_args(arguments)
    try:
        shown = _answer(current(), asked)
    except Denied as refusal:
        print(f"pinjam.review: {_words(refusal)}", file=sys.stderr)
        return 2 if isinstance(refusal, Invalid) else 1
    except (SettingsError, StoreUnavailable, Contention, Unavailable) as fault:
        print(f"pinjam.review: {fault}", file=sys.stderr)
        return 2
    print(shown.as_json(indent=2) if asked.json else "\n".join(_lines(shown)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pinjam.review", description="What waits for a person.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="identities in review, referred applications and held payouts")
    showing = commands.add_parser("show", help="what is known of a case")
    deciding = commands.add_parser("decide", help="decide a case")
    for one in (showing, deciding):
        one.add_argument("id", help="usr_... for an identity, loan_... for an application, out_... for a payout")
    answer = deciding.add_mutually_exclusive_group(required=True)
    answer.add_argument("--approve", action="store_true")
    answer.add_argument("--reject", action="store_true")
    deciding.add_argument("--reason", required=True, help="why, in a line without personal data; for the audit log")
    deciding.add_argument("--by", required=True, metavar="NAME", help="who decides; for the audit log")
    for one in (listing, showing, deciding):
        one.add_argument("--json", action="store_true", help="for machines")
    return parser


def _answer(app: App, asked: argparse.Namespace) -> QueueShown | CaseShown | DecidedShown:
    if asked.command == "list":
        return QueueShown.of(app.reviewing.waiting())
    if asked.command == "show":
        return CaseShown.of(app.reviewing.show(asked.id))
    verdict = Verdict(approve=asked.approve, reviewer=asked.by, reason=asked.reason)
    return DecidedShown.of(app.reviewing.decide(asked.id, verdict, request_id=app.ids.new("req")))


def _words(refusal: Denied) -> str:
    """What the API would say, in English."""
    problem = problem_of(refusal)
    if problem is None:
        return str(refusal)
    if problem.fields:
        return "; ".join(f"{one.field} {message(one, 'en')}" for one in problem.fields) + "."
    return str(document(problem, locale="en", instance="")["detail"])


def _lines(shown: QueueShown | CaseShown | DecidedShown) -> Iterator[str]:
    """The answer for people; times are Jakarta's."""
    if isinstance(shown, QueueShown):
        yield from _queue(shown)
    elif isinstance(shown, DecidedShown):
        offer = ""
        if shown.offered_amount is not None:
            offer = f": an offer of {format_rupiah(shown.offered_amount)} until {shown.offer_expires_on}"
        yield f"{shown.id} is {shown.status}{offer}."
    else:
        if shown.payout is not None:
            yield from _payout(shown.payout)
        if shown.application is not None:
            yield from _application(shown.application)
        yield from _identity(shown.identity)
        yield from _surroundings(shown)


def _queue(shown: QueueShown) -> Iterator[str]:
    if not shown.cases:
        yield "Nothing waits."
    for one in shown.cases:
        amount = "" if one.amount is None else f"{format_rupiah(one.amount)} "
        yield f"{one.id}  {one.kind:<11}  since {_time(one.since)}  {amount}{', '.join(one.reasons)}"
    if not shown.whole:
        yield "There is more: these are the first of each kind."


def _payout(one: PayoutShown) -> Iterator[str]:
    yield f"Payout {one.id}: {one.status}"
    yield f"  for a {one.purpose:<8}{format_rupiah(one.amount)}, since {_time(one.created_at)}"
    yield f"  to            {one.account_name} at {one.bank_code}"
    yield f"  bank names    {one.holder or 'nobody, or gives no answer'}"
    yield f"  why           {one.hold or 'not held'}"


def _application(one: ApplicationShown) -> Iterator[str]:
    yield f"Application {one.id}: {one.status}"
    yield f"  asks for      {format_rupiah(one.amount)} over {one.tenor_months} months, for {one.purpose}"
    yield f"  income        {format_rupiah(one.monthly_income)} a month, declared"
    yield f"  instalments   {format_rupiah(one.other_instalments)} a month to others, declared"
    decision = one.decision
    if decision is None:
        return
    percent = divide(decision.dsr_ppm * 1000, PPM, "up")
    yield (
        f"  DSR           {percent // 10}.{percent % 10} % with this loan: {format_rupiah(decision.instalments)}"
        f" of at most {format_rupiah(decision.instalments_max)} a month"
    )
    yield f"  decision      {decision.outcome} on {_time(decision.decided_at)} by policy {decision.policy_id}"
    if decision.offered_amount is not None:
        yield f"  may approve   {format_rupiah(decision.offered_amount)} at most"
    yield f"  limit, score  {format_rupiah(decision.credit_limit)}, {decision.score} points"
    yield from (f"  reason        {reason.code}: {reason.message}" for reason in decision.reasons)
    for rule in decision.rules:
        result = "passed" if rule.passed else f"failed: {rule.effect}"
        yield f"  rule          {rule.code}: {rule.observed} (limit {rule.limit}), {result}"


def _identity(one: IdentityShown) -> Iterator[str]:
    yield f"Borrower {one.id}: identity {one.status}"
    yield f"  name          {one.full_name}, {one.gender}, born {one.birth_date}"
    yield f"  NIK           {one.nik_masked}"
    yield f"  occupation    {one.occupation or 'not given'}"
    yield f"  e-KYC         attempt {one.attempts} of its day, {one.faults} times without an answer"
    for check in one.checks:
        score = "" if check.score is None else f" ({check.score} of 100)"
        yield f"  check         {check.name}: {check.outcome}{score}"
    yield from (f"  reason        {reason.code}: {reason.message}" for reason in one.reasons)


def _surroundings(shown: CaseShown) -> Iterator[str]:
    yield "Documents, with links for five minutes" if shown.documents else "No documents"
    yield from (
        f"  {one.kind:<12}  {one.status}, {_time(one.created_at)}: {one.download_url}" for one in shown.documents
    )
    yield "Other loans" if shown.other_loans else "No other loans"
    yield from (
        f"  {one.id}  {one.status}, {format_rupiah(one.amount)}, {_time(one.created_at)}" for one in shown.other_loans
    )
    yield "Audit log"
    for record in shown.trail:
        facts = ", ".join(f"{name} {value}" for name, value in record.after.items() if value is not None)
        yield f"  {record.number}. {_time(record.at)}  {record.actor}  {record.action}: {facts}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(JAKARTA):%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
