"""The decision: who is approved, what each rule does when it fails, and that every decision replays."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinjam.domain.decision import credit_limit, decide, replay
from pinjam.domain.history import BorrowerSnapshot, History
from pinjam.domain.loan import Application, Decision, Purpose
from pinjam.domain.pricing import PriceOverCap, quote
from pinjam.domain.reasons import TEXTS, reason_text
from pinjam.domain.user import UserStatus
from pinjam.policy import load_policies

POLICY = load_policies().get("2026-01-01")
TODAY = date(2026, 3, 16)
NOW = datetime(2026, 3, 16, 2, 30, 15, 123456, tzinfo=UTC)
FIRST_TIME = History(applications_in_window=1, active_loans=0, settled_days_late=(), worst_days_past_due=None)
REPEAT = History(applications_in_window=1, active_loans=0, settled_days_late=(0, 2), worst_days_past_due=2)

OCCUPATIONS = [None, "", "employee", "Civil Servant", "entrepreneur", "freelancer", "student", "nelayan"]


def asking(
    amount: int = 3_000_000,
    tenor_months: int = 6,
    *,
    income: int = 9_000_000,
    others: int = 0,
    purpose: Purpose = "home",
) -> Application:
    return Application(
        amount=amount,
        tenor_months=tenor_months,
        purpose=purpose,
        monthly_income=income,
        other_instalments=others,
        consented_at=NOW - timedelta(minutes=1),
    )


def somebody(
    age: int = 30,
    *,
    status: UserStatus = UserStatus.VERIFIED,
    document: bool = False,
    occupation: str | None = "employee",
) -> BorrowerSnapshot:
    return BorrowerSnapshot(age=age, status=status, has_income_document=document, occupation=occupation)


def decided(
    application: Application | None = None,
    borrower: BorrowerSnapshot | None = None,
    history: History = FIRST_TIME,
) -> Decision:
    return decide(application or asking(), borrower or somebody(), history, POLICY, TODAY, decided_at=NOW)


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_a_good_first_application_is_approved_at_once_from_25_to_55(occupation: str | None) -> None:
    for age in range(25, 56):
        decision = decided(asking(3_000_000, 6), somebody(age, occupation=occupation))
        assert (decision.outcome, decision.offered_amount, decision.reasons) == ("approved", 3_000_000, ()), age
        assert all(rule.passed and rule.effect is None for rule in decision.rules)


@pytest.mark.parametrize("purpose", POLICY.product.purposes)
def test_the_purpose_does_not_decide(purpose: Purpose) -> None:
    assert decided(asking(purpose=purpose)).outcome == "approved"


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_a_small_income_gets_the_largest_affordable_amount(occupation: str | None) -> None:
    """30 % of 3,100,000 is 930,000; three instalments of 2.5 % a month carry 2,656,102 with it."""
    for age in range(25, 56):
        decision = decided(asking(5_000_000, 3, income=3_100_000), somebody(age, occupation=occupation))
        assert (decision.outcome, decision.offered_amount) == ("counter_offer", 2_600_000), age
        assert decision.reasons == ("DSR_MAX",)


def test_a_decision_keeps_its_policy_date_score_and_limit() -> None:
    decision = decided()
    assert (decision.policy_id, decision.policy_hash) == (POLICY.id, POLICY.hash)
    assert (decision.decided_on, decision.decided_at) == (TODAY, NOW)
    # Age 60, income 120, no instalments 100, no history 40 and 60, first application 40, employee 60, 6 months 30.
    assert (decision.score, decision.limit) == (510, 5_000_000)


def test_rules_run_in_the_order_of_the_stages() -> None:
    assert [(rule.stage, rule.code) for rule in decided().rules] == [
        ("eligibility", "AGE_RANGE"),
        ("eligibility", "INCOME_MIN"),
        ("eligibility", "ACTIVE_LOAN"),
        ("eligibility", "ARREARS"),
        ("identity", "KYC_VERIFIED"),
        ("velocity", "VELOCITY"),
        ("affordability", "DSR_MAX"),
        ("affordability", "INCOME_EVIDENCE"),
        ("scorecard", "SCORE_MIN"),
        ("limit", "LIMIT_MAX"),
        ("price", "PRICE_CAP"),
    ]


@pytest.mark.parametrize(
    ("age", "passes"),
    [(18, True), (17, False), (60, True), (61, False)],
)
def test_ages_from_18_to_60_are_served(age: int, passes: bool) -> None:  # noqa: FBT001  # A table's column.
    decision = decided(borrower=replace(somebody(), age=age))
    assert ("AGE_RANGE" not in decision.reasons) is passes
    assert (decision.outcome != "declined") is passes


def test_an_income_below_the_minimum_is_declined() -> None:
    assert decided(asking(500_000, 6, income=3_000_000)).outcome == "approved"
    below = decided(asking(500_000, 6, income=2_999_999))
    assert below.outcome == "declined"
    assert below.reasons[0] == "INCOME_MIN"
    assert below.offered_amount is None


def test_no_income_at_all_is_an_answer_and_not_an_error() -> None:
    decision = decided(asking(income=0))
    assert decision.outcome == "declined"
    assert set(decision.reasons) >= {"INCOME_MIN", "DSR_MAX"}


def test_a_large_amount_without_an_income_document_is_referred() -> None:
    """After two loans repaid in time the limit is 11,000,000."""
    application = asking(5_100_000, 12, income=20_000_000)
    assert decided(application, somebody(document=True), REPEAT).outcome == "approved"
    referred = decided(application, somebody(), REPEAT)
    assert (referred.outcome, referred.reasons, referred.offered_amount) == (
        "referred",
        ("INCOME_EVIDENCE",),
        5_100_000,
    )
    assert decided(replace(application, amount=5_000_000), somebody(), REPEAT).outcome == "approved"


def test_instalments_may_take_exactly_the_share_of_income() -> None:
    """3,000,000 over 6 months costs 544,650 a month; its last instalment is not larger."""
    assert max(row.total for row in quote(POLICY, amount=3_000_000, tenor_months=6, start=TODAY).schedule) == 544_650
    assert decided(asking(income=9_000_000, others=2_155_350 - 600_000)).outcome == "approved"
    exactly = decided(asking(income=9_000_000, others=2_700_000 - 544_650))
    assert "DSR_MAX" not in exactly.reasons
    above = decided(asking(income=9_000_000, others=2_700_000 - 544_650 + 1))
    assert "DSR_MAX" in above.reasons


def test_a_debt_that_leaves_nothing_for_the_smallest_loan_is_declined() -> None:
    decision = decided(asking(3_000_000, 6, income=9_000_000, others=2_690_000))
    assert decision.outcome == "declined"
    assert decision.reasons[0] == "DSR_MAX"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("review", "referred"), ("rejected", "declined"), ("registered", "referred"), ("verifying", "referred")],
)
def test_an_identity_that_is_not_proven_holds_the_loan(status: str, outcome: str) -> None:
    decision = decided(borrower=somebody(status=UserStatus(status)))
    assert (decision.outcome, decision.reasons) == (outcome, ("KYC_VERIFIED",))


def test_an_active_loan_declines() -> None:
    assert decided(history=replace(FIRST_TIME, active_loans=1)).reasons == ("ACTIVE_LOAN",)


def test_arrears_of_over_30_days_decline() -> None:
    assert "ARREARS" not in decided(history=replace(REPEAT, worst_days_past_due=30)).reasons
    assert decided(history=replace(REPEAT, worst_days_past_due=31)).reasons[0] == "ARREARS"


def test_the_fourth_application_in_30_days_declines() -> None:
    assert decided(history=replace(FIRST_TIME, applications_in_window=3)).outcome == "approved"
    fourth = decided(history=replace(FIRST_TIME, applications_in_window=4))
    assert (fourth.outcome, fourth.reasons) == ("declined", ("VELOCITY",))


def test_a_score_in_the_band_is_referred_and_below_it_declined() -> None:
    """At 19, with a small income and no history, over 12 months: 360 points; with other debts 310."""
    young = somebody(19, occupation=None)
    referred = decided(asking(1_000_000, 12, income=3_100_000), young)
    assert (referred.score, referred.outcome, referred.reasons) == (360, "referred", ("SCORE_MIN",))
    declined = decided(asking(1_000_000, 12, income=3_100_000, others=310_000), young)
    assert (declined.score, declined.outcome, declined.reasons) == (310, "declined", ("SCORE_MIN",))


def test_more_than_the_limit_is_answered_with_the_limit() -> None:
    decision = decided(asking(8_000_000, 12, income=20_000_000), somebody(document=True))
    assert (decision.outcome, decision.offered_amount) == ("counter_offer", 5_000_000)
    assert decision.reasons == ("LIMIT_MAX",)


def test_a_counter_offer_satisfies_income_and_limit_together() -> None:
    decision = decided(asking(8_000_000, 6, income=3_100_000), somebody(document=True))
    assert decision.reasons == ("DSR_MAX", "LIMIT_MAX")
    assert decision.offered_amount == 5_000_000
    tighter = decided(asking(8_000_000, 3, income=3_100_000), somebody(document=True))
    assert tighter.offered_amount == 2_600_000


def test_the_strictest_outcome_wins_and_comes_first() -> None:
    decision = decided(
        asking(8_000_000, 12, income=3_100_000),
        somebody(19, status=UserStatus.REVIEW, occupation=None),
        replace(FIRST_TIME, active_loans=1),
    )
    assert decision.outcome == "declined"
    assert decision.reasons == ("ACTIVE_LOAN", "KYC_VERIFIED", "INCOME_EVIDENCE", "SCORE_MIN")
    assert [rule.code for rule in decision.rules if not rule.passed] == [
        "ACTIVE_LOAN",
        "KYC_VERIFIED",
        "INCOME_EVIDENCE",
        "SCORE_MIN",
        "LIMIT_MAX",
    ]


def test_a_referral_comes_before_a_counter_offer_though_its_rule_runs_later() -> None:
    decision = decided(asking(8_000_000, 6, income=3_100_000))
    assert (decision.outcome, decision.reasons) == ("referred", ("INCOME_EVIDENCE", "DSR_MAX", "LIMIT_MAX"))
    assert decision.offered_amount == 5_000_000


def test_a_rule_shows_what_it_saw_and_what_it_allows() -> None:
    rules = {rule.code: rule for rule in decided(asking(5_000_000, 3, income=3_100_000)).rules}
    assert (rules["DSR_MAX"].observed, rules["DSR_MAX"].limit) == ("1750686", "930000")
    assert (rules["AGE_RANGE"].observed, rules["AGE_RANGE"].limit) == ("30", "18-60")
    # 0.3 % a day of 2,600,000 over 90 days.
    assert rules["PRICE_CAP"].limit == "702000"


def test_a_price_over_a_cap_is_an_error_and_no_answer() -> None:
    dear = replace(POLICY, product=replace(POLICY.product, admin_fee_ppm=500_000))
    with pytest.raises(PriceOverCap):
        decide(asking(), somebody(), FIRST_TIME, dear, TODAY, decided_at=NOW)


@pytest.mark.parametrize(
    ("settled", "limit"),
    [
        ((), 5_000_000),
        ((0,), 8_000_000),
        ((5,), 8_000_000),
        ((6,), 5_000_000),
        ((0, 6, 1), 11_000_000),
        ((0, 0, 0), 12_000_000),
        ((0,) * 9, 12_000_000),
    ],
)
def test_the_limit_grows_with_every_loan_repaid_in_time(settled: tuple[int, ...], limit: int) -> None:
    assert credit_limit(replace(FIRST_TIME, settled_days_late=settled), POLICY) == limit


CASES = st.builds(
    lambda *parts: parts,
    st.builds(
        Application,
        amount=st.integers(5, 120).map(lambda steps: steps * 100_000),
        tenor_months=st.integers(1, 12),
        purpose=st.sampled_from(POLICY.product.purposes),
        monthly_income=st.integers(0, 40_000_000),
        other_instalments=st.integers(0, 5_000_000),
        consented_at=st.datetimes(
            datetime(2026, 1, 1),  # noqa: DTZ001  # The zone is the strategy's.
            datetime(2027, 1, 1),  # noqa: DTZ001  # The zone is the strategy's.
            timezones=st.sampled_from([UTC, timezone(timedelta(hours=7))]),
        ),
    ),
    st.builds(
        BorrowerSnapshot,
        age=st.integers(16, 97),
        status=st.sampled_from(UserStatus),
        has_income_document=st.booleans(),
        occupation=st.none() | st.text(max_size=20),
    ),
    st.builds(
        History,
        applications_in_window=st.integers(0, 6),
        active_loans=st.integers(0, 2),
        settled_days_late=st.lists(st.integers(0, 40), max_size=5).map(tuple),
        worst_days_past_due=st.none() | st.integers(0, 90),
    ),
    st.dates(date(2026, 1, 1), date(2027, 12, 31)),
)
Case = tuple[Application, BorrowerSnapshot, History, date]


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_every_decision_replays_bit_for_bit_from_what_json_kept(case: Case) -> None:
    decision = decide(*case[:3], POLICY, case[3], decided_at=NOW)
    kept = json.loads(json.dumps(decision.snapshot))
    assert kept == decision.snapshot
    again = replay(kept, POLICY)
    assert again == decision
    assert json.dumps(again.snapshot, sort_keys=True) == json.dumps(decision.snapshot, sort_keys=True)


@settings(max_examples=150, deadline=None)
@given(CASES)
def test_what_is_offered_is_affordable_within_the_limit_and_the_largest_such(case: Case) -> None:
    application, _, _, on = case
    decision = decide(*case[:3], POLICY, on, decided_at=NOW)
    assert (decision.offered_amount is None) == (decision.outcome == "declined")
    assert len(decision.reasons) == min(4, sum(not rule.passed for rule in decision.rules))
    if decision.offered_amount is None:
        return

    def fits(amount: int) -> bool:
        rows = quote(POLICY, amount=amount, tenor_months=application.tenor_months, start=on).schedule
        monthly = application.other_instalments + max(row.total for row in rows)
        return monthly * 1_000_000 <= 300_000 * application.monthly_income and amount <= decision.limit

    assert fits(decision.offered_amount)
    assert POLICY.product.amount_min <= decision.offered_amount <= application.amount
    assert decision.offered_amount == application.amount or not fits(decision.offered_amount + 100_000)
    assert (decision.outcome == "counter_offer") <= (decision.offered_amount < application.amount)


def test_every_code_has_words_in_both_languages() -> None:
    codes = {rule.code for rule in decided().rules} | {"approved", "counter_offer", "referred", "declined"}
    assert codes <= set(TEXTS)
    for code in TEXTS:
        assert reason_text(code, "id") != reason_text(code, "en")
        assert reason_text(code, "id").endswith(".")
        assert reason_text(code, "en").endswith(".")


def test_a_code_without_words_is_an_error() -> None:
    with pytest.raises(LookupError, match="'NO_SUCH'"):
        reason_text("NO_SUCH", "id")
