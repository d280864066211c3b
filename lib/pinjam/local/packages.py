"""`python -m pinjam.local.packages`: a zip for each function, and a folder of commands, as Google's builders take them.

A package holds the function's `main.py`, `pinjam` without what only this machine needs, compiled with what its classes
write for themselves, and a `requirements.txt` with hashes of only what the function imports. The same sources give the
same bytes. The folder becomes an image with the migrations and the staff's commands.
"""

import argparse
import hashlib
import importlib.metadata
import json
import marshal
import re
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import MAGIC_NUMBER, source_hash
from itertools import chain
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pinjam import class_code
from pinjam.local.class_code_recorder import recorded
from pinjam.local.needs import needs_of

REPOSITORY = Path(__file__).resolve().parents[3]
RUNTIME = f"python{sys.version_info[0]}{sys.version_info[1]}"
"""Compiled code is for the Python that made it, so the functions run on the one that packs them."""
ALWAYS = ("functions-framework",)
_IMPLIED = {"zoneinfo": "tzdata"}
"""What a module of the standard library reads from a distribution."""
COMMANDS = "commands"
_ONLY_HERE = ("local", "generate.py")
"""What works on this machine alone."""
_MIGRATIONS = "migrations"
_LATER = ("httpcore",)
"""What libraries load with their first use."""
_TARGET = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
_UNCHECKED = (1).to_bytes(4, "little")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16
_LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==")


def pack(function: str, *, repository: Path = REPOSITORY) -> Mapping[str, bytes]:
    """The files of a function's package by their path, in the order in which they are packed."""
    functions = repository / "functions"
    main = functions / function / "main.py"
    libraries = needs_of(main).libraries
    library = _library(repository / "lib" / "pinjam", without=(*_ONLY_HERE, _MIGRATIONS))
    files = {
        "main.py": main.read_bytes(),
        "requirements.txt": requirements(libraries, repository=repository).encode(),
        **library,
        f"pinjam/{class_code.FILE.name}": recorded(functions, (*_modules(library), *_libraries(functions))),
    }
    return dict(sorted(files.items()))


def pack_commands(*, repository: Path = REPOSITORY) -> Mapping[str, bytes]:
    """The files of the image of `python -m pinjam.<command>`, of which the migrations are what it runs by itself."""
    project = _project(repository)
    asked = map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["migrate"]])
    files = {
        ".python-version": f"{sys.version_info[0]}.{sys.version_info[1]}\n".encode(),
        "Procfile": b"web: python -m pinjam.migrations\n",
        "requirements.txt": _locked_with_needs(asked, repository).encode(),
        **_library(repository / "lib" / "pinjam", without=_ONLY_HERE),
    }
    return dict(sorted(files.items()))


def write_folder(files: Mapping[str, bytes], to: Path) -> None:
    """Write a folder that holds these files and nothing else."""
    if to.exists():
        shutil.rmtree(to)
    for path, content in files.items():
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        (to / path).write_bytes(content)


def write_zip(files: Mapping[str, bytes], to: Path) -> str:
    """Write a zip whose bytes depend on nothing but the files; its SHA-256."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = _MODE
            archive.writestr(entry, content)
    return hashlib.sha256(to.read_bytes()).hexdigest()


def requirements(libraries: Iterable[str], *, repository: Path = REPOSITORY) -> str:
    """The part of the lock that these modules need, with hashes, in the form that pip takes."""
    wanted = {_IMPLIED.get(name) or _distribution(name) for name in libraries}
    # What the project asks for, it asks for with its extras.
    direct = {canonicalize_name(one.name): one for one in map(Requirement, _project(repository)["dependencies"])}
    asked = (direct.get(canonicalize_name(name), Requirement(name)) for name in {*wanted, *ALWAYS})
    return _locked_with_needs(asked, repository)


def _locked_with_needs(asked: Iterable[Requirement], repository: Path) -> str:
    """The lock's entries of these distributions and of all that they need, in the order of their names."""
    names: set[str] = set()
    for requirement in asked:
        _add(names, requirement)
    locked = _locked(repository)
    return "".join(locked[name] for name in sorted(names))


def _library(root: Path, *, without: Collection[str]) -> dict[str, bytes]:
    """The files of `pinjam` and, beside each module, its compiled code, which is never checked against it."""
    found: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        if not path.is_file() or inner.parts[0] in without or "__pycache__" in inner.parts:
            continue
        name, content = f"pinjam/{inner.as_posix()}", path.read_bytes()
        found[name] = content
        if path.suffix == ".py":
            cached = f"{inner.stem}.{sys.implementation.cache_tag}.pyc"
            found[f"pinjam/{(inner.parent / '__pycache__' / cached).as_posix()}"] = _compiled(content, name)
    return found


def _modules(library: Iterable[str]) -> Iterator[str]:
    """The names of the modules among its files."""
    for path in library:
        if path.endswith(".py"):
            yield path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def _libraries(functions: Path) -> tuple[str, ...]:
    """Whatever modules of others any function imports, sooner or later."""
    needed = (needs_of(main).libraries for main in functions.glob("*/main.py"))
    return tuple(sorted({*_LATER, *chain.from_iterable(needed)}))


@cache
def _compiled(source: bytes, name: str) -> bytes:
    """A `.pyc` that is never checked against its source (PEP 552)."""
    code = compile(source, name, "exec", dont_inherit=True)
    return MAGIC_NUMBER + _UNCHECKED + source_hash(source) + marshal.dumps(code, class_code.WITHOUT_SHARING)


@cache
def _distribution(module: str) -> str:
    """The distribution that a module was installed from. LookupError if there is none."""
    candidates = _installed().get(module.partition(".")[0], [])
    if len(set(candidates)) == 1:
        return candidates[0]
    # Several share a namespace: whose file is it?
    path = module.replace(".", "/")
    for name in candidates:
        files = {str(file) for file in importlib.metadata.files(name) or ()}
        if {f"{path}.py", f"{path}/__init__.py"} & files:
            return name
    raise LookupError(f"nothing that is installed here has a module {module}")


@cache
def _installed() -> Mapping[str, list[str]]:
    """The distributions behind each top-level module; to look takes half a second."""
    return importlib.metadata.packages_distributions()


@cache
def _project(repository: Path) -> Mapping[str, Any]:
    """What pyproject.toml says of the project."""
    project: Mapping[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    return project


def _add(names: set[str], requirement: Requirement) -> None:
    """Add a distribution and all that it needs on the machines of the functions."""
    name = canonicalize_name(requirement.name)
    waiting = [(name, extra) for extra in ("", *sorted(requirement.extras))]
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        names.add(name)
        for text in importlib.metadata.requires(name) or ():
            inner = Requirement(text)
            if inner.marker is None and extra:
                continue
            if inner.marker is None or inner.marker.evaluate({**_TARGET, "extra": extra}):
                waiting += [(canonicalize_name(inner.name), one) for one in ("", *inner.extras)]


@cache
def _locked(repository: Path) -> Mapping[str, str]:
    """The lock's entries by name: the pinned version and its hashes."""
    entries: dict[str, str] = {}
    name = ""
    for line in (repository / "requirements.lock").read_text().splitlines(keepends=True):
        started = _LOCKED.match(line)
        if started:
            name = canonicalize_name(started["name"])
            entries[name] = ""
        if not line.lstrip().startswith("#"):
            entries[name] += line
    return entries


def main(arguments: Sequence[str]) -> int:
    """Write all packages and the folder of commands, and `packages.json`: each zip's SHA-256, and the runtime."""
    parser = argparse.ArgumentParser(prog="python -m pinjam.local.packages", description=__doc__)
    parser.add_argument("--to", type=Path, default=REPOSITORY / ".build" / "packages", help="the folder to write to")
    to: Path = parser.parse_args(arguments).to
    to.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for source in sorted((REPOSITORY / "functions").glob("*/main.py")):
        function = source.parent.name
        files = pack(function)
        package = to / f"{function}.zip"
        hashes[function] = write_zip(files, package)
        libraries = files["requirements.txt"].count(b"==")
        print(
            f"{function:<16} {package.stat().st_size / 1e6:5.1f} MB  {libraries:>2} libraries  {hashes[function][:12]}"
        )
    write_folder(pack_commands(), to / COMMANDS)
    print(f"{COMMANDS:<16} a folder, for an image")
    manifest = {"runtime": RUNTIME, "sha256": hashes}
    (to / "packages.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
