"""What one road takes, as counted by `bench.one_loan` and held by a test: shown here beside what is measured."""

import json
from collections import Counter

from bench.figures import Found, Progress, Row
from bench.one_loan import COUNTS

SHOWN = ("calls", "store.transactions", "store.queries", "rows", "store.updates", "events", "bytes")


def measure(_: Progress) -> Found:
    """The sums of each stage of the road."""
    counts: dict[str, dict[str, int]] = json.loads(COUNTS.read_text())
    found: Found = {}
    for stage, counted in counts.items():
        sums = Counter(counted)
        for name, times in counted.items():
            sums[name.partition(".")[0]] += times
        found[stage] = {name: sums[name] for name in SHOWN}
    return found


def rows(found: Found) -> list[Row]:
    """The table."""
    return [("stage", *SHOWN), *((stage, *(str(one[name]) for name in SHOWN)) for stage, one in found.items())]
