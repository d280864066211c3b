"""Repayments: start one, see them, and hear of them, and of payouts, from the gateways."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.payments import (
    BillQuery,
    BillShown,
    Heard,
    IrisNotification,
    MidtransNotification,
    PaymentList,
    PaymentQuery,
    PaymentRequest,
    PaymentShown,
)
from pinjam.services.repaying import PaymentForm

api = Api("pay", tag="Payments")


@api.route(
    "POST",
    "/api/payments",
    body=PaymentRequest,
    answer=PaymentShown,
    status=201,
    keyed=True,
    problems=(400, 404, 409, 422),
)
def start(call: Call[PaymentRequest, None]) -> Answer:
    """Start a repayment: the answer says where and how much to pay."""
    body = call.body
    form = PaymentForm(loan_id=body.loan_id, kind=body.kind, amount=body.amount, method=body.method.method())
    keyed = call.keyed(201, PaymentShown.of)
    return Answer.of(call.app.repaying.start(call.user_id, form, keyed=keyed, actor=call.actor))


@api.route("GET", "/api/payments/quote", query=BillQuery, answer=BillShown, problems=(404, 409, 422))
def simulate(call: Call[None, BillQuery]) -> Answer:
    """Simulate a bill: what is due, or what settling the loan costs and saves, on any day of its life."""
    query = call.query
    bill = call.app.repaying.simulate(call.user_id, loan_id=query.loan_id, kind=query.kind, as_of=query.as_of)
    return Answer(200, BillShown.of(bill, call.locale))


@api.route("GET", "/api/payments", query=PaymentQuery, answer=PaymentList, problems=(422,))
def show_all(call: Call[None, PaymentQuery]) -> Answer:
    """List the borrower's payments, newest first, perhaps of one loan only."""
    query = call.query
    page = call.app.repaying.list(call.user_id, loan_id=query.loan_id, limit=query.limit, after=query.cursor)
    payments = [PaymentShown.of(one) for one in page.items]
    return Answer(200, PaymentList(payments=payments, next_cursor=page.next_cursor))


@api.route("GET", "/api/payments/{id}", answer=PaymentShown, problems=(404,))
def show(call: Call[None, None]) -> Answer:
    """Show one payment."""
    return Answer(200, PaymentShown.of(call.app.repaying.show(call.user_id, call.path["id"])))


@api.route(
    "POST",
    "/api/payments/webhook/midtrans",
    body=MidtransNotification,
    answer=Heard,
    public=True,
    problems=(400, 403, 404, 409, 422),
)
def hear(call: Call[MidtransNotification, None]) -> Answer:
    """Take in Midtrans's signed notification. Repeats and disorder are harmless."""
    call.app.collecting.hear(call.body.model_dump(), request_id=call.request_id)
    return Answer(200, Heard())


@api.route(
    "POST",
    "/api/payments/webhook/iris",
    body=IrisNotification,
    answer=Heard,
    public=True,
    problems=(400, 403, 404, 422),
    signed="Iris-Signature",
)
def hear_of_payout(call: Call[IrisNotification, None]) -> Answer:
    """Take in Iris's signed notification of a payout. Repeats and disorder are harmless."""
    call.app.payout_desk.hear(call.raw, call.signature, request_id=call.request_id)
    return Answer(200, Heard())


pay = api.entry()
