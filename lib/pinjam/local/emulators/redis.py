"""A Redis of its own, which keeps nothing."""

import shutil
from pathlib import Path

from pinjam.local.emulators.process import MissingProgram, ServerProcess, free_port, listens


class RedisServer(ServerProcess):
    """`redis-server` on a free port; `url` is what `PINJAM_REDIS_URL` must be. MissingProgram where it is not there."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise MissingProgram("redis-server is not on the PATH (Debian: apt-get install redis-server)")
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        self.url = f"redis://{self.host}"
        super().__init__(
            "Redis",
            [
                program,
                *("--bind", "127.0.0.1", "--port", str(port)),
                *("--save", "", "--appendonly", "no", "--dir", str(folder)),
            ],
            log=folder / "redis.log",
            ready=lambda: listens(port),
        )
