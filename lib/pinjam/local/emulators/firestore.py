"""Google's own emulator of Firestore. It keeps everything in memory, and forgets it at the end."""

from pathlib import Path

from pinjam.local.emulators.gcloud import component, java
from pinjam.local.emulators.process import ServerProcess, free_port, listens

NAME = "cloud-firestore-emulator"


class FirestoreEmulator(ServerProcess):
    """The emulator on a free port; `host` is what `FIRESTORE_EMULATOR_HOST` must be.

    MissingProgram where gcloud's component or Java is not there.
    """

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        super().__init__(
            "The Firestore emulator",
            [
                java(),
                *("-Duser.language=en", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
                *("-cp", str(component(NAME) / f"{NAME}.jar")),
                "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
                *("start", "--host=127.0.0.1", f"--port={port}"),
            ],
            log=folder / "firestore.log",
            ready=lambda: listens(port),
        )
