"""Emulators that come with the gcloud command-line tools. They are started directly: gcloud adds seconds to it."""

import shutil
from pathlib import Path

from pinjam.local.emulators.process import MissingProgram


def component(name: str) -> Path:
    """The folder of one of gcloud's components. MissingProgram if it, or gcloud, is not there."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise MissingProgram(
            f"gcloud is not on the PATH; its component {name} is needed."
            f" Install the Google Cloud CLI, then: gcloud components install {name}"
        )
    folder = Path(gcloud).resolve().parents[1] / "platform" / name
    if not folder.is_dir():
        raise MissingProgram(
            f"gcloud's component {name} is not installed: gcloud components install {name}"
            f" (with Debian's packages: apt-get install google-cloud-cli-{name.removeprefix('cloud-')})"
        )
    return folder


def java() -> str:
    """The Java program. MissingProgram if there is none."""
    found = shutil.which("java")
    if found is None:
        raise MissingProgram("java is not on the PATH; gcloud's emulators need a Java runtime, 11 or newer")
    return found
