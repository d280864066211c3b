"""Writes what is made from the code: the OpenAPI documents and the facts for Terraform (`make documents`)."""

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from pinjam.local.deployment import facts
from pinjam.runtime.api import Api
from pinjam.runtime.openapi import for_gateway, reference


def load_apis(functions: Path) -> tuple[Api, ...]:
    """The `api` of every `<functions>/<name>/main.py` that has one, by name."""
    found = []
    for source in sorted(functions.glob("*/main.py")):
        spec = importlib.util.spec_from_file_location(f"functions.{source.parent.name}", source)
        if spec is None or spec.loader is None:
            raise ImportError(f"{source} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        api = getattr(module, "api", None)
        if isinstance(api, Api):
            found.append(api)
    return tuple(found)


def documents(functions: Path) -> Mapping[str, str]:
    """Each document's path in the repository, and its text as it should be."""
    apis = load_apis(functions)
    made = {
        "gateway/openapi.json": for_gateway(apis),
        "openapi.json": reference(apis),
        "terraform/system.json": facts(functions, apis),
    }
    return {path: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for path, document in made.items()}


def main() -> None:
    """Write the documents beside the functions."""
    repository = Path.cwd()
    if not (repository / "functions").is_dir():
        sys.exit(f"{repository} has no folder `functions`; run this in the repository")
    for path, text in documents(repository / "functions").items():
        (repository / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
