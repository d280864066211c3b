"""`python -m pinjam.local.class_code_recorder FOLDER MODULE ...`: writes what `pinjam.class_code` reads in a package.

It loads the functions of a folder, and modules that they load later, and writes to the standard output what was
compiled for their classes.
"""

import subprocess
import sys
from collections import defaultdict
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType

from pinjam.class_code import Mode, packed, use


class Recording:
    """Compiles whatever is asked for, and keeps it."""

    def __init__(self) -> None:
        self.code: dict[str, dict[str, CodeType]] = defaultdict(dict)

    def find(self, module: str, text: str, mode: Mode) -> CodeType | None:
        """The code of a text; None where it cannot be compiled, which is then its asker's to find out."""
        if text not in self.code[module]:
            try:
                self.code[module][text] = compile(text, "<string>", mode, dont_inherit=True)
            except SyntaxError:
                return None
        return self.code[module][text]


@cache
def recorded(functions: Path, modules: tuple[str, ...]) -> bytes:
    """The content of `class_code.FILE` for functions that may load these modules. It takes some seconds."""
    command = [sys.executable, "-m", __name__, str(functions), *modules]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603 - this module


def main(functions: Path, modules: list[str]) -> None:
    """Record, and write."""
    recording = Recording()
    use(recording.find)
    from pinjam.local.functions import load_functions  # noqa: PLC0415 - what it loads is to be recorded

    load_functions(functions)
    for name in modules:
        import_module(name)
    sys.stdout.buffer.write(packed(recording.code))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
