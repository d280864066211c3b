"""moto's server as S3, in the place of MinIO. It keeps everything in memory, and forgets it at the end."""

import sys
from importlib.util import find_spec
from pathlib import Path

import httpx

from pinjam.local.emulators.process import MissingProgram, ServerProcess, free_port, listens


class S3Server(ServerProcess):
    """The server on a free port; `url` is what `S3Objects` is given, with any keys. It has no buckets to begin with.

    MissingProgram where moto is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("moto") is None or find_spec("flask_cors") is None:
            raise MissingProgram("moto's server is not installed: pip install 'moto[s3]' flask-cors")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(
            "The S3 server",
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
            log=folder / "s3.log",
            ready=lambda: listens(port),
        )

    def make_bucket(self, name: str) -> None:
        """Make a bucket; harmless if there is one of that name."""
        httpx.put(f"{self.url}/{name}", trust_env=False).raise_for_status()
