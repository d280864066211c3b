"""Loads every function of the repository into this process through Google's own functions-framework."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from wsgiref.types import WSGIApplication

import functions_framework

from pinjam.services.subscriptions import SUBSCRIPTIONS

EVENT_FUNCTIONS = frozenset(name for names in SUBSCRIPTIONS.values() for name in names)
_LEAKED = ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "FUNCTION_TRIGGER_TYPE", "FUNCTION_NAME")


def load_functions(folder: Path) -> Mapping[str, WSGIApplication]:
    """The functions of `<folder>/<name>/main.py`, by name. What a `main.py` raises comes through."""
    loaded = {}
    for source in sorted(folder.glob("*/main.py")):
        name = source.parent.name
        with _unchanged_process():
            loaded[name] = functions_framework.create_app(name, str(source), "http")  # type: ignore[no-untyped-call]  # it has no types
    return loaded


@contextmanager
def _unchanged_process() -> Iterator[None]:
    """Undo what the framework, made for one function a process, leaves in the environment and module path."""
    before = {name: os.environ.get(name) for name in _LEAKED}
    path, main = list(sys.path), sys.modules.get("main")
    try:
        yield
    finally:
        sys.path[:] = path
        if main is None:
            sys.modules.pop("main", None)
        else:
            sys.modules["main"] = main
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
