"""What acceptance binds: the frozen facts, and the sentences that a borrower must have understood."""

from datetime import date, datetime

from pinjam.domain.loan import Contract, Loan, Purpose, Quote, Signatory
from pinjam.domain.money import PPM, divide, format_rupiah
from pinjam.domain.policy import Policy
from pinjam.domain.user import Locale, User

MONTHS_ID = (
    "Januari",
    "Februari",
    "Maret",
    "April",
    "Mei",
    "Juni",
    "Juli",
    "Agustus",
    "September",
    "Oktober",
    "November",
    "Desember",
)
MONTHS_EN = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

PURPOSES: dict[Purpose, tuple[str, str]] = {
    "education": ("pendidikan", "education"),
    "health": ("kesehatan", "health"),
    "home": ("kebutuhan rumah", "my home"),
    "business": ("usaha", "business"),
    "travel": ("perjalanan", "travel"),
    "family": ("kebutuhan keluarga", "family"),
    "other": ("keperluan lain", "other needs"),
}


def contract_number(loan_id: str) -> str:
    """The number on the contract: the loan's id without its prefix, as unique as the id, `PJM-01JQ…`."""
    return f"PJM-{loan_id.rpartition('_')[2].upper()}"


def signatory(user: User) -> Signatory:
    """A borrower as a party to a contract. ValueError for one without a bank account."""
    account = user.bank_account
    if account is None:
        raise ValueError(f"{user.id} has no bank account")
    return Signatory(
        full_name=user.full_name,
        nik_masked=user.nik_masked,
        address=user.address,
        bank_code=account.bank_code,
        account_number=account.account_number,
        account_name=account.account_name,
    )


def freeze(
    loan: Loan, policy: Policy, *, borrower: Signatory | None, accepted_at: datetime, locale: Locale
) -> Contract:
    """The contract on a loan's offer. ValueError if the loan has none, or the policy is not the offer's."""
    offer = loan.offer
    if offer is None:
        raise ValueError(f"{loan.id} has no offer to accept")
    if offer.policy_id != policy.id:
        raise ValueError(f"{loan.id} was offered under policy {offer.policy_id}, not {policy.id}")
    return Contract(
        number=contract_number(loan.id),
        quote=offer,
        late_fee_daily_ppm=policy.product.late_fee_daily_ppm,
        late_fee_from_day=policy.product.late_fee_from_day,
        total_cap_ppm=policy.product.total_cap_ppm,
        statements=statements(offer, policy, locale, purpose=loan.purpose),
        locale=locale,
        accepted_at=accepted_at,
        policy_id=policy.id,
        policy_hash=policy.hash,
        borrower=borrower,
    )


def statements(price: Quote, policy: Policy, locale: Locale, *, purpose: Purpose) -> tuple[str, ...]:
    """The six statements of understanding, in their order, with the loan's own figures."""
    return _statements_en(price, policy, purpose) if locale == "en" else _statements_id(price, policy, purpose)


def risks(policy: Policy, locale: Locale) -> tuple[str, ...]:
    """What can go wrong for the borrower, for the personal summary of an offer."""
    share = percent(policy.decision.dsr_max_ppm, locale)
    if locale == "en":
        return (
            "You pay back more than you receive: interest and fees are the price of a loan.",
            "Late instalments cost a late fee for every day and make the debt grow.",
            "Arrears are reported to the credit registry (SLIK OJK) and can keep you from credit elsewhere.",
            f"Instalments to all lenders together should stay below {share} of your income.",
        )
    return (
        "Anda membayar kembali lebih banyak daripada yang Anda terima: bunga dan biaya adalah harga pinjaman.",
        "Cicilan yang terlambat dikenakan denda setiap hari dan membuat utang bertambah.",
        "Tunggakan dilaporkan ke SLIK OJK dan dapat menyulitkan Anda memperoleh kredit di tempat lain.",
        f"Cicilan ke semua pemberi pinjaman sebaiknya tidak melebihi {share} dari penghasilan Anda.",
    )


def percent(ppm: int, locale: Locale) -> str:
    """A rate in words of the borrower: `2,5%`, with at most two decimals, rounded half up."""
    hundredths = divide(ppm, PPM // 10_000, "half_up")
    whole, fraction = divmod(hundredths, 100)
    decimals = f"{fraction:02}".rstrip("0")
    mark = "." if locale == "en" else ","
    return f"{whole}{mark}{decimals}%" if decimals else f"{whole}%"


def spell_date(day: date, locale: Locale) -> str:
    """A date in words: `15 Maret 2026`."""
    months = MONTHS_EN if locale == "en" else MONTHS_ID
    return f"{day.day} {months[day.month - 1]} {day.year}"


def _total_cap(price: Quote, policy: Policy) -> str:
    return format_rupiah(price.amount * policy.product.total_cap_ppm // PPM)


def _statements_id(price: Quote, policy: Policy, purpose: Purpose) -> tuple[str, ...]:
    product, first, last = policy.product, price.schedule[0], price.schedule[-1]
    instalments = f"{price.tenor_months} cicilan bulanan sebesar {format_rupiah(first.total)}"
    if last.total != first.total:
        instalments += f" (yang terakhir {format_rupiah(last.total)})"
    return (
        (
            f"Saya meminjam {format_rupiah(price.amount)} selama {price.tenor_months} bulan untuk"
            f" {PURPOSES[purpose][0]} dan menerima {format_rupiah(price.disbursed_amount)} setelah dipotong biaya admin"
            f" {format_rupiah(price.admin_fee)}."
        ),
        (
            f"Seluruhnya saya membayar kembali {format_rupiah(price.total_payable)}, termasuk bunga"
            f" {format_rupiah(price.total_interest)} ({percent(price.monthly_rate_ppm, 'id')} per bulan). Bunga dan"
            f" biaya setara dengan {percent(price.effective_annual_rate_ppm, 'id')} per tahun."
        ),
        (
            f"Saya membayar {instalments}. Bila dana cair sesuai simulasi ini, jatuh tempo pertama"
            f" {spell_date(first.due_date, 'id')} dan terakhir {spell_date(last.due_date, 'id')}; tanggal pastinya"
            " mengikuti tanggal pencairan."
        ),
        (
            f"Mulai hari ke-{product.late_fee_from_day} keterlambatan saya dikenakan denda"
            f" {percent(product.late_fee_daily_ppm, 'id')} per hari dari pokok dan bunga cicilan yang belum dibayar."
            f" Bunga, biaya, dan denda bersama-sama tidak akan melebihi {_total_cap(price, policy)}."
        ),
        (
            "Bila saya tidak membayar tepat waktu, denda bertambah, saya akan dihubungi untuk penagihan, dan tunggakan"
            " dilaporkan ke Sistem Layanan Informasi Keuangan (SLIK) OJK, yang dapat menyulitkan saya memperoleh kredit"
            " di tempat lain."
        ),
        (
            "Data pribadi saya dipakai untuk memeriksa identitas, menilai pengajuan, mencairkan, dan menagih pinjaman"
            " ini, dan hanya dibagikan kepada pihak yang diperlukan untuk itu atau yang diwajibkan hukum. Saya dapat"
            " meminta salinan dan penghapusannya menurut UU No. 27 Tahun 2022."
        ),
    )


def _statements_en(price: Quote, policy: Policy, purpose: Purpose) -> tuple[str, ...]:
    product, first, last = policy.product, price.schedule[0], price.schedule[-1]
    months = "1 month" if price.tenor_months == 1 else f"{price.tenor_months} months"
    instalments = "1 instalment" if price.tenor_months == 1 else f"{price.tenor_months} monthly instalments"
    instalments += f" of {format_rupiah(first.total)}"
    if last.total != first.total:
        instalments += f" (the last one {format_rupiah(last.total)})"
    return (
        (
            f"I borrow {format_rupiah(price.amount)} for {months}, for {PURPOSES[purpose][1]}, and receive"
            f" {format_rupiah(price.disbursed_amount)} after an admin fee of {format_rupiah(price.admin_fee)}."
        ),
        (
            f"In all I pay back {format_rupiah(price.total_payable)}, of which {format_rupiah(price.total_interest)} is"
            f" interest ({percent(price.monthly_rate_ppm, 'en')} a month). Interest and fees equal"
            f" {percent(price.effective_annual_rate_ppm, 'en')} a year."
        ),
        (
            f"I pay {instalments}. If the money arrives as in this simulation, the first is due on"
            f" {spell_date(first.due_date, 'en')} and the last on {spell_date(last.due_date, 'en')}; the exact dates"
            " follow the day of the payout."
        ),
        (
            f"From day {product.late_fee_from_day} past due I pay a late fee of"
            f" {percent(product.late_fee_daily_ppm, 'en')} a day of the instalment's unpaid principal and interest."
            f" Interest, fees and late fees together will not exceed {_total_cap(price, policy)}."
        ),
        (
            "If I do not pay in time, late fees grow, I will be contacted for collection, and arrears are reported to"
            " the credit registry of OJK (SLIK), which can keep me from credit elsewhere."
        ),
        (
            "My personal data is used to check my identity, to assess the application, and to pay out and collect this"
            " loan, and is shared only with those who are needed for that or whom the law names. I can ask for a copy"
            " and for erasure under Law 27 of 2022."
        ),
    )
