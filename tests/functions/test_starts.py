"""What a function loads when it starts: nothing that only others need. Each is looked at in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pinjam.local.functions import EVENT_FUNCTIONS

FUNCTIONS = sorted(path.parent.name for path in (Path(__file__).parents[2] / "functions").glob("*/main.py"))
NEVER = ("google.auth", "google.api_core", "firebase_admin", "grpc", "sqlalchemy", "alembic", "aiohttp", "requests")
"""What Google's clients stand on, an ORM, and other HTTP clients than ours: no function uses any."""
FRAMEWORKS = "google.cloud.functions"
"""All that is there of `google.cloud`: the framework's own."""
FIRST_USED = ("psycopg", "httpx", "jwt", "cryptography", "redis", "boto3", "PIL", "reportlab", "webauthn", "zxcvbn")
"""Loaded by the first call that needs it."""
OTHERS = ("holidays", "email_validator", "smtplib", "pinjam.local", "pinjam.adapters")

PROGRAM = """
import functions_framework, json, sys
name, source = sys.argv[1:]
app = functions_framework.create_app(name, source, "http")
at_start = sorted(sys.modules)
app.test_client().open("/nothing", method="GET")
json.dump([at_start, sorted(sys.modules)], sys.stdout)
"""


def loaded(name: str) -> tuple[set[str], set[str]]:
    """The modules once a function is there, and after it has refused a call."""
    source = str(Path(__file__).parents[2] / "functions" / name / "main.py")
    environment = {**os.environ, "PINJAM_STATE": "/nonexistent/pinjam-tests"}
    done = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", PROGRAM, name, source], env=environment, capture_output=True, text=True, check=True
    )
    at_start, after = json.loads(done.stdout)
    return set(at_start), set(after)


def of(modules: set[str], packages: tuple[str, ...]) -> set[str]:
    """Those that are one of the packages, or in one."""
    return {one for one in modules if any(one == package or one.startswith(f"{package}.") for package in packages)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_starts_without_what_its_first_answer_may_not_need(name: str) -> None:
    at_start, after = loaded(name)
    assert "functions_framework" in at_start
    assert of(after, NEVER) == set()
    clients = of(after, ("google.cloud",)) - {"google.cloud"}
    assert {one for one in clients if not one.startswith(FRAMEWORKS)} == set()
    assert of(at_start, FIRST_USED) == set()
    assert of(at_start, OTHERS) == set()


@pytest.mark.parametrize("name", sorted(EVENT_FUNCTIONS))
def test_a_function_of_events_starts_without_any_use_case_of_its_own(name: str) -> None:
    at_start, _ = loaded(name)
    assert of(at_start, ("pinjam.runtime.models", "pinjam.runtime.http")) == set()
    assert {one for one in at_start if one.startswith("pinjam.domain.")} <= {"pinjam.domain.trail"}


def test_a_function_loads_no_kind_of_record_that_it_does_not_speak_of() -> None:
    at_start, _ = loaded("notifications")
    assert of(at_start, ("pinjam.domain.loan", "pinjam.domain.payment", "pinjam.domain.policy")) == set()
    at_start, _ = loaded("loans")
    assert of(at_start, ("pinjam.domain.ledger", "pinjam.domain.payout", "pinjam.domain.passkey")) == set()
