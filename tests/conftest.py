"""A real PostgreSQL server for the tests that need one: one for each worker of a run."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinjam.local.database import EmbeddedDatabase


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A server of this run's own, with an empty database; nothing in it need outlive a crash."""
    state = Path(tempfile.mkdtemp(prefix="pinjam-tests-"))
    database = EmbeddedDatabase(state, durable=False)
    try:
        yield database.start()
    finally:
        database.stop()
        shutil.rmtree(state)
