"""The PDFs: the same bytes for the same facts, every figure in their text, and nothing beyond a page's edge."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import pytest
from pypdf import PdfReader
from reportlab.lib.pagesizes import A5
from reportlab.pdfbase.pdfmetrics import stringWidth
from tests.domain.loans import POLICY, accepted, lent

from pinjam.adapters.pdf import BOLD, EDGE_PT, REGULAR, ReportlabPress
from pinjam.domain.contract import percent, risks
from pinjam.domain.loan import InterestMethod, Loan
from pinjam.domain.money import PPM, format_rupiah
from pinjam.domain.user import Locale
from pinjam.services.loan_sheets import Party, contract_sheet, summary_sheet
from pinjam.services.sheet import Grid, Numbered, Pairs, Section, Sheet, Words

PARTY = Party(
    full_name="Siti Rahmawati",
    nik_masked="3171********0001",
    address="Jalan Melati 5, RT 03/RW 07, Jakarta Pusat 10310",
    bank_code="bca",
    account_number="******7890",
    account_name="SITI RAHMAWATI",
)
NUMBER = "PJM-01JQ8ZK4W3N5Y7XH2VBCDEFGHJ"
PRESS = ReportlabPress()


def numbered(loan: Loan) -> Loan:
    """The loan with a number as long as real ones."""
    assert loan.contract is not None
    return replace(loan, contract=replace(loan.contract, number=NUMBER))


def contract_of(loan: Loan, party: Party = PARTY, *, dated: bool = True) -> bytes:
    assert loan.contract is not None
    return PRESS.press(contract_sheet(loan, loan.contract, party, dated=dated))


class Run(NamedTuple):
    """Text that was printed in one go, and its place across the page, in points."""

    text: str
    size: float
    left: float
    right: float


def runs(content: bytes) -> list[Run]:
    found = []

    def visit(part: str, cm: list[float], tm: list[float], font: dict[str, str] | None, size: float) -> None:
        part = part.strip()
        if part and font is not None:
            left = tm[4] * cm[0] + cm[4]
            width = stringWidth(part, BOLD if "Bold" in font["/BaseFont"] else REGULAR, size)
            found.append(Run(part, size, left, left + width))

    for page in PdfReader(io.BytesIO(content)).pages:
        page.extract_text(visitor_text=visit)
    return found


def pages(content: bytes) -> list[str]:
    """Each page's text, with every run of space and line ends as one space."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(content)).pages]


def text(content: bytes) -> str:
    return " ".join(pages(content))


def test_the_same_facts_make_the_same_bytes_in_any_thread_and_other_facts_do_not() -> None:
    loan = numbered(lent(12_000_000, 12, date(2026, 11, 24)))
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: contract_of(loan), range(8)))
    assert len(made) == 1
    assert contract_of(loan, replace(PARTY, full_name="Siti Rahmawatu")) not in made


def test_nothing_in_a_pdf_tells_when_or_where_it_was_made() -> None:
    reader = PdfReader(io.BytesIO(contract_of(numbered(lent(500_000, 1, date(2026, 11, 24))))))
    assert reader.metadata is not None
    assert reader.metadata.title == f"Perjanjian Pinjaman {NUMBER}"
    assert reader.metadata.author == "PT XYZ"
    assert reader.metadata.creation_date is not None
    assert reader.metadata.creation_date.year == 2000
    assert str(reader.root_object["/Lang"]) == "id"


@pytest.mark.parametrize("method", ["declining", "flat"])
@pytest.mark.parametrize(("amount", "tenor"), [(12_000_000, 12), (3_000_000, 6), (500_000, 1)])
@pytest.mark.parametrize("paid_out", [False, True])
def test_every_figure_of_the_contract_is_in_its_text_to_the_rupiah(
    method: InterestMethod, amount: int, tenor: int, *, paid_out: bool
) -> None:
    make = lent if paid_out else accepted
    loan = numbered(make(amount, tenor, date(2026, 11, 24), method=method))
    contract = loan.contract
    assert contract is not None
    price, found = contract.quote, text(contract_of(loan))
    sums = [
        *(price.amount, price.admin_fee, price.disbursed_amount, price.instalment, price.total_interest),
        *(price.total_payable, price.amount * contract.total_cap_ppm // PPM),
        *(figure for row in price.schedule for figure in (row.principal, row.interest, row.total, row.balance)),
    ]
    printed = set(re.findall(r"Rp[\d.]*\d", found))
    assert {format_rupiah(one) for one in sums} <= printed
    for rate in (price.monthly_rate_ppm, price.effective_annual_rate_ppm, contract.late_fee_daily_ppm):
        assert percent(rate, "id") in found
    for row in price.schedule:
        figures = (row.principal, row.interest, row.total, row.balance)
        day = row.due_date
        months = ["Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"]
        line = [str(row.number), f"{day.day} {months[day.month - 1]} {day.year}", *map(format_rupiah, figures)]
        assert " ".join(line) in found
    for statement in contract.statements:
        assert statement in found
    for known in (*PARTY_TEXTS, "PT XYZ", contract.policy_hash[:32], "10.00.00 WIB", "2026-01-01T03:00:00.000Z"):
        assert known in found
    assert ("Dana cair pada 24 November 2026" in found) is paid_out
    assert ("mengikuti tanggal pencairan: cicilan pertama" in found) is not paid_out


PARTY_TEXTS = ("Siti Rahmawati", "3171********0001", "Jalan Melati 5, RT 03/RW 07", "BCA", "******7890")


def test_the_contract_says_what_the_law_and_the_regulator_want_said() -> None:
    found = text(contract_of(numbered(accepted(3_000_000, 6, date(2026, 11, 24)))))
    for words in ("Undang-Undang No. 27 Tahun 2022", "SLIK", "LAPS SJK", "Kontak OJK 157", "Peminjam boleh melunasi"):
        assert words in found


def test_every_page_bears_the_contracts_number_and_its_own() -> None:
    made = pages(contract_of(numbered(lent(12_000_000, 12, date(2026, 11, 24)))))
    assert len(made) > 1
    for number, page in enumerate(made, 1):
        assert NUMBER in page
        assert f"Halaman {number} dari {len(made)}" in page


def test_a_table_of_twelve_instalments_of_the_largest_loan_has_letters_of_ten_points_and_stays_on_the_page() -> None:
    seen = runs(contract_of(numbered(lent(12_000_000, 12, date(2026, 12, 31)))))
    assert "Rp14.038.146" in {run.text for run in seen}
    assert min(run.size for run in seen) >= 10
    assert [run for run in seen if run.left < EDGE_PT - 0.1 or run.right > A5[0] - EDGE_PT + 0.1] == []


def test_a_table_that_is_too_wide_gets_smaller_letters_and_stays_on_the_page() -> None:
    amount = "Rp" + "9" * 40
    wide = Grid(head=("a", "b", "c"), rows=(("1", amount, amount),), foot=("", "", ""), amounts_from=1)
    amounts = [run for run in runs(PRESS.press(sheet(wide))) if amount in run.text]
    assert len(amounts) == 2
    assert all(run.size < 10 and run.right <= A5[0] - EDGE_PT for run in amounts)


def sheet(*blocks: Words | Pairs | Numbered | Grid, title: str = "Judul") -> Sheet:
    return Sheet(
        title=title,
        lead="",
        author="PT XYZ",
        footer="PJM-1",
        page="{number}/{count}",
        locale="id",
        sections=(Section(heading="Satu", blocks=blocks),),
    )


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("José d'Été-Müller", "José d'Été-Müller"),
        ("Nguyễn Thị Ánh", "Nguyen Thi Ánh"),
        ("Zdzisława Wiśniewska", "Zdzisława Wisniewska"),
        ("山田 Li", "[U+5C71 U+7530] Li"),
        ("Мария", "[U+041C U+0430 U+0440 U+0438 U+044F]"),
        ("A <b>bold</b> & Co", "A <b>bold</b> & Co"),
        ("Panjang " * 12, " ".join(["Panjang"] * 12)),
        ("X" * 100, "X" * 100),
    ],
)
def test_no_name_breaks_the_contract(name: str, printed: str) -> None:
    loan = numbered(accepted(3_000_000, 6, date(2026, 11, 24)))
    found = text(contract_of(loan, replace(PARTY, full_name=name)))
    assert printed.replace(" ", "") in found.replace(" ", "")
    assert "3171********0001" in found


def test_a_long_paper_is_broken_into_pages_and_loses_nothing() -> None:
    items = tuple(f"Kalimat nomor {number} dari banyak kalimat." for number in range(200))
    rows = tuple((f"Nama {number}", f"nilai {number}") for number in range(100))
    made = pages(PRESS.press(sheet(Words("Awal."), Numbered(items), Pairs(rows))))
    assert f"{len(made)}/{len(made)}" in made[-1]
    found = " ".join(made)
    assert all(item in found for item in items)
    assert all(f"{name} {value}" in found for name, value in rows)


@pytest.mark.parametrize("locale", ["id", "en"])
def test_the_summary_has_the_price_the_schedule_the_risks_and_the_statements(locale: Locale) -> None:
    loan = replace(accepted(3_000_000, 6, date(2026, 11, 24)), offer_expires_on=date(2026, 12, 1), contract=None)
    assert loan.offer is not None
    statements, told = ("Kalimat satu.", "Kalimat dua."), risks(POLICY, locale)
    made = PRESS.press(summary_sheet(loan, loan.offer, POLICY, risks=told, statements=statements, locale=locale))
    found = text(made)
    for row in loan.offer.schedule:
        assert all(format_rupiah(one) in found for one in (row.principal, row.interest, row.total, row.balance))
    for words in (*statements, *told):
        assert words in found
    assert ("1 December 2026" if locale == "en" else "1 Desember 2026") in found
    assert ("Your loan summary" if locale == "en" else "Ringkasan pinjaman Anda") in found
    assert str(PdfReader(io.BytesIO(made)).root_object["/Lang"]) == locale
