"""The policies that ship, and the refusal of any file that is wrong."""

from dataclasses import replace
from datetime import date
from importlib import resources

import pytest

from pinjam.domain.policy import Policies
from pinjam.domain.pricing import quote
from pinjam.policy import PolicyError, load_policies, read_policy
from pinjam.policy.limits import HARDEST_START

FILE = "2026-01-01.toml"
TEXT = (resources.files("pinjam.policy") / FILE).read_text("utf-8")


def changed(line: str, to: str) -> str:
    """The default policy's text with one line (or its beginning) changed."""
    assert TEXT.count(line) == 1, line
    return TEXT.replace(line, to)


def test_the_first_policy_holds_the_product_as_designed() -> None:
    policy = load_policies().get("2026-01-01")
    product, decision = policy.product, policy.decision
    assert (product.amount_min, product.amount_max, product.amount_step) == (500_000, 12_000_000, 100_000)
    assert (product.tenor_min_months, product.tenor_max_months) == (1, 12)
    assert (product.interest_method, product.monthly_rate_ppm, product.admin_fee_ppm) == ("declining", 25_000, 10_000)
    assert (product.late_fee_daily_ppm, product.late_fee_from_day, product.total_cap_ppm) == (1_000, 4, 1_000_000)
    assert [(cap.up_to_months, cap.ppm_per_day) for cap in product.price_caps] == [(6, 3_000), (12, 2_000)]
    assert product.offer_valid_days == 7
    assert (decision.age_min, decision.age_max, decision.income_min) == (18, 60, 3_000_000)
    assert (decision.evidence_above, decision.dsr_max_ppm, decision.arrears_max_days) == (5_000_000, 300_000, 30)
    assert (decision.applications_max, decision.applications_window_days) == (3, 30)
    assert (decision.first_limit, decision.limit_step, decision.limit_max) == (5_000_000, 3_000_000, 12_000_000)
    assert decision.limit_late_days_max == 5
    assert policy.verification.selfie_accept == 80
    assert policy.verification.selfie_review == 70
    assert policy.verification.attempts_per_day == 3
    assert policy.payment.qris_max == 10_000_000


def test_the_policy_of_a_day_is_the_latest_that_has_begun() -> None:
    first = load_policies().get("2026-01-01")
    second = replace(first, id="2026-07-01", effective_from=date(2026, 7, 1))
    policies = Policies((second, first))
    assert policies.on(date(2026, 1, 1)) is first
    assert policies.on(date(2026, 6, 30)) is first
    assert policies.on(date(2026, 7, 1)) is second


def test_before_the_first_policy_nothing_is_in_force() -> None:
    with pytest.raises(LookupError, match="no policy is in force on 2025-12-31: the first one starts on 2026-01-01"):
        load_policies().on(date(2025, 12, 31))


def test_a_policy_that_never_was_is_not_found() -> None:
    with pytest.raises(LookupError, match="'2020-01-01'"):
        load_policies().get("2020-01-01")


def test_the_hash_follows_the_values_and_not_the_comments() -> None:
    original = read_policy(FILE, TEXT)
    assert read_policy(FILE, TEXT + "\n# A remark.\n").hash == original.hash
    assert read_policy(FILE, changed("age_max = 60", "age_max = 61")).hash != original.hash


def test_every_amount_and_tenor_of_the_default_policy_is_within_the_caps() -> None:
    policy = load_policies().get("2026-01-01")
    product = policy.product
    for tenor in range(product.tenor_min_months, product.tenor_max_months + 1):
        per_day = 3_000 if tenor <= 6 else 2_000
        for amount in range(product.amount_min, product.amount_max + 1, product.amount_step):
            price = quote(policy, amount=amount, tenor_months=tenor, start=HARDEST_START)
            days = min(30 * tenor, (price.schedule[-1].due_date - HARDEST_START).days)
            assert (price.total_interest + price.admin_fee) * 1_000_000 <= per_day * amount * days
            assert price.total_interest + price.admin_fee <= amount


@pytest.mark.parametrize(
    ("line", "to", "message"),
    [
        ("amount_min = 500_000", "", "product.amount_min is missing"),
        ("amount_min = 500_000", "amount_min = 500_000\nbonus = 1", "product.bonus is not a key"),
        ("[payment]", "[payments]", "payments is not a key: there are .*payment"),
        ("monthly_rate_ppm = 25_000", "monthly_rate_ppm = 25_000.0", "product.monthly_rate_ppm must be a whole number"),
        ("monthly_rate_ppm = 25_000", "monthly_rate_ppm = true", "product.monthly_rate_ppm must be a whole number"),
        ("admin_fee_ppm = 10_000", "admin_fee_ppm = -1", "product.admin_fee_ppm .* at least 0, not -1"),
        ('interest_method = "declining"', 'interest_method = "balloon"', "interest_method must be one of declining, f"),
        ('purposes = ["education"', 'purposes = ["gambling"', r"purposes\[0\] must be one of education"),
        ('purposes = ["education"', 'purposes = ["other"', "product.purposes must not repeat"),
        ("effective_from = 2026-01-01", "effective_from = 2026-01-02", "effective_from must be the date in the file"),
        ("effective_from = 2026-01-01", 'effective_from = "2026-01-01"', "effective_from must be a date"),
        ("effective_from = 2026-01-01", 'effective_from = 2026-01-01\nid = "x"', "id must not be in the file"),
        ("effective_from = 2026-01-01", "effective_from =", "file must be TOML"),
        ("amount_step = 100_000", "amount_step = 0", "product.amount_step must be at least 1"),
        ("amount_step = 100_000", "amount_step = 300_000", "product.amount_min must be a multiple of amount_step, 300"),
        ("amount_max = 12_000_000", "amount_max = 400_000", "amount_min must be from amount_step to amount_max, 400"),
        ("tenor_min_months = 1", "tenor_min_months = 13", "tenor_min_months must be at most tenor_max_months, 12"),
        ("admin_fee_ppm = 10_000", "admin_fee_ppm = 1_000_000", "product.admin_fee_ppm must be below 1000000"),
        ("up_to_months = 6", "up_to_months = 12", "product.price_caps must not overlap"),
        ("up_to_months = 12", "up_to_months = 11", "product.price_caps must cover every tenor up to 12"),
        ("age_min = 18", "age_min = 61", "decision.age_min must be at most age_max, 60"),
        ("dsr_max_ppm = 300_000", "dsr_max_ppm = 1_000_001", "decision.dsr_max_ppm must be from 1 to 1000000"),
        ("first_limit = 5_000_000", "first_limit = 400_000", "decision.first_limit must be from amount_min to"),
        ("limit_max = 12_000_000", "limit_max = 12_100_000", "decision.limit_max must be at most product.amount_max"),
        ("refer_from = 340", "refer_from = 401", "decision.scorecard.refer_from must not overlap"),
        ("{ at_least = 56, points = 45 }", "{ at_least = 25, points = 45 }", "scorecard.age.bins must not overlap"),
        ("{ at_least = 56, points = 45 }", "{ at_least = 56 }", r"scorecard.age.bins\[4\].points is missing"),
        ("selfie_review = 70", "selfie_review = 80", "verification.selfie_review must be above 0 and below"),
        ("attempts_per_day = 3", "attempts_per_day = 0", "verification.attempts_per_day must be at least 1"),
        ("faults_before_review = 3", "faults_before_review = 0", "faults_before_review must be at least 1"),
        ("faults_before_review = 3", "faults_before_review = 9", "faults_before_review must be at most 8"),
        ("qris_max = 10_000_000", "qris_max = 0", "payment.qris_max must be at least 1"),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_limit(line: str, to: str, message: str) -> None:
    with pytest.raises(PolicyError, match=rf"^2026-01-01\.toml: .*{message}"):
        read_policy(FILE, changed(line, to))


def test_a_price_over_a_cap_does_not_load() -> None:
    """A month of 28 days allows 8.4 %: 7.4 % of interest and 1 % of fee just fit, a little more does not."""
    one_month = changed("tenor_max_months = 12", "tenor_max_months = 1")
    read_policy(FILE, one_month.replace("monthly_rate_ppm = 25_000", "monthly_rate_ppm = 74_000"))
    with pytest.raises(PolicyError, match=r"product\.price_caps must not be exceeded: .* 3000 ppm a day .* 28 days"):
        read_policy(FILE, one_month.replace("monthly_rate_ppm = 25_000", "monthly_rate_ppm = 74_001"))


def test_late_fees_over_the_cap_a_day_do_not_load() -> None:
    with pytest.raises(PolicyError, match=r"product\.late_fee_daily_ppm must not exceed 3000 ppm a day"):
        read_policy(FILE, changed("late_fee_daily_ppm = 1_000", "late_fee_daily_ppm = 3_000"))
