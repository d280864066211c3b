"""The dated policy files and their loading. A file that is wrong in anything refuses to load.

A file `<effective date>.toml` holds exactly the fields of `pinjam.domain.policy.Policy`, its id is its
name without the ending, and its hash is the SHA-256 of its values as canonical JSON, so that comments and
order change nothing.
"""

import hashlib
import json
import tomllib
from datetime import date, datetime
from functools import cache
from importlib import resources
from pathlib import PurePath

from pinjam.domain.policy import Policies, Policy
from pinjam.policy.limits import check
from pinjam.policy.reading import PolicyError, record

__all__ = ["PolicyError", "load_policies", "read_policy"]


@cache
def load_policies() -> Policies:
    """Every policy of this package, read once. PolicyError if a file is wrong."""
    files = sorted(
        (entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(".toml")),
        key=lambda entry: entry.name,
    )
    return Policies(tuple(read_policy(entry.name, entry.read_text("utf-8")) for entry in files))


def read_policy(file: str, text: str) -> Policy:
    """The policy in a file's text; `file` is its name. PolicyError names the file, the key and the limit."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(file, "file", f"must be TOML: {error}") from error
    stem = PurePath(file).stem
    identity = {"id": stem, "hash": _hash(content)}
    taken = sorted(identity.keys() & content.keys())
    if taken:
        raise PolicyError(file, taken[0], "must not be in the file: it is derived from it")
    policy = record(Policy, content | identity, file=file)
    if stem != policy.effective_from.isoformat():
        raise PolicyError(file, "effective_from", f"must be the date in the file's name, not {policy.effective_from}")
    check(policy, file=file)
    return policy


def _hash(content: dict[str, object]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_plain)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(value: object) -> str:
    """Dates as ISO 8601; whatever else TOML can hold is refused later by its type."""
    return value.isoformat() if isinstance(value, date | datetime) else repr(value)
