"""Writes the price tables that a test compares with: `python -m pinjam.local.golden`, or `make golden`.

One page for each policy, interest method and tenor has the whole quote of three amounts, so that a change
of price shows in a diff and has to be meant.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

from pinjam.domain.loan import InterestMethod, Quote
from pinjam.domain.policy import Policy
from pinjam.domain.pricing import quote
from pinjam.policy import load_policies

FOLDER = Path("tests/golden")
AMOUNTS = (500_000, 3_000_000, 12_000_000)
START = date(2026, 1, 31)
"""A day that most months have to clamp."""
METHODS: tuple[InterestMethod, ...] = ("declining", "flat")
FIGURES = (
    "monthly_rate_ppm",
    "admin_fee",
    "disbursed_amount",
    "instalment",
    "total_interest",
    "total_payable",
    "effective_annual_rate_ppm",
)


def tables(policies: Iterable[Policy]) -> Mapping[Path, str]:
    """Each page's path under `FOLDER`, `2026-01-01/declining-03.txt`, and its text as it should be."""
    return {
        Path(policy.id, f"{method}-{tenor:02}.txt"): _page(policy, method, tenor)
        for policy in policies
        for method in METHODS
        for tenor in range(policy.product.tenor_min_months, policy.product.tenor_max_months + 1)
    }


def _page(policy: Policy, method: InterestMethod, tenor: int) -> str:
    # A policy offers one method; the other is the same price with that one thing changed.
    priced = replace(policy, product=replace(policy.product, interest_method=method))
    title = f"policy {policy.id}, {method}, tenor {tenor}, paid out on {START}; rupiah, rates in ppm\n"
    quotes = (quote(priced, amount=amount, tenor_months=tenor, start=START) for amount in AMOUNTS)
    return title + "".join(_section(price) for price in quotes)


def _section(price: Quote) -> str:
    lines = ["", f"amount {price.amount}"]
    lines += [f"  {name:26}{getattr(price, name):>10}" for name in FIGURES]
    lines += [f"  {'n':>2}  {'due':10}{'principal':>12}{'interest':>10}{'total':>12}{'balance':>12}"]
    lines += [
        f"  {row.number:>2}  {row.due_date}{row.principal:>12}{row.interest:>10}{row.total:>12}{row.balance:>12}"
        for row in price.schedule
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every page, in the repository's folder."""
    if not FOLDER.is_dir():
        sys.exit(f"{Path.cwd()} has no folder `{FOLDER}`; run this in the repository")
    for page, text in tables(load_policies().policies).items():
        path = FOLDER / page
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {FOLDER}\n")


if __name__ == "__main__":
    main()
