"""Iris's notification of a payout, as it reaches the function."""

import pytest
from tests.functions.conftest import Functions, Reply

from pinjam.domain.loan import LoanStatus
from pinjam.domain.payout import Payout
from pinjam.services.ports import PayoutAnswer


@pytest.fixture
def on_its_way(functions: Functions) -> Payout:
    world = functions.world
    world.payouts.outcome = PayoutAnswer(reference="", status="processing")
    loan_id = world.accepted(world.verified())
    world.app.payout_desk.take_up(world.accepted_event(loan_id))
    (payout,) = world.all(Payout)
    return payout


def notify(functions: Functions, reference: str | None, *, signature: str | None = "genuine", **facts: object) -> Reply:
    headers = {} if signature is None else {"Iris-Signature": signature}
    body = {"reference_no": reference, "amount": "2970000.0", "updated_at": "2026-11-24T02:00:00Z", **facts}
    return functions.call("pay", "POST", "/api/payments/webhook/iris", body, headers=headers)


def test_a_genuine_notification_is_taken_in_however_often(functions: Functions, on_its_way: Payout) -> None:
    world = functions.world
    world.payouts.end(on_its_way.id, "completed")
    for status in ("completed", "processed", "completed"):
        answer = notify(functions, on_its_way.reference, status=status)
        assert (answer.status_code, answer.json) == (200, {"status": "ok"})
    assert world.loan(on_its_way.loan_id).status is LoanStatus.ACTIVE
    assert len(world.events("loan-disbursed")) == 1


def test_what_it_says_is_not_believed_before_the_gateway_confirms_it(functions: Functions, on_its_way: Payout) -> None:
    for status in ("completed", "failed"):
        assert notify(functions, on_its_way.reference, status=status).status_code == 200
    assert functions.world.loan(on_its_way.loan_id).status is LoanStatus.DISBURSING
    functions.world.payouts.down = True
    answer = notify(functions, on_its_way.reference, status="completed")
    assert (answer.status_code, answer.json["code"]) == (503, "service-unavailable")


@pytest.mark.parametrize("signature", ["made up", "", None], ids=["made-up", "empty", "none"])
def test_a_notification_that_is_not_signed_is_403_and_changes_nothing(
    functions: Functions, on_its_way: Payout, signature: str | None
) -> None:
    functions.world.payouts.end(on_its_way.id, "completed")
    answer = notify(functions, on_its_way.reference, signature=signature, status="completed")
    assert (answer.status_code, answer.json["code"]) == (403, "bad-signature")
    assert functions.world.loan(on_its_way.loan_id).status is LoanStatus.DISBURSING


def test_an_unknown_reference_is_404(functions: Functions) -> None:
    answer = notify(functions, "strange", status="completed")
    assert (answer.status_code, answer.json["code"]) == (404, "payout-not-found")


def test_a_notification_of_nothing_is_422(functions: Functions) -> None:
    assert notify(functions, None).status_code == 422
