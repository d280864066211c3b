"""What a loan's papers say: the contract, and the personal summary of an offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Protocol, cast

from pinjam.domain.calendar import JAKARTA
from pinjam.domain.contract import PURPOSES, contract_number, percent, spell_date
from pinjam.domain.loan import ScheduleRow
from pinjam.domain.money import PPM, format_rupiah
from pinjam.domain.payoff import rule
from pinjam.services.sheet import Grid, Numbered, Pairs, Section, Sheet, Words
from pinjam.wording import load

if TYPE_CHECKING:
    from pinjam.domain.loan import Contract, Instalment, Loan, Quote
    from pinjam.domain.policy import Policy
    from pinjam.domain.user import Locale
    from pinjam.services.sheet import Block

Texts = Mapping[str, str]
SHORT_MONTHS: Mapping[Locale, tuple[str, ...]] = {
    "id": ("Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The borrower as the contract names them: `account_number` masked, `address` readable."""

    full_name: str
    nik_masked: str
    address: str | None
    bank_code: str
    account_number: str
    account_name: str


class _LateCost(Protocol):
    """What being late costs: a contract and a policy's product name it alike."""

    @property
    def late_fee_daily_ppm(self) -> int: ...

    @property
    def late_fee_from_day(self) -> int: ...

    @property
    def total_cap_ppm(self) -> int: ...


def contract_sheet(loan: Loan, contract: Contract, party: Party, *, dated: bool) -> Sheet:
    """The contract, in Indonesian. With `dated`, the schedule is that of the payout, if there has been one."""
    texts, price = load("papers")["contract"], contract.quote
    headings, labels, clauses = _texts(texts, "headings"), _texts(texts, "labels"), _texts(texts, "clauses")
    accepted = _spell_instant(contract.accepted_at)
    disbursed_on = loan.disbursed_on if dated else None
    rows = _rows_of(loan.instalments, price.amount) if disbursed_on else price.schedule
    when = (
        clauses["schedule_dated"].format(disbursed=spell_date(disbursed_on, "id"))
        if disbursed_on
        else clauses["schedule_undated"]
    )
    language = _texts(texts, "languages")[contract.locale]
    bodies: Mapping[str, tuple[Block, ...]] = {
        "parties": (_parties(party, str(texts["lender"]), labels), Words(clauses["parties"])),
        "price": (Pairs(_price(price, "id", {labels["purpose"]: PURPOSES[loan.purpose][0]})),),
        "schedule": (Words(when), _grid(rows, price, "id")),
        "payout": (
            Pairs(
                (
                    (labels["bank"], party.bank_code.upper()),
                    (labels["account_number"], party.account_number),
                    (labels["account_name"], party.account_name),
                )
            ),
            Words(clauses["payout"].format(received=format_rupiah(price.disbursed_amount))),
        ),
        "late": (
            Pairs(_late(contract, price.amount, "id")),
            Words(clauses["late"]),
            Words(clauses["order"]),
        ),
        "early": (Words(clauses["early"].format(rule=rule("id"))),),
        "default": (Words(clauses["default"]),),
        "data": (Words(clauses["data"]),),
        "disputes": (Words(clauses["complaints"]), Words(clauses["disputes"]), Words(clauses["rules"])),
        "statements": (
            Words(clauses["statements"].format(accepted=accepted, language=language)),
            Numbered(contract.statements),
            _evidence(contract, accepted, labels),
        ),
    }
    return Sheet(
        title=str(texts["title"]),
        lead=str(texts["lead"]).format(number=contract.number, accepted=accepted),
        author=str(texts["lender"]),
        footer=contract.number,
        page=str(texts["page"]),
        locale="id",
        sections=tuple(Section(heading=headings[name], blocks=blocks) for name, blocks in bodies.items()),
    )


def summary_sheet(
    loan: Loan, price: Quote, policy: Policy, *, risks: Iterable[str], statements: Iterable[str], locale: Locale
) -> Sheet:
    """The personal summary of an offer, in the borrower's language."""
    texts = cast("Mapping[str, object]", load("papers")["summary"][locale])
    headings, number = _texts(texts, "headings"), contract_number(loan.id)
    if loan.contract is not None:
        standing = str(texts["accepted"]).format(number=number)
    elif loan.offer_expires_on is not None:
        standing = str(texts["until"]).format(date=spell_date(loan.offer_expires_on, locale))
    else:
        standing = ""
    bodies: Mapping[str, tuple[Block, ...]] = {
        "price": (Pairs(_price(price, locale, {})),),
        "schedule": (_grid(price.schedule, price, locale),),
        "late": (Pairs(_late(loan.contract or policy.product, price.amount, locale)),),
        "risks": (Numbered(tuple(risks)),),
        "statements": (Numbered(tuple(statements)),),
    }
    return Sheet(
        title=str(texts["title"]),
        lead=f"{texts['lead']} {standing}".strip(),
        author=str(texts["author"]),
        footer=number,
        page=str(texts["page"]),
        locale=locale,
        sections=tuple(Section(heading=headings[name], blocks=blocks) for name, blocks in bodies.items()),
    )


def summary_filename(loan: Loan, locale: Locale) -> str:
    """What the summary is saved as."""
    texts = cast("Mapping[str, object]", load("papers")["summary"][locale])
    return f"{contract_number(loan.id)}-{texts['filename']}.pdf"


def _parties(party: Party, lender: str, labels: Texts) -> Pairs:
    rows = [
        (labels["lender"], lender),
        (labels["borrower"], party.full_name),
        (labels["nik"], party.nik_masked),
    ]
    if party.address is not None:
        rows.append((labels["address"], party.address))
    return Pairs(tuple(rows))


def _price(price: Quote, locale: Locale, after_amount: Texts) -> tuple[tuple[str, str], ...]:
    """The price, every figure of it. `after_amount` are rows that only one of the papers has."""
    labels, values = _price_texts(locale)
    tenor = "tenor_one" if price.tenor_months == 1 else "tenor"
    return (
        (labels["amount"], format_rupiah(price.amount)),
        *after_amount.items(),
        (labels["tenor"], values[tenor].format(months=price.tenor_months)),
        (labels["method"], values[price.interest_method]),
        (labels["rate"], percent(price.monthly_rate_ppm, locale)),
        (labels["interest"], format_rupiah(price.total_interest)),
        (labels["admin_fee"], format_rupiah(price.admin_fee)),
        (labels["received"], format_rupiah(price.disbursed_amount)),
        (labels["instalment"], format_rupiah(price.instalment)),
        (labels["total"], format_rupiah(price.total_payable)),
        (labels["effective"], percent(price.effective_annual_rate_ppm, locale)),
    )


def _late(cost: _LateCost, amount: int, locale: Locale) -> tuple[tuple[str, str], ...]:
    labels, values = _price_texts(locale)
    cap = format_rupiah(amount * cost.total_cap_ppm // PPM)
    return (
        (labels["late_fee"], values["late_fee"].format(rate=percent(cost.late_fee_daily_ppm, locale))),
        (labels["late_from"], values["late_from"].format(day=cost.late_fee_from_day)),
        (labels["cap"], values["cap"].format(amount=cap, share=percent(cost.total_cap_ppm, locale))),
    )


def _grid(rows: Iterable[ScheduleRow], price: Quote, locale: Locale) -> Grid:
    texts = cast("Mapping[str, Mapping[str, object]]", load("papers")["price"][locale])["grid"]
    return Grid(
        head=tuple(cast("list[str]", texts["head"])),
        rows=tuple(
            (
                str(row.number),
                _short_date(row.due_date, locale),
                *(format_rupiah(amount) for amount in (row.principal, row.interest, row.total, row.balance)),
            )
            for row in rows
        ),
        foot=(
            "",
            str(texts["foot"]),
            *(format_rupiah(amount) for amount in (price.amount, price.total_interest, price.total_payable)),
            "",
        ),
        amounts_from=2,
    )


def _rows_of(instalments: Iterable[Instalment], amount: int) -> Iterable[ScheduleRow]:
    """A live loan's schedule as it was asked for at the payout, whatever was paid since."""
    balance = amount
    for one in instalments:
        balance -= one.principal
        yield ScheduleRow(
            number=one.number,
            due_date=one.due_date,
            principal=one.principal,
            interest=one.interest,
            total=one.principal + one.interest,
            balance=balance,
        )


def _evidence(contract: Contract, accepted: str, labels: Texts) -> Pairs:
    instant = contract.accepted_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Pairs(
        (
            (labels["accepted"], accepted),
            (labels["accepted_utc"], instant),
            (labels["policy"], contract.policy_id),
            (labels["policy_hash"], contract.policy_hash),
        )
    )


def _spell_instant(at: datetime) -> str:
    local = at.astimezone(JAKARTA)
    return f"{spell_date(local.date(), 'id')} pukul {local:%H.%M.%S} WIB"


def _short_date(day: date, locale: Locale) -> str:
    return f"{day.day} {SHORT_MONTHS[locale][day.month - 1]} {day.year}"


def _price_texts(locale: Locale) -> tuple[Texts, Texts]:
    texts = cast("Mapping[str, object]", load("papers")["price"][locale])
    return _texts(texts, "labels"), _texts(texts, "values")


def _texts(holder: Mapping[str, object], name: str) -> Texts:
    return cast("Texts", holder[name])
