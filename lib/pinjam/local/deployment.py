"""What the deployment must know of the system, taken from the code: Terraform reads it, so that nobody keeps lists."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pinjam.domain.task import RATES
from pinjam.local.functions import EVENT_FUNCTIONS
from pinjam.local.needs import needs_of
from pinjam.services.subscriptions import SUBSCRIPTIONS


def facts(functions: Path) -> Mapping[str, Any]:
    """The functions with how each is called and what it uses; which hears of which topic; the queues' rates."""
    described = {}
    for main in sorted(functions.glob("*/main.py")):
        name, needs = main.parent.name, needs_of(main)
        described[name] = {
            "signature": "cloudevent" if name in EVENT_FUNCTIONS else "http",
            "parts": sorted(needs.parts),
            "variables": sorted(needs.variables),
        }
    return {
        "functions": described,
        "subscriptions": {topic: sorted(names) for topic, names in sorted(SUBSCRIPTIONS.items())},
        "queues": {queue: asdict(rate) for queue, rate in sorted(RATES.items())},
    }
