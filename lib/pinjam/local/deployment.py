"""What the deployment must know of the system, taken from the code: Terraform reads it, so that nobody keeps lists."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pinjam.domain.retention import DEAD_LETTERS_KEPT, SUBSCRIPTION_KEEPS
from pinjam.domain.task import RATES
from pinjam.local.dispatch import PushSettings
from pinjam.local.needs import Needs, needs_of
from pinjam.runtime.api import Api
from pinjam.services.subscriptions import SUBSCRIPTIONS

STAFF_COMMANDS = ("audit", "keys", "ledger", "review", "undelivered")
"""What the staff run, as `python -m pinjam.<command>`."""
_LIBRARY = Path(__file__).resolve().parents[1]


def facts(functions: Path, apis: Iterable[Api]) -> Mapping[str, Any]:
    """The functions with who calls each and what it uses, and what the staff's commands use;

    which function hears of which topic, how often an event is brought at most, and how long it is kept; the queues'
    rates. `apis` are those of the functions that answer requests: through the gateway, or the scheduler's where
    internal.
    """
    callers = {api.name: "scheduler" if api.internal else "gateway" for api in apis}
    described = {}
    for main in sorted(functions.glob("*/main.py")):
        name = main.parent.name
        described[name] = {"caller": callers.get(name, "events"), **_described(needs_of(main))}
    return {
        "commands": {name: _described(needs_of(_LIBRARY / f"{name}.py")) for name in STAFF_COMMANDS},
        "functions": described,
        "subscriptions": {topic: sorted(names) for topic, names in sorted(SUBSCRIPTIONS.items())},
        "deliveries": PushSettings().deliveries,
        "kept_days": {"events": SUBSCRIPTION_KEEPS.days, "dead_letters": DEAD_LETTERS_KEPT.days},
        "queues": {queue: asdict(rate) for queue, rate in sorted(RATES.items())},
    }


def _described(needs: Needs) -> Mapping[str, list[str]]:
    return {"parts": sorted(needs.parts), "variables": sorted(needs.variables)}
