"""Loans: quote, application, offer, schedule, dashboard."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pinjam.domain.loan import Purpose
from pinjam.domain.money import PPM
from pinjam.domain.reasons import reason_text
from pinjam.domain.repayment import bill
from pinjam.runtime.models.fields import MAX_RUPIAH, Given, GivenRupiah, Instant, ReasonShown, Rupiah, Shown
from pinjam.runtime.models.payments import PaymentShown

if TYPE_CHECKING:
    from pinjam.domain.loan import Loan, Quote
    from pinjam.domain.repayment import BillLine
    from pinjam.domain.user import Locale
    from pinjam.services.lending import Offer

AskedRupiah = Annotated[int, Field(ge=1, le=MAX_RUPIAH, examples=[3_000_000], description="Whole rupiah.")]
AskedMonths = Annotated[int, Field(ge=1, le=1_000, examples=[6])]

Yes = Annotated[bool, Field(description="Must be true.", json_schema_extra={"const": True})]
"""The use case refuses a no, with a problem of its own."""


class QuoteQuery(Given):
    """What to quote for."""

    amount: AskedRupiah
    tenor_months: AskedMonths


class ScheduleRowShown(Shown):
    """One instalment of an offer."""

    number: int
    due_date: date
    principal: Rupiah
    interest: Rupiah
    total: Rupiah
    balance: Annotated[Rupiah, Field(description="Principal left after it.")]


class QuoteShown(Shown):
    """The whole price of a loan, before anything is signed."""

    amount: Rupiah
    tenor_months: int
    interest_method: Literal["declining", "flat"]
    monthly_rate_ppm: int
    admin_fee: Annotated[Rupiah, Field(description="Taken from the disbursement.")]
    disbursed_amount: Annotated[Rupiah, Field(description="What the borrower receives.")]
    instalment: Rupiah
    total_interest: Rupiah
    total_payable: Rupiah
    effective_annual_rate_ppm: Annotated[
        int, Field(description="Twelve times the monthly internal rate of return on what is received.")
    ]
    schedule: list[ScheduleRowShown]
    policy_id: str

    @classmethod
    def of(cls, quote: "Quote") -> "QuoteShown":
        """The quote as the API shows it."""
        return cls(
            amount=quote.amount,
            tenor_months=quote.tenor_months,
            interest_method=quote.interest_method,
            monthly_rate_ppm=quote.monthly_rate_ppm,
            admin_fee=quote.admin_fee,
            disbursed_amount=quote.disbursed_amount,
            instalment=quote.instalment,
            total_interest=quote.total_interest,
            total_payable=quote.total_payable,
            effective_annual_rate_ppm=quote.effective_annual_rate_ppm,
            schedule=[
                ScheduleRowShown(
                    number=row.number,
                    due_date=row.due_date,
                    principal=row.principal,
                    interest=row.interest,
                    total=row.total,
                    balance=row.balance,
                )
                for row in quote.schedule
            ],
            policy_id=quote.policy_id,
        )


class ApplyRequest(Given):
    """An application for a loan."""

    amount: AskedRupiah
    tenor_months: AskedMonths
    purpose: Purpose
    consent: Yes
    monthly_income: GivenRupiah | None = None
    other_instalments: GivenRupiah | None = None


class AcceptRequest(Given):
    """Acceptance of an offer."""

    consent: Yes
    statements: Annotated[
        list[Yes], Field(min_length=6, max_length=6, description="Yes to each of the summary's six statements.")
    ]


class DecisionShown(Shown):
    """The answer to an application; a person's, where there is one."""

    outcome: Literal["approved", "counter_offer", "referred", "declined"]
    reasons: list[ReasonShown]
    decided_at: Instant
    policy_id: str


class NextDue(Shown):
    """What is to be paid next."""

    number: int
    due_date: date
    amount: Annotated[Rupiah, Field(description="With the late fee.")]
    late_fee: Rupiah

    @classmethod
    def of(cls, line: "BillLine") -> "NextDue":
        """The oldest unpaid instalment: what is left of it, as of the bill's day."""
        return cls(number=line.number, due_date=line.due_date, amount=line.owed, late_fee=line.owed_late_fee)


class InstalmentShown(Shown):
    """One instalment of a live loan."""

    number: int
    due_date: date
    principal: Rupiah
    interest: Rupiah
    late_fee: Annotated[Rupiah, Field(description="As of today, paid or not.")]
    paid: Rupiah
    status: Literal["upcoming", "due", "overdue", "paid"]

    @classmethod
    def of(cls, line: "BillLine") -> "InstalmentShown":
        """The instalment as of the bill's day."""
        return cls(
            number=line.number,
            due_date=line.due_date,
            principal=line.principal,
            interest=line.interest,
            late_fee=line.late_fee,
            paid=line.paid,
            status=line.status,
        )


class LoanShown(Shown):
    """A loan, from application to the last instalment."""

    id: str
    status: Literal[
        "submitted",
        "approved",
        "referred",
        "declined",
        "accepted",
        "expired",
        "withdrawn",
        "disbursing",
        "active",
        "settled",
        "written_off",
    ]
    amount: Annotated[Rupiah, Field(description="What was asked for; once accepted, the contract's amount.")]
    tenor_months: int
    purpose: Purpose
    offer: QuoteShown | None
    decision: DecisionShown | None
    outstanding: Annotated[Rupiah, Field(description="All that is unpaid by the schedule, with late fees as of today.")]
    next_due: NextDue | None
    days_past_due: int
    bucket: Literal["current", "1-30", "31-60", "61-90", ">90"]
    disbursed_at: Instant | None
    settled_at: Instant | None
    created_at: Instant
    schedule: list[InstalmentShown]

    @classmethod
    def of(cls, loan: "Loan", today: date, locale: "Locale") -> "LoanShown":
        """The loan as of a business date, in the caller's language. Nothing is written."""
        answer = loan.decision.last_word if loan.decision else None
        owed = bill(loan, today)
        offer = loan.contract.quote if loan.contract else loan.offer
        return cls(
            id=loan.id,
            status=loan.status.value,
            amount=loan.amount,
            tenor_months=loan.tenor_months,
            purpose=loan.purpose,
            offer=QuoteShown.of(offer) if offer else None,
            decision=DecisionShown(
                outcome=answer.outcome,
                reasons=[ReasonShown(code=code, message=reason_text(code, locale)) for code in answer.reasons],
                decided_at=answer.decided_at,
                policy_id=answer.policy_id,
            )
            if answer
            else None,
            outstanding=owed.outstanding,
            next_due=NextDue.of(owed.next_due) if owed.next_due else None,
            days_past_due=owed.days_past_due,
            bucket=owed.bucket,
            disbursed_at=loan.disbursed_at,
            settled_at=loan.settled_at,
            created_at=loan.created_at,
            schedule=[InstalmentShown.of(line) for line in owed.lines],
        )


class LoanDetail(LoanShown):
    """A loan with its payments, newest first."""

    payments: list[PaymentShown]


class LoanAnswer(Shown):
    """A loan."""

    loan: LoanShown


class Summary(Shown):
    """What the dashboard shows on top."""

    outstanding: Rupiah
    monthly_bill: Annotated[
        Rupiah, Field(description="All that is due or overdue, with late fees as of today; else the next instalment.")
    ]
    due_date: Annotated[date | None, Field(description="Null when nothing is owed.")]
    days_past_due: int
    credit_limit: Rupiah

    @classmethod
    def of(cls, live: "Loan | None", today: date, limit: int) -> "Summary":
        """The live loan in five figures; zeros when there is none."""
        if live is None:
            return cls(outstanding=0, monthly_bill=0, due_date=None, days_past_due=0, credit_limit=limit)
        owed = bill(live, today)
        return cls(
            outstanding=owed.outstanding,
            monthly_bill=owed.monthly_bill,
            due_date=owed.next_due.due_date if owed.next_due else None,
            days_past_due=owed.days_past_due,
            credit_limit=limit,
        )


class Dashboard(Shown):
    """The whole dashboard in one call."""

    summary: Summary
    loans: list[LoanShown]
    next_cursor: str | None


class StatementShown(Shown):
    """One statement that the borrower must have understood."""

    number: int
    text: str


class LateFeeShown(Shown):
    """What being late costs."""

    daily_ppm: Annotated[int, Field(description="Of the overdue instalment's unpaid principal and interest, a day.")]
    from_day: Annotated[int, Field(description="The first day past due that counts.")]


class TotalCapShown(Shown):
    """The most that the loan can ever cost."""

    ppm: Annotated[int, Field(description="Interest, fees and late fees together, of the amount.")]
    amount: Rupiah


class OfferSummary(Shown):
    """The personal summary of an offer."""

    loan_id: str
    quote: QuoteShown
    late_fee: LateFeeShown
    total_cap: TotalCapShown
    risks: list[str]
    offer_expires_on: date | None
    statements: list[StatementShown]

    @classmethod
    def of(cls, offer: "Offer") -> "OfferSummary":
        """The summary as the API shows it."""
        product, price = offer.policy.product, offer.quote
        return cls(
            loan_id=offer.loan.id,
            quote=QuoteShown.of(price),
            late_fee=LateFeeShown(daily_ppm=product.late_fee_daily_ppm, from_day=product.late_fee_from_day),
            total_cap=TotalCapShown(ppm=product.total_cap_ppm, amount=price.amount * product.total_cap_ppm // PPM),
            risks=list(offer.risks),
            offer_expires_on=offer.loan.offer_expires_on,
            statements=[StatementShown(number=number, text=text) for number, text in enumerate(offer.statements, 1)],
        )
