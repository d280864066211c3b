"""`python -m bench [section ...]`: how fast and how large, each figure over a baseline of the same run."""

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from bench.deployed import REPOSITORY
from bench.figures import Found, Progress, table
from bench.stage import stage

from bench import machine
from pinjam.runtime import logs

RESULTS = Path(__file__).with_name("results.json")
SECTIONS: Mapping[str, tuple[str, str]] = {
    "cold": ("cold", "Cold start, over an empty function"),
    "latency": ("latency", "Latency of one call after another, over the bare SQL"),
    "throughput": ("throughput", "Calls a second of one instance, over an empty function"),
    "scale": ("scale", "Latency by the number of loans in PostgreSQL"),
    "pure": ("pure", "Rules, over 1,000 integer divisions"),
    "road": ("one_road", "What one road takes"),
}
"""By name: the module, and the table's title. In the order in which they are taken; the first need the system."""
ON_STAGE = ("cold", "latency", "throughput")


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables, and write results.json if all was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("sections", nargs="*", metavar="section", help=f"some of {', '.join(SECTIONS)}; all by default")
    chosen = parser.parse_args(arguments).sections or list(SECTIONS)
    for name in chosen:
        if name not in SECTIONS:
            parser.error(f"there is no section {name!r}; it must be one of {', '.join(SECTIONS)}")
    # Whoever ends this run ends the servers that it started, and wants to see no traceback.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    logs.configure(Path(os.devnull).open("w"))  # noqa: SIM115 - as long as the process: threads log to the end
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # As `make run` has it.
    began = time.monotonic()
    found: dict[str, Found] = {}
    sections = {name: import_module(f"bench.{SECTIONS[name][0]}") for name in chosen}
    on_stage = [name for name in chosen if name in ON_STAGE]
    if on_stage:
        with stage(_telling("stage", began)) as made:
            for name in on_stage:
                found[name] = sections[name].measure(made, _telling(name, began))
    for name in chosen:
        if name not in ON_STAGE:
            found[name] = sections[name].measure(_telling(name, began))
    print("\n\n".join(table(SECTIONS[name][1], sections[name].rows(found[name])) for name in chosen))
    seconds = round(time.monotonic() - began)
    if set(chosen) == set(SECTIONS):
        results = {"machine": machine.facts(REPOSITORY), "seconds": seconds, **found}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\n{seconds} s", file=sys.stderr)
    return 0


def _telling(section: str, began: float) -> Progress:
    """Tells on standard error what is being measured, and how long all has taken."""

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {section}: {what}", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
