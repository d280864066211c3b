"""The deployments that the rules are held against, each made once in a run, whichever worker needs it first."""

import os
from pathlib import Path

import pytest
from tests.deployment.applied import Choice, Deployment, Values, applied
from tests.machine import given

FIRST = Choice(environment="dev", store="postgres", gateway="api_gateway")
TWO = (FIRST, Choice(environment="prod", store="firestore", gateway="espv2"))
"""Every choice once."""
FOUR = (
    *TWO,
    Choice(environment="dev", store="firestore", gateway="api_gateway"),
    Choice(environment="prod", store="postgres", gateway="espv2"),
)
"""Both stores and both gateways in ways that the first two do not meet: CI takes these."""
ALL = tuple(
    Choice(environment=environment, store=store, gateway=gateway)
    for environment in ("dev", "prod")
    for store in ("postgres", "firestore")
    for gateway in ("api_gateway", "espv2")
)
CHOICES = ALL if os.environ.get("PINJAM_PLANS") == "all" else FOUR if os.environ.get("CI") else TWO
"""`make plans` takes all of them; each takes Terraform half a minute of processor time."""


@pytest.fixture(scope="session")
def kept_states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a run."""
    mine = tmp_path_factory.getbasetemp()
    return (mine.parent if os.environ.get("PYTEST_XDIST_WORKER") else mine) / "applied"


@pytest.fixture(scope="session", params=CHOICES, ids=lambda choice: choice.name)
def deployment(request: pytest.FixtureRequest, kept_states: Path) -> Deployment:
    choice: Choice = request.param
    return Deployment.of(choice, given(lambda: applied(choice, kept_states)))


@pytest.fixture(scope="session")
def first_state(kept_states: Path) -> Values:
    return given(lambda: applied(FIRST, kept_states))
