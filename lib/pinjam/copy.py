"""Copies every record of one store into another: `python -m pinjam.copy --from postgres --to firestore`, or back.

Both stores are those that the environment names. Stop whatever writes to either first: no function, sweep or task may
run until this has ended with 0. It may be cut off and run again: what is there already is only compared. Records that
only the target has are named and never deleted, and are a failure, as is a source that changed meanwhile. With
`--objects` it is documents' bytes that move, from one object store into another.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing

import psycopg

from pinjam.adapters.records import canonical
from pinjam.runtime.composition import App
from pinjam.runtime.settings import Settings, SettingsError
from pinjam.services.copying import Compared, Copied, Copying, Found, Progress
from pinjam.services.copying_objects import CopyingObjects
from pinjam.services.ports import Unavailable
from pinjam.services.store import KINDS, Contention, StoreUnavailable

STORES = ("postgres", "firestore")
OBJECTS = ("folder", "gcs", "s3")
TOLD_EVERY_S = 1


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Copy and compare; 0 when all is equal, 1 when it is not, 2 when it could not be done or was cut off."""
    asked = _parser().parse_args(arguments)
    kept = OBJECTS if asked.objects else STORES
    if asked.source == asked.target or not {asked.source, asked.target} <= set(kept):
        print(f"pinjam.copy: --from and --to must be two of {', '.join(kept)}", file=sys.stderr)
        return 2
    variable = "PINJAM_OBJECTS" if asked.objects else "PINJAM_STORE"
    bucket = {"PINJAM_BUCKET": asked.to_bucket} if asked.to_bucket else {}
    try:
        with (
            closing(_app({**environment, variable: asked.source})) as source,
            closing(_app({**environment, variable: asked.target, **bucket})) as target,
        ):
            told = _Teller(time.monotonic).tell
            if asked.objects:
                moving = CopyingObjects(store=source.store, source=source.objects, target=target.objects, told=told)
                return run_objects(moving, check=asked.check)
            copying = Copying(source=source.store, target=target.store, canonical=canonical, told=told)
            return run(copying, check=asked.check, remove_passed=asked.remove_passed)
    except (SettingsError, StoreUnavailable, Contention, Unavailable) as fault:
        print(f"pinjam.copy: {fault}; run it again, and it goes on", file=sys.stderr)
    except psycopg.IntegrityError as refused:
        # Without its details, which hold the record's values.
        print(f"pinjam.copy: PostgreSQL refuses a record: {refused.diag.message_primary}", file=sys.stderr)
    return 2


def run(copying: Copying, *, check: bool, remove_passed: bool) -> int:
    """Copy unless it is only to be checked, compare, and say what came of it; 0 when all is equal."""
    copied: dict[type, Copied] = {}
    if not check:
        for kind in KINDS:
            copied[kind] = copying.copy(kind, remove_passed=remove_passed)
    unequal = 0
    for kind in KINDS:
        compared = copying.compare(kind)
        faults = _faults(compared, copied.get(kind))
        unequal += bool(faults)
        print("\n".join([_line(kind, compared, copied.get(kind)), *(f"  {fault}" for fault in faults)]), flush=True)
    print(f"{unequal} of {len(KINDS)} kinds differ." if unequal else "Both stores hold the same.")
    return 1 if unequal else 0


def run_objects(moving: CopyingObjects, *, check: bool) -> int:
    """Copy documents' bytes unless they are only to be checked, and say what came of it; 0 when all are equal."""
    found = moving.run(check=check)
    print(f"documents: {found.same} the same, {found.written} written, {found.absent.count} in neither")
    for some, what in ((found.missing, "missing in the target"), (found.differing, "different in the target")):
        if some.count:
            print(f"  {some.count} {what}: {_named(some)}")
    if found.equal:
        print("Both hold the same bytes.")
    return 0 if found.equal else 1


def _line(kind: type, compared: Compared, copied: Copied | None) -> str:
    written = ""
    if copied is not None:
        written = f"  {copied.inserted} inserted, {copied.updated} updated"
        written += f", {copied.removed} removed" if copied.removed else ""
    sides = (f"{side.records:>9} {side.sha256}" for side in (compared.source, compared.target))
    return f"{KINDS[kind].collection:<14}{'  '.join(sides)}{written}"


def _faults(compared: Compared, copied: Copied | None) -> list[str]:
    faults = [
        f"{found.count} {what}: {_named(found)}"
        for found, what in (
            (compared.missing, "missing in the target"),
            (compared.differing, "different in the target"),
            (compared.extra, "in the target only"),
        )
        if found.count
    ]
    if copied is not None and copied.blocked.count:
        faults.append(f"{copied.blocked.count} whose unique values others have there: {_named(copied.blocked)}")
    if copied is not None and copied.source != compared.source.sha256:
        faults.append("the source changed meanwhile: stop what writes to it, and run this again")
    return faults


def _named(found: Found) -> str:
    return ", ".join(found.first) + (" ..." if found.count > len(found.first) else "")


class _Teller:
    """Tells on standard error how far it has come, not more often than can be read."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = self._last = clock()
        self._from = 0
        self._kind: type | None = None

    def tell(self, progress: Progress) -> None:
        now = self._clock()
        if progress.kind is not self._kind or progress.done < self._from:
            self._began, self._kind = self._last, progress.kind
        self._from = progress.done
        if progress.done < progress.total and now - self._last < TOLD_EVERY_S:
            return
        per_s = progress.done / max(now - self._began, 0.001)
        self._last = now
        name = KINDS[progress.kind].collection
        print(f"{name}: {progress.done}/{progress.total}, {per_s:.0f} records/s", file=sys.stderr, flush=True)


def _app(environment: Mapping[str, str]) -> App:
    """The system that these settings name. The way to log in to PostgreSQL is no contradiction to Firestore here."""
    firestore = environment.get("PINJAM_STORE") == "firestore"
    return App(
        Settings.read(
            {name: value for name, value in environment.items() if not firestore or name != "PINJAM_DATABASE_AUTH"}
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pinjam.copy",
        description="Copies every record of one store into another and compares both; it can be run again at any time.",
        epilog="Stop all that writes to either store first, and until this ends with 0. The bytes of documents are no"
        " records: --objects moves them. See docs/moving-stores.md.",
    )
    names = f"{' or '.join(STORES)}; with --objects {' or '.join(OBJECTS)}"
    parser.add_argument("--from", dest="source", required=True, help=f"what is read: {names}")
    parser.add_argument("--to", dest="target", required=True, help="what is written")
    parser.add_argument("--check", action="store_true", help="only compare, and write nothing")
    parser.add_argument("--objects", action="store_true", help="move the bytes of the documents, not the records")
    parser.add_argument("--to-bucket", help="with --objects: the target's bucket, where it has another name")
    parser.add_argument(
        "--remove-passed",
        action="store_true",
        help="delete in the target what the source has deleted since an earlier copy; sessions, codes, challenges,"
        " kept answers and messages that were brought, nothing else",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
