"""Tools that run on Node.js, installed once from a lock file into the folder that holds it."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pinjam.local.emulators.process import MissingProgram

LEAST_NODE = 20
_TAIL_CHARACTERS = 1000


def node() -> str:
    """The Node.js program. MissingProgram if there is none, or none that is new enough."""
    found = shutil.which("node")
    if found is None:
        raise MissingProgram(f"node is not on the PATH; install Node.js {LEAST_NODE} or newer, with npm")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - found on the PATH
    version = re.match(r"v(\d+)\.", told)
    if version is None or int(version[1]) < LEAST_NODE:
        raise MissingProgram(f"{found} is Node.js {told or 'of no version'}; install {LEAST_NODE} or newer")
    return found


def install(tools: Path, *, tell: Callable[[str], None]) -> None:
    """Have `npm ci` install what `tools/package-lock.json` locks, unless it is there already.

    `tell` hears of an installation before it begins. Processes that come here at once wait for the first of them.
    MissingProgram where npm is not there, or could not install.
    """
    lock = tools / "package-lock.json"
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        wanted = hashlib.sha256(held.read()).hexdigest()
        stamp = tools / "node_modules" / ".installed"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        npm = shutil.which("npm")
        if npm is None:
            raise MissingProgram(f"npm is not on the PATH; install Node.js {LEAST_NODE} or newer, with npm")
        tell(f"Installing Node.js tools into {tools / 'node_modules'} (once) ...")
        done = subprocess.run([npm, "ci"], cwd=tools, capture_output=True, text=True, check=False)  # noqa: S603 - found on the PATH
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-_TAIL_CHARACTERS:]
            raise MissingProgram(f"npm ci could not install the tools of {tools}. Its output ends so:\n{said}")
        stamp.write_text(wanted)


if __name__ == "__main__":
    install(Path(sys.argv[1]), tell=print)
