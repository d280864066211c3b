"""Firebase's own emulator of Auth. It keeps everything in memory, and forgets it at the end."""

from collections.abc import Callable
from pathlib import Path

from pinjam.local.emulators.npm import install, node
from pinjam.local.emulators.process import ServerProcess, free_port, listens

OWNER = "owner"
"""The access token that may manage every account there."""


class AuthEmulator(ServerProcess):
    """The emulator on a free port, of one project; `host` is what `FIREBASE_AUTH_EMULATOR_HOST` must be.

    `tools` is the folder with the lock of firebase-tools, which are installed there first if they are not yet;
    `tell` hears of it, because it takes 20 s. MissingProgram where Node.js is not there, or the installation failed.
    """

    def __init__(self, folder: Path, *, tools: Path, project: str, tell: Callable[[str], None]) -> None:
        program = node()
        install(tools, tell=tell)
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        super().__init__(
            "The Firebase Auth emulator",
            [program, str(tools / "auth.js"), project, str(port)],
            log=folder / "auth.log",
            ready=lambda: listens(port),
        )

    @property
    def identity_url(self) -> str:
        """Identity Toolkit's address there, without `/v1`."""
        return f"http://{self.host}/identitytoolkit.googleapis.com"

    @property
    def token_url(self) -> str:
        """Secure Token's address there, without `/v1`."""
        return f"http://{self.host}/securetoken.googleapis.com"
