"""What waits for a person, and their decisions: as the machine's, with a name and a reason in the audit log."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from tests.world import World, picture

from pinjam.domain.decision import replay
from pinjam.domain.document import Document, DocumentStatus
from pinjam.domain.loan import Decision, Loan, LoanStatus, Review
from pinjam.domain.notification import Notification
from pinjam.domain.payout import Payout, PayoutStatus
from pinjam.domain.policy import Policies
from pinjam.domain.user import User, UserStatus
from pinjam.services.errors import Invalid, NotFound, StateForbids
from pinjam.services.reviewing import Verdict

YES = Verdict(approve=True, reviewer="dewi", reason="payslip seen at the branch")
NO = Verdict(approve=False, reviewer="dewi", reason="the employer does not know them")
Decide = Callable[[str, Verdict], User | Loan | Payout]


@pytest.fixture
def decide(world: World) -> Decide:
    return lambda case_id, verdict: world.app.reviewing.decide(case_id, verdict, request_id="req_12345678")


@pytest.fixture
def doubtful(world: World) -> str:
    """The id of a borrower whose face is so-so, and who has a payslip."""
    user = world.register()
    for colour, kind in enumerate(("ktp", "selfie", "income")):
        world.upload(user.id, kind, picture(colour))
    world.identity.selfie_score = 75
    world.deliver()
    assert world.user(user.id).status is UserStatus.REVIEW
    return user.id


@pytest.fixture
def referred(world: World) -> str:
    """The id of an application for more than may be lent without evidence, and more than the first limit."""
    loan_id = world.apply(world.verified(2), amount=6_000_000, tenor_months=12)
    world.deliver()
    assert world.loan(loan_id).status is LoanStatus.REFERRED
    return loan_id


def decision_of(loan: Loan) -> Decision:
    assert loan.decision is not None
    return loan.decision


def review_of(loan: Loan) -> Review:
    review = decision_of(loan).review
    assert review is not None
    return review


def test_what_waits_is_listed_with_its_reasons(world: World, doubtful: str, referred: str) -> None:
    queue = world.app.reviewing.waiting()
    assert [(one.id, one.kind, one.reasons, one.amount) for one in queue.cases] == [
        (doubtful, "identity", ("KYC_SELFIE_UNSURE",), None),
        (referred, "application", ("INCOME_EVIDENCE", "LIMIT_MAX"), 6_000_000),
    ]
    assert {one.since for one in queue.cases} == {world.clock.now()}
    assert queue.whole


def test_a_list_that_is_cut_says_so(world: World, doubtful: str) -> None:
    world.put(replace(world.register(3), status=UserStatus.REVIEW))
    assert len(world.app.reviewing.waiting(limit=1).cases) == 1
    assert not world.app.reviewing.waiting(limit=1).whole
    assert world.app.reviewing.waiting(limit=2).whole
    assert doubtful in {one.id for one in world.app.reviewing.waiting(limit=2).cases}


def test_nothing_waits_in_a_system_where_all_went_well(world: World) -> None:
    world.active(world.verified())
    assert world.app.reviewing.waiting().cases == ()


def test_an_identity_is_shown_with_its_papers_and_what_happened(world: World, doubtful: str) -> None:
    world.upload(doubtful, "income", picture(9))
    case = world.app.reviewing.show(doubtful)
    assert (case.user, case.loan, case.others) == (world.user(doubtful), None, ())
    # The payslip that a newer one replaced is not shown.
    assert sorted(paper.kind.value for paper, _ in case.papers) == ["income", "ktp", "selfie"]
    assert all(url.startswith(f"https://api.invalid/api/documents/{paper.id}/content?") for paper, url in case.papers)
    assert [record.number for record in case.trail] == [record.number for record in world.trail(doubtful)]


def test_an_application_is_shown_with_its_borrower_and_their_other_loans(world: World) -> None:
    user_id = world.verified()
    earlier = world.repaid(user_id)
    loan_id = world.apply(user_id, amount=9_000_000, tenor_months=12)
    world.decide(loan_id)
    case = world.app.reviewing.show(loan_id)
    assert (case.user.id, case.loan, [one.id for one in case.others]) == (user_id, world.loan(loan_id), [earlier])


@pytest.mark.parametrize("case_id", ["usr_nobody", "loan_none", "out_1", "", "x"])
def test_a_case_that_is_not_there_is_not_found(world: World, decide: Decide, case_id: str) -> None:
    with pytest.raises(NotFound, match="case-not-found"):
        world.app.reviewing.show(case_id)
    with pytest.raises(NotFound, match="case-not-found"):
        decide(case_id, YES)


def test_an_approved_identity_is_verified_and_can_apply(world: World, decide: Decide, doubtful: str) -> None:
    user = decide(doubtful, YES)
    assert user == world.user(doubtful)
    assert (world.user(doubtful).status, world.user(doubtful).kyc.reasons) == (UserStatus.VERIFIED, ())
    # The checks stay as the provider made them.
    assert [one.score for one in world.user(doubtful).kyc.checks if one.name == "selfie"] == [75]
    assert [one.status for one in world.all(Document)] == [
        DocumentStatus.ACCEPTED,
        DocumentStatus.ACCEPTED,
        DocumentStatus.RECEIVED,
    ]
    record = world.trail(doubtful)[-1]
    assert (record.action, record.actor, record.request_id) == ("identity-reviewed", "staff:dewi", "req_12345678")
    assert (record.before, record.after) == (
        {"status": "review"},
        {"status": "verified", "reasons": [], "reason": YES.reason},
    )
    world.deliver()
    assert [one.kind for one in world.all(Notification)] == ["identity-review", "identity-verified"]
    assert world.decide(world.apply(doubtful)).status is LoanStatus.APPROVED


def test_a_rejected_identity_is_told_why_and_may_try_again(world: World, decide: Decide, doubtful: str) -> None:
    decide(doubtful, NO)
    user = world.user(doubtful)
    assert (user.status, user.kyc.reasons) == (UserStatus.REJECTED, ("REVIEWED_REJECTED",))
    world.deliver()
    (told,) = world.notifications("identity-rejected")
    assert "Petugas kami sudah memeriksa" in told.body
    assert NO.reason not in told.body
    for colour, kind in ((20, "ktp"), (21, "selfie")):
        world.upload(doubtful, kind, picture(colour))
    assert world.user(doubtful).status is UserStatus.VERIFYING


def test_an_approved_application_becomes_an_offer_within_the_limit(world: World, decide: Decide, referred: str) -> None:
    machine = decision_of(world.loan(referred))
    world.pass_days(3)
    decided = decide(referred, YES)
    loan = world.loan(referred)
    assert decided == loan
    assert (loan.status, loan.open_for) == (LoanStatus.APPROVED, loan.user_id)
    assert loan.offer is not None
    assert (loan.offer.amount, loan.offer.tenor_months, loan.offer_expires_on) == (5_000_000, 12, date(2026, 12, 4))
    review = review_of(loan)
    assert (review.outcome, review.reasons, review.offered_amount) == ("counter_offer", ("LIMIT_MAX",), 5_000_000)
    assert review.decided_at == world.clock.now()
    record = world.trail(referred)[-1]
    assert (record.action, record.actor, record.after["reason"]) == ("application-reviewed", "staff:dewi", YES.reason)
    assert (record.before or {})["status"] == "referred"
    # The machine's own decision stays, and replays.
    assert replace(decision_of(loan), review=None) == machine
    assert replay(machine.snapshot, world.app.policies.get(machine.policy_id)) == machine
    world.deliver()
    (told,) = world.notifications("loan-counter-offer")
    assert "Rp5.000.000" in told.body
    world.accept(loan.user_id, referred)
    world.deliver()
    assert world.loan(referred).status is LoanStatus.ACTIVE
    assert world.payouts.paid == [4_950_000]


def test_an_application_within_the_limit_is_approved_as_asked(world: World, decide: Decide) -> None:
    user_id = world.verified()
    for _ in range(2):
        world.repaid(user_id)
    loan_id = world.apply(user_id, amount=6_000_000, tenor_months=12)
    assert decision_of(world.decide(loan_id)).reasons == ("INCOME_EVIDENCE",)
    decide(loan_id, YES)
    review = review_of(world.loan(loan_id))
    assert (review.outcome, review.reasons, review.offered_amount) == ("approved", (), 6_000_000)
    assert world.events("loan-decided")[-1].data["outcome"] == "approved"


def test_a_declined_application_is_told_with_the_doubts(world: World, decide: Decide, referred: str) -> None:
    decide(referred, NO)
    loan = world.loan(referred)
    assert (loan.status, loan.open_for, loan.offer) == (LoanStatus.DECLINED, None, None)
    assert review_of(loan).reasons == ("REVIEWED_DECLINED", "INCOME_EVIDENCE")
    world.deliver()
    (told,) = world.notifications("loan-declined")
    assert "Petugas kami sudah memeriksa pengajuan Anda" in told.body
    assert "bukti penghasilan" in told.body
    assert world.decide(world.apply(loan.user_id)).status is LoanStatus.APPROVED


@pytest.mark.parametrize("first", [YES, NO], ids=["yes", "no"])
@pytest.mark.parametrize("second", [YES, NO], ids=["yes", "no"])
def test_a_case_is_decided_once(
    world: World, decide: Decide, doubtful: str, referred: str, first: Verdict, second: Verdict
) -> None:
    for case_id in (doubtful, referred):
        decide(case_id, first)
        before = (world.user(doubtful), world.loan(referred), world.trail(case_id), world.publisher.events[:])
        with pytest.raises(StateForbids, match="not-in-review") as refused:
            decide(case_id, second)
        assert refused.value.params["status"] in ("verified", "rejected", "approved", "declined")
        assert (world.user(doubtful), world.loan(referred), world.trail(case_id), world.publisher.events) == before


def test_what_waits_for_nobody_cannot_be_decided(world: World, decide: Decide) -> None:
    user_id = world.verified()
    loan_id = world.apply(user_id)
    for case_id in (user_id, loan_id, world.register(2).id):
        with pytest.raises(StateForbids, match="not-in-review"):
            decide(case_id, YES)


def test_of_two_at_once_one_wins(world: World, decide: Decide, doubtful: str) -> None:
    ready = threading.Barrier(8)

    def go(number: int) -> bool:
        ready.wait(10)
        try:
            decide(doubtful, replace(YES if number % 2 else NO, reviewer=f"staff {number}"))
        except StateForbids:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(go, range(8))) == 1
    assert world.actions(doubtful).count("identity-reviewed") == 1


def test_a_rule_that_declines_by_now_cannot_be_overruled(world: World, decide: Decide, referred: str) -> None:
    # Since the decision an earlier loan came alive again, because its last payment was taken back.
    loan = world.loan(referred)
    other = world.loan(world.active(world.verified(5)))
    world.put(replace(other, user_id=loan.user_id, open_for=None))
    before = (world.loan(referred), world.actions(referred))
    with pytest.raises(StateForbids, match="rules-forbid") as refused:
        decide(referred, YES)
    assert refused.value.params == {"rules": "ACTIVE_LOAN"}
    assert (world.loan(referred), world.actions(referred)) == before
    decide(referred, NO)
    assert world.loan(referred).status is LoanStatus.DECLINED


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"tenor_max_months": 6}, "tenor-too-long"),
        ({"purposes": ("home",)}, "purpose-unknown"),
        ({"amount_max": 4_000_000}, "amount-too-high"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_what_the_policy_of_the_day_no_longer_offers_cannot_be_approved(
    world: World, referred: str, changes: dict[str, Any], rules: str
) -> None:
    old = world.app.policies.get("2026-01-01")
    new = replace(old, id="2026-11-25", effective_from=date(2026, 11, 25), product=replace(old.product, **changes))
    app = replace(world.app.reviewing, policies=Policies((old, new)))
    world.pass_days(1)
    with pytest.raises(StateForbids) as refused:
        app.decide(referred, YES, request_id="req_12345678")
    assert (refused.value.code, refused.value.params) == ("rules-forbid", {"rules": rules})
    assert world.loan(referred).status is LoanStatus.REFERRED


def test_the_price_is_that_of_the_day_of_the_approval(world: World, referred: str) -> None:
    old = world.app.policies.get("2026-01-01")
    cheaper = replace(old.product, monthly_rate_ppm=10_000)
    new = replace(old, id="2026-11-25", effective_from=date(2026, 11, 25), product=cheaper)
    world.pass_days(1)
    replace(world.app.reviewing, policies=Policies((old, new))).decide(referred, YES, request_id="req_12345678")
    loan = world.loan(referred)
    assert loan.offer is not None
    assert (loan.offer.monthly_rate_ppm, loan.offer.policy_id, review_of(loan).policy_id) == (
        10_000,
        "2026-11-25",
        "2026-11-25",
    )


def test_news_that_somebody_will_look_is_not_told_after_the_decision(
    world: World, decide: Decide, doubtful: str
) -> None:
    loan_id = world.apply(world.verified(3), amount=6_000_000, tenor_months=12)
    world.decide(loan_id)
    decide(loan_id, YES)
    other = world.register(4)
    world.upload(other.id, "ktp", picture(30))
    world.upload(other.id, "selfie", picture(31))
    world.consume("verify_identity", world.publisher.events[-1])
    decide(other.id, YES)
    world.deliver()
    kinds = Counter((one.user_id, one.kind) for one in world.all(Notification))
    borrower = world.loan(loan_id).user_id
    assert set(kinds) == {
        (doubtful, "identity-review"),
        (other.id, "identity-verified"),
        (borrower, "application-received"),
        (borrower, "loan-counter-offer"),
    }


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"reviewer": ""}, "reviewer", "too-short"),
        ({"reviewer": "  x  "}, "reviewer", "too-short"),
        ({"reviewer": "x" * 65}, "reviewer", "too-long"),
        ({"reviewer": "dewi\n"}, "reviewer", "control-characters"),
        ({"reason": "ok"}, "reason", "too-short"),
        ({"reason": " " * 30}, "reason", "too-short"),
        ({"reason": "x" * 501}, "reason", "too-long"),
        ({"reason": "fine\x00 indeed"}, "reason", "control-characters"),
        ({"reason": "NIK 3171015508900001 was seen"}, "reason", "holds-a-nik"),
    ],
    ids=str,
)
def test_a_verdict_without_a_name_or_a_reason_is_none(changes: dict[str, str], field: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        replace(YES, **changes)  # type: ignore[arg-type]  # texts only
    assert [(one.field, one.code) for one in refused.value.fields] == [(field, code)]


def test_a_decision_whose_event_could_not_be_published_is_told_by_the_sweep(
    world: World, decide: Decide, doubtful: str
) -> None:
    world.publisher.down = True
    decide(doubtful, YES)
    assert world.user(doubtful).status is UserStatus.VERIFIED
    world.publisher.down = False
    world.clock.advance(seconds=int(timedelta(minutes=5).total_seconds()))
    world.sweep()
    world.deliver()
    assert len(world.notifications("identity-verified")) == 1


@pytest.fixture
def held(world: World) -> str:
    """The id of a payout to an account that the bank calls somebody else's."""
    world.payouts.accounts["1234567890"] = "BAMBANG SUDARSONO"
    loan_id = world.accepted(world.verified(3))
    world.deliver()
    (payout,) = world.all(Payout)
    assert (payout.subject_id, payout.status) == (loan_id, PayoutStatus.HELD)
    return payout.id


def test_a_held_payout_is_listed_and_shown_with_whom_the_bank_names(world: World, held: str) -> None:
    (case,) = world.app.reviewing.waiting().cases
    assert (case.id, case.kind, case.reasons, case.amount) == (held, "payout", ("name-mismatch",), 2_970_000)
    shown = world.app.reviewing.show(held)
    assert shown.payout is not None
    assert shown.loan is not None
    assert (shown.payout.id, shown.loan.id, shown.holder) == (held, shown.payout.loan_id, "BAMBANG SUDARSONO")
    assert [record.action for record in shown.trail] == ["payout-held"]
    world.payouts.down = True
    assert world.app.reviewing.show(held).holder is None


def test_a_yes_sends_a_held_payout_and_a_no_leaves_it_held(world: World, held: str, decide: Decide) -> None:
    decide(held, NO)
    assert world.get(Payout, held).status is PayoutStatus.HELD
    assert world.payouts.sent == {}
    decide(held, YES)
    world.deliver()
    assert world.get(Payout, held).status is PayoutStatus.PAID
    assert world.payouts.paid == [2_970_000]
    decisions = [(one.action, one.actor, one.after.get("reason")) for one in world.trail(held) if "dewi" in one.actor]
    assert decisions == [
        ("payout-refused", "staff:dewi", NO.reason),
        ("payout-released", "staff:dewi", YES.reason),
    ]
    with pytest.raises(StateForbids):
        decide(held, YES)
