"""The code that classes write for themselves while modules are loaded, compiled beforehand.

A start of a function makes more than a hundred dataclasses, the domain's and its libraries'. Each writes its methods as
text and compiles that; named tuples and annotations do the same. Together it is a third to a half of what a start does
beyond the framework. A package brings this code compiled, as it brings its modules' (docs/adr/0033).

Code is found by its whole text, and text that is not there is compiled as ever: it cannot be stale.
"""

import collections
import dataclasses
import marshal
import typing
from collections.abc import Callable, Mapping
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType
from typing import Any, Literal, TypeAlias

Mode: TypeAlias = Literal["exec", "eval"]
Find: TypeAlias = Callable[[str, str, Mode], CodeType | None]
"""The code of a text that a module's class wrote; None where it must be compiled now."""

FILE = Path(__file__).with_name("class_code.bin")
ANNOTATIONS = "annotations"
"""In the place of a module's name, for what is compiled without a word of whose it is."""
WITHOUT_SHARING = 2
"""A version of marshal's format. From the third on it says which objects the process that wrote it shared, which is not
the same each time; the second says nothing of that, and every Python reads it."""


def use_package() -> None:
    """Use what the package brings, if it brings anything."""
    if FILE.exists():
        use(reading(FILE.read_bytes()))


def packed(code: Mapping[str, Mapping[str, CodeType]]) -> bytes:
    """The file's content for code by module and text: the same texts give the same bytes."""
    modules = {module: marshal.dumps(dict(sorted(code[module].items())), WITHOUT_SHARING) for module in sorted(code)}
    return MAGIC_NUMBER + marshal.dumps(modules, WITHOUT_SHARING)


def reading(content: bytes) -> Find:
    """Finds code in what `packed` made. A module's is read when its first class asks.

    What another Python made has nothing that fits.
    """
    if not content.startswith(MAGIC_NUMBER):
        return lambda *_: None
    modules: Mapping[str, bytes] = _opened(content[len(MAGIC_NUMBER) :])
    opened: dict[str, Mapping[str, CodeType]] = {}

    def find(module: str, text: str, _mode: Mode) -> CodeType | None:
        if module not in opened:
            opened[module] = _opened(modules[module]) if module in modules else {}
        return opened[module].get(text)

    return find


def _opened(content: bytes) -> Any:
    return marshal.loads(content)  # noqa: S302 - it came with the modules beside it, and is trusted as they are


def use(find: Find) -> None:
    """From now on, classes take their code from there.

    Dataclasses, named tuples and annotations call `exec`, `eval` and `compile`, which are looked for among the names of
    their modules before the built-in ones. In a Python that does otherwise, nothing changes.
    """

    def execute(text: str, names: dict[str, Any], into: dict[str, Any]) -> None:
        exec(find(names.get("__name__", ""), text, "exec") or text, names, into)  # noqa: S102 - as dataclasses would

    def evaluate(text: str, names: dict[str, Any]) -> Any:
        return eval(find(names.get("__name__", ""), text, "eval") or text, names)  # noqa: S307 - as named tuples would

    def compiled(text: str, filename: str, mode: str) -> CodeType:
        found = find(ANNOTATIONS, text, "eval") if mode == "eval" else None
        return found or compile(text, filename, mode)

    vars(dataclasses)["exec"] = execute
    vars(collections)["eval"] = evaluate
    vars(typing)["compile"] = compiled
