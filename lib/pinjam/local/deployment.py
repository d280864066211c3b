"""What the deployment must know of the system, taken from the code: Terraform reads it, so that nobody keeps lists."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pinjam.domain.task import RATES
from pinjam.local.needs import needs_of
from pinjam.runtime.api import Api
from pinjam.services.subscriptions import SUBSCRIPTIONS


def facts(functions: Path, apis: Iterable[Api]) -> Mapping[str, Any]:
    """The functions with who calls each and what it uses; which hears of which topic; the queues' rates.

    `apis` are those of the functions that answer requests: through the gateway, or the scheduler's where internal.
    """
    callers = {api.name: "scheduler" if api.internal else "gateway" for api in apis}
    described = {}
    for main in sorted(functions.glob("*/main.py")):
        name, needs = main.parent.name, needs_of(main)
        described[name] = {
            "caller": callers.get(name, "events"),
            "parts": sorted(needs.parts),
            "variables": sorted(needs.variables),
        }
    return {
        "functions": described,
        "subscriptions": {topic: sorted(names) for topic, names in sorted(SUBSCRIPTIONS.items())},
        "queues": {queue: asdict(rate) for queue, rate in sorted(RATES.items())},
    }
