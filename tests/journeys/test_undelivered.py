"""A message that a provider refused is found by staff, and arrives once they have it tried again."""

import pytest

from pinjam.local.road import Road, Walker
from pinjam.local.system import LocalSystem
from pinjam.undelivered import main

WAIT_S = 30


@pytest.fixture
def command(system: LocalSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is run beside the system, by its environment."""
    for name, value in system.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("command")
def test_what_was_given_up_is_listed_with_its_reason_and_arrives_when_tried_again(
    walker: Walker, road: Road, system: LocalSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    road.fault("email", "reject")
    walker.become_verified()
    (told,) = walker.told("identity-verified")
    assert [(one["channel"], one["status"]) for one in told["deliveries"]] == [("email", "failed")]
    assert main([]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(told["id"])]
    assert line.endswith("  identity-verified  email  smtp: 550 (1 tries)")
    assert walker.person.email not in line
    assert road.inbox(walker.person.email) == []

    road.fault("email", "ok")
    assert main(["again", told["id"], "--by", "rina"]) == 0
    assert capsys.readouterr().out == f"{told['id']} is tried again: email.\n"
    assert system.wait_until_quiet(WAIT_S)
    assert [one["subject"] for one in road.inbox(walker.person.email)] == ["Identitas Anda terverifikasi"]
    assert main(["again", told["id"], "--by", "rina"]) == 1
    assert told["id"] in capsys.readouterr().err
