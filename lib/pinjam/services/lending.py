"""A loan before it is paid out: application, offer, acceptance, withdrawal; and its sight at any time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinjam.domain.contract import freeze, risks, signatory, statements
from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.lifecycle import IllegalMove, move
from pinjam.domain.loan import OPEN_APPLICATION, Application, Loan, LoanStatus
from pinjam.domain.payment import Payment
from pinjam.domain.pricing import check_request
from pinjam.domain.trail import KeptAnswer
from pinjam.domain.user import User, UserStatus
from pinjam.services.borrowers import MOST, loans_by, loans_of, trusted, unrestricted
from pinjam.services.errors import Invalid, NotFound, StateForbids
from pinjam.services.once import Answered
from pinjam.services.recording import last_record, trail_of
from pinjam.services.store import Conflict, Find

if TYPE_CHECKING:
    from pinjam.domain.loan import Purpose, Quote
    from pinjam.domain.policy import Policies, Policy
    from pinjam.domain.trail import Event
    from pinjam.domain.user import Locale
    from pinjam.services.once import Keyed
    from pinjam.services.ports import Clock, Ids
    from pinjam.services.recording import Actor, Outbox, Recorder
    from pinjam.services.store import Page, Reader, Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationForm:
    """What a borrower asks for; None means: as in the profile."""

    amount: int
    tenor_months: int
    purpose: Purpose
    monthly_income: int | None
    other_instalments: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A borrower's newest loans, the page asked for, and the live loan that the summary speaks of."""

    page: Page[Loan]
    live: Loan | None
    loans: tuple[Loan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An offer with all that the borrower must know before accepting it."""

    loan: Loan
    quote: Quote
    policy: Policy
    statements: tuple[str, ...]
    risks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lending:
    """Takes applications and closes contracts."""

    store: Store
    policies: Policies
    clock: Clock
    ids: Ids
    recorder: Recorder
    outbox: Outbox

    def apply(self, user_id: str, form: ApplicationForm, *, keyed: Keyed[Loan], actor: Actor) -> Answered:
        """Take in an application; the decision follows by event.

        Invalid for a field outside the policy; StateForbids without a proven identity, with another open
        application or a live loan, or once erasure was asked for.
        """
        loan_id = self.ids.new("loan")

        def work(tx: Transaction) -> tuple[Answered, tuple[Event, ...]]:
            now = self.clock.now()
            tx.prefetch((KeptAnswer, keyed.id), (User, user_id), loans_by(user_id))
            kept = keyed.recall(tx, now=now)
            if isinstance(kept, Answered):
                return kept, ()
            user = unrestricted(tx, user_id)
            standing = loans_of(tx, user_id)
            application = self._application(user, form)
            _check_free(user, standing)
            loan = Loan(
                id=loan_id,
                user_id=user_id,
                status=LoanStatus.SUBMITTED,
                amount=form.amount,
                tenor_months=form.tenor_months,
                purpose=form.purpose,
                application=application,
                open_for=user_id,
                created_at=now,
                updated_at=now,
            )
            self._remember_income(tx, user, application)
            tx.insert(loan)
            self.recorder.change(tx, None, None, loan, "loan-submitted", actor)
            event = self.recorder.event(
                tx, "loan-submitted", subject=loan.id, actor=actor, user_id=user_id, amount=loan.amount
            )
            return keyed.keep(tx, loan.id, loan, now=now), (event,)

        try:
            answered, events = self.store.transact(work)
        except Conflict as conflict:
            if conflict.kind is Loan:
                raise StateForbids("application-open") from None
            raise
        self.outbox.publish(*events)
        return answered

    def dashboard(self, user_id: str, *, limit: int, after: str | None) -> Dashboard:
        """The borrower's loans, newest first, with the live one; empty for one who has none.

        That there is such a borrower is what their token says: nearly always this is one read.
        """
        query = Find(kind=Loan, where={"user_id": user_id}, descending=True, limit=limit, after=after)

        page = self.store.find(query)
        if after is None and page.next_cursor is None:
            # The first page holds every loan of nearly everybody: then it is the one read of all.
            return _dashboard(page, page.items)
        return self.store.read(lambda tx: _dashboard(tx.find(query), loans_of(tx, user_id)))

    def show(self, user_id: str, loan_id: str) -> tuple[Loan, tuple[Payment, ...]]:
        """One loan with its payments, newest first. NotFound if it is not the borrower's."""

        def work(tx: Reader) -> tuple[Loan, tuple[Payment, ...]]:
            payments = Find(kind=Payment, where={"loan_id": loan_id}, descending=True, limit=MOST)
            tx.prefetch((Loan, loan_id), payments)
            return _own(tx, user_id, loan_id), tx.find(payments).items

        return self.store.read(work)

    def summary(self, user_id: str, loan_id: str, *, locale: Locale) -> Offer:
        """The offer in full, or what was accepted. StateForbids while there is no offer."""
        loan = _own(self.store, user_id, loan_id)
        price = loan.contract.quote if loan.contract else loan.offer
        if price is None:
            raise StateForbids("no-offer", {"status": loan.status.value})
        policy = self.policies.get(price.policy_id)
        return Offer(
            loan=loan,
            quote=price,
            policy=policy,
            statements=statements(price, policy, locale, purpose=loan.purpose),
            risks=risks(policy, locale),
        )

    def accept(
        self,
        user_id: str,
        loan_id: str,
        *,
        understood: tuple[bool, ...],
        locale: Locale,
        keyed: Keyed[Loan],
        actor: Actor,
    ) -> Answered:
        """Bind the borrower and us to the offer; the disbursement follows by event.

        Invalid `statement-not-accepted` unless all six statements are; StateForbids without a bank
        account, or when the loan is not, or no longer, on offer.
        """
        refused = [number for number, yes in enumerate(understood) if not yes]
        if refused:
            fields = (FieldProblem(field=f"statements[{n}]", code="statement-not-accepted", params={}) for n in refused)
            raise Invalid(*fields, code="statement-not-accepted")

        def work(tx: Transaction) -> tuple[Answered, tuple[Event, ...]]:
            now = self.clock.now()
            tx.prefetch((User, user_id), (KeptAnswer, keyed.id), (Loan, loan_id), trail_of(loan_id))
            user = trusted(tx, user_id, actor)
            kept = keyed.recall(tx, now=now)
            if isinstance(kept, Answered):
                return kept, ()
            loan = _own(tx, user_id, loan_id)
            previous = last_record(tx, loan_id)
            if loan.status is not LoanStatus.APPROVED or loan.offer is None or loan.offer_expires_on is None:
                raise StateForbids("no-offer", {"status": loan.status.value})
            if self.clock.today() > loan.offer_expires_on:
                raise StateForbids("offer-expired", {"date": loan.offer_expires_on.isoformat()})
            if user.bank_account is None:
                raise StateForbids("bank-account-required")
            policy = self.policies.get(loan.offer.policy_id)
            contract = freeze(loan, policy, borrower=signatory(user), accepted_at=now, locale=locale)
            accepted = move(loan, LoanStatus.ACCEPTED, updated_at=now, contract=contract, amount=loan.offer.amount)
            tx.update(accepted)
            self.recorder.change(tx, previous, loan, accepted, "loan-accepted", actor)
            event = self.recorder.event(tx, "loan-accepted", subject=loan.id, actor=actor, user_id=user_id)
            return keyed.keep(tx, loan.id, accepted, now=now), (event,)

        answered, events = self.store.transact(work)
        self.outbox.publish(*events)
        return answered

    def withdraw(self, user_id: str, loan_id: str, *, actor: Actor) -> Loan:
        """Take an application back before acceptance; again is harmless. StateForbids afterwards."""

        def work(tx: Transaction) -> Loan:
            tx.prefetch((Loan, loan_id), trail_of(loan_id))
            loan = _own(tx, user_id, loan_id)
            previous = last_record(tx, loan_id)
            if loan.status is LoanStatus.WITHDRAWN:
                return loan
            try:
                withdrawn = move(loan, LoanStatus.WITHDRAWN, updated_at=self.clock.now())
            except IllegalMove:
                raise StateForbids("cannot-withdraw", {"status": loan.status.value}) from None
            tx.update(withdrawn)
            self.recorder.change(tx, previous, loan, withdrawn, "loan-withdrawn", actor)
            return withdrawn

        return self.store.transact(work)

    def _application(self, user: User, form: ApplicationForm) -> Application:
        policy = self.policies.on(self.clock.today())
        problems = list(check_request(policy, amount=form.amount, tenor_months=form.tenor_months, purpose=form.purpose))
        income = form.monthly_income if form.monthly_income is not None else user.monthly_income
        if income is None:
            problems.append(FieldProblem(field="monthly_income", code="required", params={}))
        if problems or income is None:
            raise Invalid(*problems)
        others = form.other_instalments if form.other_instalments is not None else user.other_instalments
        return Application(
            amount=form.amount,
            tenor_months=form.tenor_months,
            purpose=form.purpose,
            monthly_income=income,
            other_instalments=others or 0,
            consented_at=self.clock.now(),
        )

    def _remember_income(self, tx: Transaction, user: User, application: Application) -> None:
        """What was declared with the application is the profile's newest knowledge."""
        declared = (application.monthly_income, application.other_instalments)
        if declared != (user.monthly_income, user.other_instalments):
            income, others = declared
            now = self.clock.now()
            tx.update(replace(user, monthly_income=income, other_instalments=others, updated_at=now))


def _dashboard(page: Page[Loan], loans: tuple[Loan, ...]) -> Dashboard:
    live = next((loan for loan in loans if loan.status is LoanStatus.ACTIVE), None)
    return Dashboard(page=page, live=live, loans=loans)


def _own(tx: Reader | Store, user_id: str, loan_id: str) -> Loan:
    loan = tx.get(Loan, loan_id)
    if loan is None or loan.user_id != user_id:
        raise NotFound("loan-not-found")
    return loan


def _check_free(user: User, loans: tuple[Loan, ...]) -> None:
    """StateForbids unless the borrower may have an application now."""
    if user.status is not UserStatus.VERIFIED:
        raise StateForbids("identity-not-verified", {"status": user.status.value})
    for loan in loans:
        if loan.status in OPEN_APPLICATION:
            raise StateForbids("application-open")
        if loan.status is LoanStatus.ACTIVE:
            raise StateForbids("loan-active")
