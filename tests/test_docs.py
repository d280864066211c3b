"""The documents say what is true: links, targets, routes and bodies in them exist."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
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
TARGET = re.compile(r"(?:^|`|[A-Z]=\S+ |&& )make ([a-z-]+)", re.MULTILINE)
ROUTE = re.compile(r"(?:\b(GET|POST|PUT|PATCH|DELETE) )?(?<![\w.])(?:\$API)?(/(?:api|sandbox)/[^\s`\"'?|)]+)")
PLACE = re.compile(r"\{\w+\}|\$\w+|<[\w:]+>")
BODY = re.compile(r"\$API(/api/[^\s\"?]+)[^\n]*-d '(\{.*?\})'", re.DOTALL)

MODULE = re.compile(r"python -m (pinjam[\w.]*)")
VARIABLE = re.compile(r"PINJAM_[A-Z0-9_]*[A-Z0-9]\b")
STAFF = re.compile(r"(?:^|`)staff ([a-z]+)", re.MULTILINE)

DEPLOYING = ROOT / "docs" / "deploy.md"
TERRAFORM = ROOT / "terraform"
IN_TERRAFORM = {
    "resource": r"\b(google_\w+\.\w+|random_\w+\.\w+)",
    "variable": r"-var=(\w+)=|`(\w+) = |`((?!google_)\w+)\.\w+`",
    "output": r"\boutput (?:-raw |-json )?(\w+)",
    "name": (
        r"(?:scheduler jobs (?:pause|resume)|run jobs execute|compute (?:ssh|instances reset)|subscriptions seek \S+--"
        r"|sql instances (?:clone|patch)|--instance=|--database=|--restore-instance=) ?([a-z]+)(?:-restored)?"
    ),
    "account": r"\b([a-z-]+)@\$PROJECT",
}
"""What the guide to deployments says in code, by what it must be in Terraform's files."""

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
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
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


def declared(what: str) -> set[str]:
    """The names that Terraform's files declare of one kind in IN_TERRAFORM."""
    text = "\n".join(path.read_text() for path in sorted(TERRAFORM.glob("*.tf")))
    if what == "resource":
        return {f"{kind}.{name}" for kind, name in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE)}
    if what == "name":
        system = read("terraform/system.json")
        return {*re.findall(r'^  name +=\s"([a-z]+)"', text, re.MULTILINE), *system["functions"]}
    if what == "account":
        return set(re.findall(r'\baccount(?:_id)? += "([a-z-]+)"', text))
    return set(re.findall(rf'^{what} "(\w+)"', text, re.MULTILINE))


@pytest.mark.parametrize("what", IN_TERRAFORM)
def test_what_the_guide_to_deployments_names_is_declared(what: str) -> None:
    code = "\n".join(CODE.findall(DEPLOYING.read_text()))
    named = {
        name
        for found in re.findall(IN_TERRAFORM[what], code)
        for name in ([found] if isinstance(found, str) else found)
    }
    assert named - {""} != set()
    assert named - {""} - declared(what) == set()


def test_the_guide_pauses_every_queue_and_gives_every_secret_its_value() -> None:
    guide = DEPLOYING.read_text()
    (queues,) = re.findall(r"for QUEUE in ([a-z ]+);", guide)
    assert sorted(queues.split()) == sorted(read("terraform/system.json")["queues"])
    shells = set(re.findall(r"(PINJAM_\w+) += \"", (TERRAFORM / "secrets.tf").read_text()))
    given = " ".join(re.findall(r"for NAME in (.*?); do", guide, re.DOTALL))
    assert {"PINJAM_HASH_KEY", "PINJAM_SMTP_PASSWORD"} <= set(VARIABLE.findall(given)) <= shells


def test_the_guide_knows_how_long_events_and_dead_letters_are_kept() -> None:
    guide, kept = DEPLOYING.read_text(), read("terraform/system.json")["kept_days"]
    assert f"is kept for {kept['dead_letters']} days under its topic" in guide
    assert f"({kept['events']} days back at most)" in guide


def test_modules_staff_commands_and_variables_in_the_guide_exist() -> None:
    guide = DEPLOYING.read_text()
    assert [module for module in MODULE.findall(guide) if find_spec(module) is None] == []
    commands = set(STAFF.findall(guide))
    assert {"review", "keys"} <= commands <= set(read("terraform/system.json")["commands"])
    settings = {name for path in (ROOT / "lib").rglob("*.py") for name in VARIABLE.findall(path.read_text())}
    assert set(VARIABLE.findall(guide)) - settings == set()


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
