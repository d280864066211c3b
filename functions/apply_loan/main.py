"""Application for a loan."""

from pinjam.domain.field_problem import FieldProblem
from pinjam.domain.loan import Loan
from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.loans import ApplyRequest, LoanAnswer, LoanShown
from pinjam.services.errors import Invalid
from pinjam.services.lending import ApplicationForm

api = Api("apply_loan", tag="Loans")


@api.route(
    "POST",
    "/api/loans/apply",
    body=ApplyRequest,
    answer=LoanAnswer,
    status=202,
    keyed=True,
    problems=(400, 404, 409, 422, 429),
    limit="apply",
)
def apply(call: Call[ApplyRequest, None]) -> Answer:
    """Apply for a loan. The decision follows by itself, with a notification."""
    body = call.body
    if not body.consent:
        raise Invalid(FieldProblem(field="consent", code="consent-required", params={}), code="consent-required")
    form = ApplicationForm(
        amount=body.amount,
        tenor_months=body.tenor_months,
        purpose=body.purpose,
        monthly_income=body.monthly_income,
        other_instalments=body.other_instalments,
    )

    def render(loan: Loan) -> LoanAnswer:
        return LoanAnswer(loan=LoanShown.of(loan, call.app.clock.today(), call.locale))

    return Answer.of(call.app.lending.apply(call.user_id, form, keyed=call.keyed(202, render), actor=call.actor))


apply_loan = api.entry()
