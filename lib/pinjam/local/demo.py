"""`python -m pinjam.local.demo`: three people walk the road from sign-up, and every answer is checked.

It uses the local system that runs, or starts one for itself and throws it away. The business date is moved
to show reminders, and put back at the end.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import httpx

from pinjam.adapters.holidays_id import IndonesianHolidays
from pinjam.domain.calendar import JAKARTA
from pinjam.domain.contact import HORIZON_DAYS, next_window
from pinjam.domain.money import divide, format_rupiah
from pinjam.local.environment import passed_on
from pinjam.local.people import REJECTED, People
from pinjam.local.road import STATEMENTS, Json, Road, Unexpected, Walker
from pinjam.local.screen import Screen
from pinjam.local.surroundings import Parts
from pinjam.local.system import CANNOT_START, LocalSystem
from pinjam.runtime import logs
from pinjam.runtime.choices import profile_of
from pinjam.runtime.settings import state_folder

T = TypeVar("T")

DEFAULT_PORT = "8080"
_INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""
_STRANGERS = 20
"""How many people a run may find signed up already, by an earlier run with the same seed."""
_AMOUNT, _TENOR = 3_000_000, 6
_REMIND_DAYS_BEFORE = 3
_OFFICE_HOUR = 9
"""In Jakarta, when nothing has to wait for the morning."""
_SEEDS = 10**6
_USUAL = ("identity-verified", "application-received")
"""What everybody is told who applies."""


class Demonstration:
    """The walk of three people; `checks` counts what was compared."""

    def __init__(self, road: Road, screen: Screen, people: People) -> None:
        self._road = road
        self._screen = screen
        self._people = people
        self.checks = 0

    def run(self) -> None:
        """All of it. Unexpected as soon as anything differs."""
        walker = self._sign_up("1. Sign-up")
        self._prove_identity(walker)
        self._log_in(walker)
        self._complete_profile(walker)
        loan = self._borrow(walker)
        self._repay(walker, loan)
        self._show_messages(walker, *_USUAL, "loan-approved", "loan-disbursed", "payment-received", "payment-received")
        self._offer_less()
        self._reject()
        self._be_late(walker, loan["id"])

    def _check(self, step: str, came: T, expected: object) -> T:
        self.checks += 1
        if came != expected:
            raise Unexpected(step, expected=repr(expected), came=repr(came))
        return came

    def _check_that(self, step: str, came: object, holds: Callable[[], bool], expected: str) -> None:
        self.checks += 1
        if not holds():
            raise Unexpected(step, expected=expected, came=repr(came))

    def _sign_up(self, title: str, *, nik_ending: str | None = None, english: bool = False) -> Walker:
        """Somebody who has signed up: whoever is there already, from an earlier run, is let go."""
        for _ in range(_STRANGERS):
            person = self._people.person(nik_ending=nik_ending, locale="en" if english else "id")
            walker = Walker(self._road, person, self._people)
            self._screen.chapter(f"{title}: {person.full_name}")
            reply = walker.register()
            body = reply.expect(201, 409)
            if reply.status == httpx.codes.CREATED:
                self._check("status after sign-up", body["user"]["status"], "registered")
                self._check("phone after sign-up", body["user"]["phone"], person.phone_e164)
                self._check("token type", body["tokens"]["token_type"], "Bearer")
                return walker
            self._check("problem of a second sign-up", body["code"], "already-registered")
            self._screen.note("An earlier run has signed this person up; here comes the next.")
        raise Unexpected("sign-up", expected="somebody new", came=f"{_STRANGERS} people who have signed up already")

    def _prove_identity(self, walker: Walker, expected: str = "verified") -> Json:
        for kind in ("ktp", "selfie"):
            paper = walker.upload(kind).expect(201)
            self._check(f"kind of the {kind}", paper["kind"], kind)
        found = walker.checked()
        self._check("outcome of the identity check", found["status"], expected)
        checks = ", ".join(f"{one['name']} {one['outcome']}" for one in found["kyc"]["checks"])
        self._screen.note(f"{found['status']}: {checks}")
        return found

    def _log_in(self, walker: Walker) -> None:
        self._screen.chapter("2. Login by phone, in another spelling")
        spelling = walker.person.phone_spellings[2]
        self._screen.note(f"signed up as {walker.person.phone}, logs in as {spelling}")
        found = walker.log_in(spelling).expect(200)
        self._check("who logged in", found["user"]["email"], walker.person.email)

    def _complete_profile(self, walker: Walker) -> None:
        self._screen.chapter("3. Income and bank account")
        account = walker.person.bank_account
        found = walker.change(monthly_income=9_000_000, other_instalments=0, bank_account=account).expect(200)
        self._check("bank account", found["bank_account"], account)
        self._check("credit limit of a first loan", found["credit_limit"], 5_000_000)

    def _borrow(self, walker: Walker) -> Json:
        self._screen.chapter(f"4. A loan of {format_rupiah(_AMOUNT)} over {_TENOR} months")
        price = walker.quote(_AMOUNT, _TENOR).expect(200)
        self._check("principal in the schedule", sum(row["principal"] for row in price["schedule"]), _AMOUNT)
        self._check("total payable", price["total_payable"], sum(row["total"] for row in price["schedule"]))
        self._check("what is received", price["disbursed_amount"], _AMOUNT - price["admin_fee"])
        self._screen.schedule(price["schedule"])
        first = walker.apply(_AMOUNT, _TENOR, key="demo-apply")
        loan_id: str = first.expect(202)["loan"]["id"]
        again = walker.apply(_AMOUNT, _TENOR, key="demo-apply")
        self._check("the same application again", again.expect(202), first.body)
        self._check("mark of a replay", again.headers.get("Idempotent-Replayed"), "true")
        loan = walker.decided(loan_id)
        self._check("decision", (loan["status"], loan["decision"]["outcome"]), ("approved", "approved"))
        reasons = [reason["message"] for reason in loan["decision"]["reasons"]] or ["every rule passed"]
        self._screen.note(f"approved under policy {loan['decision']['policy_id']}: {' '.join(reasons)}")
        return self._accept(walker, loan_id, price)

    def _accept(self, walker: Walker, loan_id: str, price: Json) -> Json:
        summary = walker.call("GET", f"/api/loans/{loan_id}/summary").expect(200)
        self._check("statements to be understood", len(summary["statements"]), STATEMENTS)
        for statement in summary["statements"]:
            self._screen.note(f"{statement['number']}. {statement['text']}")
        accepted = walker.accept(loan_id, key="demo-accept").expect(200)["loan"]
        self._check("status after acceptance", accepted["status"], "accepted")
        loan = walker.disbursed(loan_id)
        self._check("status after the payout", loan["status"], "active")
        board = walker.call("GET", "/api/loans").expect(200)
        self._check("debt on the dashboard", board["summary"]["outstanding"], price["total_payable"])
        self._check("bill on the dashboard", board["summary"]["monthly_bill"], price["instalment"])
        self._check("due date on the dashboard", board["summary"]["due_date"], loan["schedule"][0]["due_date"])
        contract = walker.loan(loan_id).expect(200)["offer"]
        for name in ("amount", "tenor_months", "instalment", "total_payable", "disbursed_amount"):
            self._check(f"{name} of the contract", contract[name], price[name])
        self._screen.facts(
            "The contract:",
            {
                "received": format_rupiah(contract["disbursed_amount"]),
                "fee": format_rupiah(contract["admin_fee"]),
                "to be repaid": format_rupiah(contract["total_payable"]),
                "instalments": f"{contract['tenor_months']} of {format_rupiah(contract['instalment'])}",
                "a year, effective": _percent(contract["effective_annual_rate_ppm"]),
                "paid out": loan["disbursed_at"],
            },
        )
        return loan

    def _repay(self, walker: Walker, loan: Json) -> None:
        self._screen.chapter("5. Two repayments: by virtual account, and by QRIS")
        owed = loan["outstanding"]
        for number, bank in enumerate(("bca", None), 1):
            row = loan["schedule"][number - 1]
            due = {"number": number, "late_fee": 0, "interest": row["interest"], "principal": row["principal"]}
            started = walker.start_payment(loan["id"], key=f"demo-pay-{number}", bank=bank).expect(201)
            way = started["instructions"]
            self._screen.note(f"virtual account {way['va_number']}" if bank else f"QRIS {way['qr_string']}")
            self._check("sum of the payment", started["amount"], row["principal"] + row["interest"])
            told = self._road.pay_at_bank(started["id"], duplicates=2).expect(200)
            self._check("answers to the gateway's three notifications", told["notifications"], [200, 200, 200])
            paid = walker.payment(started["id"]).expect(200)
            self._check("status of the payment", paid["status"], "settled")
            self._check("where the money went", paid["allocation"], [due])
            owed -= started["amount"]
            after = walker.loan(loan["id"]).expect(200)
            self._check("debt after the payment", after["outstanding"], owed)
            self._check("instalment after the payment", after["schedule"][number - 1]["status"], "paid")

    def _show_messages(self, walker: Walker, *kinds: str) -> None:
        self._screen.chapter(f"What {walker.person.full_name} was told")
        walker.told(*kinds)
        found = walker.notifications(limit=100).expect(200)["notifications"]
        for one in reversed(found):
            ways = ", ".join(f"{each['channel']} {each['status']}" for each in one["deliveries"])
            self._screen.note(f"{one['kind']}: {ways}")
        told = Counter(each["channel"] for one in found for each in one["deliveries"])
        addresses = (walker.person.email, walker.person.phone_e164)
        messages = [message for to in addresses for message in self._road.inbox(to)]
        self._check("messages that arrived, by channel", Counter(one["channel"] for one in messages), told)
        self._screen.messages(reversed(messages))

    def _offer_less(self) -> None:
        walker = self._sign_up("6. A counter-offer, in English", english=True)
        self._prove_identity(walker)
        walker.change(bank_account=walker.person.bank_account).expect(200)
        asked = walker.apply(5_000_000, 3, key="demo-apply", monthly_income=3_100_000, other_instalments=0).expect(202)
        loan = walker.decided(asked["loan"]["id"])
        self._check("decision", (loan["status"], loan["decision"]["outcome"]), ("approved", "counter_offer"))
        offered = loan["offer"]["amount"]
        self._check_that("amount of the counter-offer", offered, lambda: 0 < offered < loan["amount"], "less")
        reasons = " ".join(reason["message"] for reason in loan["decision"]["reasons"])
        self._screen.note(f"asked for {format_rupiah(loan['amount'])}, offered {format_rupiah(offered)}: {reasons}")
        self._screen.schedule(loan["offer"]["schedule"])
        self._show_messages(walker, *_USUAL, "loan-counter-offer")

    def _reject(self) -> None:
        walker = self._sign_up("7. Another person's face", nik_ending=REJECTED)
        found = self._prove_identity(walker, "rejected")
        self._check("reason of the rejection", [one["code"] for one in found["kyc"]["reasons"]], ["KYC_SELFIE"])
        self._screen.note(found["kyc"]["reasons"][0]["message"])
        refused = walker.apply(_AMOUNT, _TENOR, key="demo-apply", monthly_income=9_000_000).expect(409)
        self._check("problem of applying all the same", refused["code"], "identity-not-verified")
        self._show_messages(walker, "identity-rejected")

    def _be_late(self, walker: Walker, loan_id: str) -> None:
        self._screen.chapter(f"8. Time passes: {walker.person.full_name} is reminded, and then late")
        walker.log_in(walker.person.email).expect(200)
        due = date.fromisoformat(walker.loan(loan_id).expect(200)["next_due"]["due_date"])
        for day, kind in (
            (due - timedelta(days=_REMIND_DAYS_BEFORE), "instalment-upcoming"),
            (due + timedelta(days=1), "instalment-overdue"),
        ):
            moved = self._road.set_date(day, hour=_OFFICE_HOUR).expect(200)["date"]
            self._check("business date", moved, day.isoformat())
            # A scheduler of the running system may have swept this day already.
            self._road.sweep().expect(200)
            if kind == "instalment-overdue":
                late = walker.loan(loan_id).expect(200)
                self._check("days past due", (late["days_past_due"], late["bucket"]), (1, "1-30"))
            told = self._reminded(walker, kind, day)
            self._screen.note(f"{told['title']}. {told['body']}")
            self._screen.messages(self._road.inbox(walker.person.email)[:1])

    def _reminded(self, walker: Walker, kind: str, day: date) -> Json:
        """The reminder, once it is sent: on a Sunday or a holiday it waits for the next working day."""
        office = datetime.combine(day, time(_OFFICE_HOUR), tzinfo=JAKARTA)
        holidays = IndonesianHolidays().between(day, day + timedelta(days=HORIZON_DAYS))
        opens = next_window(office, walker.person.nik[:2], holidays, 0)
        if opens != office:
            self._screen.note(f"{day} is no working day: the messages wait until {opens.date()}")
            self._road.set_date(opens.date(), hour=_OFFICE_HOUR).expect(200)
            self._road.sweep().expect(200)
        return next(one for one in walker.told(kind) if one["kind"] == kind)


def _percent(ppm: int) -> str:
    """A rate in parts per million as a percentage, rounded half up to two places."""
    hundredths = divide(ppm, 100, "half_up")
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


def find_running(environment: Mapping[str, str]) -> str | None:
    """The address of the system that runs on the state folder, or else, of the local profile, on PORT; or None."""
    local = profile_of(environment) == "local"
    candidates = [f"http://127.0.0.1:{environment.get('PORT') or DEFAULT_PORT}"] if local else []
    with contextlib.suppress(FileNotFoundError):
        running = json.loads((state_folder(environment) / "system.json").read_text())
        candidates.insert(0, str(running["PINJAM_PUBLIC_URL"]))
    for url in candidates:
        try:
            healthy = httpx.get(f"{url}/healthz", trust_env=False, timeout=5)
            clock = httpx.get(f"{url}/sandbox/clock", trust_env=False, timeout=5)
        except (httpx.HTTPError, httpx.InvalidURL):
            continue
        # Some other program may listen there, and even be healthy.
        if healthy.text == '{"status":"ok"}' and clock.is_success:
            return url
    return None


@contextmanager
def _own_system(screen: Screen, environment: Mapping[str, str]) -> Iterator[str]:
    """A system of this run's own, in the profile asked for. Its log goes with its data, unless the run fails."""
    parts = Parts.of(environment)
    folder = Path(tempfile.mkdtemp(prefix="pinjam-demo-"))
    screen.line("No local system runs here, so this one starts its own for a moment.")
    failed = True
    with (folder / "log").open("w") as log:
        logs.configure(log)
        try:
            with LocalSystem(
                folder / "state",
                0,
                parts=parts,
                tell=screen.line,
                overrides=passed_on(environment),
                durable=False,
            ) as system:
                yield system.url
            failed = False
        except KeyboardInterrupt:
            failed = False
            raise
        finally:
            if failed:
                screen.line(f"The system's log is kept: {folder / 'log'}")
            shutil.rmtree(folder / "state" if failed else folder, ignore_errors=True)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it; 0 when all was as expected, 1 when not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m pinjam.local.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, help="make up the people of an earlier run again (default: any)")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(_SEEDS) if given.seed is None else given.seed
    screen, started = Screen(sys.stdout), perf_counter()
    try:
        running = find_running(environment)
        with contextlib.nullcontext(running) if running else _own_system(screen, environment) as url:
            screen.line(f"Pinjam on {url}, seed {seed}")
            screen.line("Answers are asked for in English; messages go out in the borrower's own language.")
            with Road(str(url), language="en", listener=screen) as road:
                checks = _walk(road, screen, seed)
    except KeyboardInterrupt:
        screen.line("\nStopped.")
        return _INTERRUPTED
    except Unexpected as difference:
        return _fail(f"\nNot as expected (seed {seed}).\n  step      {difference.step}\n"
                     f"  expected  {difference.expected}\n  came      {difference.came}")  # fmt: skip
    except (httpx.HTTPError, *CANNOT_START) as error:
        return _fail(f"\nThe local system failed: {error}")
    screen.line(
        f"\nAll as expected: {screen.calls} calls, {checks} checks, {perf_counter() - started:.1f} s, seed {seed}."
    )
    return 0


def _walk(road: Road, screen: Screen, seed: int) -> int:
    """Run the demonstration, and leave the business date as it was; how much was checked."""
    today = road.today()
    demonstration = Demonstration(road, screen, People(seed, today=today))
    try:
        demonstration.run()
    finally:
        if road.today() != today:
            screen.chapter("The business date goes back to where it was")
            road.set_date(today).expect(200)
    return demonstration.checks


def _fail(message: str) -> int:
    print(message, file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
