"""`python -m bench [section ...]`: how fast and how large, each figure over a baseline of the same run."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from bench import cold, latency, machine, one_road, pure, scale, throughput
from bench.deployed import REPOSITORY
from bench.figures import Found, Progress, table
from bench.stage import stage

RESULTS = Path(__file__).with_name("results.json")
SECTIONS: Mapping[str, tuple[str, ModuleType]] = {
    "cold": ("Cold start, over an empty function", cold),
    "latency": ("Latency of one call after another, over the bare SQL", latency),
    "throughput": ("Calls a second of one instance, over an empty function", throughput),
    "scale": ("Latency by the number of loans in PostgreSQL", scale),
    "pure": ("Rules, over 1,000 integer divisions", pure),
    "road": ("What one road takes", one_road),
}
"""In the order in which they are taken. Those that need the running system come first."""
ON_STAGE = ("cold", "latency", "throughput")


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables, and write results.json if all was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("sections", nargs="*", metavar="section", help=f"some of {', '.join(SECTIONS)}; all by default")
    chosen = parser.parse_args(arguments).sections or list(SECTIONS)
    for name in chosen:
        if name not in SECTIONS:
            parser.error(f"there is no section {name!r}; it must be one of {', '.join(SECTIONS)}")
    began = time.monotonic()
    found: dict[str, Found] = {}
    on_stage = [name for name in chosen if name in ON_STAGE]
    if on_stage:
        with stage(_telling("stage", began)) as made:
            for name in on_stage:
                found[name] = cast_measure(SECTIONS[name][1])(made, _telling(name, began))
    for name in chosen:
        if name not in ON_STAGE:
            found[name] = SECTIONS[name][1].measure(_telling(name, began))
    print("\n\n".join(table(SECTIONS[name][0], SECTIONS[name][1].rows(found[name])) for name in chosen))
    seconds = round(time.monotonic() - began)
    if set(chosen) == set(SECTIONS):
        results = {"machine": machine.facts(REPOSITORY), "seconds": seconds, **found}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\n{seconds} s", file=sys.stderr)
    return 0


def cast_measure(section: ModuleType) -> Callable[..., Found]:
    """A section's `measure`."""
    measure: Callable[..., Found] = section.measure
    return measure


def _telling(section: str, began: float) -> Progress:
    """Tells on standard error what is being measured, and how long all has taken."""

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {section}: {what}", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
