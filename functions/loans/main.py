"""Quotes, the dashboard, one loan, its offer's summary, its contract, acceptance and withdrawal."""

from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.loan import Loan
from pinjam.runtime.api import JSON, PDF, Answer, Api, Call
from pinjam.runtime.models.fields import Paging
from pinjam.runtime.models.loans import (
    AcceptRequest,
    Dashboard,
    LoanAnswer,
    LoanDetail,
    LoanShown,
    OfferSummary,
    QuoteQuery,
    QuoteShown,
    Summary,
)
from pinjam.runtime.models.payments import PaymentShown
from pinjam.services.credit import credit_limit_of
from pinjam.services.errors import Invalid

api = Api("loans", tag="Loans")


@api.route("GET", "/api/loans/quote", query=QuoteQuery, answer=QuoteShown, problems=(422,))
def quote(call: Call[None, QuoteQuery]) -> Answer:
    """Quote the whole price of a loan, were it paid out today."""
    price = call.app.quoting.quote(amount=call.query.amount, tenor_months=call.query.tenor_months)
    return Answer(200, QuoteShown.of(price))


@api.route("GET", "/api/loans", query=Paging, answer=Dashboard, problems=(422,))
def dashboard(call: Call[None, Paging]) -> Answer:
    """Show the whole dashboard: what is owed and when, the limit, and the loans, newest first."""
    board = call.app.lending.dashboard(call.user_id, limit=call.query.limit, after=call.query.cursor)
    today = call.app.clock.today()
    limit = credit_limit_of(board.loans, call.app.policies.on(today), today)
    return Answer(
        200,
        Dashboard(
            summary=Summary.of(board.live, today, limit),
            loans=[LoanShown.of(loan, today, call.locale) for loan in board.page.items],
            next_cursor=board.page.next_cursor,
        ),
    )


@api.route("GET", "/api/loans/{id}", answer=LoanDetail, problems=(404,))
def show(call: Call[None, None]) -> Answer:
    """Show one loan with its schedule, decision and payments."""
    loan, payments = call.app.lending.show(call.user_id, call.path["id"])
    shown = LoanShown.of(loan, call.app.clock.today(), call.locale)
    return Answer(200, LoanDetail(**vars(shown), payments=[PaymentShown.of(one) for one in payments]))


@api.route("GET", "/api/loans/{id}/summary", answer=OfferSummary, media=(JSON, PDF), problems=(404, 409))
def summary(call: Call[None, None]) -> Answer:
    """Show the personal summary of an offer, with the six statements to be understood; as PDF if asked for."""
    offer = call.app.lending.summary(call.user_id, call.path["id"], locale=call.locale)
    if call.media == PDF:
        return Answer.file(call.app.contracts.summary(offer, call.locale))
    return Answer(200, OfferSummary.of(offer))


@api.route("GET", "/api/loans/{id}/contract", media=(PDF,), problems=(404, 409))
def contract(call: Call[None, None]) -> Answer:
    """Show the contract as PDF, in Indonesian."""
    return Answer.file(call.app.contracts.contract(call.user_id, call.path["id"]))


@api.route(
    "POST",
    "/api/loans/{id}/accept",
    body=AcceptRequest,
    answer=LoanAnswer,
    keyed=True,
    problems=(400, 404, 409, 422),
)
def accept(call: Call[AcceptRequest, None]) -> Answer:
    """Accept an offer. The disbursement follows by itself, with a notification."""
    if not call.body.consent:
        raise Invalid(FieldProblem(field="consent", code="consent-required", params={}), code="consent-required")

    def render(loan: Loan) -> LoanAnswer:
        return LoanAnswer(loan=LoanShown.of(loan, call.app.clock.today(), call.locale))

    return Answer.of(
        call.app.lending.accept(
            call.user_id,
            call.path["id"],
            understood=tuple(call.body.statements),
            locale=call.locale,
            keyed=call.keyed(200, render),
            actor=call.actor,
        )
    )


@api.route("POST", "/api/loans/{id}/withdraw", answer=LoanAnswer, problems=(404, 409))
def withdraw(call: Call[None, None]) -> Answer:
    """Take an application back, before it is accepted."""
    loan = call.app.lending.withdraw(call.user_id, call.path["id"], actor=call.actor)
    return Answer(200, LoanAnswer(loan=LoanShown.of(loan, call.app.clock.today(), call.locale)))


loans = api.entry()
