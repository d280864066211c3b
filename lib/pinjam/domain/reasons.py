"""Codes in words: what a borrower is told of a decision or of an identity check, in Indonesian and English."""

from collections.abc import Mapping

from pinjam.domain.user import Locale

TEXTS: Mapping[str, tuple[str, str]] = {
    # Outcomes of a decision.
    "approved": (
        "Selamat, pengajuan pinjaman Anda disetujui.",
        "Good news: your loan application is approved.",
    ),
    "counter_offer": (
        "Kami dapat menawarkan pinjaman dengan jumlah yang lebih kecil dari yang Anda ajukan.",
        "We can offer you a loan of a smaller amount than you asked for.",
    ),
    "referred": (
        "Pengajuan Anda perlu diperiksa oleh petugas kami. Kami akan segera mengabari Anda.",
        "One of our staff needs to look at your application. We will let you know soon.",
    ),
    "declined": (
        "Mohon maaf, kami belum dapat menyetujui pengajuan pinjaman Anda saat ini.",
        "We are sorry that we cannot approve your loan application at this time.",
    ),
    # Rules of a decision.
    "AGE_RANGE": (
        "Usia Anda saat ini berada di luar rentang usia yang dapat kami layani.",
        "Your age is at present outside the range that we can serve.",
    ),
    "INCOME_MIN": (
        "Penghasilan bulanan Anda masih di bawah batas minimum untuk pinjaman ini.",
        "Your monthly income is below the minimum for this loan.",
    ),
    "INCOME_EVIDENCE": (
        "Untuk jumlah ini kami memerlukan bukti penghasilan, misalnya slip gaji atau rekening koran.",
        "For this amount we need proof of income, such as a payslip or an account statement.",
    ),
    "DSR_MAX": (
        "Total cicilan per bulan akan melebihi bagian penghasilan yang aman untuk membayar utang.",
        "Your monthly instalments together would exceed the share of income that is safe to spend on debt.",
    ),
    "KYC_VERIFIED": (
        "Identitas Anda belum selesai diverifikasi.",
        "Your identity has not been verified.",
    ),
    "ACTIVE_LOAN": (
        "Anda masih memiliki pinjaman berjalan. Silakan ajukan lagi setelah pinjaman itu lunas.",
        "You still have a loan running. Please apply again once it is repaid.",
    ),
    "ARREARS": (
        "Ada cicilan di riwayat Anda yang terlambat lebih lama dari yang dapat kami terima.",
        "Your history has an instalment that was late for longer than we can accept.",
    ),
    "VELOCITY": (
        "Anda sudah beberapa kali mengajukan pinjaman belakangan ini. Silakan coba lagi dalam beberapa minggu.",
        "You have applied several times recently. Please try again in a few weeks.",
    ),
    "SCORE_MIN": (
        "Data pengajuan Anda secara keseluruhan belum memenuhi penilaian kami untuk persetujuan langsung.",
        "Taken together, the details of your application do not meet our standard for immediate approval.",
    ),
    "LIMIT_MAX": (
        "Jumlah yang Anda ajukan melebihi limit Anda. Limit naik setiap kali pinjaman lunas tepat waktu.",
        "You asked for more than your limit. Your limit grows each time you repay a loan on time.",
    ),
    "PRICE_CAP": (
        "Harga pinjaman ini melebihi batas peraturan, sehingga tidak dapat ditawarkan.",
        "The price of this loan exceeds what the rules allow, so it cannot be offered.",
    ),
    "REVIEWED_DECLINED": (
        "Petugas kami sudah memeriksa pengajuan Anda dan belum dapat menyetujuinya.",
        "One of our staff has looked at your application and cannot approve it.",
    ),
    # Checks of an identity.
    "KYC_NIK": (
        "NIK tidak ditemukan atau tidak cocok dengan data kependudukan. Periksa kembali nomor KTP Anda.",
        "Your NIK was not found in, or does not match, the civil registry. Please check your KTP number.",
    ),
    "KYC_NAME": (
        "Nama yang Anda isi berbeda dengan nama pada data kependudukan.",
        "The name that you entered differs from the one in the civil registry.",
    ),
    "KYC_BIRTH_DATE": (
        "Tanggal lahir berbeda dengan data kependudukan dan sedang diperiksa petugas kami.",
        "Your birth date differs from the civil registry; our staff are checking it.",
    ),
    "KYC_SELFIE": (
        "Foto diri tidak cocok dengan foto pada KTP. Ambil ulang di tempat terang tanpa penutup wajah.",
        "Your selfie does not match the photo on your KTP. Please take it again in good light, face uncovered.",
    ),
    "KYC_SELFIE_UNSURE": (
        "Foto diri belum cukup jelas untuk dicocokkan dengan KTP dan sedang diperiksa petugas kami.",
        "Your selfie is not clear enough to match with your KTP; our staff are checking it.",
    ),
    "KYC_LIVENESS": (
        "Foto diri harus diambil langsung dengan kamera, bukan dari foto atau layar lain.",
        "Your selfie must be taken live with the camera, not from another photo or screen.",
    ),
    "KYC_UNANSWERED": (
        "Sebagian pemeriksaan identitas belum mendapat jawaban dan sedang dilanjutkan petugas kami.",
        "Part of the identity check has had no answer yet; our staff are following it up.",
    ),
    "REVIEWED_REJECTED": (
        "Petugas kami sudah memeriksa dan belum dapat memastikan identitas Anda dari foto yang dikirim.",
        "One of our staff has looked and cannot confirm your identity from the pictures that you sent.",
    ),
    "NIK_BIRTH_DATE_DIFFERS": (
        "Tanggal lahir pada KTP berbeda dengan tanggal pada NIK dan sedang diperiksa petugas kami.",
        "The birth date on your KTP differs from the one in your NIK; our staff are checking it.",
    ),
    "NIK_GENDER_DIFFERS": (
        "Jenis kelamin pada KTP berbeda dengan yang tercatat pada NIK dan sedang diperiksa petugas kami.",
        "The gender on your KTP differs from the one in your NIK; our staff are checking it.",
    ),
}
"""For each code its Indonesian and its English text. Codes never change their meaning."""


def reason_text(code: str, locale: Locale) -> str:
    """What a code means, to the borrower. LookupError for a code without words."""
    if code not in TEXTS:
        raise LookupError(f"no text for the code {code!r}")
    indonesian, english = TEXTS[code]
    return english if locale == "en" else indonesian
