"""The demonstration that `make demo` runs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pinjam.local import demo
from pinjam.local.road import Road

WAIT_S = 60


def test_the_demonstration_walks_through_a_running_system_again_and_again(
    road: Road, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today = road.today()
    for turn in (1, 2):
        assert demo.main(["--seed", "7"], {"PINJAM_STATE": str(state)}) == 0
        shown = capsys.readouterr().out
        assert "All as expected" in shown
        assert ("An earlier run has signed this person up" in shown) == (turn == 2)
        assert "Cicilan lewat jatuh tempo" in shown
        assert "offered Rp" in shown
        assert "KTP" in shown
        assert max(len(line) for line in shown.splitlines()) <= 120
        assert road.today() == today


def test_the_demonstration_names_the_step_that_is_not_as_expected(
    road: Road, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    road.fault("ekyc", "reject")
    assert demo.main([], {"PINJAM_STATE": str(state)}) == 1
    complaint = capsys.readouterr().err
    assert "outcome of the identity check" in complaint
    assert "expected  'verified'" in complaint
    assert "came      'review'" in complaint


def test_the_demonstration_brings_its_own_system_and_ends_politely_when_interrupted(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", "-m", "pinjam.local.demo"],
        env={**os.environ, "PINJAM_STATE": str(tmp_path / "none"), "PORT": "1", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = ""
    while "/api/documents/upload" not in said:
        line = process.stdout.readline()
        assert line, process.communicate()
        said += line
    assert "starts its own" in said
    os.killpg(process.pid, signal.SIGINT)
    rest, complaints = process.communicate(timeout=WAIT_S)
    assert (process.returncode, complaints) == (130, "")
    assert rest.endswith("\nStopped.\n")
    assert list(tmp_path.iterdir()) == []
