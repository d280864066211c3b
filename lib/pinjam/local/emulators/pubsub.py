"""Google's own emulator of Pub/Sub. It keeps everything in memory, and forgets it at the end."""

from pathlib import Path

from pinjam.local.emulators.gcloud import component, java
from pinjam.local.emulators.process import ServerProcess, free_port, listens

NAME = "pubsub-emulator"


class PubSubEmulator(ServerProcess):
    """The emulator on a free port; `host` is what `PUBSUB_EMULATOR_HOST` must be.

    MissingProgram where gcloud's component or Java is not there.
    """

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        (jar,) = (component(NAME) / "lib").glob("*.jar")
        super().__init__(
            "The Pub/Sub emulator",
            [
                java(),
                *("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
                *("-jar", str(jar), "--host=127.0.0.1", f"--port={port}"),
            ],
            log=folder / "pubsub.log",
            ready=lambda: listens(port),
        )
