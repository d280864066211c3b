"""The documents say what is true: links, targets, routes and bodies in them exist."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from pinjam.local.sandbox.servers import SandboxServers

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]
RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))
MOST_WORDS = 300

LINK = re.compile(r"\[[^]]*]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
TARGET = re.compile(r"(?:^|`|[A-Z]=\S+ )make ([a-z]+)", re.MULTILINE)
ROUTE = re.compile(r"(?:\b(GET|POST|PUT|PATCH|DELETE) )?(?<![\w.])(?:\$API)?(/(?:api|sandbox)/[^\s`\"'?|)]+)")
PLACE = re.compile(r"\{\w+\}|\$\w+|<[\w:]+>")
BODY = re.compile(r"\$API(/api/[^\s\"?]+)[^\n]*-d '(\{.*?\})'", re.DOTALL)

Json = Mapping[str, Any]


def read(path: str) -> Json:
    document: Json = json.loads((ROOT / path).read_text())
    return document


def shape(path: str) -> str:
    """A path with every variable segment alike, however it is written."""
    return PLACE.sub("{}", path.rstrip("/."))


def routes_in(document: Path) -> Iterator[tuple[str | None, str]]:
    for code in CODE.findall(document.read_text()):
        for method, path in ROUTE.findall(code):
            yield method or None, shape(path)


def known_routes(sandbox: SandboxServers) -> Mapping[str, set[str]]:
    routes = {
        shape(path): {method.upper() for method in item} for path, item in read("gateway/openapi.json")["paths"].items()
    }
    controls = sandbox.sandbox.controls()
    assert isinstance(controls, Flask)
    for rule in controls.url_map.iter_rules():
        routes.setdefault(shape(rule.rule), set()).update(rule.methods or ())
    return routes


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_relative_link_leads_to_a_file_of_the_repository(document: Path) -> None:
    links = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    assert [link for link in links if not (document.parent / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for code in CODE.findall(document.read_text()) for target in TARGET.findall(code)}
    assert named - targets == set()


def test_every_route_that_is_named_is_served(sandbox: SandboxServers) -> None:
    known = known_routes(sandbox)
    named = [(document.name, *route) for document in DOCUMENTS for route in routes_in(document)]
    assert len({path for _, _, path in named}) > len(("api", "sandbox"))
    missing = [
        (name, method, path)
        for name, method, path in named
        if path not in known or (method is not None and method not in known[path])
    ]
    assert missing == []


def test_bodies_in_the_readme_have_the_fields_of_their_routes() -> None:
    document = read("openapi.json")
    bodies = {shape(path): json.loads(text) for path, text in BODY.findall((ROOT / "README.md").read_text())}
    paths = {shape(path): item for path, item in document["paths"].items()}
    assert {"/api/auth/register", "/api/auth/login", "/api/loans/apply"} <= bodies.keys()
    for path, body in bodies.items():
        (reference,) = (
            operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            for operation in paths[path].values()
            if "requestBody" in operation
        )
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
        assert body.keys() <= schema["properties"].keys(), path
        assert set(schema.get("required", ())) <= body.keys(), path


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_record_is_short_and_has_its_parts(record: Path) -> None:
    text = record.read_text()
    assert len(text.split()) <= MOST_WORDS
    for part in ("**Context.**", "**Decision.**", "**Consequences.**", "**Weighed.**"):
        assert part in text


def test_decision_records_are_numbered_without_gaps() -> None:
    numbers = [int(record.name.partition("-")[0]) for record in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))
    assert all(record.read_text().startswith(f"# {number}. ") for number, record in zip(numbers, RECORDS, strict=True))


def test_the_licence_is_the_one_that_the_package_declares() -> None:
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
