"""What the machine leaves to a person: staff decide beside the running system, and the road goes on."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pinjam.local.people import DOUBTFUL
from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem
from pinjam.review import main

AtOnce = Callable[[int, Callable[[int], int]], list[int]]
BY = ("--reason", "spoke with them at the branch", "--by", "dewi")


def staff(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as staff run it, with nothing but the system's folder to go by."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PINJAM_")}
    return subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-m", "pinjam.review", *arguments],
        env=environment | {"PINJAM_STATE": str(state)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def doubtful(walker: Walker) -> Walker:
    """Somebody whose face is so-so, with a bank account."""
    walker.person = walker.people.person(nik_ending=DOUBTFUL)
    walker.register().expect(201)
    for kind in ("ktp", "selfie"):
        walker.upload(kind).expect(201)
    assert walker.checked()["status"] == "review"
    income = {"monthly_income": 9_000_000, "other_instalments": 0}
    walker.change(**income, bank_account=walker.person.bank_account).expect(200)
    return walker


def test_whom_staff_approve_borrows_what_staff_approve(
    doubtful: Walker, road: Road, system: LocalSystem, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user_id = doubtful.profile().expect(200)["id"]
    assert main(["show", user_id, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["score"] for one in shown["identity"]["checks"] if one["name"] == "selfie"] == [75]
    for paper in shown["documents"]:
        picture = httpx.get(paper["download_url"], trust_env=False)
        assert (picture.status_code, len(picture.content)) == (200, paper["size"])
    done = staff(state, "decide", user_id, "--approve", *BY)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{user_id} is verified.\n", "")
    assert doubtful.checked()["kyc"]["reasons"] == []
    # A terminal that is not set to UTF-8 hands over half a letter.
    assert main(["show", "usr_\udce9"]) == 1
    doubtful.told("identity-review", "identity-verified")
    assert main(["decide", user_id, "--reject", *BY]) == 1
    assert "its status is verified" in capsys.readouterr().err

    loan_id = doubtful.apply(6_000_000, 12, key="one").expect(202)["loan"]["id"]
    assert doubtful.decided(loan_id)["status"] == "referred"
    doubtful.told("loan-referred")
    assert main(["list", "--json"]) == 0
    waiting = {one["id"]: one for one in json.loads(capsys.readouterr().out)["cases"]}
    assert (waiting[loan_id]["amount"], user_id in waiting) == (6_000_000, False)
    assert main(["decide", loan_id, "--approve", *BY]) == 0
    assert capsys.readouterr().out.startswith(f"{loan_id} is approved: an offer of Rp5.000.000 until ")
    found = doubtful.loan(loan_id).expect(200)
    assert (found["status"], found["offer"]["amount"]) == ("approved", 5_000_000)
    assert (found["decision"]["outcome"], [one["code"] for one in found["decision"]["reasons"]]) == (
        "counter_offer",
        ["LIMIT_MAX"],
    )
    doubtful.told("loan-referred", "loan-counter-offer")
    doubtful.accept(loan_id, key="accept").expect(200)
    assert doubtful.disbursed(loan_id)["status"] == "active"
    assert system.wait_until_quiet(30)
    assert "Dana pinjaman sudah dikirim" in {one["subject"] for one in road.inbox(doubtful.person.email)}


def test_whom_staff_refuse_hears_why_once_whoever_was_first(
    walker: Walker, road: Road, at_once: AtOnce, capsys: pytest.CaptureFixture[str]
) -> None:
    walker.become_verified()
    loan_id = walker.apply(6_000_000, 12, key="one").expect(202)["loan"]["id"]
    assert walker.decided(loan_id)["status"] == "referred"
    assert sorted(at_once(3, lambda _: main(["decide", loan_id, "--reject", *BY]))) == [0, 1, 1]
    assert capsys.readouterr().out == f"{loan_id} is declined.\n"
    found = walker.loan(loan_id).expect(200)
    assert (found["status"], found["decision"]["outcome"]) == ("declined", "declined")
    assert [one["code"] for one in found["decision"]["reasons"]] == ["REVIEWED_DECLINED", "INCOME_EVIDENCE"]
    assert [one["kind"] for one in walker.told("loan-declined")].count("loan-declined") == 1
    letter = next(one for one in road.inbox(walker.person.email) if one["subject"] == "Pengajuan belum dapat disetujui")
    assert "Petugas kami sudah memeriksa" in letter["body"]


def test_a_payout_to_another_name_waits_until_staff_let_it_go(
    walker: Walker, road: Road, system: LocalSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    loan_id = walker.become_approved()
    walker.change(bank_account={**walker.person.bank_account, "account_number": "1234569101"}).expect(200)
    walker.accept(loan_id, key="accept").expect(200)
    walker.told("bank-account-check")
    assert walker.loan(loan_id).expect(200)["status"] == "accepted"
    assert main(["list", "--json"]) == 0
    (case,) = [one for one in json.loads(capsys.readouterr().out)["cases"] if one["kind"] == "payout"]
    assert main(["show", case["id"]]) == 0
    shown = capsys.readouterr().out
    assert "why           name-mismatch" in shown
    assert "1234569101" not in shown
    assert main(["decide", case["id"], "--approve", *BY]) == 0
    assert capsys.readouterr().out == f"{case['id']} is sending.\n"
    assert walker.disbursed(loan_id)["status"] == "active"
    assert system.wait_until_quiet(30)
    assert "Dana pinjaman sudah dikirim" in {one["subject"] for one in road.inbox(walker.person.email)}
