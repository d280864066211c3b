"""What each function needs of the settings and of libraries, read from the source without running it.

A function names its use cases (`call.app.lending`), and the composition root makes each from others, from adapters and
from settings, in properties that import what they use. So the chain from a `main.py` to the variables and libraries
is all in the syntax trees; packages and the deployment are made from it, and nobody keeps a list.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = "pinjam"
_APP = ("pinjam.runtime.composition", "App")
_SETTINGS = ("pinjam.runtime.settings", "Settings")
_VARIABLE = re.compile(r"PINJAM_[A-Z0-9_]+")
_TELLING = (ast.Import, ast.ImportFrom, ast.Attribute, ast.Constant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """`parts` are what it uses of the App, use cases and adapters alike; `variables` the settings behind them;

    `libraries` the modules of others that are imported on the way, by their full names.
    """

    parts: frozenset[str]
    variables: frozenset[str]
    libraries: frozenset[str]


def needs_of(main: Path) -> Needs:
    """What the function in `main`, a `main.py`, needs."""
    walk = _Walk()
    walk.take_in(_telling(ast.parse(main.read_text())))
    return Needs(parts=frozenset(walk.parts), variables=frozenset(walk.variables), libraries=frozenset(walk.libraries))


@dataclass
class _Walk:
    """Follows imports and uses until nothing new turns up."""

    parts: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)
    _modules: set[str] = field(default_factory=set)
    _settings: set[str] = field(default_factory=set)

    def take_in(self, nodes: Iterable[ast.AST], *, inside: str = "") -> None:
        """Follow what a piece of code imports and uses. `inside` names the class whose `self` it speaks of."""
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in _imported(node):
                    self._import(name)
            elif isinstance(node, ast.Attribute):
                self._use(node, inside)
            elif inside == "Settings" and isinstance(node, ast.Constant) and _VARIABLE.fullmatch(str(node.value)):
                self.variables.add(str(node.value))

    def _import(self, name: str) -> None:
        if name.partition(".")[0] != ROOT:
            if name.partition(".")[0] not in sys.stdlib_module_names or name == "zoneinfo":
                self.libraries.add(name)
            return
        for module in _with_parents(name):
            if module not in self._modules:
                self._modules.add(module)
                self.take_in(_at_import(module))

    def _use(self, node: ast.Attribute, inside: str) -> None:
        owner = node.value
        of_self = isinstance(owner, ast.Name) and owner.id == "self"
        last = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
        if last == "app" or (of_self and inside == "App"):
            self._part(node.attr)
        elif last == "settings" or (of_self and inside == "Settings"):
            self._setting(node.attr)

    def _part(self, name: str) -> None:
        member = _members(*_APP).get(name)
        if member is not None and name not in self.parts:
            self.parts.add(name)
            self.take_in(_telling(member), inside="App")

    def _setting(self, name: str) -> None:
        member = _members(*_SETTINGS).get(name)
        if member is not None and name not in self._settings:
            self._settings.add(name)
            self.take_in(_telling(member), inside="Settings")


@cache
def _tree(module: str) -> ast.Module | None:
    """The module's syntax, None if there is no such module."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    return ast.parse(Path(spec.origin).read_text()) if spec and spec.origin else None


@cache
def _members(module: str, name: str) -> Mapping[str, ast.FunctionDef]:
    """The methods and properties of a class and of those of ours that it inherits from."""
    tree = _tree(module)
    if tree is None:
        return {}
    found: dict[str, ast.FunctionDef] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for base in node.bases:
                if isinstance(base, ast.Name):
                    found |= _members(_home(tree, base.id) or module, base.id)
            found |= {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
    return found


def _home(tree: ast.Module, name: str) -> str | None:
    """The module of ours that a name was imported from."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any((one.asname or one.name) == name for one in node.names):
            return node.module
    return None


@cache
def _at_import(module: str) -> tuple[ast.AST, ...]:
    """What tells of uses in a module, but for the App's and the settings' members: those count where they are used."""
    lazy = {id(member) for owner in (_APP, _SETTINGS) for member in _members(*owner).values()}
    tree = _tree(module)
    return tuple(_telling(tree, without=lazy)) if tree else ()


def _telling(tree: ast.AST, *, without: AbstractSet[int] = frozenset()) -> Iterator[ast.AST]:
    """The nodes that tell of uses at run time; what only type checkers look at does not."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _TELLING):
            yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += (one for one in ast.iter_child_nodes(node) if id(one) not in without)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules that a statement imports; a name in a package may be one, too."""
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    elif node.module:
        yield node.module
        if node.module.partition(".")[0] == ROOT:
            yield from (name for one in node.names if _tree(name := f"{node.module}.{one.name}") is not None)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
