"""What Terraform makes of terraform/, run for real against stand-ins of its providers: the state after `apply`.

A stand-in gives what Google would compute a made-up value that names its resource, such as
`offline-google_service_account-fn-pay-email`: so who refers to what can be read in the state as nowhere else.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pinjam.local.emulators.process import MissingProgram

ROOT = Path(__file__).resolve().parents[2]
CHECK = ROOT.parent / "shared" / "tools" / "terraform-offline" / "check"
SYSTEM: Mapping[str, Any] = json.loads((ROOT / "terraform" / "system.json").read_text())
READ = ("docs", "gateway", "lib/pinjam/adapters", "terraform")
PATIENCE_S = 600
REGION = "asia-southeast2"
_ACCOUNT = re.compile(r"offline-google_service_account-([a-z-]+)-(?:email|id|member|name)")
_KEY = re.compile(r"offline-google_kms_crypto_key-([a-z]+)-id")

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the deployments that there can be."""

    environment: str
    store: str
    gateway: str

    @property
    def name(self) -> str:
        return f"{self.environment}-{self.store}-{self.gateway}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What Terraform made; `key` is its place in a for_each or a count, if it has one."""

    type: str
    name: str
    key: str | int | None
    values: Values

    @property
    def address(self) -> str:
        return f"{self.type}.{self.name}" + ("" if self.key is None else f"[{self.key}]")

    def block(self, *path: str) -> Values:
        """The one block at the end of a path; empty where there is none."""
        found: Any = self.values
        for step in path:
            found = found.get(step)
            found = found[0] if isinstance(found, list) and found else found or {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Deployment:
    """All that Terraform made of one choice."""

    choice: Choice
    resources: Sequence[Resource]

    @classmethod
    def of(cls, choice: Choice, state: Values) -> "Deployment":
        """From `terraform show -json`."""
        found = state["values"]["root_module"]["resources"]
        return cls(
            choice,
            tuple(
                Resource(type=one["type"], name=one["name"], key=one.get("index"), values=one["values"])
                for one in found
                if one["mode"] == "managed"
            ),
        )

    def all(self, type: str, name: str | None = None) -> list[Resource]:
        """The resources of a type, and of a name."""
        return [one for one in self.resources if one.type == type and name in (None, one.name)]

    @cached_property
    def functions(self) -> Mapping[str, Resource]:
        """The functions by their names."""
        return {str(one.key): one for one in self.all("google_cloudfunctions2_function", "function")}

    @cached_property
    def project(self) -> str:
        """The project's name, which every package's bucket has."""
        bucket: str = self.all("google_storage_bucket", "packages")[0].values["name"]
        return bucket.removesuffix("-packages")


def account_in(text: object) -> str | None:
    """The id of the account of ours that an address, a member or an id means; None for any other."""
    found = _ACCOUNT.fullmatch(str(text).removeprefix("serviceAccount:"))
    return found[1] if found else None


def key_in(text: object) -> str | None:
    """The name of the key of ours that an id means; None for any other."""
    found = _KEY.fullmatch(str(text))
    return found[1] if found else None


def strings_in(value: object) -> Iterator[str]:
    """Every text, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from strings_in(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from strings_in(each)


def granted(found: Deployment, kind: str, field: str) -> Iterator[tuple[str, str]]:
    """What is granted on resources of a kind: the id of each, and a member."""
    for one in found.all(f"{kind}_iam_member"):
        yield one.values[field], one.values["member"]
    for one in found.all(f"{kind}_iam_binding"):
        for member in one.values["members"]:
            yield one.values[field], member


def applied(choice: Choice, folder: Path) -> Values:
    """The state of a choice, made once for all who ask with the same folder. MissingProgram where it cannot be."""
    for needed in (CHECK, shutil.which("terraform")):
        if needed is None or not Path(needed).exists():
            raise MissingProgram(f"the offline check of Terraform: {needed or 'terraform'} is not there")
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{choice.name}.json"
    with (folder / f"{choice.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _check(choice, folder, kept)
    state: Values = json.loads(kept.read_text())
    return state


def _copied(to: Path) -> Path:
    """What Terraform reads, as a repository of its own: the check copies a whole one, in which nothing may change."""
    for name in READ:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform"))
    subprocess.run(["git", "init", "--quiet", str(to)], check=True)  # noqa: S603, S607 - whichever git there is
    return to


def _check(choice: Choice, folder: Path, kept: Path) -> None:
    """Run the check, with a `terraform` before the real one that writes the state down once it is applied."""
    copy = _copied(folder / f"{choice.name}-repository")
    programs = folder / f"{choice.name}-bin"
    programs.mkdir(exist_ok=True)
    real, making = shutil.which("terraform"), kept.with_suffix(".new")
    between = programs / "terraform"
    between.write_text(
        f'#!/bin/sh\n"{real}" "$@" || exit $?\n[ "$1" != apply ] || exec "{real}" show -json > "{making}"\n'
    )
    between.chmod(0o700)
    done = subprocess.run(  # noqa: S603 - a program of this machine, with arguments of ours
        [
            str(CHECK),
            str(copy / "terraform"),
            "--",
            f"-var-file=env/{choice.environment}.tfvars",
            f"-var=store={choice.store}",
            f"-var=gateway={choice.gateway}",
        ],
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    if done.returncode:
        raise AssertionError(f"{choice.name}:\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}")
    making.rename(kept)
