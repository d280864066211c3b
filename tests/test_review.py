"""The staff's command: what it prints, for people and for machines, and how it says no."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.world import World, make_world, picture

from pinjam.domain.loan import LoanStatus
from pinjam.domain.user import KycCheck, UserStatus
from pinjam.review import main
from pinjam.runtime.composition import install

BY = ("--reason", "payslip seen at the branch", "--by", "dewi")


@pytest.fixture
def world() -> Iterator[World]:
    """A system whose App the command finds."""
    made = make_world()
    install(made.app)
    yield made
    install(None)


@pytest.fixture
def doubtful(world: World) -> str:
    user = world.register()
    for colour, kind in enumerate(("ktp", "selfie")):
        world.upload(user.id, kind, picture(colour))
    world.identity.selfie_score = 75
    world.deliver()
    return user.id


@pytest.fixture
def referred(world: World) -> str:
    loan_id = world.apply(world.verified(2), amount=6_000_000, tenor_months=12)
    assert world.decide(loan_id).status is LoanStatus.REFERRED
    return loan_id


def test_an_empty_list_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["list"]), capsys.readouterr().out) == (0, "Nothing waits.\n")
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"cases": [], "whole": True}
    assert world.publisher.events == []


def test_what_waits_is_listed(world: World, doubtful: str, referred: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{doubtful}  identity     since 2026-11-24 09:00  KYC_SELFIE_UNSURE",
        f"{referred}  application  since 2026-11-24 09:00  Rp6.000.000 INCOME_EVIDENCE, LIMIT_MAX",
    ]
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cases"][1] == {
        "id": referred,
        "kind": "application",
        "since": "2026-11-24T02:00:00.000Z",
        "reasons": ["INCOME_EVIDENCE", "LIMIT_MAX"],
        "amount": 6_000_000,
    }
    for number in range(101):
        world.put(
            replace(
                world.user(doubtful), id=f"usr_{number}", email=f"{number}@x", phone=f"{number}", nik_hash=f"{number}"
            )
        )
    main(["list"])
    assert capsys.readouterr().out.endswith("There is more: these are the first of each kind.\n")


def test_an_identity_is_shown_with_what_its_decision_needs(
    world: World, doubtful: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", doubtful]) == 0
    shown = capsys.readouterr().out
    for line in (
        f"Borrower {doubtful}: identity review",
        "name          Siti Rahmawati, female, born 1990-08-15",
        "NIK           3171********0001",
        "check         selfie: pass (75 of 100)",
        "check         nik: pass",
        "reason        KYC_SELFIE_UNSURE: Your selfie is not clear enough",
        "ktp           received, 2026-11-24 09:00: https://api.invalid/",
        "verify_identity  verification-concluded: status review",
    ):
        assert line in shown
    assert "/content?expires=" in shown
    main(["show", doubtful, "--json"])
    case = json.loads(capsys.readouterr().out)
    assert (case["identity"]["nik_masked"], case["application"]) == ("3171********0001", None)
    assert [one["kind"] for one in case["documents"]] == ["selfie", "ktp"]
    user = world.user(doubtful)
    for secret in ("3171015508900001", user.nik, user.nik_hash, user.email, user.phone):
        assert secret not in shown + json.dumps(case)


def test_an_application_is_shown_with_its_rules_and_figures(
    world: World, referred: str, capsys: pytest.CaptureFixture[str]
) -> None:
    user_id = world.loan(referred).user_id
    world.put(
        replace(
            world.user(user_id), kyc=replace(world.user(user_id).kyc, checks=(KycCheck(name="nik", outcome="pass"),))
        )
    )
    assert main(["show", referred]) == 0
    shown = capsys.readouterr().out
    for line in (
        f"Application {referred}: referred",
        "asks for      Rp6.000.000 over 12 months, for education",
        "income        Rp9.000.000 a month, declared",
        "may approve   Rp5.000.000 at most",
        "rule          INCOME_EVIDENCE: 6000000 (limit 5000000), failed: refer",
        "rule          VELOCITY: 1 (limit 3), passed",
        f"Borrower {user_id}: identity verified",
        "No documents\nNo other loans\nAudit log\n",
    ):
        assert line in shown
    # Rp6,000,000 at 2.5 % a month over 12 months is Rp584,923 a month, 6.4992 % of Rp9,000,000.
    assert "DSR           6.5 % with this loan: Rp584.923 of at most Rp2.700.000 a month" in shown
    main(["show", referred, "--json"])
    decision = json.loads(capsys.readouterr().out)["application"]["decision"]
    assert (decision["instalments"], decision["dsr_ppm"], decision["offered_amount"]) == (584_923, 64_992, 5_000_000)


def test_an_application_is_approved_and_what_came_of_it_is_said(
    world: World, referred: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decide", referred, "--approve", *BY]) == 0
    assert capsys.readouterr().out == f"{referred} is approved: an offer of Rp5.000.000 until 2026-12-01.\n"
    assert world.trail(referred)[-1].actor == "staff:dewi"
    assert re.fullmatch(r"req_\w{26}", world.trail(referred)[-1].request_id)


def test_an_identity_is_rejected_for_machines(world: World, doubtful: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decide", doubtful, "--reject", *BY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "id": doubtful,
        "status": "rejected",
        "offered_amount": None,
        "offer_expires_on": None,
    }
    assert world.user(doubtful).status is UserStatus.REJECTED


def test_a_second_decision_is_refused_in_words(doubtful: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decide", doubtful, "--approve", *BY]) == 0
    capsys.readouterr()
    assert main(["decide", doubtful, "--reject", *BY]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        "pinjam.review: This case does not wait for a person's decision; its status is verified.\n",
    )
    assert (main(["show", "usr_nobody"]), capsys.readouterr().err) == (
        1,
        "pinjam.review: There is no case with this id.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["decide", "usr_1", "--approve", "--by", "dewi"], "the following arguments are required: --reason"),
        (["decide", "usr_1", "--approve", "--reason", "seen"], "the following arguments are required: --by"),
        (["decide", "usr_1", *BY], "one of the arguments --approve --reject is required"),
        (["decide", "usr_1", "--approve", "--reject", *BY], "not allowed with argument --approve"),
        (["erase", "usr_1"], "invalid choice: 'erase'"),
    ],
    ids=lambda value: "" if isinstance(value, list) else value,
)
def test_a_wrong_command_is_explained(
    doubtful: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([doubtful if one == "usr_1" else one for one in arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_reason_that_is_none_is_a_wrong_command(
    world: World, doubtful: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decide", doubtful, "--approve", "--reason", "ok", "--by", "d"]) == 2
    assert capsys.readouterr().err == (
        "pinjam.review: reviewer must have at least 2 characters; reason must have at least 5 characters.\n"
    )
    assert world.user(doubtful).status is UserStatus.REVIEW


def test_a_service_that_is_away_is_named(world: World, doubtful: str, capsys: pytest.CaptureFixture[str]) -> None:
    world.app.vault.forget(doubtful)
    world.wrapper.down = True
    assert main(["show", doubtful]) == 2
    assert capsys.readouterr().err == "pinjam.review: a service: down\n"
