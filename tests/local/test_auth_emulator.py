"""Firebase's emulator of Auth: how its tools get onto a machine, and what is said where they cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pinjam.local.emulators.auth import AuthEmulator
from pinjam.local.emulators.npm import install, node
from pinjam.local.emulators.process import MissingProgram

NPM = """#!/bin/sh
echo "$@" >> calls
mkdir -p node_modules
"""
PARALLEL = """
import sys
from pathlib import Path
from pinjam.local.emulators.npm import install
print("here", flush=True)
install(Path(sys.argv[1]), tell=print)
"""


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, but for a shell's own commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "package-lock.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "node is not on the PATH; install Node.js 20 or newer"),
        ("#!/bin/sh\necho v18.20.4\n", "Node.js v18.20.4; install 20 or newer"),
        ("#!/bin/sh\nexit 1\n", "of no version"),
    ],
)
def test_without_a_new_node_the_message_says_what_to_install(programs: Path, text: str | None, said: str) -> None:
    if text is not None:
        program(programs, "node", text)
    with pytest.raises(MissingProgram, match=said):
        node()
    program(programs, "node", "#!/bin/sh\necho v20.0.0\n")
    assert node() == str(programs / "node")


def test_tools_are_installed_once_for_each_state_of_the_lock(programs: Path, tools: Path) -> None:
    program(programs, "npm", NPM)
    told: list[str] = []
    for _ in range(2):
        install(tools, tell=told.append)
    assert (tools / "calls").read_text() == "ci\n"
    assert len(told) == 1
    assert str(tools) in told[0]
    (tools / "package-lock.json").write_text('{"changed": true}')
    install(tools, tell=told.append)
    assert (tools / "calls").read_text() == "ci\n" * 2


def test_processes_that_start_at_once_install_once(programs: Path, tools: Path) -> None:
    program(programs, "npm", f"{NPM}read line < gate\n")
    os.mkfifo(tools / "gate")
    command = [sys.executable, "-c", PARALLEL, str(tools)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]  # noqa: S603 - the code above
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "here\n"
    # The first npm is held up until all are there.
    (tools / "gate").write_text("open\n")
    for one in running:
        one.communicate(timeout=60)
    assert [one.returncode for one in running] == [0, 0, 0]
    assert (tools / "calls").read_text() == "ci\n"


def test_an_installation_that_fails_is_told_with_its_output_and_tried_again(programs: Path, tools: Path) -> None:
    with pytest.raises(MissingProgram, match="npm is not on the PATH"):
        install(tools, tell=print)
    program(programs, "npm", "#!/bin/sh\nmkdir -p node_modules\necho no network >&2\nexit 1\n")
    with pytest.raises(MissingProgram, match=r"(?s)npm ci could not install.*no network"):
        install(tools, tell=print)
    program(programs, "npm", NPM)
    install(tools, tell=print)
    assert (tools / "calls").exists()


def test_the_emulator_answers_at_its_host_and_hides_who_has_an_account(auth_emulator: AuthEmulator) -> None:
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"http://{auth_emulator.host}/").json()["authEmulator"]["ready"] is True
        config = client.get(f"http://{auth_emulator.host}/emulator/v1/projects/pinjam-test/config").json()
    assert config["emailPrivacyConfig"] == {"enableImprovedEmailPrivacy": True}


def test_the_lock_of_the_tools_names_no_host_that_they_come_from() -> None:
    lock = Path(__file__).parents[2] / "tools" / "firebase" / "package-lock.json"
    assert '"resolved"' not in lock.read_text()
